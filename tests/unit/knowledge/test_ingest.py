"""Ingest: idempotent, whole documents, labels always, nothing embedded twice, safe after a kill."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import pytest

from staid.domain.document import Document, Section, Source
from staid.domain.errors import EmbedderBroken, EmbedderMismatch
from staid.domain.ids import DocumentId
from staid.domain.label import EVERYONE, NOBODY, Label
from staid.domain.ports import CorpusChange, StoredDocument
from staid.knowledge import ingest as module
from staid.knowledge.chunk import embedded_text
from staid.knowledge.ingest import Ingestor, IngestReport, Progress
from staid.knowledge.skipped import Skipped

HELP = Source("help")
HR = Label.of([["group:hr"]])


class Memory:
    """The corpus in memory: keeps what it was given, in whole batches."""

    def __init__(self) -> None:
        self.stored: dict[tuple[str, str], CorpusChange] = {}
        self.known: dict[str, bytes] = {}
        self.made_with: str | None = None
        self.batches: list[int] = []
        self.fail_after: int | None = None

    def apply(self, changes: Sequence[CorpusChange], embedder: str) -> int:
        """Store a batch whole, or fail before it."""
        if self.fail_after is not None and len(self.batches) >= self.fail_after:
            raise RuntimeError
        for change in changes:
            key = (change.document.source.name, change.document.id)
            chunks = change.chunks if change.chunks is not None else self.stored[key].chunks
            self.stored[key] = CorpusChange(change.document, chunks)
            self.known.update({c.text_hash: c.vector for c in change.chunks or ()})
        self.made_with = embedder
        self.batches.append(len(changes))
        return len(self.batches)

    def remove(self, source: str, ids: Iterable[str]) -> int:
        """Forget documents."""
        for name in ids:
            del self.stored[source, name]
        if not self.stored:
            self.made_with, self.known = None, {}
        return len(self.batches)

    def relabel(self, source: str, document: str, label: Label) -> int:
        """Change one label."""
        change = self.stored[source, document]
        self.stored[source, document] = replace(
            change, document=replace(change.document, label=label)
        )
        return len(self.batches)

    def versions(self, source: str) -> Mapping[str, str]:
        """Return the stored versions of a source."""
        return {n: c.document.version for (s, n), c in self.stored.items() if s == source}

    def find(self, document: str) -> StoredDocument:
        """Return one document."""
        return next(d for d in self.documents() if d.id == document)

    def documents(self) -> Sequence[StoredDocument]:
        """Return what is stored."""
        return [
            StoredDocument(s, n, c.document.version, c.document.title, c.document.label,
                           c.document.source.vetted, c.document.metadata)
            for (s, n), c in sorted(self.stored.items())
        ]  # fmt: skip

    def vectors(self, hashes: Iterable[str]) -> Mapping[str, bytes]:
        """Return the vectors that are known."""
        return {h: self.known[h] for h in hashes if h in self.known}

    def embedder(self) -> str | None:
        """Return what it was made with."""
        return self.made_with

    def position(self) -> int:
        """Count the batches."""
        return len(self.batches)

    def label(self, name: str) -> Label:
        """Return the label a document is stored under."""
        return self.find(name).label


class Counting:
    """An embedder that remembers what it was asked."""

    dimension = 2

    def __init__(self, name: str = "counting") -> None:
        self.id = name
        self.texts: list[str] = []
        self.threads: set[str] = set()

    def embed(self, text: str) -> bytes:
        """Return some vector."""
        self.texts.append(text)
        self.threads.add(threading.current_thread().name)
        return len(text).to_bytes(8, "little")


def doc(
    name: str, text: str = "some text", label: Label = EVERYONE, source: Source = HELP
) -> Document:
    """Make a document of one section."""
    return Document(source, DocumentId(name), name.upper(), (Section(("Top",), text),), label)


@pytest.fixture
def corpus() -> Memory:
    """Start with nothing stored."""
    return Memory()


@pytest.fixture
def embedder() -> Counting:
    """Start with nothing embedded."""
    return Counting()


@pytest.fixture
def ingestor(corpus: Memory, embedder: Counting) -> Ingestor:
    """Join the two."""
    return Ingestor(corpus, embedder)


def run(ingestor: Ingestor, *items: Document | Skipped, full: bool = True) -> IngestReport:
    """Ingest these documents."""
    return ingestor.ingest(HELP, iter(items), full=full)


def test_second_ingest_embeds_nothing(ingestor: Ingestor, embedder: Counting) -> None:
    """Unchanged documents are not embedded again; the report counts them all the same."""
    first = run(ingestor, doc("a"), doc("b", "x " * 2000))
    second = run(ingestor, doc("a"), doc("b", "x " * 2000))
    assert (first.documents, first.unchanged, first.embedded) == (2, 0, len(embedder.texts))
    assert (second.documents, second.unchanged, second.embedded) == (2, 2, 0)
    assert first.chunks == second.chunks > 2
    assert (first.nobody, first.removed, first.skipped) == (0, 0, ())


def test_title_and_section_are_embedded_and_counted(
    ingestor: Ingestor, corpus: Memory, embedder: Counting
) -> None:
    """The vector and the terms are of title, section and text together."""
    run(ingestor, doc("refunds", "Paid in days"))
    assert embedder.texts == [embedded_text("REFUNDS", "Top", "Paid in days")]
    chunk = next(iter(corpus.stored["help", "refunds"].chunks or ()))
    assert dict(chunk.terms) == {"refund": 1, "top": 1, "paid": 1, "day": 1}


def test_labels_and_metadata_always_apply(ingestor: Ingestor, corpus: Memory) -> None:
    """A new label or new metadata on old content is applied without embedding anything."""
    run(ingestor, doc("a"))
    report = run(ingestor, replace(doc("a", label=HR), metadata={"k": 1}))
    assert report.embedded == 0
    assert (corpus.label("a"), corpus.find("a").metadata) == (HR, {"k": 1})


def test_equal_texts_are_embedded_once(
    ingestor: Ingestor, corpus: Memory, embedder: Counting
) -> None:
    """One text in two documents, in one batch or two, goes through the model once."""
    twin = replace(doc("a"), id=DocumentId("b"))
    assert run(ingestor, doc("a"), twin, full=False).embedded == 1
    assert run(ingestor, replace(doc("a"), id=DocumentId("c")), full=False).embedded == 0
    assert len(embedder.texts) == 1
    assert len(corpus.stored) == 3


def test_changed_part_alone_is_embedded(ingestor: Ingestor) -> None:
    """A change in one section embeds the chunks of that section only."""
    long = "A sentence about fees and limits. " * 12
    parts = (Section(("One",), long), Section(("Two",), long + "x"))
    run(ingestor, replace(doc("a"), sections=parts))
    report = run(ingestor, replace(doc("a"), sections=(parts[0], Section(("Two",), long + "y"))))
    assert (report.chunks, report.embedded) == (2, 1)


def test_gone_documents_are_removed_from_a_full_source_only(
    ingestor: Ingestor, corpus: Memory
) -> None:
    """What a full source no longer has is removed, by no partial reading and no other source."""
    other = Source("other")
    ingestor.ingest(other, [doc("a", source=other)], full=True)
    run(ingestor, doc("a"), doc("b"))
    assert run(ingestor, doc("a"), full=False).removed == 0
    assert run(ingestor, doc("a")).removed == 1
    assert set(corpus.stored) == {("other", "a"), ("help", "a")}


def test_unreadable_document_keeps_its_old_version_under_its_new_label(
    ingestor: Ingestor, corpus: Memory
) -> None:
    """A stored document that becomes unreadable stays, is reported, and takes its new label."""
    run(ingestor, doc("a"), doc("b"))
    report = run(
        ingestor, Skipped("a", "broken", label=HR), doc("b"), Skipped("new", "broken", label=HR)
    )
    assert (report.removed, report.stale) == (0, ("a",))
    assert [s.id for s in report.skipped] == ["a", "new"]
    assert corpus.label("a") == HR
    assert sorted(d.id for d in corpus.documents()) == ["a", "b"]


def test_nothing_is_taken_for_gone_while_a_part_is_unknown(
    ingestor: Ingestor, corpus: Memory
) -> None:
    """While a line belongs to nobody knows which document, none is removed; the report says so."""
    run(ingestor, doc("a"), doc("b"))
    report = run(ingestor, doc("a"), Skipped("line 2", "not JSON", known=False))
    assert (report.removed, report.kept) == (0, ("b",))
    assert len(corpus.stored) == 2


def test_repeated_id_is_stored_once_under_the_stricter_label(
    ingestor: Ingestor, corpus: Memory
) -> None:
    """The label of a later row with the same id applies before the document is ever visible."""
    stricter = EVERYONE & HR
    report = run(
        ingestor,
        doc("a"),
        Skipped("a", "its id was used", label=stricter),
        doc("b"),
        doc("b", "x", NOBODY),
    )
    assert corpus.label("a") == stricter
    assert corpus.label("b") == NOBODY
    assert (report.documents, report.stale, report.nobody) == (2, (), 1)
    assert corpus.batches == [2]


def test_repeated_id_after_its_batch(
    ingestor: Ingestor, corpus: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stricter label that comes after the document was committed is applied at once."""
    monkeypatch.setattr(module, "BATCH_DOCUMENTS", 1)
    report = run(ingestor, doc("a"), Skipped("a", "its id was used", label=NOBODY))
    assert corpus.label("a") == NOBODY
    assert report.nobody == 1


def test_kept_labels(ingestor: Ingestor, corpus: Memory) -> None:
    """A source that states no rights leaves the labels that were set by hand; new ones: its own."""
    run(ingestor, doc("a", label=NOBODY))
    corpus.relabel("help", "a", HR)
    items = [doc("a", label=NOBODY), doc("b", label=NOBODY), Skipped("a", "again", label=NOBODY)]
    report = ingestor.ingest(HELP, items, full=True, keep_labels=True)
    assert (corpus.label("a"), corpus.label("b"), report.nobody) == (HR, NOBODY, 1)
    empty = Ingestor(Memory(), Counting()).ingest(HELP, items, full=True, keep_labels=True)
    assert empty.nobody == 2


def test_kill_in_the_middle_leaves_whole_documents(
    ingestor: Ingestor, corpus: Memory, embedder: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a failure in a later batch the earlier ones stand whole; a rerun does the rest only."""
    monkeypatch.setattr(module, "BATCH_DOCUMENTS", 4)
    items = [doc(f"d{n}") for n in range(10)]
    corpus.fail_after = 2
    with pytest.raises(RuntimeError):
        run(ingestor, *items)
    assert sorted(corpus.versions("help")) == [f"d{n}" for n in range(8)]
    assert all(change.chunks for change in corpus.stored.values())
    corpus.fail_after = None
    report = run(ingestor, *items)
    assert (report.documents, report.unchanged, report.embedded) == (10, 8, 2)


def test_failure_of_the_source_removes_nothing(ingestor: Ingestor, corpus: Memory) -> None:
    """When reading the source fails, what is stored stays."""
    run(ingestor, doc("a"), doc("b"))

    def failing() -> Iterable[Document]:
        yield doc("a")
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        ingestor.ingest(HELP, failing(), full=True)
    assert len(corpus.stored) == 2


def test_batches_are_bounded_and_told(
    ingestor: Ingestor, corpus: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch closes at its number of new chunks, and progress counts what is committed."""
    monkeypatch.setattr(module, "BATCH_CHUNKS", 3)
    told: list[Progress] = []
    items = [doc(f"d{n}") for n in range(7)]
    ingestor.ingest(HELP, items, full=True, progress=told.append)
    assert corpus.batches == [3, 3, 1]
    assert [p.documents for p in told] == [3, 6, 7]


def test_embedding_uses_threads(ingestor: Ingestor, embedder: Counting) -> None:
    """Texts are embedded off the calling thread."""
    run(ingestor, *(doc(f"d{n}") for n in range(20)))
    assert threading.current_thread().name not in embedder.threads


def test_two_embedders_never_mix(corpus: Memory, ingestor: Ingestor) -> None:
    """Another embedder is refused; a rebuild replaces the source, unless others need the old."""
    run(ingestor, doc("a"))
    second = Ingestor(corpus, Counting("second"))
    with pytest.raises(EmbedderMismatch):
        run(second, doc("a"))
    report = second.ingest(HELP, [doc("a")], full=True, rebuild=True)
    assert (report.embedded, corpus.made_with) == (1, "second")
    other = Source("other")
    second.ingest(other, [doc("o", source=other)], full=True)
    with pytest.raises(EmbedderMismatch):
        ingestor.ingest(HELP, [doc("a")], full=True, rebuild=True)
    assert len(corpus.stored) == 2


def test_rebuild_embeds_everything_anew(ingestor: Ingestor) -> None:
    """A rebuild stores and embeds unchanged documents again."""
    run(ingestor, doc("a"))
    assert ingestor.ingest(HELP, [doc("a")], full=True, rebuild=True).embedded == 1


def test_vectors_of_the_wrong_size_are_refused(corpus: Memory, embedder: Counting) -> None:
    """An embedder that breaks its promise stores nothing."""
    embedder.dimension = 3
    with pytest.raises(EmbedderBroken, match="8 bytes for 3 numbers"):
        run(Ingestor(corpus, embedder), doc("a"))
    assert not corpus.stored
