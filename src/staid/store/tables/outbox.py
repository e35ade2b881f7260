"""What is on its way to the sinks."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, String, Table, Text, UniqueConstraint, func

from staid.store.tables.shared import NUMBER, TIME, metadata

outbox = Table(
    "outbox",
    metadata,
    Column("id", NUMBER, primary_key=True, autoincrement=True),
    Column("sink", Text, nullable=False),
    Column("run", Text, nullable=False, index=True),
    Column("kind", String(8), nullable=False),  # run, score, forget
    # The fact that a score tells of; 0 for a run, so that the constraint allows one per sink.
    Column("seq", Integer, nullable=False, server_default="0"),
    # waiting, sent, confirmed, rejected, skipped
    Column("state", String(16), nullable=False, server_default="waiting"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("next_at", TIME),
    Column("claimed_by", Text),
    Column("claimed_until", TIME),
    Column("error", Text),
    Column("at", TIME, nullable=False, server_default=func.current_timestamp()),
    Column("sent_at", TIME),
    Column("receipt", Text),
    UniqueConstraint("sink", "run", "kind", "seq"),
    Index("ix_outbox_sink_state", "sink", "state", "id"),
)
