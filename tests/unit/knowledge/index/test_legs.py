"""The two legs and their fusion, against plain definitions."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from staid.domain.errors import EmbedderBroken
from staid.knowledge.index.fusion import fuse
from staid.knowledge.index.lexical import K1, B, Postings, idf, score
from staid.knowledge.index.vector import best, cosines, unpack

WORDS = st.sampled_from(["ant", "bee", "cow", "dog"])
chunks = st.lists(st.lists(WORDS, max_size=6).map(Counter[str]), max_size=6)


def plain_bm25(texts: list[Counter[str]], query: list[str]) -> list[float]:
    """BM25 by the formula, one chunk and one term at a time."""
    average = max(sum(sum(t.values()) for t in texts) / max(len(texts), 1), 1.0)
    found: list[float] = []
    for text in texts:
        total = 0.0
        for term in query:
            weight = idf(len(texts), sum(1 for t in texts if term in t))
            count, length = text[term], sum(text.values())
            total += weight * count / (count + K1 * (1 - B + B * length / average))
        found.append(round(total, 6))
    return found


@given(chunks, st.lists(WORDS, unique=True))
def test_bm25_is_the_formula(texts: list[Counter[str]], query: list[str]) -> None:
    """Scores from postings equal the formula computed chunk by chunk."""
    postings = Postings.build(texts)
    lengths = np.array([sum(text.values()) for text in texts], np.float64)
    scores, weights = score([postings.of(term) for term in query], lengths)
    assert scores.tolist() == pytest.approx(plain_bm25(texts, query), abs=2e-6)
    assert len(weights) == len(query)
    assert all(weight > 0 for weight in weights)


def test_idf_of_rare_common_and_unheard_terms() -> None:
    """The idf is never negative, falls with frequency, and is defined for an empty view."""
    assert idf(10, 0) > idf(10, 1) > idf(10, 10) > 0
    assert idf(0, 0) == round(math.log(2), 6)


@given(chunks, chunks, st.data())
def test_merged_postings_are_those_of_the_kept_rows(
    one: list[Counter[str]], two: list[Counter[str]], data: st.DataObject
) -> None:
    """Merging with renumbered and dropped rows equals building from the kept chunks alone."""
    both = [*one, *two]
    kept = data.draw(st.permutations(range(len(both))).map(lambda p: p[: len(p) // 2]))
    there = np.full(len(both), -1, np.int32)
    for place, row in enumerate(kept):
        there[row] = place
    merged = Postings.merge(
        [(Postings.build(one), there[: len(one)]), (Postings.build(two), there[len(one) :])]
    )
    expected = Postings.build([both[row] for row in kept])
    for term in ("ant", "bee", "cow", "dog", "never"):
        for left, right in zip(merged.of(term), expected.of(term), strict=True):
            assert left.tolist() == right.tolist()


def test_a_cosine_depends_on_its_own_row_alone() -> None:
    """The same row gives the same bits wherever it lies and whatever lies beside it."""
    draw = np.random.default_rng(7)
    matrix = (draw.standard_normal((500, 384)) / 20).astype(np.float32)
    query = (draw.standard_normal(384) / 20).astype(np.float32)
    whole = cosines(matrix, query)
    for size in range(1, 60):
        rows = np.sort(draw.choice(500, size, replace=False))
        assert np.array_equal(cosines(np.ascontiguousarray(matrix[rows]), query), whole[rows])
    assert np.array_equal(whole, np.round(whole, 6))
    zero = cosines(-matrix[:1], np.zeros(384, np.float32))
    assert math.copysign(1, zero[0]) == 1


@given(st.lists(st.sampled_from([0.0, 0.1, 0.5, 0.9]), max_size=30), st.integers(1, 10))
def test_best_is_a_stable_sort(scores: list[float], depth: int) -> None:
    """The best rows are those of a full sort; equal scores stand in the order of the rows."""
    expected = sorted(range(len(scores)), key=lambda row: (-scores[row], row))[:depth]
    assert best(np.array(scores, np.float64), depth).tolist() == expected


def test_fusion_adds_reciprocal_ranks() -> None:
    """A row that both legs know beats one that a single leg ranks first; ties go by row."""
    assert fuse([5, 3, 9], [3, 7]) == [3, 5, 7, 9]
    assert fuse([8, 2], [2, 8]) == [2, 8]
    assert fuse([], []) == []
    assert fuse([4], []) == [4]


def test_broken_vectors_are_refused() -> None:
    """Bytes of another length, or that hold no number, never become a vector."""
    good = np.array([1.0, 0.0], "<f4").tobytes()
    assert unpack(good, 2).tolist() == [1.0, 0.0]
    for bad in (b"", good[:-1], good * 2, np.array([np.nan, 0], "<f4").tobytes()):
        with pytest.raises(EmbedderBroken, match="ST-221"):
            unpack(bad, 2)
