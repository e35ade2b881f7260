"""Runs, conversations and their record."""

from __future__ import annotations

from sqlalchemy import (
    Column,
    ForeignKey,
    Integer,
    Numeric,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from staid.store.tables.shared import NUMBER, TIME, metadata

conversation = Table(
    "conversation",
    metadata,
    Column("id", Text, primary_key=True),
    Column("asker", Text, nullable=False, index=True),
    Column("agent", Text, nullable=False),
    Column("started_at", TIME, nullable=False),
)

run = Table(
    "run",
    metadata,
    Column("id", Text, primary_key=True),
    Column("conversation", Text, ForeignKey("conversation.id"), nullable=False, index=True),
    Column("agent", Text, nullable=False),
    Column("asker", Text, nullable=False),
    Column("state", String(16), nullable=False),  # running, parked, released, failed
    Column("outcome", String(16)),
    Column("reason", Text),
    Column("confidence", Numeric(asdecimal=False)),
    Column("key", Text),
    Column("key_digest", String(64)),
    Column("started_at", TIME, nullable=False, index=True),
    Column("ended_at", TIME),
    UniqueConstraint("asker", "agent", "key"),
)

journal = Table(
    "journal",
    metadata,
    Column("run", Text, primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("at", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("fact", Text, nullable=False),
    Column("content", String(64)),
    Column("prev", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
)

content = Table(
    "content",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("subject", Text, nullable=False, index=True),
    Column("label", Text, nullable=False),
    Column("body", Text, nullable=False),
)

seal = Table(
    "seal",
    metadata,
    Column("seq", NUMBER, primary_key=True, autoincrement=False),
    Column("run", Text, nullable=False, index=True),
    Column("head", String(64), nullable=False),
    Column("prev", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
)

handoff = Table(
    "handoff",
    metadata,
    Column("id", Text, primary_key=True),
    Column("run", Text, nullable=False, index=True),
    Column("asker", Text, nullable=False, index=True),
    Column("reason", String(16), nullable=False),
    Column("state", String(16), nullable=False),  # open, answered
    Column("opened_at", TIME, nullable=False, index=True),
    Column("answered_at", TIME),
    Column("answered_by", Text),
)

parked = Table(
    "parked",
    metadata,
    Column("run", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("claimed_by", Text),
    Column("claimed_until", TIME),
)
