"""What is to be told to people, and how far that is."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, String, Table, Text, UniqueConstraint

from staid.store.tables.shared import TIME, metadata

notice = Table(
    "notice",
    metadata,
    Column("id", Text, primary_key=True),
    Column("channel", Text, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("about", Text, nullable=False),
    Column("state", String(16), nullable=False),  # waiting, sent, moot, given_up
    Column("attempts", Integer, nullable=False),
    Column("at", TIME, nullable=False),
    Column("next_at", TIME, nullable=False),
    Column("claimed_by", Text),
    Column("claimed_until", TIME),
    Column("error", Text),
    Column("sent_at", TIME),
    Column("receipt", Text),
    UniqueConstraint("channel", "kind", "about"),
    Index("ix_notice_state_next_at", "state", "next_at"),
)
