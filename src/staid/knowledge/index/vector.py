"""Exact cosine scan over the asker's view."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from staid.domain.errors import EmbedderBroken
from staid.knowledge.index.lexical import DECIMALS, Floats

Matrix = NDArray[np.float32]
"""One unit vector a row."""


def unpack(vector: bytes, dimension: int) -> NDArray[np.float32]:
    """Return the finite vector behind the bytes; raise `EmbedderBroken` for any other content."""
    if len(vector) != 4 * dimension:
        raise EmbedderBroken(
            detail=f"a vector has {len(vector) / 4:g} numbers instead of {dimension}"
        )
    values = np.frombuffer(vector, "<f4")
    if not np.isfinite(values).all():
        raise EmbedderBroken(detail="a vector holds a value that is not a number")
    return values


def cosines(matrix: Matrix, query: NDArray[np.float32]) -> Floats:
    """Return the cosine of the query with every row, rounded; each depends on its own row alone.

    One dot product a row: a matrix-vector product by BLAS gives a row other last bits depending on
    where in the matrix it lies (measured), and so on what else is in it.
    """
    products: Floats = np.vecdot(matrix, query).astype(np.float64)
    return np.round(products, DECIMALS) + 0.0  # no negative zero


def best(scores: Floats, depth: int) -> NDArray[np.int64]:
    """Return the rows of the highest scores, best first; ties in the order of the rows."""
    rows = np.arange(len(scores))
    if len(scores) > depth > 0:
        least = np.partition(scores, len(scores) - depth)[len(scores) - depth]
        rows = np.flatnonzero(scores >= least)
    return rows[np.argsort(-scores[rows], kind="stable")][:depth]
