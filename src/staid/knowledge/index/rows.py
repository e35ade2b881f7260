"""What an index reads from the store, in plain SQL that both engines understand.

The index is handed a `Database`, not a store: knowledge never imports the room that keeps it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

from sqlalchemy import Connection, TextClause, bindparam, text

from staid.access.classes import label_of, visible
from staid.access.scope import Scope
from staid.domain.label import Label

_BATCH = 500


class Database(Protocol):
    """What an index needs of the store."""

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        ...

    def read(self) -> AbstractContextManager[Connection]:
        """Give a transaction that sees one committed state throughout."""
        ...

    def write(self, *, durable: bool = True) -> AbstractContextManager[Connection]:
        """Give a transaction that commits whole or not at all."""
        ...


@dataclass(frozen=True, slots=True)
class AclClass:
    """A class as the store holds it."""

    label: Label
    changes: int
    vetted: bool


@dataclass(frozen=True, slots=True)
class ChunkRow:
    """A chunk with everything an index scores it by."""

    id: str
    text_hash: str
    document: int
    length: int
    terms: Mapping[str, int]
    vector: bytes


@dataclass(frozen=True, slots=True)
class Winner:
    """A chunk with its document and label as they stand in this very transaction."""

    chunk: str
    section: str
    text: str
    source: str
    document: str
    version: str
    title: str
    vetted: bool
    label: Label


_TOP = text("SELECT coalesce(max(seq), 0) FROM change")
_CLASSES = text("SELECT id, key, changes, vetted FROM acl_class")
_EMBEDDER = text("SELECT embedder FROM embedding LIMIT 1")
_CHANGES = text("SELECT document, kind FROM change WHERE seq > :after ORDER BY seq")
_ALL_DOCUMENTS = text('SELECT pk, "class" FROM document')
_DOCUMENTS = text('SELECT pk, "class" FROM document WHERE pk IN :some').bindparams(
    bindparam("some", expanding=True)
)
_ALL_CHUNKS = text("SELECT id, text_hash, document FROM chunk")
_SCORED = """
    SELECT c.id, c.text_hash, c.document, c.length, c.terms, e.vector
    FROM chunk c JOIN embedding e ON e.text_hash = c.text_hash WHERE {} IN :some
"""
_ALL_SCORED = text(_SCORED.partition("WHERE")[0])
_BY_DOCUMENT = text(_SCORED.format("c.document")).bindparams(bindparam("some", expanding=True))
_BY_ID = text(_SCORED.format("c.id")).bindparams(bindparam("some", expanding=True))
_WINNERS = text("""
    SELECT c.id, c.section, c.text, d.source, d.id, d.version, d.title, d.vetted, a.key
    FROM chunk c JOIN document d ON d.pk = c.document JOIN acl_class a ON a.id = d."class"
    WHERE c.id IN :some
""").bindparams(bindparam("some", expanding=True))


def top(connection: Connection) -> int:
    """Return the number of the last committed change that this transaction sees."""
    return int(connection.execute(_TOP).scalar_one())


def embedder(connection: Connection) -> str | None:
    """Return the id of the embedder behind the stored vectors; None where there are none."""
    return connection.execute(_EMBEDDER).scalar_one_or_none()


def classes(connection: Connection) -> dict[int, AclClass]:
    """Return every class with its label and how often its readers' view changed."""
    return {
        number: AclClass(label_of(key), changes, bool(vetted))
        for number, key, changes, vetted in connection.execute(_CLASSES)
    }


def searched(known: Mapping[int, AclClass], scope: Scope, *, vetted: bool) -> tuple[int, ...]:
    """Return the classes a query runs over: visible, and with `vetted` the vetted ones alone."""
    return visible({n: c.label for n, c in known.items() if c.vetted or not vetted}, scope)


def changes(connection: Connection, after: int) -> list[tuple[int, str]]:
    """Return document and kind of every change after a position, in order."""
    return [(pk, kind) for pk, kind in connection.execute(_CHANGES, {"after": after})]


def documents(connection: Connection, some: Iterable[int] | None = None) -> dict[int, int]:
    """Return document -> class, of all or of some; what is not there has been removed."""
    if some is None:
        return {row[0]: row[1] for row in connection.execute(_ALL_DOCUMENTS)}
    return {row[0]: row[1] for row in _each(connection, _DOCUMENTS, some)}


def chunks(connection: Connection) -> Sequence[Sequence[Any]]:
    """Return id, text hash and document of every chunk."""
    return connection.execute(_ALL_CHUNKS).all()


def scored(connection: Connection) -> list[ChunkRow]:
    """Return every chunk with terms and vectors."""
    return [_chunk(row) for row in connection.execute(_ALL_SCORED)]


def scored_by_document(connection: Connection, some: Iterable[int]) -> list[ChunkRow]:
    """Return the chunks of some documents with terms and vectors."""
    return [_chunk(row) for row in _each(connection, _BY_DOCUMENT, some)]


def scored_by_id(connection: Connection, some: Iterable[str]) -> list[ChunkRow]:
    """Return some chunks with terms and vectors."""
    return [_chunk(row) for row in _each(connection, _BY_ID, some)]


def winners(connection: Connection, some: Sequence[str]) -> dict[str, Winner]:
    """Return chunk id -> chunk and document as they stand now, label included."""
    return {
        row[0]: Winner(*row[:7], vetted=bool(row[7]), label=label_of(row[8]))
        for row in _each(connection, _WINNERS, some)
    }


def _each(
    connection: Connection, query: TextClause, some: Iterable[object]
) -> Iterator[Sequence[Any]]:
    iterator = iter(some)
    while batch := list(islice(iterator, _BATCH)):
        yield from connection.execute(query, {"some": batch})


def _chunk(row: Sequence[Any]) -> ChunkRow:
    number, text_hash, document, length, terms, vector = row
    counts = json.loads(terms) if isinstance(terms, str) else terms
    return ChunkRow(number, text_hash, document, length, counts, bytes(vector))
