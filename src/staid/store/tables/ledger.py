"""Tool calls, approvals and what is reserved for them."""

from __future__ import annotations

from sqlalchemy import (
    Column,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
)

from staid.store.tables.shared import TIME, metadata

call = Table(
    "call",
    metadata,
    Column("id", Text, primary_key=True),
    Column("run", Text, nullable=False, index=True),
    Column("agent", Text, nullable=False),
    Column("tool", Text, nullable=False, index=True),
    Column("arguments", Text, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("key", Text, nullable=False, unique=True),
    Column("provider_id", Text, nullable=False),
    Column("subject", Text, nullable=False, index=True),
    Column("state", String(16), nullable=False, index=True),
    Column("severity", Integer, nullable=False),
    Column("rule", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("proposed_at", TIME, nullable=False),
    Column("executor", Text),
    Column("lease_until", TIME),
    Column("result", Text),
    Column("error", Text),
    Column("settled_at", TIME),
    Column("asked", String(64)),  # digest of what was asked for, where people changed it
    Column("replaces", Text),
    Column("replaced_by", Text),
    Column("edited_by", Text),
    Index("ix_call_replaces", "replaces", unique=True),
)

approval = Table(
    "approval",
    metadata,
    Column("id", Text, primary_key=True),
    Column("call", Text, ForeignKey("call.id"), nullable=False, unique=True),
    Column("run", Text, nullable=False, index=True),
    Column("rule", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("preview", Text),
    Column("requested_at", TIME, nullable=False),
    Column("expires_at", TIME, nullable=False, index=True),
    Column("requested_by", Text, nullable=False),
    Column("approvers", Text, nullable=False, server_default="[]"),
    Column("decision", String(16)),
    Column("decided_by", Text),
    Column("decided_at", TIME),
    Column("reason", Text),
    Column("bound", Text),
    Column("demand", Text),
    Column("round", Integer, nullable=False, server_default="1"),
    Column("changes", Text),
    Column("escalates_at", TIME, index=True),
    Column("escalated_at", TIME),
    Column("leader", Text, index=True),  # the request it joined; not a foreign key: either may go
    Column("draws", Text),  # what whoever approves it draws
)

vote = Table(
    "vote",
    metadata,
    Column("approval", Text, ForeignKey("approval.id"), primary_key=True),
    Column("round", Integer, primary_key=True),
    Column("voter", Text, primary_key=True),
    Column("decision", String(16), nullable=False),
    Column("at", TIME, nullable=False),
    Column("reason", Text),
    Column("binding", String(64), nullable=False),
)

reservation = Table(
    "reservation",
    metadata,
    Column("call", Text, ForeignKey("call.id"), primary_key=True),
    Column("budget", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("amount", Text, nullable=False),
    Column("state", String(16), nullable=False),  # reserved, captured, released
    Column("at", TIME, nullable=False),
    Index("ix_reservation_budget_key", "budget", "key", "at"),
)
