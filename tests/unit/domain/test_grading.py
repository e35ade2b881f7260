"""One shape of a grade: what is written is read, and nothing else is."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staid.domain.grading import Given, grade_of

names = st.text(min_size=1)


@given(names, st.floats(allow_nan=False, allow_infinity=False), names)
def test_what_is_given_is_read(name: str, value: float, grader: str) -> None:
    """A grade comes back as it was given, whatever stands beside it."""
    grade = Given(name, value, grader)
    assert grade_of(grade.fact(imported=True)) == grade


@pytest.mark.parametrize(
    "grade",
    [
        Given("", 1, "log"),
        Given("tone", 1, ""),
        Given("tone", float("nan"), "log"),
        Given("tone", float("inf"), "log"),
    ],
)
def test_no_grade_is_written(grade: Given) -> None:
    """Without a name, a grader or a finite value nothing is recorded."""
    with pytest.raises(ValueError, match="a grade has"):
        grade.fact()


@pytest.mark.parametrize(
    "fact",
    [
        {},
        {"name": "tone", "value": "good", "grader": "judge"},
        {"name": "tone", "value": True, "grader": "judge"},
        {"name": "tone", "value": 1},
        {"criterion": "tone", "grade": 1, "grader": "judge"},
    ],
)
def test_another_shape_is_no_grade(fact: dict[str, Any]) -> None:
    """What is not of the shape is not guessed at."""
    assert grade_of(fact) is None
