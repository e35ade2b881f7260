"""Structuring: many calls that are each below a threshold, and together above it.

Fifty refunds of 99 are not one refund below 100. What a person would be asked about as one call, a
person is asked about as several, too: once the calls that are each below the threshold add up
beyond it for one key within the window, the next one asks, and shows the sum.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

from staid.domain.call import Ruling, Severity
from staid.domain.canonical import Json, decimal_text
from staid.domain.demand import Terms
from staid.gates.budget import (
    Draw,
    Slot,
    Totals,
    amount_of,
    check_keys,
    check_total,
    duration,
    key_of,
    keys,
    slot_name,
)

PREFIX = "structuring:"
"""Before the name of such a total, and of the rule that asks because of it."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """Asks a human where an argument is above a number: `requires_approval` as data.

    Being data it can be read, and `define` derives the structuring detector from it.
    """

    argument: str
    above: Decimal | int | str
    """Reaching it exactly asks nobody."""

    def __call__(self, params: Any) -> bool:  # noqa: ANN401 - the params model of the tool
        """Return whether a human has to approve; raise where the argument is no number."""
        value = getattr(params, self.argument)
        return amount_of(str(value) if isinstance(value, Decimal) else value) > Decimal(self.above)

    @property
    def words(self) -> str:
        """The rule in plain words."""
        return f"A human has to approve where {self.argument} is above {self.above}."


@dataclass(frozen=True, slots=True)
class Structuring:
    """A threshold on what calls add up to that are each at or below it.

    A call that is above it alone is asked about as such, and left out of the sum.
    """

    sum_of: str
    """The argument that is summed."""
    above: Decimal | int | str
    """Reaching it exactly asks nobody."""
    per: str | Sequence[str] = "customer"
    """As of a budget: `customer`, `agent`, or an argument's name; several make one key."""
    window: str | timedelta = "1d"
    name: str = ""
    """Tools whose detectors carry the same name share one sum; by default each has its own."""
    reached: bool = False
    """Whether reaching it exactly asks, too."""

    def __post_init__(self) -> None:
        """Hold several keys as a tuple, so that detectors can be compared and hashed."""
        if not isinstance(self.per, str):
            object.__setattr__(self, "per", tuple(self.per))

    def check(self, tool: str, arguments: frozenset[str]) -> None:
        """Raise `ToolInvalid` unless these arguments can be summed."""
        what = "structuring threshold"
        check_total(tool, what, self.above, self.sum_of, self.window, arguments)
        check_keys(tool, what, self.per, arguments)

    def draw(
        self, tool: str, arguments: Mapping[str, Json], subject: str, agent: str
    ) -> Draw | None:
        """Return what a call adds to the sum, or None where it is above the threshold alone.

        Raises where the data does not say it.
        """
        amount, above = amount_of(arguments[self.sum_of]), Decimal(self.above)
        if amount > above or (self.reached and amount == above):
            return None
        key = key_of(self.per, arguments, subject, agent)
        own = "customer" in keys(self.per)
        window = duration(self.window)
        return Draw(self.total(tool), key, amount, above, window, Severity.ASK, own, self.reached)

    def total(self, tool: str) -> str:
        """Return the name of the sum that calls of a tool add to; it ends with the seconds."""
        window = duration(self.window)
        name = slot_name(tool, self.sum_of, self.per, window)
        return f"{PREFIX}{f'{self.name}:{int(window.total_seconds())}' if self.name else name}"


def derived(threshold: Threshold) -> Structuring:
    """Return the detector that a threshold for single calls implies: per asker and day."""
    return Structuring(threshold.argument, threshold.above)


def ruled(draw: Draw, total: Decimal) -> Ruling | None:
    """Return `ask` where a call takes its sum beyond the threshold, None where it does not."""
    if not draw.exceeded(total):
        return None
    return Ruling(Severity.ASK, draw.budget, _told(draw, total + draw.amount))


def wanted(draws: Iterable[Draw], totals: Totals) -> Iterator[Terms]:
    """Yield what rules want of approvers whose numbers these sums are beyond."""
    for draw in draws:
        total = totals.get(draw.slot)
        if draw.beyond is Severity.ASK and total is not None and draw.exceeded(total):
            reached = total + draw.amount
            yield from (step.terms for step in draw.steps if step.passed(reached))


def counted(
    ruling: Ruling, draws: Iterable[Draw], before: Mapping[Slot, tuple[Decimal, int]]
) -> Ruling:
    """Return a ruling about a sum that says how many calls it is of; any other as it is.

    `before` is total and number of calls per slot, without this call.
    """
    for draw in draws:
        if draw.budget == ruling.rule and draw.slot in before:
            total, calls = before[draw.slot]
            return replace(ruling, message=_told(draw, total + draw.amount, calls + 1))
    return ruling


def window_of(rule: str) -> timedelta:
    """Return the window of a sum from the name of its rule, which ends with the seconds."""
    return timedelta(seconds=int(rule.rpartition(":")[2]))


def _told(draw: Draw, reached: Decimal, calls: int | None = None) -> str:
    window, above = span(draw.window), decimal_text(draw.limit)
    if not draw.own:  # of others the asker learns nothing, not even how much
        over = "at least" if draw.reached else "more than"
        return f"Calls within {window} add up to {over} {above}; each alone {_each(draw)}."
    many = "Calls" if calls is None else f"{calls} calls"
    return (
        f"{many} within {window} add up to {decimal_text(reached)},"
        f" {'not below' if draw.reached else 'above'} {above}; each alone {_each(draw)}."
    )


def _each(draw: Draw) -> str:
    return "is below it" if draw.reached else "is not above it"


def span(window: timedelta) -> str:
    """Return a duration in words: `1 day`, `90 minutes`."""
    seconds = int(window.total_seconds())
    if window % timedelta(seconds=1):
        return f"{window.total_seconds():g} seconds"
    for name, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds % length == 0:
            number = seconds // length
            return f"{number} {name}" if number == 1 else f"{number} {name}s"
    return "1 second" if seconds == 1 else f"{seconds} seconds"
