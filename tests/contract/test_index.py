"""Permission-aware search keeps its promises: embedded on both engines, and inside PostgreSQL."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from threading import Event, Thread

import numpy as np
import pytest
from sqlalchemy import text

from staid.access.evaluate import permits
from staid.domain.errors import EmbedderBroken, EmbedderMismatch, StoreUnavailable
from staid.domain.label import EVERYONE, NOBODY, Label
from staid.domain.passage import Retrieval
from staid.domain.ports import CorpusChange, Index, Query
from staid.knowledge.index.embedded import EmbeddedIndex
from staid.knowledge.index.pgvector import PgVectorIndex
from staid.store.corpus import SqlCorpus
from staid.store.engine import Store
from staid.testing.documents import written
from staid.testing.embedder import HashingEmbedder
from staid.testing.postgres import PostgresServer

EMBEDDER = HashingEmbedder()
WORDS = [f"word{number}" for number in range(40)]
Maker = Callable[[Store], Index]


def embedded(store: Store) -> Index:
    """Return an index in this process without a cache file."""
    return EmbeddedIndex(store, EMBEDDER.id, EMBEDDER.dimension)


def inside(store: Store) -> Index:
    """Return an index inside PostgreSQL."""
    return PgVectorIndex(store, EMBEDDER.id, EMBEDDER.dimension)


@pytest.fixture(
    params=[
        ("sqlite", embedded),
        pytest.param(("postgres", embedded), marks=pytest.mark.postgres),
        pytest.param(("postgres", inside), marks=pytest.mark.postgres),
    ],
    ids=["embedded-sqlite", "embedded-postgres", "pgvector"],
)
def kind(request: pytest.FixtureRequest) -> tuple[str, Maker]:
    """Engine and index under test."""
    return request.param


@pytest.fixture
def url(kind: tuple[str, Maker], request: pytest.FixtureRequest) -> str:
    """Give the URL of a fresh store on the engine under test."""
    return request.getfixturevalue(f"{kind[0]}_url")


@pytest.fixture
def postgres_store(postgres_url: str) -> Iterator[Store]:
    """Give a fresh store on PostgreSQL alone."""
    opened = Store(postgres_url)
    yield opened
    opened.close()


@pytest.fixture
def index(kind: tuple[str, Maker], store: Store) -> Index:
    """Give the index under test, opened before anything is stored."""
    return kind[1](store)


@pytest.fixture
def corpus(store: Store) -> SqlCorpus:
    """Give the corpus behind the index."""
    return SqlCorpus(store)


def doc(
    name: str, texts: str | list[str], label: Label = EVERYONE, *, vetted: bool = True
) -> CorpusChange:
    """One document for these tests."""
    return written(EMBEDDER, name, texts, label, vetted=vetted)


def ask(words: str, *tokens: str, k: int = 10, agent: frozenset[str] | None = None) -> Query:
    """Return a query by somebody who holds these tokens."""
    return Query(words, EMBEDDER.embed(words), frozenset(tokens), agent, k)


def names(found: Retrieval) -> list[str]:
    """Return the documents found, best first."""
    return [passage.document for passage in found.passages]


def random_corpus(seed: int, size: int = 120) -> list[CorpusChange]:
    """Documents of random words under random labels, some public, some denied, some nobody's."""
    draw = random.Random(seed)
    groups = [f"group:{letter}" for letter in "abcdef"]

    def label() -> Label:
        if draw.random() < 0.1:
            return draw.choice([EVERYONE, NOBODY])
        clauses = [draw.sample(groups, draw.randint(1, 3)) for _ in range(draw.randint(1, 2))]
        return Label.of(clauses, draw.sample(groups, draw.choice([0, 0, 1])))

    return [
        doc(
            f"d{n}",
            [" ".join(draw.choices(WORDS, k=12)) for _ in range(draw.randint(1, 3))],
            label(),
        )
        for n in range(size)
    ]


def test_finds_what_was_said_and_measures_it(corpus: SqlCorpus, index: Index) -> None:
    """The right passage comes first with every field and signal filled from the view."""
    corpus.apply(
        [
            doc("refunds", ["Annual plans get a refund within 30 days.", "Write to billing."]),
            doc("cats", "Cats sleep most of the day.", vetted=False),
        ],
        EMBEDDER.id,
    )
    found = index.search(ask("refund for annual plans", "public", "user:ada"))
    best = found.passages[0]
    assert (best.source, best.document, best.title, best.section) == (
        "help",
        "refunds",
        "refunds",
        "",
    )
    assert best.text == "Annual plans get a refund within 30 days."
    assert (best.rank, best.vector_rank, best.lexical_rank) == (1, 1, 1)
    assert best.similarity == found.signals.similarities[0] > 0.4
    assert best.bm25 == found.signals.bm25[0] > 0
    assert (best.label, best.vetted, len(best.version)) == (EVERYONE, True, 64)
    cats = next(p for p in found.passages if p.document == "cats")
    assert (cats.vetted, cats.bm25, cats.lexical_rank) == (False, 0, None)
    assert [p.rank for p in found.passages] == [1, 2, 3]
    signals = found.signals
    assert signals.view == len(signals.similarities) == 3
    assert [term for term, _ in signals.idf] == ["refund", "annual", "plan"]
    assert signals.idf[0][1] == round(float(np.log(1 + 2.5 / 1.5)), 6)
    assert signals.similarity_mean == pytest.approx(np.mean(signals.similarities), abs=2e-6)
    assert signals.similarity_std == pytest.approx(np.std(signals.similarities), abs=2e-6)
    assert (found.position, found.withheld) == (2, 0)


def test_never_leaks_and_never_returns_a_short_list(corpus: SqlCorpus, index: Index) -> None:
    """For many askers: only permitted passages, each live, and as many as k or the view has."""
    items = random_corpus(1)
    corpus.apply(items, EMBEDDER.id)
    labels = {item.document.id: item.document.label for item in items}
    sizes = {item.document.id: len(item.chunks or ()) for item in items}
    draw = random.Random(2)
    for _ in range(25):
        tokens = {"public", *draw.sample([f"group:{c}" for c in "abcdef"], draw.randint(0, 4))}
        agent = draw.choice([None, frozenset({"public", "group:a", "group:b"})])
        k = draw.choice([1, 5, 10, 300])
        found = index.search(ask(" ".join(draw.choices(WORDS, k=3)), *tokens, k=k, agent=agent))
        view = [
            name
            for name, label in labels.items()
            if permits(label, tokens) and (agent is None or permits(label, agent))
        ]
        assert set(names(found)) <= set(view)
        assert found.signals.view == sum(sizes[name] for name in view)
        assert len(found.passages) == min(k, found.signals.view)
        assert all(p.label == labels[p.document] for p in found.passages)


def test_who_holds_nothing_finds_nothing(corpus: SqlCorpus, index: Index) -> None:
    """No token, missing rights and k = 0 give empty results; public needs the explicit token."""
    assert index.search(ask("anything", "public")) == index.search(ask("anything", "user:ada"))
    corpus.apply([doc("open", "Word."), doc("nobody", "Word.", NOBODY)], EMBEDDER.id)
    nothing = index.search(ask("word"))
    assert (nothing.passages, nothing.position, nothing.signals.view) == ((), 0, 0)
    assert nothing.signals.similarities == nothing.signals.bm25 == ()
    assert names(index.search(ask("word", "user:ada"))) == []
    assert names(index.search(ask("word", "user:ada", "public"))) == ["open"]
    assert names(index.search(ask("word", "public", k=0))) == []
    assert names(index.search(ask("word", "public", agent=frozenset()))) == []


def test_deny_beats_allow_and_clauses_add_up(corpus: SqlCorpus, index: Index) -> None:
    """AND of OR-clauses and deny decide inside the search, for asker and agent alike."""
    label = Label.of([["group:finance", "user:cfo"], ["group:employees"]], ["group:interns"])
    corpus.apply([doc("plan", "The secret plan.", label)], EMBEDDER.id)
    assert names(index.search(ask("plan", "group:finance"))) == []
    both = ("group:finance", "group:employees")
    assert names(index.search(ask("plan", *both))) == ["plan"]
    assert names(index.search(ask("plan", "user:cfo", "group:employees"))) == ["plan"]
    assert names(index.search(ask("plan", *both, "group:interns"))) == []
    assert names(index.search(ask("plan", *both, agent=frozenset(both)))) == ["plan"]
    assert names(index.search(ask("plan", *both, agent=frozenset({"group:finance"})))) == []


def test_changes_hold_on_the_next_query(corpus: SqlCorpus, index: Index) -> None:
    """Added, changed, relabelled and removed documents show at once in an index that was open."""
    query = ask("alpha beta", "public")
    corpus.apply([doc("a", "Alpha."), doc("b", "Beta.")], EMBEDDER.id)
    assert set(names(index.search(query))) == {"a", "b"}
    corpus.apply([doc("a", "Gamma alpha beta.")], EMBEDDER.id)
    first = index.search(query).passages[0]
    assert (first.document, first.text) == ("a", "Gamma alpha beta.")
    corpus.relabel("help", "a", NOBODY)
    assert names(index.search(query)) == ["b"]
    corpus.relabel("help", "a", EVERYONE)
    assert set(names(index.search(query))) == {"a", "b"}
    corpus.remove("help", ["a"])
    assert names(index.search(query)) == ["b"]
    before = index.search(query)
    corpus.apply([doc("b", "Beta.")], EMBEDDER.id)
    assert index.search(query) == before


def test_a_revoke_by_another_process_holds_at_once(
    url: str, corpus: SqlCorpus, index: Index
) -> None:
    """A child process commits a revoke; the parent's very next query does not see the document."""
    corpus.apply([doc(f"d{n}", f"Alpha {WORDS[n]}.") for n in range(5)], EMBEDDER.id)
    query = ask("alpha", "public")
    assert len(index.search(query).passages) == 5
    for left in range(4, -1, -1):
        child = os.fork()
        if child == 0:
            try:
                SqlCorpus(Store(url)).relabel("help", f"d{left}", NOBODY)
            except BaseException:  # noqa: BLE001  # a child must never return into pytest
                os._exit(1)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert sorted(names(index.search(query))) == [f"d{n}" for n in range(left)]


def test_a_fork_searches_on(store: Store, corpus: SqlCorpus, index: Index) -> None:
    """A child inherits an open index whose lock was held at the fork, and still answers rightly."""
    corpus.apply([doc("a", "Alpha.")], EMBEDDER.id)
    index.search(ask("alpha", "public"))
    held, release = Event(), Event()
    lock = getattr(index, "_lock", None)

    def hold() -> None:
        if lock is not None:
            with lock:
                held.set()
                release.wait(30)
        held.set()

    holder = Thread(target=hold)
    holder.start()
    held.wait(30)
    child = os.fork()
    if child == 0:
        signal.alarm(20)  # a child that waits for a lock nobody holds must not wait for ever
        try:
            corpus.relabel("help", "a", NOBODY)
            found = names(index.search(ask("alpha", "public")))
        except BaseException:  # noqa: BLE001  # a child must never return into pytest
            os._exit(2)
        os._exit(0 if found == [] else 1)
    status = os.waitpid(child, 0)[1]
    release.set()
    holder.join()
    assert status == 0
    assert names(index.search(ask("alpha", "public"))) == []


def test_readers_and_a_writer_at_once(store: Store, corpus: SqlCorpus, index: Index) -> None:
    """While a writer swaps which of two documents is visible, no reader sees both or neither."""
    shown, hidden = doc("a", "Alpha one."), doc("b", "Alpha two.", NOBODY)
    corpus.apply([shown, hidden], EMBEDDER.id)
    done = Event()
    wrong: list[object] = []

    def read() -> None:
        while not done.is_set():
            try:
                found = index.search(ask("alpha", "public"))
            except Exception as error:  # noqa: BLE001  # whatever it is, the test must fail with it
                wrong.append(error)
                return
            if len(found.passages) != 1 or found.signals.view != 1:
                wrong.append(found)

    readers = [Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for step in range(30):
        one, two = (EVERYONE, NOBODY) if step % 2 else (NOBODY, EVERYONE)
        swap = [replace(shown.document, label=one), replace(hidden.document, label=two)]
        corpus.apply([CorpusChange(document, None) for document in swap], EMBEDDER.id)
    done.set()
    for reader in readers:
        reader.join()
    assert wrong == []


def test_rights_changed_behind_the_log_are_caught(
    store: Store, corpus: SqlCorpus, index: Index
) -> None:
    """A label edited straight in the database, without a log row, still withholds the winner."""
    corpus.apply([doc("a", "Alpha beta."), doc("b", "Alpha."), doc("c", "x", NOBODY)], EMBEDDER.id)
    query = ask("alpha beta", "public", k=1)
    assert names(index.search(query)) == ["a"]
    with store.write() as connection:
        connection.execute(
            text("""UPDATE document SET "class" = (SELECT "class" FROM document WHERE id = 'c')
                    WHERE id = 'a'""")
        )
    found = index.search(query)
    assert names(found) == ["b"]
    assert found.withheld == (1 if isinstance(index, EmbeddedIndex) else 0)
    assert found.signals.view == 1
    assert index.search(query).withheld == 0


def test_another_embedder_is_refused(
    store: Store, corpus: SqlCorpus, kind: tuple[str, Maker]
) -> None:
    """Vectors of another model, of another length or without a number are errors, never results."""
    corpus.apply([doc("a", "Alpha.")], "other-model")
    with pytest.raises(EmbedderMismatch, match="other-model"):
        kind[1](store).search(ask("alpha", "public"))
    for vector in (b"", EMBEDDER.embed("x")[:-4], b"\xff" * 4 * EMBEDDER.dimension):
        with pytest.raises(EmbedderBroken):
            kind[1](store).search(replace(ask("alpha", "public"), vector=vector))


def test_a_failing_catch_up_fails_the_query(store: Store, corpus: SqlCorpus, index: Index) -> None:
    """An index that cannot read the change log answers with an error, never from memory."""
    corpus.apply([doc("a", "Alpha.")], EMBEDDER.id)
    assert names(index.search(ask("alpha", "public"))) == ["a"]
    with store.write() as connection:
        connection.execute(text("ALTER TABLE acl_class RENAME TO elsewhere"))
        connection.execute(text("ALTER TABLE change RENAME TO nowhere"))
    with pytest.raises(StoreUnavailable):
        index.search(ask("alpha", "public"))


@pytest.mark.postgres
def test_both_indexes_agree(postgres_store: Store) -> None:
    """On the same data pgvector and the embedded index rank alike, ties apart, within 1e-5."""
    corpus = SqlCorpus(postgres_store)
    corpus.apply(random_corpus(3), EMBEDDER.id)
    one, two = embedded(postgres_store), inside(postgres_store)
    draw = random.Random(4)
    for step in range(40):
        if step == 20:
            corpus.apply(random_corpus(5, 60), EMBEDDER.id)
        tokens = {"public", *draw.sample([f"group:{c}" for c in "abcdef"], draw.randint(0, 5))}
        words = " ".join(draw.choices([*WORDS, "unheard"], k=4))
        query = ask(words, *tokens, k=draw.choice([3, 10, 200]))
        assert_alike(one.search(query), two.search(query))


def assert_alike(one: Retrieval, two: Retrieval) -> None:
    """Equal but for the last bits of the numbers and the order of what these bits tie."""
    assert (one.position, one.withheld) == (two.position, two.withheld)
    a, b = one.signals, two.signals
    assert (a.view, a.idf) == (b.view, b.idf)
    for left, right in ((a.similarities, b.similarities), (a.bm25, b.bm25)):
        assert left == pytest.approx(right, abs=1e-5)
    assert a.similarity_mean == pytest.approx(b.similarity_mean, abs=1e-5)
    assert a.similarity_std == pytest.approx(b.similarity_std, abs=1e-5)
    assert len(one.passages) == len(two.passages)
    other = {p.chunk: p for p in two.passages}
    for left in one.passages:
        right = other.get(left.chunk, two.passages[left.rank - 1])
        assert left.similarity == pytest.approx(right.similarity, abs=1e-5)
        assert left.bm25 == pytest.approx(right.bm25, abs=1e-5)
        if left.chunk == two.passages[left.rank - 1].chunk:
            assert replace(left, similarity=0, bm25=0) == replace(right, similarity=0, bm25=0)


@pytest.mark.postgres
def test_pgvector_fills_what_others_stored(postgres_store: Store) -> None:
    """Vectors are found that were stored before the column or by who knows nothing of it."""
    corpus = SqlCorpus(postgres_store)
    texts = [f"Alpha number{n}." for n in range(1200)]
    corpus.apply([doc("a", texts[:600]), doc("b", texts[600:])], EMBEDDER.id)
    index = inside(postgres_store)
    assert index.search(ask("alpha", "public", k=1200)).signals.view == 1200
    corpus.apply([doc("late", "Alpha late.")], EMBEDDER.id)
    assert names(index.search(ask("late", "public", k=1))) == ["late"]


@pytest.mark.postgres
def test_the_server_can_be_joined(postgres: PostgresServer) -> None:
    """A fresh database is empty and gone afterwards."""
    with postgres.database() as url:
        store = Store(url)
        with store.read() as connection:
            assert (
                connection.execute(
                    text("SELECT count(*) FROM pg_class WHERE relname = 'run'")
                ).scalar()
                == 0
            )
        store.close()
    gone = Store(url)
    with pytest.raises(StoreUnavailable), gone.read() as connection:
        connection.execute(text("SELECT 1"))
    gone.close()
