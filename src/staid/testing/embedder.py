"""An embedder for tests: no model, no download, no numpy."""

from __future__ import annotations

import hashlib
import math
import struct
from functools import lru_cache

from staid.domain.text import terms


class HashingEmbedder:
    """Keeps the contract of `Embedder`: equal text, equal unit vector, whatever else is embedded.

    Each term adds +1 or -1 to two hashed places (feature hashing, Weinberger et al. 2009), so texts
    that share words are near each other. It knows no meaning: never use it outside tests.
    """

    def __init__(self, dimension: int = 32) -> None:
        """Make vectors of this length."""
        self._dimension = dimension

    @property
    def id(self) -> str:
        """Name the construction and its size."""
        return f"hashing-{self._dimension}"

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return self._dimension

    def embed(self, text: str) -> bytes:
        """Return the unit vector as little-endian float32 bytes."""
        values = [0.0] * self._dimension
        for term in terms(text):
            for place, sign in _places(term, self._dimension):
                values[place] += sign
        norm = math.sqrt(sum(value * value for value in values))
        if norm == 0:  # no term, or all cancelled: some unit vector all the same
            values, norm = [1.0] + [0.0] * (self._dimension - 1), 1.0
        return struct.pack(f"<{self._dimension}f", *(value / norm for value in values))


@lru_cache(maxsize=65536)
def _places(term: str, dimension: int) -> tuple[tuple[int, int], ...]:
    raw = hashlib.blake2b(term.encode(), digest_size=8).digest()
    first, second = struct.unpack("<II", raw)
    return (
        (first % dimension, 1 if first & 1 << 31 else -1),
        (second % dimension, 1 if second & 1 << 31 else -1),
    )
