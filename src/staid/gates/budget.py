"""Budgets: limits on running totals, drawn from by reservation."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import TypeAlias

from staid.domain.call import Severity
from staid.domain.canonical import Json, canonical
from staid.domain.demand import Terms
from staid.domain.errors import ToolInvalid

APPROVER = "approver"
"""In `per`: whoever decides; drawn in the transaction of the decision."""

_WHO = frozenset({"customer", "agent"})
_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\uffa0\ufe00-\ufe0f\U000e0000-\U000e0fff]"
)
"""Letters and marks that take no room; the rest is told by its category."""
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}

Slot: TypeAlias = tuple[str, str]
"""Name of a budget and the key it is counted for."""

Totals: TypeAlias = Mapping[Slot, Decimal]
"""What is reserved or captured per slot; a slot that is missing is unknown, not zero."""


def duration(value: str | timedelta) -> timedelta:
    """Return a positive duration from `90s`, `30m`, `12h`, `1d` or `2w`; raise `ValueError`."""
    if isinstance(value, timedelta):
        result = value
    else:
        found = re.fullmatch(r"(\d{1,6})([smhdw])", value.strip())
        if found is None:
            message = f"{value!r} is not a duration such as 30m, 12h or 1d"
            raise ValueError(message)
        result = timedelta(seconds=int(found[1]) * _SECONDS[found[2]])
    if result <= timedelta(0):
        message = f"{value!r} is not a positive duration"
        raise ValueError(message)
    return result


@dataclass(frozen=True, slots=True)
class Budget:
    """A limit on the running total of a tool's calls within a rolling window.

    Calls that wait for a human count from their proposal on, done ones for the window after they
    were done; denied, expired and failed ones do not count.
    """

    limit: Decimal | int | str
    """The most that may be drawn within the window; reaching it exactly is allowed."""
    sum_of: str | None = None
    """The argument that is summed; None counts calls."""
    per: str | Sequence[str] = "customer"
    """`customer` (the asker), `agent`, or an argument's name (`argument:NAME` when unclear).

    Of several each combination has its own total. `approver` bounds what one person may approve.
    """
    window: str | timedelta = "1d"
    name: str = ""
    """Tools whose budgets carry the same name share one total; by default each has its own."""

    def __post_init__(self) -> None:
        """Hold several keys as a tuple, so that budgets can be compared and hashed."""
        if not isinstance(self.per, str):
            object.__setattr__(self, "per", tuple(self.per))

    def check(self, tool: str, arguments: frozenset[str]) -> None:
        """Raise `ToolInvalid` unless the budget can be drawn from by these arguments."""
        check_total(tool, "budget", self.limit, self.sum_of, self.window, arguments)
        if self.of_approver:
            _check_approver(tool, self.per, arguments)
        else:
            check_keys(tool, "budget", self.per, arguments)

    @property
    def of_approver(self) -> bool:
        """Whether a decision draws from it, and not the call."""
        return APPROVER in keys(self.per)

    def draw(self, tool: str, arguments: Mapping[str, Json], subject: str, agent: str) -> Draw:
        """Return what one call would draw; raise where the data does not say it.

        Per approver the key is left open until somebody decides.
        """
        key = "" if self.of_approver else key_of(self.per, arguments, subject, agent)
        amount = Decimal(1) if self.sum_of is None else amount_of(arguments[self.sum_of])
        return Draw(self.total(tool), key, amount, Decimal(self.limit), duration(self.window))

    def total(self, tool: str) -> str:
        """Return the name of the total that calls of a tool add to."""
        name = self.name or slot_name(tool, self.sum_of, self.per, duration(self.window))
        return f"{APPROVER}:{name}" if self.of_approver else name


def keys(per: str | Sequence[str]) -> tuple[str, ...]:
    """Return what a total is counted for, each by its name."""
    return (per,) if isinstance(per, str) else tuple(per)


def check_total(
    tool: str,
    what: str,
    limit: Decimal | int | str,
    sum_of: str | None,
    window: str | timedelta,
    arguments: frozenset[str],
) -> None:
    """Raise `ToolInvalid` unless limit, summed argument and window of a total can work."""
    try:
        most = Decimal(limit)
        duration(window)
    except (ArithmeticError, TypeError, ValueError) as error:
        detail = f"its {what} has no usable limit or window: {error}"
        raise ToolInvalid(tool=tool, detail=detail) from error
    if not most.is_finite() or most <= 0:
        raise ToolInvalid(tool=tool, detail=f"the limit of its {what} must be above 0")
    if sum_of is not None and sum_of not in arguments:
        raise ToolInvalid(tool=tool, detail=f"its {what} sums {sum_of!r}, which is no argument")


def check_keys(tool: str, what: str, per: str | Sequence[str], arguments: frozenset[str]) -> None:
    """Raise `ToolInvalid` unless these arguments say whom a total is counted for."""
    each = keys(per)
    if not each or len(set(each)) != len(each):
        raise ToolInvalid(tool=tool, detail=f"its {what} counts per nothing, or twice per one key")
    for key in each:
        if key in _WHO:
            if key in arguments:
                detail = f"{key!r} of its {what} is an argument, too: write argument:{key}"
                raise ToolInvalid(tool=tool, detail=detail)
        elif _argument(key) not in arguments:
            detail = f"its {what} counts per {key!r}, which is no argument"
            raise ToolInvalid(tool=tool, detail=detail)


def _check_approver(tool: str, per: str | Sequence[str], arguments: frozenset[str]) -> None:
    if keys(per) != (APPROVER,):
        raise ToolInvalid(tool=tool, detail="a budget per approver has no other key")
    if APPROVER in arguments:
        detail = "'approver' of its budget is an argument, too: write argument:approver"
        raise ToolInvalid(tool=tool, detail=detail)


def key_of(
    per: str | Sequence[str], arguments: Mapping[str, Json], subject: str, agent: str
) -> str:
    """Return the key that a call is counted under; raise `ValueError` where it does not say.

    One name in several spellings is one key: case, spaces around, Unicode's forms and characters
    that nobody sees make no second total.
    """
    who = {"customer": subject, "agent": agent}
    each = [
        who[key] if key in who else canonical(_one_spelling(arguments[_argument(key)]))
        for key in keys(per)
    ]
    if not all(each):
        message = f"the call does not say whose total ({', '.join(keys(per))}) it adds to"
        raise ValueError(message)
    return each[0] if len(each) == 1 else canonical(each)


def _one_spelling(value: Json) -> Json:
    if isinstance(value, str):
        return _spelled(value)
    if isinstance(value, Mapping):
        return {name: _one_spelling(each) for name, each in value.items()}
    return [_one_spelling(each) for each in value] if isinstance(value, Sequence) else value


def _spelled(text: str) -> str:
    if not (text.isascii() and text.isprintable()):
        marked = _UNSEEN.sub("", text)
        seen = "".join(
            c for c in marked if c.isspace() or unicodedata.category(c) not in {"Cc", "Cf"}
        )
        text = unicodedata.normalize("NFKC", seen)
    return " ".join(text.casefold().split())


def slot_name(tool: str, sum_of: str | None, per: str | Sequence[str], window: timedelta) -> str:
    """Return the name of a tool's own total."""
    return f"{tool}:{sum_of or 'count'}:{'+'.join(keys(per))}:{int(window.total_seconds())}"


def amount_of(value: Json) -> Decimal:
    """Return what is summed; raise where it is no finite number, or below zero."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        message = "the summed argument is not a number"
        raise TypeError(message)
    amount = Decimal(str(value))
    # A negative draw would refill the budget.
    if not amount.is_finite() or amount < 0:
        message = f"{amount} cannot be added to a total"
        raise ValueError(message)
    return amount


def _argument(key: str) -> str:
    return key.removeprefix("argument:")


@dataclass(frozen=True, slots=True)
class Step:
    """What is wanted of approvers once a total is beyond a number."""

    number: Decimal
    reached: bool
    """Whether reaching it exactly is enough."""
    terms: Terms

    def passed(self, total: Decimal) -> bool:
        """Return whether a total is beyond it."""
        return total > self.number or (self.reached and total == self.number)


@dataclass(frozen=True, slots=True)
class Draw:
    """What one call would add to one running total."""

    budget: str
    key: str
    amount: Decimal
    limit: Decimal
    window: timedelta
    beyond: Severity = Severity.DENY
    """What exceeding the limit means: a budget denies, a structuring threshold asks."""
    own: bool = False
    """Whether it counts the asker's calls alone, so that they may be told the total."""
    reached: bool = False
    """Whether reaching the limit exactly is beyond it."""
    steps: tuple[Step, ...] = ()
    """Where it asks: what rules of the policy want of approvers then, beside the tool."""

    @property
    def slot(self) -> Slot:
        """Which running total this adds to."""
        return (self.budget, self.key)

    def exceeded(self, before: Decimal) -> bool:
        """Return whether this call takes a total beyond the limit."""
        total = before + self.amount
        return total > self.limit or (self.reached and total == self.limit)
