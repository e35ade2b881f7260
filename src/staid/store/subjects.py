"""Whose an alias is: written with the facts, read with them, deleted by an erasure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from staid.store import tables

CHUNK = 500
"""Values in one IN clause: well below what either engine takes."""


def keep(connection: Connection, met: Mapping[str, str]) -> None:
    """Keep whose these aliases are, in the transaction of the facts that name them."""
    if met:
        make = postgres_insert if connection.dialect.name == "postgresql" else sqlite_insert
        # In one order everywhere: two writers of the same new names must not wait for each other.
        rows = [{"alias": alias, "token": met[alias]} for alias in sorted(met)]
        connection.execute(make(tables.subject).on_conflict_do_nothing(), rows)


def tokens(connection: Connection, aliases: Iterable[str]) -> dict[str, str]:
    """Return alias -> token for those that are still somebody's."""
    found: dict[str, str] = {}
    for some in chunks(sorted(aliases)):
        query = select(tables.subject).where(tables.subject.c.alias.in_(some))
        found |= {row.alias: row.token for row in connection.execute(query)}
    return found


def forget(connection: Connection, alias: str) -> bool:
    """Make an alias nobody's; False where it was before."""
    gone = connection.execute(delete(tables.subject).where(tables.subject.c.alias == alias))
    return gone.rowcount > 0


def chunks(values: Sequence[str]) -> Iterable[Sequence[str]]:
    """Yield the values in pieces that fit an IN clause."""
    for start in range(0, len(values), CHUNK):
        yield values[start : start + CHUNK]
