"""Handlers that did not come back: so many per tool in one process, then no more begin."""

from __future__ import annotations

from staid.domain.call import Ruling, Severity

MOST_HUNG = 100
"""How many handlers of one tool may run on in a process after their time was up.

Each holds a thread, and whatever the author's code holds, and nobody can end it from outside.
"""


def hung_rule(tool: str, hung: int) -> Ruling | None:
    """Deny where this many handlers of the tool are not back in this process."""
    if hung < MOST_HUNG:
        return None
    message = (
        f"{hung} handlers of {tool} did not return in time and still run, so this process begins"
        " no more of them. Once the system behind answers they end by themselves; a restart of the"
        " process ends them, too. What they did is in doubt: staid gates status"
    )
    return Ruling(Severity.DENY, f"hung:{tool}", message)
