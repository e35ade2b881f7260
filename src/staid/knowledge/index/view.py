"""The asker's view: the visible rows alone, gathered in the order of chunk ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from staid.knowledge.index.fusion import fuse
from staid.knowledge.index.lexical import Floats, Ints, Postings, score
from staid.knowledge.index.segment import Piece
from staid.knowledge.index.vector import Matrix, best, cosines

DEPTH = 100
"""Candidates a leg gives to the fusion, at least."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """What one query measured over a view; rows stand for chunks in the order of their ids."""

    fused: list[int]
    vector_ranks: dict[int, int]
    lexical_ranks: dict[int, int]
    similarities: Floats
    bm25: Floats
    idf: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class View:
    """Everything that may influence an answer. Built from visible rows, so nothing else can."""

    ids: NDArray[np.bytes_]
    matrix: Matrix
    lengths: Floats
    postings: tuple[tuple[Postings, Ints], ...]
    """Each segment's postings, with the view's row for each of its rows; -1 outside the view."""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def size(self) -> int:
        """Bytes that the view holds."""
        moved = sum(rows.nbytes for _, rows in self.postings)
        return self.matrix.nbytes + self.lengths.nbytes + moved + self.ids.nbytes

    @staticmethod
    def gather(pieces: Sequence[Piece], visible: Sequence[int]) -> View:
        """Return the view of these classes; its order depends on no row outside it."""
        wanted = np.array(visible, np.int64)
        kept = [np.flatnonzero(np.isin(piece.classes, wanted)) for piece in pieces]
        pairs = [(piece, rows) for piece, rows in zip(pieces, kept, strict=True) if len(rows)]
        if not pairs:
            return View(
                np.empty(0, "S32"), np.empty((0, 1), np.float32), np.empty(0, np.float64), ()
            )
        ids = np.concatenate([piece.segment.ids[rows] for piece, rows in pairs])
        order = np.argsort(ids)
        place = np.empty(len(order), np.int32)
        place[order] = np.arange(len(order), dtype=np.int32)
        parts: list[tuple[Postings, Ints]] = []
        matrix = np.empty((len(order), pairs[0][0].segment.vectors.shape[1]), np.float32)
        lengths = np.empty(len(order), np.float64)
        start = 0
        for piece, rows in pairs:
            into = place[start : start + len(rows)]
            start += len(rows)
            matrix[into] = piece.segment.vectors[rows]
            lengths[into] = piece.segment.lengths[rows]
            there = np.full(len(piece.segment), -1, np.int32)
            there[rows] = into
            parts.append((piece.segment.postings, there))
        return View(ids[order], matrix, lengths, tuple(parts))

    def chunk(self, row: int) -> str:
        """Return the id of the chunk in a row."""
        return bytes(self.ids[row]).decode()

    def rank(self, terms: Sequence[str], query: NDArray[np.float32], k: int) -> Ranking:
        """Rank the whole view by both legs and fuse them: `k` rows where it has so many."""
        depth = max(DEPTH, k)
        similarities = cosines(self.matrix, query) if len(self) else np.empty(0, np.float64)
        bm25, weights = score([self._matches(term) for term in terms], self.lengths)
        near = best(similarities, depth).tolist()
        literal = [row for row in best(bm25, depth).tolist() if bm25[row] > 0]
        return Ranking(
            fused=fuse(near, literal),
            vector_ranks={row: rank for rank, row in enumerate(near, 1)},
            lexical_ranks={row: rank for rank, row in enumerate(literal, 1)},
            similarities=similarities,
            bm25=bm25,
            idf=weights,
        )

    def _matches(self, term: str) -> tuple[Ints, Ints]:
        rows: list[Ints] = []
        counts: list[Ints] = []
        for postings, moved in self.postings:
            found, times = postings.of(term)
            there = moved[found]
            rows.append(there[there >= 0])
            counts.append(times[there >= 0])
        if not rows:
            return np.empty(0, np.int32), np.empty(0, np.int32)
        return np.concatenate(rows), np.concatenate(counts)
