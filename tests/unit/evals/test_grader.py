"""Exact graders: each criterion fails where it should, with its reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from staid.evals.dataset import CallPattern, Case
from staid.evals.grader import CaseOutcome, Grade, SeenCall, grade, matches, passed

MakeCase = Callable[..., Case]

GOOD = CaseOutcome(
    outcome="answer",
    text="A refund takes\n 5 to 7  business days.",
    cited=("refunds", "terms"),
    calls=(SeenCall("refund.issue", {"order_id": "A1", "amount": "50"}),),
    confidence=0.8,
)


def one(case: Case, seen: CaseOutcome) -> Grade:
    """Return the only grade."""
    grades = grade(case, seen)
    assert len(grades) == 1
    return grades[0]


@pytest.mark.parametrize(
    ("expect", "verdict", "reason"),
    [
        ({"outcome": "answer"}, True, "ended in answer"),
        ({"outcome": "abstention"}, False, "ended in answer, expected abstention"),
        ({"contains": ["TAKES 5 to 7 Business"]}, True, "as expected"),
        ({"contains": ["5 to 7", "14 days"]}, False, "the text lacks '14 days'"),
        ({"cites": ["terms"]}, True, "as expected"),
        ({"cites": ["terms", "privacy"]}, False, "not cited: 'privacy'"),
        ({"calls": ["refund.issue"]}, True, "as expected"),
        ({"calls": [{"tool": "refund.issue", "arguments": {"amount": 50}}]}, True, "as expected"),
        (
            {"calls": [{"tool": "refund.issue", "arguments": {"amount": 51}}]},
            False,
            """not proposed: 'refund.issue {"amount":51}'""",
        ),
        ({"calls": ["refund.issue", "refund.issue"]}, False, "not proposed: 'refund.issue'"),
        ({"never_calls": ["calendar.book"]}, True, "as expected"),
        (
            {"never_calls": [{"tool": "refund.issue", "arguments": {"order_id": "A1"}}]},
            False,
            "proposed, and never should be",
        ),
    ],
)
def test_each_criterion_decides_by_its_rule(
    case: MakeCase, expect: dict[str, Any], *, verdict: bool, reason: str
) -> None:
    """Shows each criterion passing and failing with the reason that a reader needs."""
    found = one(case(expect=expect), GOOD)

    assert found.criterion == next(iter(expect))
    assert found.passed is verdict
    assert reason in found.reason


def test_an_unexpected_outcome_says_why_it_came(case: MakeCase) -> None:
    """Shows that the outcome's own reason is part of the grade's."""
    seen = CaseOutcome(outcome="abstention", reason="weak")

    assert one(case(), seen).reason == "ended in abstention (weak), expected answer"


def test_a_case_passes_only_when_all_criteria_do(case: MakeCase) -> None:
    """Shows that one failed criterion fails the case while the others keep their verdict."""
    grades = grade(
        case(expect={"outcome": "answer", "contains": ["x-ray"], "cites": ["terms"]}), GOOD
    )

    assert [item.passed for item in grades] == [True, False, True]
    assert not passed(grades)
    assert passed(grades[:1])
    assert not passed([])


def test_an_error_fails_the_case_with_its_message(case: MakeCase) -> None:
    """Shows that a run that raised is a failure with the error as reason, never a skipped case."""
    seen = CaseOutcome(error="ST-312: No model answered")

    assert one(case(expect={"never_calls": ["x"]}), seen) == Grade(
        "error", passed=False, reason="ST-312: No model answered"
    )


@pytest.mark.parametrize("turns", [[], [{"role": "assistant", "text": "Hello"}]])
def test_a_case_without_a_question_fails(case: MakeCase, turns: list[dict[str, str]]) -> None:
    """Shows that a case nobody asks anything in cannot pass."""
    found = one(case(turns=turns, expect={"never_calls": ["x"]}), CaseOutcome())

    assert not found.passed
    assert "no turn" in found.reason


def test_no_grade_repeats_the_answer(case: MakeCase) -> None:
    """Shows that reasons hold nothing of the text, so that a stored result leaks no document."""
    secret = CaseOutcome(outcome="answer", text="the acquisition of Halcyon")
    expect = {"outcome": "refusal", "contains": ["nothing"], "cites": ["x"], "calls": ["y"]}

    assert "Halcyon" not in repr(grade(case(expect=expect), secret))


@pytest.mark.parametrize(
    ("wanted", "found", "expected"),
    [
        ({}, {"a": 1}, True),
        ({"a": 1}, {"a": 1, "b": 2}, True),
        ({"a": 1}, {"b": 2}, False),
        ({"a": 50}, {"a": "50.00"}, True),
        ({"a": "49.10"}, {"a": "49.1"}, True),
        ({"a": "0050x"}, {"a": "50x"}, False),
        ({"a": 1}, {"a": True}, False),
        ({"a": True}, {"a": 1}, False),
        ({"a": None}, {"a": None}, True),
        ({"a": None}, {}, False),
        ({"a": {"b": 1}}, {"a": {"b": 1, "c": 2}}, True),
        ({"a": {"b": 1}}, {"a": [1]}, False),
        ({"a": [1, 2]}, {"a": [1, 2]}, True),
        ({"a": [1]}, {"a": [1, 2]}, False),
        ({"a": "NaN"}, {"a": "nan"}, False),
        ({"a": "Ada"}, {"a": "ada"}, False),
    ],
)
def test_arguments_match_as_a_subset(
    wanted: dict[str, Any], found: dict[str, Any], *, expected: bool
) -> None:
    """Shows which arguments hold a pattern: subsets at any depth, numbers by value, else equal."""
    assert matches(CallPattern("t", wanted), SeenCall("t", found)) is expected
    assert not matches(CallPattern("t", wanted), SeenCall("other", found))


def test_a_wide_pattern_leaves_the_narrow_one_its_call(case: MakeCase) -> None:
    """Shows that two patterns and two calls are paired well, not first come first served."""
    narrow = {"tool": "book", "arguments": {"day": "Monday"}}
    seen = CaseOutcome(
        calls=(SeenCall("book", {"day": "Monday"}), SeenCall("book", {"day": "Friday"}))
    )

    assert one(case(expect={"calls": ["book", narrow]}), seen).passed
    assert not one(case(expect={"calls": ["book", narrow, narrow]}), seen).passed
