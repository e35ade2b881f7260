"""A grade of a run as a fact: one shape, whoever gives it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite

from staid.domain.canonical import Json


@dataclass(frozen=True, slots=True)
class Given:
    """What one grader says of one run: the fact `grade.given` holds these three.

    A reason is content (`{"reason": …}`), under the label of what it speaks of.
    """

    name: str
    """What was graded: a criterion of a rubric, such as `tone`, or the reward of a log."""
    value: float
    """Finite, and larger is better; a criterion that is met or not is 1 or 0."""
    grader: str
    """Who or what graded: a principal's token, a judge with its version, or `log`."""

    def fact(self, **more: Json) -> dict[str, Json]:
        """Return the fact; `more` goes beside it. Raises `ValueError` where it is no grade."""
        if not (self.name and self.grader and isfinite(self.value)):
            message = "a grade has a name, a finite value and a grader"
            raise ValueError(message)
        return {"name": self.name, "value": float(self.value), "grader": self.grader, **more}


def grade_of(fact: Mapping[str, Json]) -> Given | None:
    """Return what a fact `grade.given` says; None where it is not of that shape."""
    name, value, grader = fact.get("name"), fact.get("value"), fact.get("grader")
    named = isinstance(name, str) and isinstance(grader, str) and name and grader
    number = isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
    return Given(str(name), float(str(value)), str(grader)) if named and number else None
