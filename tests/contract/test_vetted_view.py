"""The view of an answer: unvetted documents move neither ranks nor signals, on both indexes."""

from __future__ import annotations

import pytest

from staid.domain.label import EVERYONE
from staid.domain.ports import Index, Query
from staid.knowledge.index.embedded import EmbeddedIndex
from staid.knowledge.index.pgvector import PgVectorIndex
from staid.store.corpus import SqlCorpus
from staid.store.engine import Store
from staid.testing.documents import written
from staid.testing.embedder import HashingEmbedder

EMBEDDER = HashingEmbedder()
QUESTION = "annual refund"


def index_of(store: Store) -> Index:
    """Return the index that a project on this engine uses."""
    make = PgVectorIndex if store.dialect == "postgresql" else EmbeddedIndex
    return make(store, EMBEDDER.id, EMBEDDER.dimension)


def ask(index: Index, *, vetted: bool) -> Query:
    """Return the query of an answer, or of a plain search."""
    tokens = frozenset({"user:ada", "public"})
    return Query(QUESTION, EMBEDDER.embed(QUESTION), tokens, vetted=vetted)


def test_unvetted_documents_change_nothing_an_answer_rests_on(store: Store) -> None:
    """Adding an unvetted document leaves an answer's whole retrieval equal; a search finds it."""
    corpus, index = SqlCorpus(store), index_of(store)
    vetted = written(EMBEDDER, "policy", "annual plans are refunded", EVERYONE)
    corpus.apply([vetted], EMBEDDER.id)
    before = index.search(ask(index, vetted=True))
    forum = written(EMBEDDER, "forum", "annual refund annual refund", EVERYONE, vetted=False)
    corpus.apply([forum], EMBEDDER.id)
    assert index.search(ask(index, vetted=True)) == before
    found = index.search(ask(index, vetted=False))
    assert [p.document for p in found.passages] == ["forum", "policy"]


def test_vetting_a_document_brings_it_into_the_view(store: Store) -> None:
    """A document whose source becomes vetted counts from the next query on, and back again."""
    corpus, index = SqlCorpus(store), index_of(store)
    for vetted, expected in ((False, []), (True, ["policy"]), (False, [])):
        document = written(EMBEDDER, "policy", "annual refund", EVERYONE, vetted=vetted)
        corpus.apply([document], EMBEDDER.id)
        found = index.search(ask(index, vetted=True))
        assert [p.document for p in found.passages] == expected


@pytest.mark.parametrize("vetted", [True, False])
def test_relabelling_keeps_the_vetting(store: Store, *, vetted: bool) -> None:
    """Another label never turns an unvetted document into a vetted one."""
    corpus, index = SqlCorpus(store), index_of(store)
    document = written(EMBEDDER, "policy", "annual refund", EVERYONE, vetted=vetted)
    corpus.apply([document], EMBEDDER.id)
    corpus.relabel("help", "policy", EVERYONE & EVERYONE)
    found = index.search(ask(index, vetted=True))
    assert bool(found.passages) is vetted
