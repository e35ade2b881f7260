"""The outbox: what has to reach which sink, written with what it tells of, claimed by one alone.

A row is a pointer, never a payload: what is sent is read from the journal in the moment of sending,
so that an erasure reaches it too.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from sqlalchemy import Connection, Row, Select, func, select, update
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from staid.domain.canonical import Json, canonical
from staid.domain.events import Event, EventKind
from staid.domain.exports import Kind, OutboxRow, State
from staid.store import tables
from staid.store.engine import Store
from staid.store.forgetting import bare, is_forgotten
from staid.store.ledger.reservations import take_turns
from staid.tracing.alias import ERASED

SCORES = frozenset({EventKind.FEEDBACK_GIVEN, EventKind.GRADE_GIVEN})
"""Facts that are exported as scores."""

FINISHED = ("released", "failed")
"""States in which a run is exported: once, when nothing in it will change any more."""

_ROW = tables.outbox.c


def enqueue(
    connection: Connection,
    sinks: Iterable[str],
    run: str,
    kind: Kind,
    at: datetime,
    seq: int = 0,
) -> None:
    """Put one thing into the outbox of every sink, inside the caller's transaction; once each."""
    values = [{"sink": s, "run": run, "kind": kind, "seq": seq, "at": at} for s in sinks]
    if values:
        connection.execute(_insert(connection).on_conflict_do_nothing(), values)


def enqueue_scores(
    connection: Connection, sinks: Sequence[str], run: str, events: Sequence[Event]
) -> None:
    """Put the feedback and grades among freshly appended facts into the outbox.

    Only for sinks that were to get the run itself: a score of an unknown run says nothing.
    """
    if not sinks or not any(event.kind in SCORES for event in events):
        return
    known = _sinks_of(connection, run) & set(sinks)
    journal = tables.journal.c
    last = connection.execute(select(func.max(journal.seq)).where(journal.run == run)).scalar_one()
    for seq, event in enumerate(events, last - len(events) + 1):
        if event.kind in SCORES:
            enqueue(connection, sorted(known), run, "score", event.at, seq)


def _sinks_of(connection: Connection, run: str) -> set[str]:
    found = select(_ROW.sink).where(_ROW.run == run, _ROW.kind == "run")
    return {row.sink for row in connection.execute(found)}


def _insert(connection: Connection) -> Any:  # noqa: ANN401 - two dialects, one method, no common type
    make = postgres_insert if connection.dialect.name == "postgresql" else sqlite_insert
    return make(tables.outbox)


@dataclass(frozen=True, slots=True)
class Standing:
    """How one sink's outbox stands."""

    counts: Mapping[str, int]
    """State -> how many."""
    oldest: datetime | None
    """Since when the oldest row waits."""
    next_at: datetime | None
    """When the next attempt is due, where the last one failed."""
    error: str | None
    """Why the last attempt at the oldest waiting row failed."""


class SqlOutbox:
    """Hands each row to one exporter at a time, in order, until it has arrived."""

    def __init__(self, store: Store) -> None:
        """Read and move the rows of `store`."""
        self._store = store

    def claim(
        self, sink: str, worker: str, now: datetime, until: datetime, *, limit: int
    ) -> list[OutboxRow]:
        """Return the sink's oldest waiting rows, held for `worker`; none while it rests.

        A sink rests while its oldest row is not due, or while another exporter holds rows of it:
        so the order of the outbox is the order of arrival.
        """
        with self._store.write(durable=False) as connection:
            take_turns(self._store, connection, f"outbox:{sink}")
            waiting = (_ROW.sink == sink) & (_ROW.state == "waiting")
            held = select(_ROW.id).where(waiting, _ROW.claimed_until > now).limit(1)
            if connection.execute(held).first() is not None:
                return []
            query = select(tables.outbox).where(waiting).order_by(_ROW.id).limit(limit)
            rows = [_row(found) for found in connection.execute(query)]
            if not rows or (rows[0].next_at is not None and rows[0].next_at > now):
                return []
            self._claimed(connection, [r.id for r in rows], worker, until)
            return rows

    def hold(self, ids: Sequence[int], worker: str, until: datetime) -> bool:
        """Hold rows for longer; False when another exporter has taken any of them over."""
        with self._store.write(durable=False) as connection:
            mine = _ROW.id.in_(ids) & (_ROW.claimed_by == worker) & (_ROW.state == "waiting")
            moved = connection.execute(
                update(tables.outbox).where(mine).values(claimed_until=until)
            )
            return moved.rowcount == len(ids)

    def settle(
        self,
        row: int,
        state: State,
        at: datetime,
        *,
        error: str | None = None,
        receipt: Mapping[str, Json] | None = None,
    ) -> None:
        """Record how a row ended; with a receipt of what the receiver has.

        Of a run that was erased while it was on its way no word of the receiver is kept.
        """
        values: dict[str, object] = {"state": state, "error": error, **_FREE}
        if state in {"sent", "rejected"}:
            values |= {"sent_at": at, "next_at": at}  # from now on it may be read back
        if receipt is not None:
            values["receipt"] = canonical(receipt)
        with self._store.write() as connection:
            if self._is_forgotten(connection, row):
                values |= bare(error, receipt)
            connection.execute(
                update(tables.outbox)
                .where(_ROW.id == row)
                .values(attempts=_ROW.attempts + int(state in {"sent", "rejected"}), **values)
            )

    def _is_forgotten(self, connection: Connection, row: int) -> bool:
        """Lock a row, then tell whether its run is to be forgotten: in the order of an erasure."""
        locked = select(_ROW.sink, _ROW.run, _ROW.kind).where(_ROW.id == row).with_for_update()
        found = connection.execute(locked).one()
        return found.kind != "forget" and is_forgotten(connection, found.sink, found.run)

    def forgotten(self, sink: str, run: str) -> bool:
        """Tell whether a sink was asked to forget a run: nothing more of it is sent there."""
        with self._store.read() as connection:
            return is_forgotten(connection, sink, run)

    def postpone(self, ids: Sequence[int], worker: str, next_at: datetime, error: str) -> None:
        """Give a worker's rows back, to be tried again at `next_at`.

        Where one of them was erased while it was on its way, no word of the receiver is kept.
        """
        with self._store.write() as connection:
            # Every row is looked at, because looking locks it.
            if [row for row in sorted(ids) if self._is_forgotten(connection, row)]:
                error = ERASED
            connection.execute(
                update(tables.outbox)
                .where(_ROW.id.in_(ids), _ROW.state == "waiting", _ROW.claimed_by == worker)
                .values(attempts=_ROW.attempts + 1, next_at=next_at, error=error, **_FREE)
            )

    def unconfirmed(
        self, sink: str, sent_before: datetime, now: datetime, *, limit: int
    ) -> list[OutboxRow]:
        """Return sent runs that are due to be read back; none that the sink was asked to forget."""
        asked = select(_ROW.run).where(_ROW.sink == sink, _ROW.kind == "forget")
        query = (
            select(tables.outbox)
            .where(
                _ROW.sink == sink,
                _ROW.kind == "run",
                _ROW.state == "sent",
                _ROW.sent_at <= sent_before,
                _ROW.next_at <= now,
                _ROW.run.not_in(asked),
            )
            .order_by(_ROW.id)
            .limit(limit)
        )
        with self._store.read() as connection:
            return [_row(found) for found in connection.execute(query)]

    def confirmed(self, row: int, receipt: Mapping[str, Json]) -> None:
        """Record that the receiver holds all of a run."""
        self._receipt(row, {"state": "confirmed", "next_at": None}, receipt)

    def differing(self, row: int, receipt: Mapping[str, Json], next_at: datetime | None) -> None:
        """Record what the receiver does not show; look again at `next_at`, or never."""
        self._receipt(row, {"next_at": next_at}, receipt)

    def _receipt(self, row: int, values: Mapping[str, object], receipt: Mapping[str, Json]) -> None:
        with self._store.write() as connection:
            connection.execute(
                update(tables.outbox)
                .where(_ROW.id == row, _ROW.state == "sent")
                .values(receipt=canonical(receipt), **values)
            )

    def retry(self, sink: str, states: Iterable[State]) -> int:
        """Let rows in these states be tried at once; return how many.

        Of a run that the sink was asked to forget only that request.
        """
        forgotten = select(_ROW.run).where(_ROW.sink == sink, _ROW.kind == "forget")
        may = (_ROW.kind == "forget") | _ROW.run.not_in(forgotten.scalar_subquery())
        with self._store.write() as connection:
            moved = connection.execute(
                update(tables.outbox)
                .where(_ROW.sink == sink, _ROW.state.in_(list(states)), may)
                .values(state="waiting", next_at=None, attempts=0)
            )
            return moved.rowcount

    def missing(self, sink: str, since: datetime | None = None) -> list[str]:
        """Return every finished run that was never due at the sink, oldest first."""
        with self._store.read() as connection:
            return list(connection.execute(_missing(sink, since)).scalars())

    def backfill(self, sink: str, now: datetime, since: datetime | None) -> int:
        """Make every finished run due at the sink that never was, oldest first; return how many."""
        with self._store.write() as connection:
            take_turns(self._store, connection, f"outbox:{sink}")
            runs = list(connection.execute(_missing(sink, since)).scalars())
            for one in runs:
                enqueue(connection, [sink], one, "run", now)
                for seq in self._score_facts(connection, one):
                    enqueue(connection, [sink], one, "score", now, seq)
        return len(runs)

    def rows(
        self,
        *,
        sink: str | None = None,
        run: str | None = None,
        states: Sequence[State] = (),
        kind: Kind | None = None,
        limit: int = 100,
    ) -> list[OutboxRow]:
        """Return rows of the outbox, oldest first."""
        query = select(tables.outbox).order_by(_ROW.id).limit(limit)
        for column, value in ((_ROW.sink, sink), (_ROW.run, run), (_ROW.kind, kind)):
            if value is not None:
                query = query.where(column == value)
        if states:
            query = query.where(_ROW.state.in_(states))
        with self._store.read() as connection:
            return [_row(found) for found in connection.execute(query)]

    def standing(self) -> dict[str, Standing]:
        """Return how each sink that ever had a row stands."""
        counted = select(_ROW.sink, _ROW.state, func.count()).group_by(_ROW.sink, _ROW.state)
        heads = select(func.min(_ROW.id)).where(_ROW.state == "waiting").group_by(_ROW.sink)
        with self._store.read() as connection:
            counts: dict[str, dict[str, int]] = {}
            for sink, state, number in connection.execute(counted):
                counts.setdefault(sink, {})[state] = number
            query = select(tables.outbox).where(_ROW.id.in_(heads))
            first = {row.sink: _row(row) for row in connection.execute(query)}
        return {sink: _standing(found, first.get(sink)) for sink, found in counts.items()}

    def _score_facts(self, connection: Connection, run: str) -> list[int]:
        journal = tables.journal.c
        kinds = [kind.value for kind in SCORES]
        query = select(journal.seq).where(journal.run == run, journal.kind.in_(kinds))
        return list(connection.execute(query.order_by(journal.seq)).scalars())

    def _claimed(
        self, connection: Connection, ids: Sequence[int], worker: str, until: datetime
    ) -> None:
        connection.execute(
            update(tables.outbox)
            .where(_ROW.id.in_(ids))
            .values(claimed_by=worker, claimed_until=until)
        )


def _missing(sink: str, since: datetime | None) -> Select[Any]:
    run = tables.run
    known = select(_ROW.run).where(_ROW.sink == sink, _ROW.kind == "run")
    query = (
        select(run.c.id)
        .where(run.c.state.in_(FINISHED), run.c.id.not_in(known))
        .order_by(run.c.started_at, run.c.id)
    )
    return query if since is None else query.where(run.c.started_at >= since)


_FREE: Mapping[str, object] = {"claimed_by": None, "claimed_until": None}


def _standing(counts: Mapping[str, int], head: OutboxRow | None) -> Standing:
    if head is None:
        return Standing(counts, None, None, None)
    return Standing(counts, head.at, head.next_at, head.error)


def _aware(value: datetime | None) -> datetime | None:
    # SQLite keeps no zone; everything is written in UTC.
    return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


def _row(row: Row[Any]) -> OutboxRow:
    return OutboxRow(
        id=row.id,
        sink=row.sink,
        run=row.run,
        kind=row.kind,
        seq=row.seq,
        state=row.state,
        attempts=row.attempts,
        next_at=_aware(row.next_at),
        error=row.error,
        at=cast("datetime", _aware(row.at)),
        sent_at=_aware(row.sent_at),
        receipt=json.loads(row.receipt) if row.receipt else {},
    )
