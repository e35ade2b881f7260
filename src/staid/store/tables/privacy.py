"""Whose an alias is, and what must not be erased."""

from __future__ import annotations

from sqlalchemy import Column, String, Table, Text

from staid.store.tables.shared import TIME, metadata

subject = Table(
    "subject",
    metadata,
    Column("alias", String(40), primary_key=True),
    Column("token", Text, nullable=False),
)

hold = Table(
    "hold",
    metadata,
    Column("id", Text, primary_key=True),
    # An alias or a run: a hold must not keep a name beyond the erasure that it once delayed.
    Column("target", Text, nullable=False, index=True),
    Column("reason", Text, nullable=False),
    Column("placed_by", Text, nullable=False),
    Column("placed_at", TIME, nullable=False),
    Column("released_by", Text),
    Column("released_at", TIME),
)
