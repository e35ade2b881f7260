"""Imported conversations in the same tables as every other run; each turn is kept once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select

from staid.domain.canonical import digest
from staid.domain.ids import ConversationId
from staid.domain.ports import Clock
from staid.runtime.imported import IMPORTED, ImportedRun, events_of
from staid.store import tables
from staid.store.engine import Store
from staid.store.journal import Journal
from staid.store.ledger import call_rows
from staid.store.ledger.reservations import take_turns


@dataclass(frozen=True, slots=True)
class Added:
    """What became of one conversation."""

    added: int
    known: int
    """Turns that were imported before."""
    changed: int | None = None
    """The first turn that is not what was imported before; then nothing was added."""


class SqlImports:
    """Writes imported turns on SQLite and PostgreSQL; never calls a handler."""

    def __init__(self, store: Store, journal: Journal, clock: Clock) -> None:
        """Keep runs in `store` and their facts in `journal`."""
        self._store = store
        self._journal = journal
        self._clock = clock

    def add(self, runs: Sequence[ImportedRun]) -> Added:
        """Keep the turns of one conversation that are not there yet: all of them or none."""
        with self._store.write() as connection:
            take_turns(self._store, connection, f"conversation:{runs[0].conversation}")
            known = self._known(connection, runs[0].conversation)
            for run in runs:
                if known.get(run.number, run.turn.digest) != run.turn.digest:
                    return Added(0, len(known), run.number)
            fresh = [run for run in runs if run.number not in known]
            if not known:
                self._open(connection, runs[0])
            for run in fresh:
                self._insert(connection, run)
        return Added(len(fresh), len(known))

    def _known(self, connection: Connection, conversation: ConversationId) -> dict[int, str]:
        table = tables.imported.c
        query = select(table.turn, table.sha256).where(table.conversation == conversation)
        return {row.turn: row.sha256 for row in connection.execute(query)}

    def _open(self, connection: Connection, first: ImportedRun) -> None:
        connection.execute(
            insert(tables.conversation).values(
                id=first.conversation, asker=first.asker, agent=first.agent, started_at=first.at
            )
        )

    def _insert(self, connection: Connection, run: ImportedRun) -> None:
        answered = run.turn.answer is not None
        connection.execute(
            insert(tables.run).values(
                id=run.run,
                conversation=run.conversation,
                agent=run.agent,
                asker=run.asker,
                state=IMPORTED,
                outcome="answer" if answered else None,
                reason=IMPORTED if answered else None,
                key_digest=digest(run.turn.question),
                started_at=run.at,
                ended_at=run.at,
            )
        )
        for record in run.records():
            settled = run.at if record.result is not None else None
            values = call_rows.call_values(record)
            connection.execute(insert(tables.call).values(**values, settled_at=settled))
        self._journal.append(connection, run.run, events_of(run))
        self._journal.seal(connection, run.run)
        connection.execute(
            insert(tables.imported).values(
                run=run.run,
                conversation=run.conversation,
                turn=run.number,
                sha256=run.turn.digest,
                format=run.origin["format"],
                file=run.origin["file"],
                line=run.origin["line"],
                at=self._clock.now(),
            )
        )
