"""Legal holds: what must not be erased, whoever asks."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from staid.domain.errors.privacy import HoldNotFound, SubjectHeld
from staid.domain.ids import Ids
from staid.store import subjects, tables
from staid.store.engine import Store
from staid.store.journal import Journal
from staid.store.subjects import chunks


@dataclass(frozen=True, slots=True)
class Hold:
    """One reason to keep what is about a subject, or a run."""

    id: str
    target: str
    """A principal's token, its alias where nobody is behind it any more, or a run."""
    reason: str
    placed_by: str
    placed_at: datetime
    released_by: str | None = None
    released_at: datetime | None = None


class SqlHolds:
    """Places and releases holds; erasure and retention ask for them in their own transaction."""

    def __init__(self, store: Store, journal: Journal, ids: Ids) -> None:
        """Keep holds in `store`, under the aliases of `journal`."""
        self._store = store
        self._journal = journal
        self._ids = ids

    def place(self, target: str, reason: str, by: str, at: datetime) -> Hold:
        """Place a hold on a principal or a run; in force when this returns."""
        hold = Hold(self._ids.new("hld"), target, reason, by, at)
        met: dict[str, str] = {}
        values = {
            "id": hold.id,
            "target": self._stored(target, met),
            "reason": reason,
            "placed_by": self._stored(by, met),
            "placed_at": at,
        }
        with self._store.write() as connection:
            subjects.keep(connection, met)
            connection.execute(insert(tables.hold).values(values))
        return hold

    def release(self, hold: str, by: str, at: datetime) -> Hold:
        """End a hold; raise `HoldNotFound` where it is not in force."""
        table, met = tables.hold, dict[str, str]()
        who = self._stored(by, met)
        with self._store.write() as connection:
            subjects.keep(connection, met)
            ended = connection.execute(
                update(table)
                .where(table.c.id == hold, table.c.released_at.is_(None))
                .values(released_by=who, released_at=at)
            )
            if ended.rowcount != 1:
                raise HoldNotFound(hold=hold)
        return next(each for each in self.holds(everything=True) if each.id == hold)

    def holds(self, *, everything: bool = False) -> list[Hold]:
        """Return the holds in force, with `everything` also the released ones, oldest first."""
        table = tables.hold
        query = select(table).order_by(table.c.placed_at, table.c.id)
        if not everything:
            query = query.where(table.c.released_at.is_(None))
        with self._store.read() as connection:
            rows = connection.execute(query).all()
            named = {name for r in rows for name in (r.target, r.placed_by, r.released_by) if name}
            known = subjects.tokens(connection, named)
        return [_hold(row, known) for row in rows]

    def _stored(self, name: str, met: dict[str, str]) -> str:
        if not name.startswith(("user:", "service:", "agent:")):
            return name
        alias = self._journal.alias(name)
        met[alias] = name
        return alias


def check(connection: Connection, subject: str, alias: str, runs: Collection[str]) -> None:
    """Raise `SubjectHeld` where a hold in force covers the subject or one of these runs."""
    table = tables.hold
    for some in chunks([alias, *sorted(runs)]):
        query = select(table).where(table.c.released_at.is_(None), table.c.target.in_(some))
        found = connection.execute(query.order_by(table.c.placed_at).limit(1)).first()
        if found is not None:
            named = subject if found.target == alias else f"{found.target} of {subject}"
            raise SubjectHeld(subject=named, hold=found.id, reason=found.reason)


def held(connection: Connection) -> set[str]:
    """Return every alias, token and run that a hold in force covers."""
    table = tables.hold
    query = select(table.c.target).where(table.c.released_at.is_(None))
    found = set(connection.execute(query).scalars())
    return found | set(subjects.tokens(connection, found).values())


def _hold(row: Row[Any], known: dict[str, str]) -> Hold:
    def name(stored: str) -> str:
        return known.get(stored, stored)

    return Hold(
        id=row.id,
        target=name(row.target),
        reason=row.reason,
        placed_by=name(row.placed_by),
        placed_at=_aware(row.placed_at),
        released_by=name(row.released_by) if row.released_by else None,
        released_at=_aware(row.released_at) if row.released_at else None,
    )


def _aware(value: datetime) -> datetime:
    # SQLite keeps no zone; everything is written in UTC.
    return value if value.tzinfo is not None else value.replace(tzinfo=UTC)
