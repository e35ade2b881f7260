"""The corpus keeps its promises on both engines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from threading import Thread

import pytest
from sqlalchemy import select

from staid.domain.errors import DocumentAmbiguous, DocumentNotFound, EmbedderMismatch
from staid.domain.label import EVERYONE, NOBODY, Label
from staid.domain.ports import CorpusChange
from staid.store.corpus import SqlCorpus
from staid.store.engine import Store
from staid.store.tables import acl_class, change, chunk, document, embedding
from staid.testing.documents import written
from staid.testing.embedder import HashingEmbedder

FINANCE = Label.of([["group:finance"]], ["user:intern"])
EMBEDDER = HashingEmbedder()


def doc(
    name: str, texts: str | list[str], label: Label = EVERYONE, source: str = "help"
) -> CorpusChange:
    """One document for these tests."""
    return written(EMBEDDER, name, texts, label, source=source)


@pytest.fixture
def corpus(store: Store) -> SqlCorpus:
    """Give the corpus under test."""
    return SqlCorpus(store)


def counted(store: Store) -> Mapping[str, int]:
    """How often the view of each class moved."""
    with store.read() as connection:
        return {r.key: r.changes for r in connection.execute(select(acl_class)) if r.changes}


def kinds(store: Store) -> list[str]:
    """Return the kinds in the change log, in order."""
    with store.read() as connection:
        return list(connection.execute(select(change.c.kind).order_by(change.c.seq)).scalars())


def rows(store: Store) -> tuple[int, int, int]:
    """How many documents, chunks and embeddings are stored."""
    with store.read() as connection:
        return tuple(len(connection.execute(select(t)).all()) for t in (document, chunk, embedding))  # type: ignore[return-value]  # three tables, three numbers


def test_stores_documents_with_chunks_labels_and_vectors(store: Store, corpus: SqlCorpus) -> None:
    """What was applied comes back whole: versions, labels, vectors, embedder, position."""
    item = doc("refunds", ["Money back.", "Within 30 days."], FINANCE)
    assert corpus.embedder() is None
    assert corpus.apply([item], EMBEDDER.id) == corpus.position() == 1
    assert rows(store) == (1, 2, 2)
    assert corpus.versions("help") == {"refunds": item.document.version}
    assert corpus.versions("other") == {}
    assert corpus.embedder() == EMBEDDER.id
    found = corpus.find("help/refunds")
    assert (found.source, found.id, found.label, found.vetted) == ("help", "refunds", FINANCE, True)
    assert item.chunks is not None
    hashes = {c.text_hash: c.vector for c in item.chunks}
    assert corpus.vectors([*hashes, "unknown"]) == hashes


def test_an_identical_ingest_leaves_no_trace(store: Store, corpus: SqlCorpus) -> None:
    """Neither log nor counters nor position move when nothing changed, with or without chunks."""
    items = [doc("a", "One.", FINANCE), doc("b", "Two.")]
    before = (corpus.apply(items, EMBEDDER.id), counted(store), kinds(store))
    again = [items[0], replace(items[1], chunks=None)]
    assert (corpus.apply(again, EMBEDDER.id), counted(store), kinds(store)) == before


def test_every_kind_of_change_counts_for_those_who_can_tell(
    store: Store, corpus: SqlCorpus
) -> None:
    """Counters move for the class before and the class after, and for no other class."""
    corpus.apply([doc("bystander", "Nothing happens here.", Label.of([["group:x"]]))], EMBEDDER.id)
    still = counted(store)
    first = doc("a", "One.")
    corpus.apply([first], EMBEDDER.id)
    assert counted(store) == {**still, EVERYONE.key: 1}
    corpus.relabel("help", "a", FINANCE)
    assert counted(store) == {**still, EVERYONE.key: 2, FINANCE.key: 1}
    corpus.apply([doc("a", "Another one.", FINANCE)], EMBEDDER.id)
    assert counted(store) == {**still, EVERYONE.key: 2, FINANCE.key: 2}
    corpus.apply([doc("a", "And a third.", NOBODY)], EMBEDDER.id)
    assert counted(store) == {**still, EVERYONE.key: 2, FINANCE.key: 3, NOBODY.key: 1}
    corpus.remove("help", ["a", "never there"])
    assert counted(store) == {**still, EVERYONE.key: 2, FINANCE.key: 3, NOBODY.key: 2}
    assert kinds(store)[1:] == ["added", "relabelled", "changed", "changed", "removed"]


def test_label_and_metadata_apply_without_chunks(store: Store, corpus: SqlCorpus) -> None:
    """A known version takes a new label and new metadata without being embedded again."""
    item = doc("a", "One.")
    corpus.apply([item], EMBEDDER.id)
    moved = replace(item.document, label=FINANCE)
    corpus.apply([CorpusChange(moved, None)], EMBEDDER.id)
    assert corpus.find("a").label == FINANCE
    described = replace(moved, metadata={"lang": "en", "sizes": [1, 2]})
    corpus.apply([CorpusChange(described, None)], EMBEDDER.id)
    assert corpus.find("a").metadata == {"lang": "en", "sizes": [1, 2]}
    assert kinds(store) == ["added", "relabelled", "described"]


def test_equal_labels_are_one_class(store: Store, corpus: SqlCorpus) -> None:
    """Labels written in different order are interned once; a label changed back is no new class."""
    one = Label.of([["group:a", "group:b"], ["group:c"]])
    two = Label.of([["group:c"], ["group:b", "group:a"], ["group:c", "group:d"]])
    corpus.apply([doc("a", "One.", one), doc("b", "Two.", two)], EMBEDDER.id)
    corpus.relabel("help", "a", EVERYONE)
    corpus.relabel("help", "a", two)
    with store.read() as connection:
        keys = connection.execute(select(acl_class.c.key)).scalars().all()
    assert sorted(keys) == sorted([one.key, EVERYONE.key])


def test_a_failed_batch_leaves_nothing(store: Store, corpus: SqlCorpus) -> None:
    """Changes are stored whole or not at all: one bad document takes the batch with it."""
    good = doc("good", "Fine.")
    lost = replace(doc("lost", "Never stored."), chunks=None)
    with pytest.raises(DocumentNotFound, match="ST-205"):
        corpus.apply([good, lost], EMBEDDER.id)
    assert rows(store) == (0, 0, 0)
    assert (corpus.position(), counted(store)) == (0, {})


def test_removal_takes_vectors_that_nobody_shares(store: Store, corpus: SqlCorpus) -> None:
    """A removed text leaves no vector behind, unless another document has the same text."""
    corpus.apply([doc("a", ["Shared.", "Mine."]), doc("b", "Shared.")], EMBEDDER.id)
    assert rows(store) == (2, 3, 2)
    corpus.remove("help", ["a"])
    assert rows(store) == (1, 1, 1)
    corpus.apply([doc("b", "Other.")], EMBEDDER.id)
    assert rows(store) == (1, 1, 1)
    corpus.remove("help", ["b"])
    assert (rows(store), corpus.embedder()) == ((0, 0, 0), None)


def test_another_embedder_is_refused(corpus: SqlCorpus) -> None:
    """Vectors of two models never meet in one corpus."""
    corpus.apply([doc("a", "One.")], EMBEDDER.id)
    with pytest.raises(EmbedderMismatch, match="ST-220"):
        corpus.apply([doc("b", "Two.")], "other-model")
    assert list(corpus.versions("help")) == ["a"]


def test_names_are_found_or_ambiguous_never_guessed(corpus: SqlCorpus) -> None:
    """A bare id is enough where it is unique; two candidates are an error naming the sources."""
    corpus.apply([doc("a", "One."), doc("dir/b", "Two."), doc("c", "Three.")], EMBEDDER.id)
    corpus.apply([doc("a", "One.", source="wiki"), doc("b", "Four.", source="dir")], EMBEDDER.id)
    assert corpus.find("c").id == corpus.find("help/c").id == "c"
    assert corpus.find("wiki/a").source == "wiki"
    assert corpus.find("help/dir/b").source == "help"
    for name, sources in {"a": "help, wiki", "dir/b": "dir, help"}.items():
        with pytest.raises(DocumentAmbiguous, match=sources):
            corpus.find(name)
    with pytest.raises(DocumentNotFound):
        corpus.find("nothing")
    assert [(d.source, d.id) for d in corpus.documents()] == [
        ("dir", "b"),
        ("help", "a"),
        ("help", "c"),
        ("help", "dir/b"),
        ("wiki", "a"),
    ]


def test_relabelling_what_is_not_there_is_an_error(corpus: SqlCorpus) -> None:
    """A revoke that hits nothing is never silent."""
    with pytest.raises(DocumentNotFound):
        corpus.relabel("help", "nothing", NOBODY)


def test_writers_take_turns(url: str, corpus: SqlCorpus) -> None:
    """Ten threads that write at once lose no change: numbers, counters and documents agree."""

    def work(number: int) -> None:
        own = Store(url)
        for step in range(4):
            SqlCorpus(own).apply([doc(f"{number}", f"Text {number} {step}.")], EMBEDDER.id)
        own.close()

    threads = [Thread(target=work, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(corpus.versions("help")) == 10
    assert len(kinds(corpus._store)) == counted(corpus._store)[EVERYONE.key] == 40
