"""The append-only journal: one hash chain per run, heads sealed in order, content apart."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Any

from sqlalchemy import Column, Connection, Row, Table, func, insert, select, text
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from staid.domain.canonical import canonical, timestamp
from staid.domain.events import Event, EventKind, JournalRow
from staid.domain.label import EVERYONE, Label
from staid.domain.principal import Actor
from staid.store import subjects, tables
from staid.store.engine import Store
from staid.store.projections import Noted, Projections
from staid.tracing import alias, chain
from staid.tracing.chain import GENESIS, Finding, Link, Seal


class Journal:
    """Facts of runs, each bound to the one before it; never changed, never removed."""

    def __init__(self, store: Store, key: bytes) -> None:
        """Hash under `key`, which must not live in the database."""
        self._store = store
        self._key = key
        self._projections = Projections(store.dialect)
        make = postgres_insert if store.dialect == "postgresql" else sqlite_insert
        # The same content (a passage, an instruction) is kept once, however often it is used.
        self._keep = make(tables.content).on_conflict_do_nothing()

    def alias(self, token: str) -> str:
        """Return what stands for a person's token in the record."""
        return token if alias.is_alias(token) else alias.alias_of(self._key, token)

    def append(self, connection: Connection, run: str, events: Sequence[Event]) -> None:
        """Append facts in order inside the caller's write transaction: all of them or none."""
        if not events:
            return
        seq, prev = self._head(connection, run)
        links: list[Link] = []
        contents: dict[str, dict[str, str]] = {}
        met: dict[str, str] = {}
        for number, event in enumerate(events, seq + 1):
            kept = self._content(event, met)
            if kept is not None:
                contents[kept["id"]] = kept
            row = chain.link(
                self._key,
                Link(
                    run=run,
                    seq=number,
                    kind=event.kind.value,
                    at=timestamp(event.at),
                    actor=alias.mask(self._key, canonical(_actor_fields(event.actor)), met),
                    fact=alias.mask(self._key, canonical(event.fact), met),
                    content=kept["id"] if kept else None,
                    prev=prev,
                    hash="",
                ),
            )
            prev = row.hash
            links.append(row)
        subjects.keep(connection, met)
        if contents:
            connection.execute(self._keep, list(contents.values()))
        connection.execute(_APPEND, [_values(row) for row in links])
        facts = [
            Noted(e.seq, e.kind, e.at, g.fact, e.content, g.content and g.content.body)
            for e, g in zip(links, events, strict=True)
        ]
        self._projections.note(connection.connection.cursor(), run, facts)

    def seal(self, connection: Connection, run: str) -> None:
        """Seal the run's present head, after every seal before it."""
        # The run's lock before the table's, as an append takes them: two orders would deadlock.
        _, head = self._head(connection, run)
        if self._store.dialect == "postgresql":
            # One sequencer: two concurrent seals would fork the chain.
            connection.execute(text("LOCK TABLE seal IN EXCLUSIVE MODE"))
        last = connection.execute(
            select(tables.seal.c.seq, tables.seal.c.hash)
            .order_by(tables.seal.c.seq.desc())
            .limit(1)
        ).first()
        seq, prev = (last.seq + 1, last.hash) if last else (1, GENESIS)
        hashed = chain.seal_hash(self._key, seq, run, head, prev)
        connection.execute(
            insert(tables.seal).values(seq=seq, run=run, head=head, prev=prev, hash=hashed)
        )

    def rows(self, run: str) -> list[JournalRow]:
        """Return the facts of a run in order, with the content that is still there."""
        journal, content = tables.journal, tables.content
        query = (
            select(journal, content.c.body, content.c.label)
            .join_from(journal, content, journal.c.content == content.c.id, isouter=True)
            .where(journal.c.run == run)
            .order_by(journal.c.seq)
        )
        with self._store.read() as connection:
            found = connection.execute(query).all()
            texts = (text for row in found for text in (row.actor, row.fact, row.label or ""))
            known = subjects.tokens(connection, alias.aliases(texts))
        return [_row(each, known) for each in found]

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
        findings: list[Finding] = []
        hashes: dict[str, set[str]] = {}
        with self._store.read() as connection:
            for run, rows in groupby(self._links(connection), key=lambda link: link.run):
                links = list(rows)
                hashes[run] = {link.hash for link in links}
                findings += chain.verify_run(self._key, links)
            query = select(*_columns(tables.seal, Seal)).order_by(tables.seal.c.seq)
            seals = [Seal(*row) for row in connection.execute(query)]
            findings += chain.verify_seals(self._key, seals, hashes)
            findings += self._verify_heads(connection, seals)
            findings += self._verify_contents(connection)
        return findings

    def _links(self, connection: Connection) -> Iterable[Link]:
        columns = _columns(tables.journal, Link)
        query = select(*columns).order_by(tables.journal.c.run, tables.journal.c.seq)
        for row in connection.execute(query):
            yield Link(*row)

    def _verify_heads(self, connection: Connection, seals: Sequence[Seal]) -> list[Finding]:
        # A released run is sealed by its last fact; a fact appended past the seal was not ours.
        sealed = {seal.run: seal.head for seal in seals}
        ended = select(tables.run.c.id).where(tables.run.c.state == "released")
        findings: list[Finding] = []
        for row in connection.execute(ended):
            _, head = self._head(connection, row.id)
            if sealed.get(row.id) != head:
                findings.append(
                    Finding(row.id, 0, "the released run does not end where it was sealed")
                )
        return findings

    def _verify_contents(self, connection: Connection) -> list[Finding]:
        erased = self._erased(connection)
        journal, content = tables.journal, tables.content
        query = (
            select(journal.c.run, journal.c.seq, journal.c.content, content)
            .join_from(journal, content, journal.c.content == content.c.id, isouter=True)
            .where(journal.c.content.is_not(None))
        )
        findings: list[Finding] = []
        for row in connection.execute(query):
            if row.id is None:
                if row.content not in erased:
                    findings.append(
                        Finding(row.run, row.seq, "the content is gone and was not erased by Staid")
                    )
            elif chain.content_id(self._key, row.subject, row.label, row.body) != row.content:
                findings.append(Finding(row.run, row.seq, "the content was altered"))
        return findings

    def _erased(self, connection: Connection) -> set[str]:
        query = select(tables.journal.c.fact).where(tables.journal.c.kind == EventKind.ERASED.value)
        return {
            item
            for row in connection.execute(query)
            for item in json.loads(row.fact).get("contents", [])
        }

    def _head(self, connection: Connection, run: str) -> tuple[int, str]:
        if self._store.dialect == "postgresql":
            # Two writers of one run (a worker and an approver) take turns.
            connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(run, 0))))
        journal = tables.journal
        query = select(journal.c.seq, journal.c.hash).where(journal.c.run == run)
        last = connection.execute(query.order_by(journal.c.seq.desc()).limit(1)).first()
        return (last.seq, last.hash) if last else (0, GENESIS)

    def _content(self, event: Event, met: dict[str, str]) -> dict[str, str] | None:
        if event.content is None:
            return None
        kept = event.content
        label = alias.mask(self._key, kept.label.key, met)
        body = canonical(kept.body)
        identity = chain.content_id(self._key, kept.subject, label, body)
        return {"id": identity, "subject": kept.subject, "label": label, "body": body}


_APPEND = insert(tables.journal)


def _values(row: Link) -> dict[str, object]:
    return {name: getattr(row, name) for name in Link.__slots__}


def _actor_fields(actor: Actor) -> dict[str, str]:
    fields = {name: value for name, value in asdict(actor).items() if value is not None}
    # As in a causal chain, an account of the machine is the person of that name.
    return {**fields, "via": f"user:{actor.via}"} if actor.via is not None else fields


def _actor(recorded: str, known: Mapping[str, str]) -> Actor:
    fields: dict[str, Any] = json.loads(alias.unmask(recorded, known))
    via = fields.pop("via", None)
    return Actor(**fields, via=via.removeprefix("user:") if via is not None else None)


def _columns(table: Table, shape: type[Link | Seal]) -> list[Column[Any]]:
    return [table.c[name] for name in shape.__slots__]


def _row(found: Row[Any], known: Mapping[str, str]) -> JournalRow:
    label = alias.unmask(found.label, known, unknown=None) if found.label else None
    return JournalRow(
        run=found.run,
        seq=found.seq,
        kind=EventKind(found.kind),
        at=found.at,
        actor=_actor(found.actor, known),
        fact=json.loads(alias.unmask(found.fact, known)),
        content=found.content,
        prev=found.prev,
        hash=found.hash,
        body=json.loads(found.body) if found.body else None,
        label=_label(label),
    )


def _label(key: str | None) -> Label:
    if key is None:
        return EVERYONE
    value = json.loads(key)
    # Not `parse`: an alias of nobody is no token of a file, and matches no one.
    return Label.of(value["allow"], value["deny"])
