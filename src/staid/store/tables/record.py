"""What was told to the outside about the record."""

from __future__ import annotations

from sqlalchemy import Column, String, Table, Text

from staid.store.tables.shared import NUMBER, TIME, metadata

anchor = Table(
    "anchor",
    metadata,
    Column("target", Text, primary_key=True),
    Column("seq", NUMBER, nullable=False),
    Column("hash", String(64), nullable=False),
    Column("at", TIME, nullable=False),
)
"""For each place outside: the newest seal it was told."""
