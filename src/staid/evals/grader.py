"""Exact graders: each criterion of a case against what the agent did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import cast

from staid.domain.canonical import Json, canonical
from staid.evals.dataset import CallPattern, Case, Expectation

GRADER = "exact/1"
"""Names the rules of this file; results graded by other rules are not comparable."""


@dataclass(frozen=True, slots=True)
class SeenCall:
    """A tool call that the agent proposed, executed or not."""

    tool: str
    arguments: Mapping[str, Json] = field(default_factory=dict[str, Json])


@dataclass(frozen=True, slots=True)
class CaseOutcome:
    """What the agent did on one case; `error` says why it did nothing that can be graded."""

    outcome: str = ""
    """How the last turn ended: answer, abstention, refusal or pending."""
    reason: str | None = None
    text: str = ""
    cited: tuple[str, ...] = ()
    """Documents of the last turn's citations."""
    calls: tuple[SeenCall, ...] = ()
    """Calls proposed in any turn of the case, denied ones included."""
    confidence: float | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Grade:
    """One criterion's verdict with the reason in plain words; never holds the answer's text."""

    criterion: str
    passed: bool
    reason: str


def grade(case: Case, seen: CaseOutcome) -> tuple[Grade, ...]:
    """Return a grade for each criterion the case sets, never none.

    A case without a user's turn, or whose run raised, gets the one failed grade `error`.
    """
    error = seen.error or ("" if case.questions else "the case has no turn by the user")
    if error:
        return (Grade("error", passed=False, reason=error),)
    expect = case.expect
    grades = [
        *_outcome(expect, seen),
        *_contains(expect, seen),
        *_cites(expect, seen),
        *_calls(expect, seen),
        *_never_calls(expect, seen),
    ]
    return tuple(grades)


def passed(grades: Sequence[Grade]) -> bool:
    """Return whether every criterion passed; no grade at all is a failure."""
    return bool(grades) and all(item.passed for item in grades)


def fold(text: str) -> str:
    """Return the text as `contains` compares it: case folded, any white space one space."""
    return " ".join(text.casefold().split())


def _outcome(expect: Expectation, seen: CaseOutcome) -> list[Grade]:
    if expect.outcome is None:
        return []
    why = f" ({seen.reason})" if seen.reason else ""
    reason = f"ended in {seen.outcome}{why}"
    if seen.outcome != expect.outcome:
        reason += f", expected {expect.outcome}"
    return [Grade("outcome", seen.outcome == expect.outcome, reason)]


def _contains(expect: Expectation, seen: CaseOutcome) -> list[Grade]:
    if not expect.contains:
        return []
    text = fold(seen.text)
    missing = [part for part in expect.contains if fold(part) not in text]
    return [_all_there("contains", "the text lacks", missing)]


def _cites(expect: Expectation, seen: CaseOutcome) -> list[Grade]:
    if not expect.cites:
        return []
    missing = [document for document in expect.cites if document not in seen.cited]
    return [_all_there("cites", "not cited:", missing)]


def _calls(expect: Expectation, seen: CaseOutcome) -> list[Grade]:
    if not expect.calls:
        return []
    missing = [_words(pattern) for pattern in _unmatched(expect.calls, seen.calls)]
    return [_all_there("calls", "not proposed:", missing)]


def _never_calls(expect: Expectation, seen: CaseOutcome) -> list[Grade]:
    if not expect.never_calls:
        return []
    forbidden = [
        _words(pattern)
        for pattern in expect.never_calls
        if any(matches(pattern, call) for call in seen.calls)
    ]
    return [_all_there("never_calls", "proposed, and never should be:", forbidden)]


def _all_there(criterion: str, complaint: str, items: Sequence[str]) -> Grade:
    reason = f"{complaint} {'; '.join(repr(i) for i in items)}" if items else "as expected"
    return Grade(criterion, not items, reason)


def matches(pattern: CallPattern, call: SeenCall) -> bool:
    """Return whether a call is the pattern's tool and holds all of its arguments, at any depth.

    Numbers equal their decimal text (`50` is `"50.00"`), because canonical arguments carry money
    as text; lists match item by item; everything else must be equal.
    """
    return pattern.tool == call.tool and _holds(dict(call.arguments), dict(pattern.arguments))


def _holds(found: Json, wanted: Json) -> bool:
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(
            key in found and _holds(found[key], value) for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        return (
            isinstance(found, list)
            and len(found) == len(wanted)
            and all(_holds(a, b) for a, b in zip(found, wanted, strict=True))
        )
    if isinstance(found, bool) or isinstance(wanted, bool):
        return found is wanted
    if found == wanted:
        return True
    number = _number(wanted)
    return number is not None and number == _number(found)


def _number(value: Json) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _unmatched(wanted: Sequence[CallPattern], seen: Sequence[SeenCall]) -> list[CallPattern]:
    """Return the patterns left over when as many as possible have a call of their own.

    Augmenting paths (Kuhn 1955): a wide pattern never takes the one call a narrow one needs.
    """
    holder: dict[int, int] = {}

    def place(pattern: int, tried: set[int]) -> bool:
        for position, call in enumerate(seen):
            if position in tried or not matches(wanted[pattern], call):
                continue
            tried.add(position)
            if position not in holder or place(holder[position], tried):
                holder[position] = pattern
                return True
        return False

    return [wanted[number] for number in range(len(wanted)) if not place(number, set())]


def _words(pattern: CallPattern) -> str:
    arguments = canonical(cast("Mapping[str, object]", pattern.arguments))
    return f"{pattern.tool} {arguments}" if pattern.arguments else pattern.tool
