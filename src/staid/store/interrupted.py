"""Runs that were cut off: begun, never ended, and nobody works on them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, select, update

from staid.domain.canonical import timestamp
from staid.domain.events import Event, EventKind
from staid.store import tables
from staid.store.engine import Store
from staid.store.journal import Journal
from staid.store.outbox import enqueue

INTERRUPTED = "interrupted"
"""Reason of a run that failed because its process died."""


class InterruptedRuns:
    """Finds and closes runs without an outcome that have been silent for long."""

    def __init__(self, store: Store, journal: Journal, sinks: Sequence[str] = ()) -> None:
        """Look in `store`; write the closing fact to `journal`; `sinks` get the run as it is."""
        self._store = store
        self._journal = journal
        self._sinks = tuple(sinks)

    def silent(self, since: datetime, limit: int = 1000) -> list[str]:
        """Return runs that have no outcome and no fact since then, oldest first."""
        run = tables.run.c
        query = select(run.id).where(_silent(since)).order_by(run.started_at, run.id)
        with self._store.read() as connection:
            return list(connection.execute(query.limit(limit)).scalars())

    def close(self, run: str, since: datetime, at: datetime, events: Sequence[Event]) -> bool:
        """Mark a silent run as failed, with its facts and a seal; False when it spoke meanwhile.

        Its key is free again unless a call may have changed the world. A process that was only slow
        cannot release any more: it finds its run ended, and nobody is given an outcome.
        """
        table = tables.run
        with self._store.write() as connection:
            freed = {} if self._acted(connection, run) else {"key": None}
            moved = connection.execute(
                update(table)
                .where(table.c.id == run, _silent(since))
                .values(state="failed", reason=INTERRUPTED, ended_at=at, **freed)
            )
            if moved.rowcount != 1:
                return False
            self._journal.append(connection, run, events)
            self._journal.seal(connection, run)
            enqueue(connection, self._sinks, run, "run", at)
        return True

    def _acted(self, connection: Connection, run: str) -> bool:
        journal = tables.journal.c
        claimed = select(journal.seq).where(
            journal.run == run, journal.kind == EventKind.CALL_CLAIMED.value
        )
        return connection.execute(claimed.limit(1)).first() is not None


def _silent(since: datetime) -> ColumnElement[bool]:
    run, journal = tables.run.c, tables.journal.c
    spoke = select(1).where(journal.run == run.id, journal.at >= timestamp(since)).exists()
    # Both: a clock that stood wrong when the run began must not close it at once.
    return (run.state == "running") & (run.started_at < since) & ~spoke
