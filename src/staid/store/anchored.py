"""What each place outside was told last."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import delete, insert, select

from staid.domain.canonical import timestamp
from staid.store import tables
from staid.store.engine import Store
from staid.tracing.anchor import Anchor


class AnchorLog:
    """Remembers for each place the newest seal it was told, and when."""

    def __init__(self, store: Store) -> None:
        """Keep it in `store`; what counts as proof is outside."""
        self._store = store

    def last(self, target: str) -> tuple[int, str, datetime] | None:
        """Return number, hash and time of the newest seal that a place was told."""
        table = tables.anchor
        query = select(table.c.seq, table.c.hash, table.c.at).where(table.c.target == target)
        with self._store.read() as connection:
            found = connection.execute(query).first()
        if found is None:
            return None
        at = found.at if found.at.tzinfo else found.at.replace(tzinfo=UTC)
        return found.seq, found.hash, at

    def told(self, target: str, anchor: Anchor, at: datetime) -> None:
        """Remember that a place was told; written after it was, never before."""
        table = tables.anchor
        with self._store.write() as connection:
            connection.execute(delete(table).where(table.c.target == target))
            connection.execute(
                insert(table).values(target=target, seq=anchor.seq, hash=anchor.hash, at=at)
            )


def anchor_of(project: str, seq: int, run: str, hashed: str, at: datetime) -> Anchor:
    """Return the anchor that names a seal at a time."""
    return Anchor(project, seq, run, hashed, timestamp(at))
