"""Non-interference of the search: what an asker may not see changes nothing in the response."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete

from staid.domain.label import NOBODY, Label
from staid.domain.passage import Retrieval
from staid.domain.ports import Index, Query
from staid.knowledge.index import state
from staid.knowledge.index.embedded import EmbeddedIndex
from staid.knowledge.index.pgvector import PgVectorIndex
from staid.store.corpus import SqlCorpus
from staid.store.engine import Store
from staid.store.tables import acl_class, change, chunk, document, embedding, metadata
from staid.testing.documents import written
from staid.testing.embedder import HashingEmbedder
from staid.testing.postgres import PostgresServer

EXAMPLES = int(os.environ.get("STAID_LEAK_EXAMPLES", "1000"))
EMBEDDER = HashingEmbedder(8)
GROUPS = ("group:a", "group:b", "group:c", "group:d", "public")
Opener = Callable[["str | None"], Index]
"""Opens an index; with a name, on the cache file of that name."""
SHARED = ("one", "two")
HIDDEN = ("secret", "hush")
DEPARTING = "gone"


@dataclass(frozen=True)
class Op:
    """One act on one document: without a text a new label, without a label its removal."""

    name: str
    label: Label | None
    texts: tuple[str, ...] = ()

    def do(self, corpus: SqlCorpus) -> None:
        """Do it through the corpus, where the document is there to do it to."""
        if self.label is None:
            corpus.remove("help", [self.name])
        elif self.texts:
            corpus.apply([written(EMBEDDER, self.name, self.texts, self.label)], EMBEDDER.id)
        elif self.name in corpus.versions("help"):
            corpus.relabel("help", self.name, self.label)


@dataclass(frozen=True)
class Story:
    """Two worlds that differ in what the asker may not see, and what the asker asks in both."""

    tokens: frozenset[str]
    agent: frozenset[str] | None
    steps: tuple[Op, ...]
    hidden: tuple[tuple[tuple[Op, ...], ...], tuple[tuple[Op, ...], ...]]
    """For each of the two worlds: the hidden acts before each step, and after the last."""
    question: str
    k: int


def sees(label: Label, tokens: frozenset[str]) -> bool:
    """Say what a label means a second time: the oracle of this test."""
    denied = any(token in tokens for token in label.deny)
    clauses = [any(token in tokens for token in clause) for clause in label.allow]
    return bool(clauses) and all(clauses) and not denied


labels = st.builds(
    Label.of,
    st.lists(st.sets(st.sampled_from(GROUPS), min_size=1, max_size=3), min_size=1, max_size=3),
    st.sets(st.sampled_from(GROUPS), max_size=1),
)
texts = st.sampled_from(
    [
        ("ant bee cow",),
        ("ant ant ant bee",),
        ("cow dog", "dog elk elk"),
        ("ant",),
        ("fox gnu fox", "ant bee cow", "bee"),
        ("dog elk fox gnu ant bee cow",),
        ("elk bee", "fox"),
        ("gnu gnu dog cow",),
    ]
)
questions = st.sampled_from(["ant", "bee cow", "dog gnu elk", "fox fox ant", "yak", "the"])


def ops(names: Sequence[str], allowed: st.SearchStrategy[Label]) -> st.SearchStrategy[Op]:
    """Acts on these documents with these labels: mostly a text, sometimes a label or a removal."""
    name = st.sampled_from(names)
    put = st.builds(Op, name, allowed, texts)
    return st.one_of(put, put, st.builds(Op, name, allowed), st.builds(Op, name, st.none()))


@st.composite
def stories(draw: st.DrawFn) -> Story:
    """Draw two worlds. One document is visible at first in both, departs in both, then differs."""
    tokens = frozenset(draw(st.sets(st.sampled_from(GROUPS), min_size=1, max_size=3)))
    common = draw(st.sampled_from(sorted(tokens)))
    others = st.sets(st.sampled_from(GROUPS), max_size=2)
    agent = draw(st.none() | others.map(lambda some: frozenset({*some, common})))
    pool = draw(st.lists(labels, min_size=3, max_size=5))
    open_, secret = [Label.of([[common]])], [NOBODY, Label.of([[common]], [common])]
    for label in pool:
        seen = sees(label, tokens) and (agent is None or sees(label, agent))
        (open_ if seen else secret).append(label)
    mixed = st.sampled_from(open_) | st.sampled_from(open_) | st.sampled_from(secret)
    early = draw(st.lists(ops(SHARED, mixed), min_size=1, max_size=3))
    late = draw(st.lists(ops(SHARED, mixed), max_size=2))
    arrival = Op(DEPARTING, draw(st.sampled_from(open_)), draw(texts))
    departure = Op(DEPARTING, draw(st.none() | st.sampled_from(secret)))
    before = st.lists(ops(HIDDEN, st.sampled_from(secret)), max_size=2).map(tuple)
    after = st.lists(ops((*HIDDEN, DEPARTING), st.sampled_from(secret)), max_size=3).map(tuple)
    steps = (arrival, *early, departure, *late)
    places = [before] * (len(early) + 2) + [after] * (len(late) + 1)
    worlds = (draw(st.tuples(*places)), draw(st.tuples(*places)))
    return Story(tokens, agent, steps, worlds, draw(questions), draw(st.integers(1, 12)))


TABLES = (change, chunk, embedding, document, acl_class)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Give a folder, in memory where the machine can: nothing must last."""
    made = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def store(folder: Path) -> Iterator[Store]:
    """Give one store for all worlds."""
    opened = Store(f"sqlite:///{folder}/staid.db")
    metadata.create_all(opened.engine, tables=TABLES)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def postgres_store() -> Iterator[Store]:
    """Give one store for all worlds on PostgreSQL."""
    with tempfile.TemporaryDirectory(prefix="staid-pg-") as place:
        server = PostgresServer(Path(place) / "data")
        with server.database() as url:
            opened = Store(url)
            metadata.create_all(opened.engine, tables=TABLES)
            yield opened
            opened.close()
        server.stop()


def emptied(store: Store) -> None:
    """Take every row away before the next world begins."""
    with store.write() as connection:
        for table in TABLES:
            connection.execute(delete(table))


def observe(
    story: Story, hidden: Sequence[Sequence[Op]], store: Store, index: Opener
) -> list[Retrieval]:
    """Return everything the asker ever sees of one world, step by step."""
    seen: list[Retrieval] = []
    vector = EMBEDDER.embed(story.question)
    query = Query(story.question, vector, story.tokens, story.agent, story.k)
    emptied(store)
    corpus = SqlCorpus(store)
    living, reopened = index(None), index("cache")
    reopened.search(query)
    for place, acts in enumerate(hidden):
        for act in acts:
            act.do(corpus)
        seen.append(living.search(query))
        if place == len(hidden) // 2:
            reopened = index("cache")
            seen.append(reopened.search(query))
        if place < len(story.steps):
            story.steps[place].do(corpus)
    fresh = index(None)
    seen.extend(index.search(query) for index in (living, reopened, fresh))
    assert seen[-1] == seen[-2] == seen[-3]
    return seen


QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=QUIET)
@given(story=stories())
def test_the_invisible_changes_nothing(
    store: Store, folder: Path, story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two worlds that differ only in what the asker may not see give equal responses throughout.

    Equal means `==` over the whole `Retrieval`: passages, order, every score, statistic and the
    position, at every step, from an index that lives through all changes, from one that is opened
    again on its cache file, and from a fresh one.
    """
    monkeypatch.setattr(state, "_WORTH_SAVING", 0)
    monkeypatch.setattr(state, "_MOST_PIECES", 2)

    def index(cache: str | None) -> Index:
        file = folder / cache if cache else None
        return EmbeddedIndex(store, EMBEDDER.id, EMBEDDER.dimension, file)

    worlds: list[list[Retrieval]] = []
    for hidden in story.hidden:
        (folder / "cache").unlink(missing_ok=True)
        worlds.append(observe(story, hidden, store, index))
    judge(story, *worlds)


@pytest.mark.postgres
@settings(max_examples=max(EXAMPLES // 20, 1), deadline=None, suppress_health_check=QUIET)
@given(story=stories())
def test_the_invisible_changes_nothing_inside_postgres(postgres_store: Store, story: Story) -> None:
    """The same for the index inside PostgreSQL, whose tables hold visible and invisible rows."""

    def index(_: str | None) -> Index:
        return PgVectorIndex(postgres_store, EMBEDDER.id, EMBEDDER.dimension)

    judge(story, *(observe(story, hidden, postgres_store, index) for hidden in story.hidden))


def judge(story: Story, one: list[Retrieval], two: list[Retrieval]) -> None:
    """Check that both worlds looked the same, and showed no less and no more than they should."""
    event("sees something" if any(found.passages for found in one) else "sees nothing")
    assert one == two
    for found in one:
        assert all(sees(p.label, story.tokens) for p in found.passages)
        assert len(found.passages) == min(story.k, found.signals.view)
        assert found.withheld == 0
