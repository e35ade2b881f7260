"""Points around an effect where a process can be killed, and what may be true afterwards.

The effect is a line appended to a file: what the outside world would have seen, whatever the store
says. `staid.testing.lives` plays the processes, `staid.testing.zygote` forks and kills them.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, TypeAlias

from staid.domain.call import CallState

Role: TypeAlias = Literal["live", "recover", "execute", "approve", "deny", "undo", "look"]

Probe: TypeAlias = Literal["", "truth", "yes", "no", "unknown"]
"""How the system behind the tool answers `reconcile`; empty: there is no probe."""

Broken: TypeAlias = Literal["", "compare-and-set", "doubt"]
"""What a ledger broken on purpose lacks: the one winner of a claim, or the doubt after a death."""

POINTS = (
    "propose.inside",
    "propose.after",
    "decide.inside",
    "decide.after",
    "claim.before",
    "claim.inside",
    "claim.after",
    "effect.before",
    "effect.after",
    "settle.before",
    "settle.inside",
    "settle.after",
)
"""Where a process can be killed around an effect, in order; `inside` is before the commit."""

UNKNOWN = frozenset(POINTS[POINTS.index("claim.after") : POINTS.index("settle.after")])
"""After a kill here nobody knows whether it happened, so the call has to be in doubt."""

UNDO_POINTS = (
    "claim_undo.before",
    "claim_undo.inside",
    "claim_undo.after",
    "undoing.before",
    "undoing.after",
    "settle_undo.before",
    "settle_undo.inside",
    "settle_undo.after",
)
"""Where a process can be killed while it takes a done call back, in order."""

UNDO_UNKNOWN = frozenset(UNDO_POINTS[2:-1])
"""After a kill here nobody knows whether it was taken back, so that has to be in doubt."""

KEY = b"the journal's key in tests, kept outside the database"
START = datetime(2026, 1, 5, 9, tzinfo=UTC)


class StepClock:
    """A clock that stands still until it is moved."""

    def __init__(self, at: datetime = START) -> None:
        """Stand at `at`."""
        self.at = at

    def now(self) -> datetime:
        """Return the time it stands at."""
        return self.at

    def move(self, by: timedelta) -> None:
        """Move it, forward or back."""
        self.at += by


class CountedIds:
    """Ids in order of making, different for every `stem`."""

    def __init__(self, stem: str = "") -> None:
        """Make ids that carry the stem."""
        self._stem = stem
        self._made = 0

    def new(self, prefix: str) -> str:
        """Return the next id."""
        self._made += 1
        return f"{prefix}_{self._stem}{self._made:06d}"


class EffectFile:
    """The outside world: a line per effect, written before the handler goes on.

    Not synced: what a process has written outlives its SIGKILL.
    """

    def __init__(self, path: str | Path) -> None:
        """Keep the effects in a file of their own."""
        self._path = Path(path)

    def add(self, effect: dict[str, str]) -> None:
        """Let an effect happen."""
        line = json.dumps(effect) + "\n"
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(file, line.encode())
        finally:
            os.close(file)

    def all(self) -> list[dict[str, str]]:
        """Return every effect that happened, in order."""
        if not self._path.exists():
            return []
        return [json.loads(line) for line in self._path.read_text().splitlines()]


def tell_probe(effects: str | Path, probe: Probe) -> None:
    """Let the system behind the tool answer like this about the effects in this file."""
    Path(f"{effects}.probe").write_text(probe)


def probe_of(effects: str | Path, key: str) -> bool | None:
    """Answer as the system behind the tool does: whether the call with this key took effect."""
    told = Path(f"{effects}.probe")
    match told.read_text() if told.exists() else "":
        case "truth":
            return any(effect["key"] in {key, ""} for effect in EffectFile(effects).all())
        case "yes":
            return True
        case "no":
            return False
        case _:
            return None


@dataclass(frozen=True, slots=True)
class Job:
    """What one process does to one call, and where it dies."""

    url: str
    effects: str
    run: str
    role: Role
    crash: str = ""
    """One of `POINTS`, or nothing."""
    hours: float = 0
    """How far its clock stands after the start."""
    amount: str = "150"
    """Above 100 a human has to approve."""
    asynchronous: bool = False
    """Whether the handler is async."""
    via: str = ""
    """The framework whose agent makes the call; empty: none, the gate itself."""
    probed: bool = False
    """Whether the tool has a `reconcile` probe, which asks the world as `Probe` says."""
    undoable: bool = False
    """Whether the tool has an `undo` and a budget; roles `undo` and `look` need it."""
    broken: Broken = ""
    """A promise of the ledger that is taken away, to see that its loss is noticed."""


@dataclass(frozen=True, slots=True)
class Report:
    """What became of one process."""

    killed: bool
    state: str = ""
    """The state it last saw of the call."""
    errors: tuple[str, ...] = ()
    """Codes of the errors it met, in order."""


def settled_truthfully(state: str, count: int) -> bool:
    """Whether what the ledger says agrees with what happened outside."""
    match CallState(state):
        case CallState.DONE:
            return count == 1
        case CallState.IN_DOUBT:
            return count <= 1
        case _:
            return count == 0
