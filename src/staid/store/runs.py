"""Runs, conversations, parked turns and hand-offs, each kept with its facts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, insert, select, update

from staid.domain.canonical import Json, canonical
from staid.domain.errors import ConversationNotFound, RunBusy, RunNotFound, StaidError
from staid.domain.events import Event, EventKind, JournalRow
from staid.domain.ids import ConversationId, HandoffId, RunId
from staid.domain.principal import Actor
from staid.domain.records import Ending, Handoff, RunRecord, RunStart
from staid.store import tables
from staid.store.engine import Store
from staid.store.journal import Journal
from staid.store.ledger.reservations import take_turns
from staid.store.outbox import enqueue, enqueue_scores

PARKED_VERSION = 1
"""Form of the parked state; a later release reads every earlier one."""


class SqlRecords:
    """Implements `staid.domain.records.Records` on SQLite and PostgreSQL."""

    def __init__(self, store: Store, journal: Journal, sinks: Sequence[str] = ()) -> None:
        """Keep runs in `store`, their facts in `journal`; finished runs are due at every sink."""
        self._store = store
        self._journal = journal
        self._sinks = tuple(sinks)

    def begin(self, start: RunStart, events: Sequence[Event]) -> RunRecord | None:
        """Record a new run with its first facts; return the earlier run when the key was used."""
        with self._store.write(durable=start.key is not None) as connection:
            if start.key is not None:
                take_turns(self._store, connection, f"key:{start.asker}:{start.agent}:{start.key}")
                earlier = self._by_key(connection, start)
                if earlier is not None:
                    return earlier
            self._join(connection, start)
            connection.execute(
                _BEGIN,
                {
                    "id": start.run,
                    "conversation": start.conversation,
                    "agent": start.agent,
                    "asker": start.asker,
                    "state": start.state,
                    "key": start.key,
                    "key_digest": start.question_digest,
                    "started_at": start.at,
                },
            )
            self._journal.append(connection, start.run, events)
        return None

    def append(self, run: RunId, events: Sequence[Event], *, durable: bool = False) -> None:
        """Append facts of a run; `durable` before anything outside may rely on them."""
        self._journal.write(run, events, durable=durable)

    def park(
        self, run: RunId, state: Mapping[str, Json], ending: Ending, events: Sequence[Event]
    ) -> None:
        """Park a run with everything needed to carry it on, in one transaction."""
        with self._store.write() as connection:
            self._end(connection, run, ending)
            connection.execute(_UNPARK, {"ended": run})
            connection.execute(
                insert(tables.parked).values(
                    run=run, version=PARKED_VERSION, state=canonical(state)
                )
            )
            self._journal.append(connection, run, events)
            self._journal.seal(connection, run)

    def set_down(self, run: RunId, worker: str) -> None:
        """Give a claim on a parked run back, so that the next one need not wait for it to lapse."""
        parked = tables.parked
        with self._store.write() as connection:
            connection.execute(
                update(parked)
                .where(parked.c.run == run, parked.c.claimed_by == worker)
                .values(claimed_by=None, claimed_until=None)
            )

    def unpark(self, run: RunId, worker: str, at: datetime, until: datetime) -> Mapping[str, Json]:
        """Claim a parked run and return its state; raise `RunBusy` while another holds it."""
        parked = tables.parked
        free = parked.c.claimed_until.is_(None) | (parked.c.claimed_until < at)
        with self._store.write() as connection:
            claimed = connection.execute(
                update(parked)
                .where(parked.c.run == run, free)
                .values(claimed_by=worker, claimed_until=until)
            )
            if claimed.rowcount != 1:
                raise RunBusy(run=run)
            found = connection.execute(select(parked.c.state).where(parked.c.run == run)).one()
        return json.loads(found.state)

    def release(
        self, run: RunId, ending: Ending, events: Sequence[Event], handoff: Handoff | None
    ) -> None:
        """Record outcome, hand-off and last facts, seal the run: durable when this returns."""
        with self._store.write() as connection:
            self._end(connection, run, ending)
            connection.execute(_UNPARK, {"ended": run})
            if handoff is not None:
                connection.execute(insert(tables.handoff).values(**_handoff_values(handoff)))
            self._journal.append(connection, run, events)
            self._journal.seal(connection, run)
            enqueue(connection, self._sinks, run, "run", ending.at)

    def fail(self, run: RunId, at: datetime, events: Sequence[Event], error: str) -> None:
        """Record that a run ended without an outcome; frees its key unless it had begun to act.

        `error` is a code or the name of an exception, never its words: it is a fact, for good.
        """
        table = tables.run
        failed = Event(EventKind.RUN_FAILED, at, _STAID, {"error": error})
        with self._store.write() as connection:
            freed = {} if self._acted(connection, run) else {"key": None}
            ended = connection.execute(
                update(table)
                .where(table.c.id == run, table.c.state == "running")
                .values(state="failed", reason=error, ended_at=at, **freed)
            )
            # Of a run that waits, or that somebody else ended, only what was done is added.
            over = [failed] if ended.rowcount == 1 else []
            self._journal.append(connection, run, [*events, *over])
            if over:
                enqueue(connection, self._sinks, run, "run", at)
            self._journal.seal(connection, run)

    def acted(self, run: RunId) -> bool:
        """Return whether a call of the run may have changed the world."""
        with self._store.read() as connection:
            return self._acted(connection, run)

    def _acted(self, connection: Connection, run: str) -> bool:
        journal = tables.journal.c
        claimed = select(journal.seq).where(
            journal.run == run, journal.kind == EventKind.CALL_CLAIMED.value
        )
        return connection.execute(claimed.limit(1)).first() is not None

    def run(self, run: str) -> RunRecord:
        """Return a run; raise `RunNotFound`."""
        with self._store.read() as connection:
            found = connection.execute(select(tables.run).where(tables.run.c.id == run)).first()
        if found is None:
            raise RunNotFound(run=run)
        return _record(found)

    def runs(self, *, limit: int = 20, state: str | None = None) -> list[RunRecord]:
        """Return the newest runs, newest first."""
        query = select(tables.run).order_by(tables.run.c.started_at.desc(), tables.run.c.id.desc())
        if state:
            query = query.where(tables.run.c.state == state)
        with self._store.read() as connection:
            return [_record(row) for row in connection.execute(query.limit(limit))]

    def rows(self, run: str) -> Sequence[JournalRow]:
        """Return the facts of a run in order."""
        return self._journal.rows(run)

    def conversation(self, conversation: str, asker: str) -> Sequence[RunRecord]:
        """Return the released runs of a conversation, oldest first."""
        with self._store.read() as connection:
            self._owned(connection, conversation, asker)
            query = (
                select(tables.run)
                .where(tables.run.c.conversation == conversation, tables.run.c.state == "released")
                .order_by(tables.run.c.started_at, tables.run.c.id)
            )
            return [_record(row) for row in connection.execute(query)]

    def handoffs(self, *, state: str | None = None, limit: int = 100) -> list[Handoff]:
        """Return hand-offs, oldest first."""
        handoff, journal, content = tables.handoff, tables.journal, tables.content
        asked = content.alias("asked")
        query = (
            select(handoff, asked.c.body)
            .join_from(handoff, journal, (journal.c.run == handoff.c.run) & (journal.c.seq == 1))
            .join(asked, asked.c.id == journal.c.content, isouter=True)
            .order_by(handoff.c.opened_at, handoff.c.id)
            .limit(limit)
        )
        if state:
            query = query.where(handoff.c.state == state)
        with self._store.read() as connection:
            found = connection.execute(query).all()
        return [_handoff(row) for row in found]

    def answer_handoff(
        self, handoff: Handoff, by: str, at: datetime, events: Sequence[Event]
    ) -> bool:
        """Answer an open hand-off with its fact in one transaction; False when it was not open."""
        table = tables.handoff
        with self._store.write() as connection:
            moved = connection.execute(
                update(table)
                .where(table.c.id == handoff.id, table.c.state == "open")
                .values(state="answered", answered_by=by, answered_at=at)
            )
            if moved.rowcount == 1:
                self.append_sealed(connection, handoff.run, events)
            return moved.rowcount == 1

    def append_sealed(self, connection: Connection, run: str, events: Sequence[Event]) -> None:
        """Append facts to a released run and seal its new head; scores are due at its sinks."""
        self._journal.append(connection, run, events)
        self._journal.seal(connection, run)
        enqueue_scores(connection, self._sinks, run, events)

    def seal(self, run: str) -> None:
        """Seal the present head of a run."""
        with self._store.write() as connection:
            self._journal.seal(connection, run)

    def note(self, run: str, events: Sequence[Event]) -> None:
        """Append facts that come after the outcome (feedback, a grade) and seal the new head."""
        with self._store.write() as connection:
            self.append_sealed(connection, run, events)

    def _by_key(self, connection: Connection, start: RunStart) -> RunRecord | None:
        run = tables.run
        found = connection.execute(
            select(run).where(
                run.c.asker == start.asker, run.c.agent == start.agent, run.c.key == start.key
            )
        ).first()
        return _record(found) if found else None

    def _join(self, connection: Connection, start: RunStart) -> None:
        take_turns(self._store, connection, f"conversation:{start.conversation}")
        found = connection.execute(_JOINED, {"joined": start.conversation}).first()
        if found is None:
            connection.execute(
                _JOIN,
                {
                    "id": start.conversation,
                    "asker": start.asker,
                    "agent": start.agent,
                    "started_at": start.at,
                },
            )
        elif found.asker != start.asker:
            raise ConversationNotFound(conversation=start.conversation)

    def _owned(self, connection: Connection, conversation: str, asker: str) -> None:
        table = tables.conversation
        found = connection.execute(select(table.c.asker).where(table.c.id == conversation)).scalar()
        if found is not None and found != asker:
            raise ConversationNotFound(conversation=conversation)

    def _end(self, connection: Connection, run: RunId, ending: Ending) -> None:
        moved = connection.execute(
            _END,
            {
                "ended": run,
                "state": ending.state,
                "outcome": ending.outcome,
                "reason": ending.reason,
                "confidence": ending.confidence,
                "ended_at": ending.at,
            },
        )
        if moved.rowcount != 1:
            raise RunBusy(run=run)


_STAID = Actor("service", "staid")

# Statements that every turn runs are built once: building one costs more than running it.
_BEGIN = insert(tables.run)
_JOINED = select(tables.conversation.c.asker).where(tables.conversation.c.id == bindparam("joined"))
_JOIN = insert(tables.conversation)
_UNPARK = delete(tables.parked).where(tables.parked.c.run == bindparam("ended"))
_END = update(tables.run).where(
    tables.run.c.id == bindparam("ended"), tables.run.c.state.in_(["running", "parked"])
)


def _aware(value: datetime | None) -> datetime | None:
    # SQLite keeps no zone; everything is written in UTC.
    return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


def _needed(value: datetime | None) -> datetime:
    aware = _aware(value)
    if aware is None:
        raise StaidError
    return aware


def _record(row: Row[Any]) -> RunRecord:
    return RunRecord(
        run=RunId(row.id),
        conversation=ConversationId(row.conversation),
        agent=row.agent,
        asker=row.asker,
        state=row.state,
        outcome=row.outcome,
        reason=row.reason,
        confidence=row.confidence,
        started_at=_needed(row.started_at),
        ended_at=_aware(row.ended_at),
        question_digest=row.key_digest or "",
    )


def _handoff_values(handoff: Handoff) -> dict[str, object]:
    return {
        "id": handoff.id,
        "run": handoff.run,
        "asker": handoff.asker,
        "reason": handoff.reason,
        "state": handoff.state,
        "opened_at": handoff.opened_at,
    }


def _handoff(row: Row[Any]) -> Handoff:
    return Handoff(
        id=HandoffId(row.id),
        run=RunId(row.run),
        asker=row.asker,
        reason=row.reason,
        question=json.loads(row.body)["question"] if row.body else "",
        opened_at=_needed(row.opened_at),
        state=row.state,
        answered_by=row.answered_by,
        answered_at=_aware(row.answered_at),
    )
