"""Holding the whole record against itself: it streams, so that no size of store is too big."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import groupby, islice
from typing import Any, TypeAlias, cast

from sqlalchemy import Column, Connection, Row, Select, Table, and_, func, or_, select

from staid.domain.events import EventKind
from staid.store import tables
from staid.store.engine import Store
from staid.tracing import chain
from staid.tracing.anchor import Anchor
from staid.tracing.chain import Finding, Link, Seal

_Query: TypeAlias = Select[*tuple[Any, ...]]
_Found: TypeAlias = Row[*tuple[Any, ...]]

PAGE = 1000
"""Rows in memory at once."""


class Verification:
    """Finds every place where rows, contents, seals and anchors do not fit; changes nothing."""

    def __init__(self, store: Store, key: bytes) -> None:
        """Verify what `store` holds under `key`."""
        self._store = store
        self._key = key

    def findings(self) -> Iterator[Finding]:
        """Give every finding from inside the store, all looks at one committed state."""
        with self._store.read() as connection:
            links = (Link(*row) for row in _stream(connection, _FACTS))
            for _, rows in groupby(links, key=lambda link: link.run):
                yield from chain.verify_run(self._key, rows)
            seals = (Seal(*row) for row in _stream(connection, _SEALS))
            yield from chain.verify_seals(self._key, seals)
            yield from self._heads(connection)
            yield from self._outcomes(connection)
            yield from self._contents(connection)

    def against(self, anchors: Iterable[Anchor]) -> Iterator[Finding]:
        """Give every anchor whose seal is gone, or is another one than was anchored."""
        with self._store.read() as connection:
            left = iter(anchors)
            while page := list(islice(left, PAGE)):
                wanted = [anchor.seq for anchor in page]
                query = select(*columns(tables.seal, Seal)).where(tables.seal.c.seq.in_(wanted))
                seals = {row.seq: Seal(*row) for row in connection.execute(query)}
                for anchor in page:
                    yield from chain.verify_anchor(anchor, seals.get(anchor.seq))

    def _heads(self, connection: Connection) -> Iterator[Finding]:
        for row in _stream(connection, _LOST):
            problem = f"the facts that seal {row.seq} covers are gone"
            yield Finding(row.run, 0, problem)
        # A released run is sealed by its last fact; a fact appended past the seal was not ours.
        for row in _stream(connection, _UNSEALED):
            yield Finding(row.id, 0, "the released run does not end where it was sealed")

    def _outcomes(self, connection: Connection) -> Iterator[Finding]:
        for row in _stream(connection, _DECIDED):
            fact = _read(row.fact)
            told = {"outcome": row.outcome, "reason": row.reason}
            if any(name in fact and fact[name] != value for name, value in told.items()):
                yield Finding(row.id, row.seq, "the run's row tells another outcome than its facts")

    def _contents(self, connection: Connection) -> Iterator[Finding]:
        erased = self._erased(connection)
        for row in _stream(connection, _VANISHED):
            if row.content not in erased:
                yield Finding(row.run, row.seq, "the content is gone and was not erased by Staid")
        altered = [
            row.id
            for row in _stream(connection, _BODIES)
            if chain.content_id(self._key, row.subject, row.label, row.body) != row.id
        ]
        journal = tables.journal.c
        while page := altered[:PAGE]:
            altered = altered[PAGE:]
            named = select(journal.run, journal.seq).where(journal.content.in_(page))
            for row in connection.execute(named.order_by(journal.run, journal.seq)):
                yield Finding(row.run, row.seq, "the content was altered")

    def _erased(self, connection: Connection) -> set[str]:
        query = select(tables.journal.c.fact).where(tables.journal.c.kind == EventKind.ERASED.value)
        return {
            item
            for row in _stream(connection, query)
            for item in _read(row.fact).get("contents", [])
        }


def columns(table: Table, shape: type[Link | Seal]) -> list[Column[Any]]:
    """Return a table's columns in the order of the shape's fields."""
    return [table.c[name] for name in shape.__slots__]


def _read(fact: str) -> dict[str, Any]:
    # One that was altered into no JSON at all is a finding of its chain already.
    try:
        found: object = json.loads(fact)
    except ValueError:
        return {}
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _stream(connection: Connection, query: _Query) -> Iterator[_Found]:
    yield from connection.execute(query, execution_options={"yield_per": PAGE})


_journal, _seal, _run, _content = tables.journal.c, tables.seal.c, tables.run.c, tables.content.c
_FACTS = select(*columns(tables.journal, Link)).order_by(_journal.run, _journal.seq)
_SEALS = select(*columns(tables.seal, Seal)).order_by(_seal.seq)
_LOST = (
    select(_seal.seq, _seal.run)
    .where(~select(1).where(_journal.run == _seal.run, _journal.hash == _seal.head).exists())
    .order_by(_seal.seq)
)


def _unsealed() -> _Query:
    facts, seals = tables.journal.alias("facts"), tables.seal.alias("seals")
    newest = select(func.max(facts.c.seq)).where(facts.c.run == _run.id).scalar_subquery()
    latest = select(func.max(seals.c.seq)).where(seals.c.run == _run.id).scalar_subquery()
    fact, seal = tables.journal, tables.seal
    return (
        select(_run.id)
        .join_from(
            tables.run, fact, and_(fact.c.run == _run.id, fact.c.seq == newest), isouter=True
        )
        .join(seal, seal.c.seq == latest, isouter=True)
        .where(_run.state == "released")
        .where(or_(fact.c.hash.is_(None), seal.c.head.is_(None), fact.c.hash != seal.c.head))
        .order_by(_run.id)
    )


_UNSEALED = _unsealed()


def _decided() -> _Query:
    facts, kind = tables.journal.alias("facts"), EventKind.OUTCOME_DECIDED.value
    newest = (
        select(func.max(facts.c.seq))
        .where(facts.c.run == _run.id, facts.c.kind == kind)
        .scalar_subquery()
    )
    fact = tables.journal
    return (
        select(_run.id, _run.outcome, _run.reason, fact.c.seq, fact.c.fact)
        .join_from(tables.run, fact, and_(fact.c.run == _run.id, fact.c.seq == newest))
        .where(_run.state.in_(["released", "parked"]))
        .order_by(_run.id)
    )


_DECIDED = _decided()
_VANISHED = (
    select(_journal.run, _journal.seq, _journal.content)
    .join_from(tables.journal, tables.content, _journal.content == _content.id, isouter=True)
    .where(_journal.content.is_not(None), _content.id.is_(None))
    .order_by(_journal.run, _journal.seq)
)
_BODIES = select(_content.id, _content.subject, _content.label, _content.body)
