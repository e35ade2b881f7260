"""`staid gates budgets`: the running totals, against what bounds them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from staid.cli import output
from staid.domain.canonical import decimal_text
from staid.gates.budget import Budget, duration
from staid.gates.structuring import span

if TYPE_CHECKING:
    from staid.project.project import Project

_WIDTH = 20


@dataclass(frozen=True, slots=True)
class _Total:
    """One running total with its limit."""

    name: str
    beyond: str
    key: str
    drawn: Decimal
    limit: Decimal
    window: timedelta


def budgets() -> None:
    """List every running total with its limit: what waits counts, and what was done lately.

    Example: staid gates budgets --json
    """
    totals = list(_totals(output.project()))
    rows = [
        (
            t.name,
            t.key,
            f"{decimal_text(t.drawn)} of {decimal_text(t.limit)}",
            _bar(t),
            span(t.window),
            t.beyond,
        )
        for t in totals
    ]
    output.emit(
        {
            "budgets": [
                {
                    "budget": t.name,
                    "key": t.key,
                    "drawn": decimal_text(t.drawn),
                    "limit": decimal_text(t.limit),
                    "window_seconds": int(t.window.total_seconds()),
                    "beyond": t.beyond,
                }
                for t in totals
            ]
        },
        output.table(("total", "for", "drawn", "", "window", "beyond it"), rows)
        or ["Nothing is drawn from any budget."],
    )


def _totals(project: Project) -> Iterator[_Total]:
    bounds = {
        (one.total(name), Decimal(one.limit if isinstance(one, Budget) else one.above)): one
        for name, tool in sorted(project.tools.items())
        for one in (*tool.budgets, *project.wiring.policy.about(tool).budgets, *tool.structuring)
    }
    for (name, limit), one in sorted(bounds.items(), key=lambda each: each[0]):
        window = duration(one.window)
        beyond = "deny" if isinstance(one, Budget) else "ask"
        for key, drawn in project.wiring.ledger.running(name, window).items():
            yield _Total(name, beyond, key, drawn, limit, window)


def _bar(total: _Total) -> str:
    full = min(_WIDTH, int(_WIDTH * total.drawn / total.limit))
    return "█" * full + "░" * (_WIDTH - full)
