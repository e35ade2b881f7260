"""Two rankings into one, by rank alone."""

from __future__ import annotations

from collections.abc import Sequence

K = 60
"""The constant of reciprocal-rank fusion (Cormack, Clarke and Buettcher, SIGIR 2009)."""


def fuse(vector: Sequence[int], lexical: Sequence[int]) -> list[int]:
    """Return every row of either ranking, best first by the sum of 1 / (60 + rank).

    Rows are numbered in the order of chunk ids: equal sums stand in that order.
    """
    sums: dict[int, float] = {}
    for ranking in (vector, lexical):
        for rank, row in enumerate(ranking, 1):
            sums[row] = sums.get(row, 0.0) + 1 / (K + rank)
    return sorted(sums, key=lambda row: (-sums[row], row))


def fused(vector_rank: int | None, lexical_rank: int | None) -> float:
    """Return the sum of 1 / (60 + rank) that places one row; a leg it is not in adds nothing."""
    return sum(1 / (K + rank) for rank in (vector_rank, lexical_rank) if rank is not None)
