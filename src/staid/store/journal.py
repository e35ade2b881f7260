"""The append-only journal: one hash chain per run, heads sealed in order, content apart."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from functools import lru_cache, partial

from sqlalchemy import Connection, Table, insert, select
from sqlalchemy.engine.interfaces import DBAPICursor

from staid.domain.canonical import canonical, timestamp
from staid.domain.events import Event, JournalRow
from staid.domain.label import Label
from staid.domain.principal import Actor
from staid.store import subjects, tables
from staid.store.engine import Store
from staid.store.ledger import call_rows
from staid.store.projections import Noted, Projections
from staid.store.recorded import recorded
from staid.store.verifying import Verification, columns
from staid.tracing import alias, chain
from staid.tracing.anchor import Anchor
from staid.tracing.chain import GENESIS, Finding, Link, Seal


class Journal:
    """Facts of runs, each bound to the one before it; never changed, never removed."""

    def __init__(self, store: Store, key: bytes) -> None:
        """Hash under `key`, which must not live in the database."""
        self._store = store
        self._key = key
        self._projections = Projections(store.dialect)
        self._postgres = store.dialect == "postgresql"
        mark = "%s" if self._postgres else "?"
        # Written out once: a fact is small, and building a statement would cost more than it.
        self._append = _insert(tables.journal, Link.__slots__, mark)
        # The same content (a passage, an instruction) is kept once, however often it is used.
        self._keep = _insert(tables.content, _KEPT, mark) + " ON CONFLICT DO NOTHING"
        self._seal = _insert(tables.seal, Seal.__slots__, mark)
        # A run has many facts, and a handful of actors and labels.
        self._actor_text = lru_cache(maxsize=1024)(partial(_actor_text, key))
        self._label_text = lru_cache(maxsize=1024)(partial(_label_text, key))
        self._last = f"{_LAST} {mark} ORDER BY seq DESC LIMIT 1"

    def alias(self, token: str) -> str:
        """Return what stands for a person's token in the record."""
        return token if alias.is_alias(token) else alias.alias_of(self._key, token)

    def append(self, connection: Connection, run: str, events: Sequence[Event]) -> None:
        """Append facts in order inside the caller's write transaction: all of them or none."""
        if events:
            reads = [_read_values(event) for event in events if event.call is not None]
            if reads:
                connection.execute(_READ, reads)
            self._write(connection.connection.cursor(), run, events)

    def write(self, run: str, events: Sequence[Event], *, durable: bool) -> None:
        """Append facts in order, all of them or none; committed when this returns."""
        if any(event.call is not None for event in events):
            with self._store.write(durable=durable) as connection:
                self.append(connection, run, events)
        elif events:
            work = partial(self._write, run=run, events=events)
            self._store.together(work, durable=durable)

    def _write(self, cursor: DBAPICursor, run: str, events: Sequence[Event]) -> None:
        seq, prev = self._head(cursor, run)
        links: list[tuple[object, ...]] = []
        facts: list[Noted] = []
        contents: dict[str, tuple[str, str, str, str]] = {}
        met: dict[str, str] = {}
        for number, event in enumerate(events, seq + 1):
            kept = self._content(event, met)
            if kept is not None:
                contents[kept[0]] = kept
            actor, named = self._actor_text(event.actor)
            met.update(named)
            bound = (
                run,
                number,
                event.kind.value,
                timestamp(event.at),
                actor,
                alias.mask(self._key, canonical(event.fact), met),
                kept[0] if kept else None,
                prev,
            )
            prev = chain.bind(self._key, bound)
            links.append((*bound, prev))
            body = event.content.body if event.content else None
            facts.append(Noted(number, bound[2], bound[3], event.fact, bound[6], body))
        if met:
            subjects.put(cursor, self._store.dialect, met)
        if contents:
            # In one order everywhere: two writers of the same contents would wait for each other.
            cursor.executemany(self._keep, [contents[name] for name in sorted(contents)])
        cursor.executemany(self._append, links)
        self._projections.note(cursor, run, facts)

    def seal(self, connection: Connection, run: str) -> None:
        """Seal the run's present head, after every seal before it."""
        cursor = connection.connection.cursor()
        # The run's lock before the table's, as an append takes them: two orders would deadlock.
        _, head = self._head(cursor, run)
        if self._postgres:
            # One sequencer: two concurrent seals would fork the chain.
            cursor.execute("LOCK TABLE seal IN EXCLUSIVE MODE")
        cursor.execute("SELECT seq, hash FROM seal ORDER BY seq DESC LIMIT 1")
        last = cursor.fetchone()
        seq, prev = (last[0] + 1, last[1]) if last else (1, GENESIS)
        hashed = chain.seal_hash(self._key, seq, run, head, prev)
        cursor.execute(self._seal, (seq, run, head, prev, hashed))

    def wrote(self, link: Link) -> bool:
        """Return whether a fact is as it was appended under the key; says nothing of its place."""
        return chain.intact(self._key, link)

    def rows(self, run: str) -> list[JournalRow]:
        """Return the facts of a run in order, with the content that is still there."""
        with self._store.read() as connection:
            return list(recorded(connection, run))

    def content(self, ids: Iterable[str]) -> dict[str, dict[str, object]]:
        """Return the bodies that are still there, by content id."""
        wanted = list(ids)
        query = select(tables.content.c.id, tables.content.c.body).where(
            tables.content.c.id.in_(wanted)
        )
        with self._store.read() as connection:
            return {row.id: json.loads(row.body) for row in connection.execute(query)}

    def verify(self) -> list[Finding]:
        """Return every place where rows, contents or seals do not fit; empty means intact.

        Detects altered, inserted, reordered and removed rows, altered or vanished content, and runs
        removed below their seal. Does not detect the removal of the newest runs together with their
        seals: that needs an anchor outside.
        """
        return list(Verification(self._store, self._key).findings())

    def sealed(self) -> Seal | None:
        """Return the newest seal; None before anything was released."""
        query = select(*columns(tables.seal, Seal)).order_by(tables.seal.c.seq.desc()).limit(1)
        with self._store.read() as connection:
            found = connection.execute(query).first()
        return Seal(*found) if found else None

    def against(self, anchors: Iterable[Anchor]) -> list[Finding]:
        """Return every anchor whose seal is gone or is another one than was anchored."""
        return list(Verification(self._store, self._key).against(anchors))

    def _head(self, cursor: DBAPICursor, run: str) -> tuple[int, str]:
        if self._postgres:
            # Two writers of one run (a worker and an approver) take turns.
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (run,))
        cursor.execute(self._last, (run,))
        last = cursor.fetchone()
        return (last[0], last[1]) if last else (0, GENESIS)

    def _content(self, event: Event, met: dict[str, str]) -> tuple[str, str, str, str] | None:
        if event.content is None:
            return None
        kept = event.content
        label, named = self._label_text(kept.label)
        met.update(named)
        body = canonical(kept.body)
        return chain.content_id(self._key, kept.subject, label, body), kept.subject, label, body


def _read_values(event: Event) -> dict[str, object]:
    values = call_rows.call_values(event.call) if event.call is not None else {}
    return {**values, "settled_at": event.at}


_READ = insert(tables.call)
_KEPT = ("id", "subject", "label", "body")
_LAST = "SELECT seq, hash FROM journal WHERE run ="


def _insert(table: Table, columns: Iterable[str], mark: str) -> str:
    names = list(columns)
    marks = ", ".join([mark] * len(names))
    return f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({marks})"  # noqa: S608 - names of our own tables


def _actor_fields(actor: Actor) -> dict[str, str]:
    fields = {name: value for name, value in asdict(actor).items() if value is not None}
    # As in a causal chain, an account of the machine is the person of that name.
    return {**fields, "via": f"user:{actor.via}"} if actor.via is not None else fields


def _actor_text(key: bytes, actor: Actor) -> tuple[str, dict[str, str]]:
    met: dict[str, str] = {}
    return alias.mask(key, canonical(_actor_fields(actor)), met), met


def _label_text(key: bytes, label: Label) -> tuple[str, dict[str, str]]:
    met: dict[str, str] = {}
    return alias.mask(key, label.key, met), met
