"""Which tools are stopped or rest, and which calls are being undone."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, String, Table, Text

from staid.store.tables.shared import TIME, metadata

stop = Table(
    "stop",
    metadata,
    Column("id", Text, primary_key=True),
    Column("tool", Text, nullable=False, index=True),
    Column("reason", Text, nullable=False),
    # Aliases: that somebody stopped a tool must not keep a name beyond an erasure.
    Column("stopped_by", Text, nullable=False),
    Column("stopped_at", TIME, nullable=False),
    Column("started_by", Text),
    Column("started_at", TIME),
    Column("start_reason", Text),
)

circuit = Table(
    "circuit",
    metadata,
    Column("tool", Text, primary_key=True),
    Column("breaker", Text, nullable=False),
    Column("failures", Text, nullable=False),
    Column("opened_at", TIME),
    Column("trial", Text),
    Column("trial_at", TIME),
)
"""For each tool with a breaker: the breaker as it was last defined, and where the circuit is."""

undo = Table(
    "undo",
    metadata,
    Column("call", Text, ForeignKey("call.id"), primary_key=True),
    Column("state", String(16), nullable=False, index=True),  # executing, undone, failed, in_doubt
    Column("asked_by", Text, nullable=False),
    Column("at", TIME, nullable=False),
    Column("executor", Text, nullable=False),
    Column("lease_until", TIME, nullable=False),
    Column("settled_at", TIME),
)
"""One row per call: of any number of processes one may undo it. Words are in the journal."""
