"""Whose an alias is: written with the facts, read with them, deleted by an erasure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Connection, delete, select
from sqlalchemy.engine.interfaces import DBAPICursor

from staid.store import tables

CHUNK = 500
"""Values in one IN clause: well below what either engine takes."""


def keep(connection: Connection, met: Mapping[str, str]) -> None:
    """Keep whose these aliases are, in the transaction of the facts that name them."""
    if met:
        put(connection.connection.cursor(), connection.dialect.name, met)


def put(cursor: DBAPICursor, dialect: str, met: Mapping[str, str]) -> None:
    """Do what `keep` does on the driver's own cursor: this is on the path of every fact."""
    mark = "%s" if dialect == "postgresql" else "?"
    # In one order everywhere: two writers of the same new names must not wait for each other.
    cursor.executemany(
        f"INSERT INTO subject (alias, token) VALUES ({mark}, {mark}) ON CONFLICT DO NOTHING",  # noqa: S608 - the mark alone is put in
        sorted(met.items()),
    )


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
