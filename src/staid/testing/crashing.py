"""A ledger that stops at a named point of an operation, and one that lacks a promise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

from sqlalchemy import Connection, update

from staid.domain.call import CallState
from staid.domain.events import Event
from staid.gates.approval import Move, target
from staid.gates.ledger import Swept
from staid.store import tables
from staid.store.engine import Store
from staid.store.journal import Journal
from staid.store.ledger.sql import SqlLedger
from staid.testing.kill import KEY, CountedIds, StepClock


class CrashingJournal(Journal):
    """Stops inside a transaction: the row is written, the commit is not."""

    def __init__(self, store: Store, at: Callable[[str], None]) -> None:
        """Tell `at` every point that is reached inside the operation of the moment."""
        super().__init__(store, KEY)
        self._at = at
        self.operation = ""

    def append(self, connection: Connection, run: str, events: Sequence[Event]) -> None:
        """Write the facts, and stop before anybody commits them."""
        super().append(connection, run, events)
        self._at(f"{self.operation}.inside")


def _stopping(operation: Callable[..., Any]) -> Callable[..., Any]:
    """Return an operation that stops before it, inside it and after it."""
    name = operation.__name__

    @wraps(operation)
    def stopping(ledger: CrashingLedger, *given: object, **named: object) -> object:
        ledger.at(f"{name}.before")
        ledger.crashing.operation = name
        result = operation(ledger, *given, **named)
        ledger.at(f"{name}.after")
        return result

    return stopping


class CrashingLedger(SqlLedger):
    """Stops before, inside or after a named operation."""

    def __init__(
        self, store: Store, clock: StepClock, stem: str, at: Callable[[str], None]
    ) -> None:
        """Tell `at` every point that is reached; whether it returns is its business."""
        self.crashing = CrashingJournal(store, at)
        super().__init__(store, self.crashing, clock, CountedIds(stem))
        self.at = at

    propose = _stopping(SqlLedger.propose)
    decide = _stopping(SqlLedger.decide)
    claim = _stopping(SqlLedger.claim)
    settle = _stopping(SqlLedger.settle)
    claim_undo = _stopping(SqlLedger.claim_undo)
    settle_undo = _stopping(SqlLedger.settle_undo)


class BrokenLedger(CrashingLedger):
    """A ledger without one of its promises, to see that the proof notices."""

    lacks: str = ""

    def claim(self, call: Any, lease: Any, **_named: Any) -> Any:  # noqa: ANN401 - as in the base
        """Give the right to execute to whoever asks, as often as it is asked for."""
        mine = tables.call.c.id == call
        taken = {"executor": lease.executor, "lease_until": self._clock.now() + lease.length}
        state = target(Move.CLAIM).value
        with self._store.write() as connection:
            connection.execute(update(tables.call).where(mine).values(state=state, **taken))
        self.at("claim.after")
        return self.get(call)

    def sweep(self) -> Swept:
        """Take what lost its executor for not done yet, and let it be done again."""
        if self.lacks != "doubt":
            return super().sweep()
        call = tables.call.c
        lost = (call.state == CallState.EXECUTING.value) & (call.lease_until < self._clock.now())
        again = {"state": CallState.APPROVED.value, "executor": None, "lease_until": None}
        with self._store.write() as connection:
            connection.execute(update(tables.call).where(lost).values(**again))
        return Swept()
