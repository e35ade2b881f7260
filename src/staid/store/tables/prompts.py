"""Every text that a model was ever sent, by name and version; and what was imported from where."""

from __future__ import annotations

from sqlalchemy import Column, Integer, String, Table, Text, UniqueConstraint

from staid.store.tables.shared import TIME, metadata

prompt = Table(
    "prompt",
    metadata,
    Column("name", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("sha256", String(64), nullable=False),
    Column("text", Text, nullable=False),
    Column("at", TIME, nullable=False),
    UniqueConstraint("name", "sha256"),
)

imported = Table(
    "imported",
    metadata,
    Column("run", Text, primary_key=True),
    Column("conversation", Text, nullable=False),
    Column("turn", Integer, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("format", Text, nullable=False),
    Column("file", Text, nullable=False),
    Column("line", Integer, nullable=False),
    Column("at", TIME, nullable=False),
    UniqueConstraint("conversation", "turn"),
)
