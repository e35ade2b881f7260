"""The stored documents, chunks and labels: the truth that every index reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal, TypeAlias, TypeVar

from sqlalchemy import (
    Connection,
    Row,
    Select,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    text,
    update,
)

from staid.access.classes import label_of
from staid.domain.canonical import canonical
from staid.domain.document import Document, IndexedChunk
from staid.domain.errors import DocumentAmbiguous, DocumentNotFound, EmbedderMismatch
from staid.domain.label import Label
from staid.domain.ports import CorpusChange, StoredDocument
from staid.store.engine import Store
from staid.store.tables import acl_class, change, chunk, document, embedding

Kind: TypeAlias = Literal["added", "changed", "described", "relabelled", "removed"]
"""What happened to a document; `described`: vetting or metadata, `relabelled`: its class."""

_BATCH = 500
_Item = TypeVar("_Item")


class SqlCorpus:
    """Keeps `domain.ports.Corpus` on SQLite and PostgreSQL: whole changes, in one order, or none.

    Writers take turns, so that a number of the change log is never visible before a lower one:
    an index that has read up to a number has missed nothing.
    """

    def __init__(self, store: Store) -> None:
        """Use this store; nothing is touched before the first call."""
        self._store = store

    def apply(self, changes: Sequence[CorpusChange], embedder: str) -> int:
        """Store all changes in one transaction and return the position of the change log.

        What is stored already and equal leaves no trace in the log. Raises `EmbedderMismatch`
        when the corpus was made with another embedder, and `DocumentNotFound` when a change without
        chunks meets a version that is not stored (it was removed in the meantime).
        """
        with self._store.write() as connection:
            writer = _Writer(connection)
            found = _embedder(connection)
            if found is not None and found != embedder:
                raise EmbedderMismatch(found=found, wanted=embedder)
            for item in changes:
                writer.put(item, embedder)
            return writer.finish()

    def remove(self, source: str, ids: Iterable[str]) -> int:
        """Remove documents with all their chunks, and vectors no other chunk has.

        Unknown ids are passed over. Returns the position of the change log.
        """
        with self._store.write() as connection:
            writer = _Writer(connection)
            for name in ids:
                writer.remove(source, name)
            return writer.finish()

    def relabel(self, source: str, document: str, label: Label) -> int:
        """Give a document another label; holds on the next query of every process."""
        with self._store.write() as connection:
            writer = _Writer(connection)
            writer.relabel(source, document, label)
            return writer.finish()

    def versions(self, source: str) -> Mapping[str, str]:
        """Return document id -> stored version for one source."""
        query = select(document.c.id, document.c.version).where(document.c.source == source)
        with self._store.read() as connection:
            return {row.id: row.version for row in connection.execute(query)}

    def find(self, document: str) -> StoredDocument:
        """Return one document by `id` or `source/id`; never guesses between two."""
        with self._store.read() as connection:
            found = [_stored(row) for row in connection.execute(_named(document))]
        if not found:
            raise DocumentNotFound(document=document)
        if len(found) > 1:
            raise DocumentAmbiguous(document=document, sources=", ".join(d.source for d in found))
        return found[0]

    def documents(self) -> Sequence[StoredDocument]:
        """Return every document, by source and id."""
        with self._store.read() as connection:
            return [_stored(row) for row in connection.execute(_documents())]

    def vectors(self, hashes: Iterable[str]) -> Mapping[str, bytes]:
        """Return text hash -> vector for those texts that are already embedded."""
        found: dict[str, bytes] = {}
        query = select(embedding.c.text_hash, embedding.c.vector)
        with self._store.read() as connection:
            for some in _batches(hashes):
                for row in connection.execute(query.where(embedding.c.text_hash.in_(some))):
                    found[row.text_hash] = bytes(row.vector)
        return found

    def embedder(self) -> str | None:
        """Return the id of the embedder the corpus was made with; None while it is empty."""
        with self._store.read() as connection:
            return _embedder(connection)

    def position(self) -> int:
        """Return the number of the last change, seen or not by any asker: for operators."""
        with self._store.read() as connection:
            return _position(connection)


@dataclass(slots=True)
class _Writer:
    """One write transaction: documents, the log of what changed, and whose view it moved."""

    connection: Connection
    _classes: dict[tuple[str, bool], int] = field(default_factory=dict[tuple[str, bool], int])
    _moved: Counter[int] = field(default_factory=Counter[int])
    _log: list[dict[str, object]] = field(default_factory=list[dict[str, object]])
    _dropped: set[str] = field(default_factory=set[str])

    def __post_init__(self) -> None:
        if self.connection.dialect.name == "postgresql":
            # Readers pass; other writers of the corpus wait until this one has committed.
            self.connection.execute(text("LOCK TABLE change IN EXCLUSIVE MODE"))

    def put(self, item: CorpusChange, embedder: str) -> None:
        doc = item.document
        row = self._row(doc.source.name, doc.id)
        if item.chunks is None:
            if row is None or row.version != doc.version:
                hint = "Another process removed or changed it during this ingest; ingest again."
                raise DocumentNotFound(document=f"{doc.source.name}/{doc.id}", hint=hint)
            self._describe(row, doc)
        elif row is None:
            number = self._class(doc.label, vetted=doc.source.vetted)
            added = self.connection.execute(insert(document).values(_values(doc, number)))
            pk = int((added.inserted_primary_key or (0,))[0])
            self._write(pk, item.chunks, embedder)
            self._record("added", pk, None, number)
        elif row.version == doc.version and self._same(row.pk, item.chunks):
            self._describe(row, doc)
        else:
            number = self._class(doc.label, vetted=doc.source.vetted)
            self._clear(row.pk)
            self._write(row.pk, item.chunks, embedder)
            self._set(row.pk, _values(doc, number))
            self._record("changed", row.pk, row.number, number)

    def relabel(self, source: str, name: str, label: Label) -> None:
        row = self._row(source, name)
        if row is None:
            raise DocumentNotFound(document=f"{source}/{name}")
        number = self._class(label, vetted=row.vetted)
        if number != row.number:
            self._set(row.pk, {"class": number})
            self._record("relabelled", row.pk, row.number, number)

    def remove(self, source: str, name: str) -> None:
        row = self._row(source, name)
        if row is not None:
            self._clear(row.pk)
            self.connection.execute(delete(document).where(document.c.pk == row.pk))
            self._record("removed", row.pk, row.number, None)

    def finish(self) -> int:
        """Write the log, move the views' counters, drop vectors without a text."""
        if self._log:
            self.connection.execute(insert(change), self._log)
        for number, times in sorted(self._moved.items()):
            counted = {"changes": acl_class.c.changes + times}
            self.connection.execute(
                update(acl_class).where(acl_class.c.id == number).values(counted)
            )
        unused = ~exists().where(chunk.c.text_hash == embedding.c.text_hash)
        for some in _batches(sorted(self._dropped)):
            gone = delete(embedding).where(embedding.c.text_hash.in_(some), unused)
            self.connection.execute(gone)
        return _position(self.connection)

    def _describe(self, row: Row[Any], doc: Document) -> None:
        number = self._class(doc.label, vetted=doc.source.vetted)
        old = (row.title, row.vetted, canonical(row.metadata))
        described = old != (doc.title, doc.source.vetted, canonical(doc.metadata))
        if described or number != row.number:
            self._set(row.pk, _values(doc, number))
            self._record("described" if described else "relabelled", row.pk, row.number, number)

    def _record(self, kind: Kind, pk: int, before: int | None, after: int | None) -> None:
        # Once for each class whose readers can tell: those who saw it before, those who see it now.
        self._moved.update({number for number in (before, after) if number is not None})
        self._log.append(
            {"kind": kind, "document": pk, "class": before if after is None else after}
        )

    def _row(self, source: str, name: str) -> Row[Any] | None:
        query = select(document, document.c["class"].label("number"))
        return self.connection.execute(
            query.where(document.c.source == source, document.c.id == name)
        ).one_or_none()

    def _class(self, label: Label, *, vetted: bool) -> int:
        interned = (label.key, vetted)
        if interned not in self._classes:
            table = acl_class.c
            query = select(table.id).where(table.key == label.key, table.vetted == vetted)
            number = self.connection.execute(query).scalar_one_or_none()
            if number is None:
                values = {"key": label.key, "vetted": vetted, "changes": 0}
                added = self.connection.execute(insert(acl_class).values(values))
                number = (added.inserted_primary_key or (0,))[0]
            self._classes[interned] = int(number)
        return self._classes[interned]

    def _set(self, pk: int, values: Mapping[str, object]) -> None:
        self.connection.execute(update(document).where(document.c.pk == pk).values(values))

    def _same(self, pk: int, chunks: Sequence[IndexedChunk]) -> bool:
        query = select(chunk.c.id, chunk.c.ordinal, chunk.c.text_hash, chunk.c.terms)
        rows = self.connection.execute(
            query.where(chunk.c.document == pk).order_by(chunk.c.ordinal)
        )
        stored = [(r.id, r.ordinal, r.text_hash, r.terms) for r in rows]
        given = [(c.chunk.id, c.chunk.ordinal, c.text_hash, dict(c.terms)) for c in chunks]
        return stored == sorted(given, key=lambda c: c[1])

    def _clear(self, pk: int) -> None:
        hashes = self.connection.execute(select(chunk.c.text_hash).where(chunk.c.document == pk))
        self._dropped.update(hashes.scalars())
        self.connection.execute(delete(chunk).where(chunk.c.document == pk))

    def _write(self, pk: int, chunks: Sequence[IndexedChunk], embedder: str) -> None:
        for some in _batches(chunks):
            self.connection.execute(insert(chunk), [_chunk_values(pk, c) for c in some])
            vectors = {c.text_hash: c.vector for c in some}
            query = select(embedding.c.text_hash).where(embedding.c.text_hash.in_(vectors))
            for known in self.connection.execute(query).scalars():
                vectors.pop(known)
            if vectors:
                self.connection.execute(
                    insert(embedding),
                    [
                        {"text_hash": h, "embedder": embedder, "vector": v}
                        for h, v in vectors.items()
                    ],
                )


def _values(doc: Document, number: int) -> dict[str, object]:
    return {
        "source": doc.source.name,
        "id": doc.id,
        "version": doc.version,
        "title": doc.title,
        "vetted": doc.source.vetted,
        "class": number,
        "metadata": dict(doc.metadata),
    }


def _chunk_values(pk: int, item: IndexedChunk) -> dict[str, object]:
    return {
        "id": item.chunk.id,
        "document": pk,
        "ordinal": item.chunk.ordinal,
        "section": item.chunk.section,
        "text": item.chunk.text,
        "text_hash": item.text_hash,
        "length": sum(item.terms.values()),
        "terms": dict(item.terms),
    }


def _documents() -> Select[Any]:
    query = select(document, acl_class.c.key).join(acl_class, document.c["class"] == acl_class.c.id)
    return query.order_by(document.c.source, document.c.id)


def _named(name: str) -> Select[Any]:
    # An id may itself hold slashes, so every split of `source/id` is a candidate.
    parts = name.split("/")
    splits = [("/".join(parts[:i]), "/".join(parts[i:])) for i in range(1, len(parts))]
    qualified = [(document.c.source == source) & (document.c.id == rest) for source, rest in splits]
    return _documents().where(or_(document.c.id == name, *qualified))


def _stored(row: Row[Any]) -> StoredDocument:
    return StoredDocument(
        source=row.source,
        id=row.id,
        version=row.version,
        title=row.title,
        label=label_of(row.key),
        vetted=row.vetted,
        metadata=row.metadata,
    )


def _embedder(connection: Connection) -> str | None:
    return connection.execute(select(embedding.c.embedder).limit(1)).scalar_one_or_none()


def _position(connection: Connection) -> int:
    return int(connection.execute(select(func.coalesce(func.max(change.c.seq), 0))).scalar_one())


def _batches(items: Iterable[_Item]) -> Iterator[list[_Item]]:
    iterator = iter(items)
    while some := list(islice(iterator, _BATCH)):
        yield some
