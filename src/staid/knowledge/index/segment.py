"""Stretches of the corpus in memory: immutable arrays, and per row the class it has now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from staid.knowledge.index.lexical import Ints, Postings
from staid.knowledge.index.rows import ChunkRow
from staid.knowledge.index.vector import Matrix, unpack

GONE = -1
"""The class of a row whose chunk is no longer stored; no label has it, so nobody sees it."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Chunks in the order of their ids, with all they are scored by. Knows no rights."""

    ids: NDArray[np.bytes_]
    hashes: NDArray[np.bytes_]
    lengths: Ints
    vectors: Matrix
    postings: Postings

    def __len__(self) -> int:
        return len(self.ids)

    @staticmethod
    def build(chunks: Sequence[ChunkRow], dimension: int) -> tuple[Segment, NDArray[np.int64]]:
        """Return the segment of these chunks, and the document of each of its rows."""
        rows = sorted(chunks, key=lambda chunk: chunk.id)
        vectors = np.empty((len(rows), dimension), np.float32)
        for place, row in zip(vectors, rows, strict=True):
            place[:] = unpack(row.vector, dimension)
        segment = Segment(
            np.array([row.id for row in rows], "S32"),
            np.array([row.text_hash for row in rows], "S64"),
            np.array([row.length for row in rows], np.int32),
            vectors,
            Postings.build([row.terms for row in rows]),
        )
        return segment, np.array([row.document for row in rows], np.int64)


@dataclass(frozen=True, slots=True)
class Piece:
    """A segment with the document and the class of each row, both read from the store."""

    segment: Segment
    documents: NDArray[np.int64]
    classes: NDArray[np.int64]

    @staticmethod
    def of(segment: Segment, documents: NDArray[np.int64], known: Mapping[int, int]) -> Piece:
        """Give each row the class of its document; a row without a document is gone."""
        return Piece(segment, documents, _classes(documents, known))

    def moved(self, known: Mapping[int, int], documents: Sequence[int]) -> Piece:
        """Return the piece after these documents got their class from `known`, or went."""
        hit = np.isin(self.documents, np.array(documents, np.int64)) & (self.classes != GONE)
        if not hit.any():
            return self
        classes = self.classes.copy()
        classes[hit] = _classes(self.documents[hit], known)
        return replace(self, classes=classes)


def _classes(documents: NDArray[np.int64], known: Mapping[int, int]) -> NDArray[np.int64]:
    unique, back = np.unique(documents, return_inverse=True)
    each = np.array([known.get(int(pk), GONE) for pk in unique], np.int64)
    return each[back] if len(unique) else np.empty(0, np.int64)


def merged(pieces: Sequence[Piece]) -> Piece:
    """Return one piece with every row that is not gone, in the order of chunk ids."""
    kept = [np.flatnonzero(piece.classes != GONE) for piece in pieces]
    order = np.argsort(
        np.concatenate([p.segment.ids[k] for p, k in zip(pieces, kept, strict=True)])
    )
    place = np.empty(len(order), np.int32)
    place[order] = np.arange(len(order), dtype=np.int32)
    parts: list[tuple[Postings, Ints]] = []
    start = 0
    for piece, rows in zip(pieces, kept, strict=True):
        there = np.full(len(piece.segment), -1, np.int32)
        there[rows] = place[start : start + len(rows)]
        start += len(rows)
        parts.append((piece.segment.postings, there))
    pairs = list(zip(pieces, kept, strict=True))
    segment = Segment(
        np.concatenate([p.segment.ids[k] for p, k in pairs])[order],
        np.concatenate([p.segment.hashes[k] for p, k in pairs])[order],
        np.concatenate([p.segment.lengths[k] for p, k in pairs])[order],
        np.concatenate([p.segment.vectors[k] for p, k in pairs])[order],
        Postings.merge(parts),
    )
    return Piece(
        segment,
        np.concatenate([p.documents[k] for p, k in pairs])[order],
        np.concatenate([p.classes[k] for p, k in pairs])[order],
    )
