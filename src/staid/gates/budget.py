"""Budgets: limits on running totals, drawn from by reservation."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import TypeAlias

from staid.domain.canonical import Json, canonical
from staid.domain.errors import ToolInvalid

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
    per: str = "customer"
    """`customer` (the asker), `agent`, or an argument's name (`argument:NAME` when unclear)."""
    window: str | timedelta = "1d"
    name: str = ""
    """Tools whose budgets carry the same name share one total; by default each has its own."""

    def check(self, tool: str, arguments: frozenset[str]) -> None:
        """Raise `ToolInvalid` unless the budget can be drawn from by these arguments."""
        try:
            limit = Decimal(self.limit)
            duration(self.window)
        except (ArithmeticError, TypeError, ValueError) as error:
            raise ToolInvalid(
                tool=tool, detail=f"its budget has no usable limit or window: {error}"
            ) from error
        if not limit.is_finite() or limit <= 0:
            raise ToolInvalid(tool=tool, detail="the limit of its budget must be above 0")
        if self.sum_of is not None and self.sum_of not in arguments:
            raise ToolInvalid(
                tool=tool, detail=f"its budget sums {self.sum_of!r}, which is no argument"
            )
        self._check_key(tool, arguments)

    def _check_key(self, tool: str, arguments: frozenset[str]) -> None:
        if self.per in {"customer", "agent"}:
            if self.per in arguments:
                detail = (
                    f"{self.per!r} of its budget is an argument, too: write argument:{self.per}"
                )
                raise ToolInvalid(tool=tool, detail=detail)
        elif self._argument not in arguments:
            raise ToolInvalid(
                tool=tool, detail=f"its budget counts per {self.per!r}, which is no argument"
            )

    @property
    def _argument(self) -> str:
        return self.per.removeprefix("argument:")

    def draw(self, tool: str, arguments: Mapping[str, Json], subject: str, agent: str) -> Draw:
        """Return what one call would draw; raise where the data does not say it."""
        if self.per == "customer":
            key = subject
        elif self.per == "agent":
            key = agent
        else:
            key = canonical(arguments[self._argument])
        if not key:
            message = f"the call does not say whose budget ({self.per}) it draws from"
            raise ValueError(message)
        window = duration(self.window)
        name = (
            self.name or f"{tool}:{self.sum_of or 'count'}:{self.per}:{int(window.total_seconds())}"
        )
        amount = Decimal(1) if self.sum_of is None else _amount(arguments[self.sum_of])
        return Draw(name, key, amount, Decimal(self.limit), window)


def _amount(value: Json) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        message = "the summed argument is not a number"
        raise TypeError(message)
    amount = Decimal(str(value))
    # A negative draw would refill the budget.
    if not amount.is_finite() or amount < 0:
        message = f"{amount} cannot be drawn from a budget"
        raise ValueError(message)
    return amount


@dataclass(frozen=True, slots=True)
class Draw:
    """What one call would take from one budget."""

    budget: str
    key: str
    amount: Decimal
    limit: Decimal
    window: timedelta

    @property
    def slot(self) -> Slot:
        """Which running total this adds to."""
        return (self.budget, self.key)
