"""Chunks as retrieved for one query, and what was measured on the way."""

from __future__ import annotations

from dataclasses import dataclass

from staid.domain.ids import ChunkId, DocumentId
from staid.domain.label import Label


@dataclass(frozen=True, slots=True)
class Passage:
    """A chunk as retrieved for a query, by an asker whom its label permits."""

    source: str
    document: DocumentId
    version: str
    chunk: ChunkId
    title: str
    section: str
    text: str
    label: Label
    vetted: bool
    rank: int
    """1 is best; of the fused ranking."""
    similarity: float
    """Raw cosine of query and chunk, -1..1."""
    vector_rank: int | None
    """Rank in the vector leg alone; None where it was not among its candidates."""
    lexical_rank: int | None
    """Rank in the BM25 leg alone; None where no query term occurs."""
    bm25: float
    """BM25 over the asker's view; 0 where no query term occurs. Never shown to an asker."""
    fused: float = 0.0
    """What the fused ranking is ordered by, best first."""


@dataclass(frozen=True, slots=True)
class Signals:
    """What confidence is computed from: statistics over the asker's view alone."""

    similarities: tuple[float, ...]
    """The best raw cosines of the vector leg, descending, at most 10."""
    similarity_mean: float
    """Mean cosine of the query over the asker's view; 0 for an empty view."""
    similarity_std: float
    """Standard deviation of the same; 0 for fewer than two chunks."""
    bm25: tuple[float, ...]
    """The best BM25 values of the lexical leg, descending, at most 10."""
    idf: tuple[tuple[str, float], ...]
    """Each distinct query term with its idf over the asker's view, in query order."""
    view: int
    """Chunks in the asker's view."""


@dataclass(frozen=True, slots=True)
class Retrieval:
    """The answer of the index to one query: best passages first."""

    passages: tuple[Passage, ...]
    signals: Signals
    position: int
    """How far the change log was applied, counted over the asker's view alone."""
    withheld: int = 0
    """Winners dropped by the live recheck of rights in the same read transaction."""
