"""Vectors and postings in a file beside the store, so that a short-lived process starts fast.

The file may vanish, be damaged or belong to another state at any time: whatever does not match
the store to the byte is read from the store again. It holds no label, no class and no document.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from staid.knowledge.index import INDEX_VERSION
from staid.knowledge.index.lexical import Postings
from staid.knowledge.index.segment import Segment


@dataclass(frozen=True, slots=True)
class Cache:
    """One cache file for one embedder."""

    path: Path
    embedder: str
    dimension: int

    def load(self, position: int) -> tuple[Segment, int] | None:
        """Return the segment and the position it was written at; None where it cannot be used.

        Unusable: missing, damaged, made by another embedder or version of the index, or ahead of
        the store's `position` (then it belongs to another store).
        """
        try:
            with self.path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                stamp = json.loads(bytes(stored["stamp"]))
                if self._stamp(stamp["position"]) != stamp or stamp["position"] > position:
                    return None
                return self._segment(stored), int(stamp["position"])
        except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile, zlib.error):
            return None

    def save(self, segment: Segment, position: int) -> None:
        """Replace the file whole, or leave it as it is; a full disk only costs time."""
        stamp = json.dumps(self._stamp(position)).encode()
        part = self.path.with_name(f"{self.path.name}.{os.getpid()}.{threading.get_ident()}.part")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as file:
                np.savez(
                    file,
                    stamp=np.frombuffer(stamp, np.uint8),
                    ids=segment.ids,
                    hashes=segment.hashes,
                    lengths=segment.lengths,
                    vectors=segment.vectors,
                    terms=np.frombuffer("\n".join(segment.postings.terms).encode(), np.uint8),
                    starts=segment.postings.starts,
                    rows=segment.postings.rows,
                    counts=segment.postings.counts,
                )
            part.replace(self.path)
        except OSError:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)

    def _stamp(self, position: object) -> dict[str, object]:
        return {
            "index": INDEX_VERSION,
            "embedder": self.embedder,
            "dimension": self.dimension,
            "position": position,
        }

    def _segment(self, stored: Any) -> Segment:  # noqa: ANN401 - numpy does not type its archives
        names = bytes(stored["terms"]).decode().split("\n")
        terms = {name: number for number, name in enumerate(names) if name}
        postings = Postings(terms, stored["starts"], stored["rows"], stored["counts"])
        segment = Segment(
            stored["ids"], stored["hashes"], stored["lengths"], stored["vectors"], postings
        )
        size = len(segment)
        sound = (
            segment.vectors.shape == (size, self.dimension)
            and len(segment.hashes) == len(segment.lengths) == size
            and len(postings.starts) == len(terms) + 1
            and len(postings.rows) == len(postings.counts) == int(postings.starts[-1])
            and (size == 0 or bool((segment.ids[1:] > segment.ids[:-1]).all()))
        )
        if not sound:
            raise ValueError(self.path)
        return segment
