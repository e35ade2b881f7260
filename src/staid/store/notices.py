"""Notices kept until they arrived: found anew from what waits, claimed by one worker, never lost.

What waits is the approvals, calls and hand-offs themselves, written in the transactions that made
them wait. So nothing has to be added there, and what was written before a channel existed is found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, literal, select, update
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from staid.domain.call import CallState, UndoState
from staid.domain.canonical import timestamp
from staid.domain.ids import Ids
from staid.domain.notice import NoticeKind
from staid.store import tables
from staid.store.engine import Store
from staid.store.ledger import call_rows
from staid.store.ledger.call_rows import aware, on_its_own

CLAIM = timedelta(minutes=2)
"""How long one worker may be at a notice before another takes it."""
PATIENCE = timedelta(days=3)
"""How long a receiver may be away."""
LATEST = timedelta(days=7)
"""Hand-offs older than this are not told when a channel is new: they are history, not news."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A notice as it stands."""

    id: str
    channel: str
    kind: NoticeKind
    about: str
    state: str
    attempts: int
    at: datetime
    next_at: datetime
    error: str | None
    sent_at: datetime | None


class SqlNotices:
    """Keeps notices on SQLite and PostgreSQL."""

    def __init__(self, store: Store, ids: Ids) -> None:
        """Keep them in `store`."""
        self._store = store
        self._ids = ids
        make = postgres_insert if store.dialect == "postgresql" else sqlite_insert
        self._insert = make(tables.notice).on_conflict_do_nothing()

    def discover(self, channel: str, kinds: Sequence[NoticeKind], now: datetime) -> int:
        """Note for one channel whatever waits and was not noted yet; return how many."""
        found = 0
        for kind in kinds:
            for about in self._news(channel, kind, now):
                found += self._add(channel, kind, about, now)
        return found

    def _news(self, channel: str, kind: NoticeKind, now: datetime) -> list[str]:
        match kind:
            case "escalated":
                return self._widened(channel)
            case "in_doubt":
                return [*self._untold(channel, kind, now), *self._undone(channel)]
            case _:
                return self._untold(channel, kind, now)

    def _widened(self, channel: str) -> list[str]:
        """Return every waiting request that others may decide by now and were not told of.

        One that is widened again is news to those who may decide it from then on.
        """
        call, asked = tables.call.c, tables.approval.c
        late = (call.state == CallState.PENDING.value) & asked.escalated_at.is_not(None)
        with self._store.read() as connection:
            rows = connection.execute(call_rows.approvals().where(late, on_its_own())).all()
        named = [escalation(row.a_id, _times_widened(row)) for row in rows]
        return self._new(channel, "escalated", named)

    def _undone(self, channel: str) -> list[str]:
        """Return every undo in doubt that was not told; begun again, it may be in doubt again."""
        undo = tables.undo.c
        query = select(undo.call, undo.at).where(undo.state == UndoState.IN_DOUBT.value)
        with self._store.read() as connection:
            rows = connection.execute(query.order_by(undo.at, undo.call)).all()
        return self._new(channel, "in_doubt", [undoing(row.call, row.at) for row in rows])

    def _new(self, channel: str, kind: NoticeKind, named: Sequence[str]) -> list[str]:
        """Return what of this was not noted for a channel yet."""
        told = tables.notice.c
        known = select(told.about).where(
            told.channel == channel, told.kind == kind, told.about.in_(named)
        )
        with self._store.read() as connection:
            before = set(connection.execute(known).scalars()) if named else set[str]()
        return [about for about in named if about not in before]

    def _untold(self, channel: str, kind: NoticeKind, now: datetime) -> list[str]:
        about, waits = _waits(kind, now)
        told = tables.notice.c
        known = select(literal(1)).where(
            told.channel == channel, told.kind == kind, told.about == about
        )
        with self._store.read() as connection:
            return list(connection.execute(waits.where(~known.exists())).scalars())

    def _add(self, channel: str, kind: NoticeKind, about: str, now: datetime) -> int:
        values = {
            "id": self._ids.new("not"),
            "channel": channel,
            "kind": kind,
            "about": about,
            "state": "waiting",
            "attempts": 0,
            "at": now,
            "next_at": now,
        }
        with self._store.write() as connection:
            # Another worker may have seen it in the same moment. The row count would not tell: on
            # PostgreSQL the driver has none here.
            added = self._insert.values(**values).returning(tables.notice.c.id)
            return len(connection.execute(added).all())

    def claim(self, worker: str, channels: Sequence[str], now: datetime) -> Waiting | None:
        """Take the notice that is due first, for one worker; None where nothing is due."""
        table = tables.notice
        free = table.c.claimed_until.is_(None) | (table.c.claimed_until < now)
        due: ColumnElement[bool] = (table.c.state == "waiting") & (table.c.next_at <= now) & free
        query = select(table).where(due, table.c.channel.in_(channels))
        with self._store.write() as connection:
            for row in connection.execute(query.order_by(table.c.next_at, table.c.id).limit(5)):
                taken = connection.execute(
                    update(table)
                    .where(table.c.id == row.id, due)
                    .values(claimed_by=worker, claimed_until=now + CLAIM)
                )
                if taken.rowcount == 1:
                    return _waiting(row)
        return None

    def end(self, notice: str, worker: str, state: str, now: datetime, receipt: str = "") -> None:
        """Record that a notice arrived (`sent`) or that there is nothing to tell (`moot`)."""
        self._set(notice, worker, state=state, sent_at=now, receipt=receipt, error=None)

    def put_off(self, notice: Waiting, worker: str, now: datetime, error: str, wait: float) -> None:
        """Record a failure, and when to try again; after `PATIENCE` it is given up."""
        state = "given_up" if now - notice.at > PATIENCE and notice.attempts > 0 else "waiting"
        later = now + timedelta(seconds=wait)
        self._set(
            notice.id,
            worker,
            state=state,
            attempts=notice.attempts + 1,
            next_at=later,
            error=error[:500],
        )

    def _set(self, notice: str, worker: str, **values: object) -> None:
        table = tables.notice
        with self._store.write() as connection:
            connection.execute(
                update(table)
                .where(table.c.id == notice, table.c.claimed_by == worker)
                .values(claimed_by=None, claimed_until=None, **values)
            )

    def handed_over(self, handoff: str) -> tuple[str, str, str] | None:
        """Return run, asker and reason of an open hand-off; None where it is not open any more."""
        table = tables.handoff.c
        query = select(table.run, table.asker, table.reason).where(
            table.id == handoff, table.state == "open"
        )
        with self._store.read() as connection:
            found = connection.execute(query).first()
        return (found.run, found.asker, found.reason) if found else None

    def all(self, *, state: str | None = None, limit: int = 50) -> list[Waiting]:
        """Return notices, newest first."""
        table = tables.notice
        query = select(table).order_by(table.c.at.desc(), table.c.id.desc()).limit(limit)
        if state:
            query = query.where(table.c.state == state)
        with self._store.read() as connection:
            return [_waiting(row) for row in connection.execute(query)]


def escalation(approval: str, times: int) -> str:
    """Return what a notice is about that tells of a request widened for the so-manyeth time."""
    return f"{approval}/{times}"


def undoing(call: str, at: datetime) -> str:
    """Return what a notice is about that tells of an undo, begun at this time, in doubt."""
    begun = at.replace(tzinfo=UTC) if at.tzinfo is None else at
    return f"{call}/undo {timestamp(begun)}"


def _times_widened(row: Row[Any]) -> int:
    approval, at = call_rows.approval_record(row, ()), aware(row.a_escalated_at)
    lengths = approval.asks.escalations()
    return sum(at is not None and approval.requested_at + each <= at for each in lengths)


def _waits(kind: NoticeKind, now: datetime) -> tuple[ColumnElement[Any], Select[Any]]:
    """Return what a kind of notice is about, and the query of everything that waits so."""
    call, approval, handoff = tables.call.c, tables.approval.c, tables.handoff.c
    if kind == "approval":
        joined = select(approval.id).join_from(
            tables.approval, tables.call, approval.call == call.id
        )
        waiting = joined.where(call.state == CallState.PENDING.value, on_its_own())
        return approval.id, waiting
    if kind == "in_doubt":
        return call.id, select(call.id).where(call.state == CallState.IN_DOUBT.value)
    recent = handoff.opened_at > now - LATEST
    return handoff.id, select(handoff.id).where(handoff.state == "open", recent)


def _waiting(row: Any) -> Waiting:  # noqa: ANN401 - a row of the table
    at, next_at = aware(row.at), aware(row.next_at)
    if at is None or next_at is None:
        message = "a notice has its times"
        raise ValueError(message)
    return Waiting(
        row.id,
        row.channel,
        row.kind,
        row.about,
        row.state,
        row.attempts,
        at,
        next_at,
        row.error,
        aware(row.sent_at),
    )
