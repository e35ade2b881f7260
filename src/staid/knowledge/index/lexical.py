"""BM25 over exactly the asker's view: document frequency, size and average length of the view."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Ints: TypeAlias = NDArray[np.int32]
Floats: TypeAlias = NDArray[np.float64]

K1 = 1.2
"""Saturation of term counts (Robertson and Zaragoza 2009, section 3.5: 1.2 is the usual value)."""
B = 0.75
"""How much a long chunk is discounted (the same source: 0.75)."""
DECIMALS = 6
"""Scores and cosines are rounded here, so that no engine's last bits decide an order."""


def idf(size: int, frequency: int) -> float:
    """Return the never negative idf of a term in `frequency` of the view's `size` chunks."""
    return round(math.log(1 + (size - frequency + 0.5) / (frequency + 0.5)), DECIMALS)


@dataclass(frozen=True, slots=True)
class Postings:
    """Which rows hold a term, and how often: compressed by term, rows ascending within one."""

    terms: Mapping[str, int]
    starts: NDArray[np.int64]
    rows: Ints
    counts: Ints

    def of(self, term: str) -> tuple[Ints, Ints]:
        """Return rows and counts of a term; empty where it does not occur."""
        number = self.terms.get(term)
        if number is None:
            return self.rows[:0], self.counts[:0]
        span = slice(int(self.starts[number]), int(self.starts[number + 1]))
        return self.rows[span], self.counts[span]

    @staticmethod
    def build(chunks: Sequence[Mapping[str, int]]) -> Postings:
        """Turn term counts, one mapping a row, into postings."""
        numbers: dict[str, int] = {}
        terms: list[int] = []
        rows: list[int] = []
        counts: list[int] = []
        for row, chunk in enumerate(chunks):
            for term, count in chunk.items():
                terms.append(numbers.setdefault(term, len(numbers)))
                rows.append(row)
                counts.append(count)
        return _compressed(
            numbers,
            np.array(terms, np.int64),
            np.array(rows, np.int32),
            np.array(counts, np.int32),
        )

    @staticmethod
    def merge(parts: Sequence[tuple[Postings, Ints]]) -> Postings:
        """Join postings; each part comes with its new row numbers, -1 for a row that is dropped."""
        numbers: dict[str, int] = {}
        terms: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
        rows: list[Ints] = [np.empty(0, np.int32)]
        counts: list[Ints] = [np.empty(0, np.int32)]
        for postings, moved in parts:
            renamed = [numbers.setdefault(term, len(numbers)) for term in postings.terms]
            each = np.repeat(np.array(renamed, np.int64), np.diff(postings.starts))
            there = moved[postings.rows]
            kept = there >= 0
            terms.append(each[kept])
            rows.append(there[kept])
            counts.append(postings.counts[kept])
        return _compressed(
            numbers, np.concatenate(terms), np.concatenate(rows), np.concatenate(counts)
        )


def _compressed(
    numbers: Mapping[str, int], terms: NDArray[np.int64], rows: Ints, counts: Ints
) -> Postings:
    order = np.lexsort((rows, terms))
    starts = np.zeros(len(numbers) + 1, np.int64)
    np.cumsum(np.bincount(terms, minlength=len(numbers)), out=starts[1:])
    return Postings(numbers, starts, rows[order], counts[order])


def score(
    matches: Sequence[tuple[Ints, Ints]], lengths: Floats
) -> tuple[Floats, tuple[float, ...]]:
    """Return the BM25 of every row of a view, and the idf of every term.

    `matches` holds rows of the view and counts, one pair a query term; `lengths` the number of
    terms of each row. Each distinct query term counts once. Formula: Lucene's BM25
    (Kamphuis et al. 2020, "Which BM25 do you mean?"), statistics over these rows alone.
    """
    scores = np.zeros(len(lengths), np.float64)
    weights = tuple(idf(len(lengths), len(rows)) for rows, _ in matches)
    if len(lengths) == 0:
        return scores, weights
    average = max(float(lengths.sum()) / len(lengths), 1.0)
    for (rows, counts), weight in zip(matches, weights, strict=True):
        discount = K1 * (1 - B + B * lengths[rows] / average)
        scores[rows] += weight * counts / (counts + discount)
    return np.round(scores, DECIMALS), weights
