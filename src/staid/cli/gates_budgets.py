"""`staid gates budgets`: the running totals, against what bounds them."""

from __future__ import annotations

from staid.cli import output
from staid.domain.canonical import decimal_text
from staid.gates.structuring import span
from staid.project.gate_status import Total, totals

_WIDTH = 20


def budgets() -> None:
    """List every running total with its limit: what waits counts, and what was done lately.

    Example: staid gates budgets --json
    """
    found = list(totals(output.project()))
    rows = [
        (
            t.name,
            t.key,
            f"{decimal_text(t.drawn)} of {decimal_text(t.limit)}",
            _bar(t),
            span(t.window),
            t.beyond,
        )
        for t in found
    ]
    output.emit(
        {"budgets": [t.as_json() for t in found]},
        output.table(("total", "for", "drawn", "", "window", "beyond it"), rows)
        or ["Nothing is drawn from any budget."],
    )


def _bar(total: Total) -> str:
    full = min(_WIDTH, int(_WIDTH * total.drawn / total.limit))
    return "█" * full + "░" * (_WIDTH - full)
