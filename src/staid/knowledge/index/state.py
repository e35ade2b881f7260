"""The corpus in memory as of one position of the change log; replaced, never altered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import Connection

from staid.knowledge.index import rows
from staid.knowledge.index.cache import Cache
from staid.knowledge.index.rows import AclClass
from staid.knowledge.index.segment import GONE, Piece, Segment, merged

_SAME_CONTENT = frozenset({"relabelled", "described"})
_MOST_PIECES = 8
_MOST_CHANGES = 2_000
_WORTH_SAVING = 64


@dataclass(frozen=True, slots=True)
class State:
    """Everything the index knows of the store at one position."""

    position: int
    classes: Mapping[int, AclClass]
    pieces: tuple[Piece, ...]

    def after(self, connection: Connection, top: int, dimension: int) -> State | None:
        """Return the state at `top` with only what changed read; None where a reload is cheaper."""
        log = rows.changes(connection, self.position)
        if len(log) > _MOST_CHANGES:
            return None
        rewritten = sorted({pk for pk, kind in log if kind not in _SAME_CONTENT})
        moved = sorted({pk for pk, _ in log} - set(rewritten))
        live = rows.documents(connection, moved + rewritten)
        gone = dict.fromkeys(rewritten, GONE)
        known = {**live, **gone}
        pieces = [piece.moved(known, moved + rewritten) for piece in self.pieces]
        fresh = rows.scored_by_document(connection, rewritten)
        if fresh:
            segment, owners = Segment.build(fresh, dimension)
            pieces.append(Piece.of(segment, owners, live))
        if len(pieces) > _MOST_PIECES:
            pieces = [merged(pieces)]
        return State(top, rows.classes(connection), tuple(pieces))


def load(
    connection: Connection, top: int, dimension: int, cache: Cache | None, old: State | None = None
) -> State:
    """Return the state at `top`, every class and document read anew from the store.

    Vectors and postings that the old state or the cache file holds are not read again.
    """
    owners = rows.chunks(connection)
    known = rows.documents(connection)
    held = (merged(old.pieces).segment, old.position) if old and old.pieces else None
    if held is None and cache:
        held = cache.load(top)
    missing = [row[0] for row in owners]
    pieces: list[Piece] = []
    if held:
        segment, position = held
        documents, missing = _match(segment, owners, _rewritten(connection, position))
        pieces.append(Piece.of(segment, documents, known))
    if missing:
        segment, documents = Segment.build(_read(connection, missing, len(owners)), dimension)
        pieces.append(Piece.of(segment, documents, known))
    stale = sum(int((piece.classes == GONE).sum()) for piece in pieces)
    if cache and len(missing) + stale > max(_WORTH_SAVING, len(owners) // 50):
        pieces = [merged(pieces)]
        cache.save(pieces[0].segment, top)
    return State(top, rows.classes(connection), tuple(pieces))


def _read(connection: Connection, missing: Sequence[str], total: int) -> Sequence[rows.ChunkRow]:
    if len(missing) == total:
        return rows.scored(connection)
    return rows.scored_by_id(connection, missing)


def _rewritten(connection: Connection, position: int) -> frozenset[int]:
    log = rows.changes(connection, position)
    return frozenset(pk for pk, kind in log if kind not in _SAME_CONTENT)


def _match(
    segment: Segment, owners: Sequence[Sequence[object]], rewritten: frozenset[int]
) -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]], list[str]]:
    """Return the document of each row of the segment (GONE: none), and the chunks it lacks."""
    documents = np.full(len(segment), GONE, np.int64)
    if not owners:
        return documents, []
    ids = np.array([row[0] for row in owners], "S32")
    hashes = np.array([row[1] for row in owners], "S64")
    owner = np.array([row[2] for row in owners], np.int64)
    there = np.searchsorted(segment.ids, ids)
    inside = np.minimum(there, max(len(segment) - 1, 0))
    found = np.zeros(len(ids), bool)
    if len(segment):
        found = (segment.ids[inside] == ids) & (segment.hashes[inside] == hashes)
        found &= ~np.isin(owner, np.array(sorted(rewritten), np.int64))
    documents[inside[found]] = owner[found]
    return documents, [
        str(row[0]) for row, ok in zip(owners, found.tolist(), strict=True) if not ok
    ]
