"""What is true of the store in this moment, counted for monitoring."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Column, func, select

from staid.domain.call import CallState
from staid.store import tables
from staid.store.engine import Store


@dataclass(frozen=True, slots=True)
class Gauges:
    """One look at the store."""

    calls: Mapping[str, int]
    """State -> calls."""
    runs: Mapping[str, int]
    """State -> runs."""
    handoffs_open: int
    waiting_since: datetime | None
    """When the oldest approval that still waits was requested."""
    outbox: Mapping[str, int]
    """State -> exports; empty before anything was exported."""
    seals: int
    """Number of the newest seal of the journal."""


def gauges(store: Store) -> Gauges:
    """Count what is there now, in one transaction; no name and no text is among it."""
    call, run, handoff = tables.call.c, tables.run.c, tables.handoff.c
    approval, outbox = tables.approval.c, tables.metadata.tables.get("outbox")
    oldest = (
        select(func.min(approval.requested_at))
        .join_from(tables.approval, tables.call, call.id == approval.call)
        .where(call.state == CallState.PENDING.value)
    )
    with store.read() as connection:

        def counted(column: Column[Any]) -> dict[str, int]:
            found = connection.execute(select(column, func.count()).group_by(column))
            return {str(state): number for state, number in found}

        since = connection.execute(oldest).scalar()
        return Gauges(
            calls=counted(call.state),
            runs=counted(run.state),
            handoffs_open=connection.execute(
                select(func.count()).where(handoff.state == "open")
            ).scalar_one(),
            waiting_since=since.replace(tzinfo=since.tzinfo or UTC) if since else None,
            outbox=counted(outbox.c.state) if outbox is not None else {},
            seals=connection.execute(select(func.max(tables.seal.c.seq))).scalar() or 0,
        )
