"""Documents, chunks, labels and what the index reads."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    ForeignKey,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from staid.store.tables.shared import JSON, NUMBER, TIME, metadata

acl_class = Table(
    "acl_class",
    metadata,
    Column("id", NUMBER, primary_key=True, autoincrement=True),
    Column("key", Text, nullable=False),
    # Unvetted documents have classes of their own: an answer's view leaves them out whole, so that
    # they move neither a confidence nor a rank.
    Column("vetted", Boolean, nullable=False),
    # How often the view of those who see this class changed: what `position` is counted from,
    # so that a change outside an asker's view moves nothing inside it.
    Column("changes", NUMBER, nullable=False, default=0, server_default="0"),
    UniqueConstraint("key", "vetted"),
)

document = Table(
    "document",
    metadata,
    Column("pk", NUMBER, primary_key=True, autoincrement=True),
    Column("source", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("version", String(64), nullable=False),
    Column("title", Text, nullable=False),
    Column("vetted", Boolean, nullable=False),
    Column("class", NUMBER, ForeignKey("acl_class.id"), nullable=False, index=True),
    Column("metadata", JSON, nullable=False),
    UniqueConstraint("source", "id"),
)

chunk = Table(
    "chunk",
    metadata,
    Column("pk", NUMBER, primary_key=True, autoincrement=True),
    Column("id", String(32), nullable=False, unique=True),
    Column(
        "document",
        NUMBER,
        ForeignKey("document.pk", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    Column("ordinal", Integer, nullable=False),
    Column("section", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("text_hash", String(64), nullable=False, index=True),
    Column("length", Integer, nullable=False),
    Column("terms", JSON, nullable=False),
)

embedding = Table(
    "embedding",
    metadata,
    Column("text_hash", String(64), primary_key=True),
    Column("embedder", Text, nullable=False),
    Column("vector", LargeBinary, nullable=False),
)

change = Table(
    "change",
    metadata,
    Column("seq", NUMBER, primary_key=True, autoincrement=True),
    Column("kind", String(16), nullable=False),
    Column("document", NUMBER, nullable=False),
    Column("class", NUMBER, nullable=False),
)

calibration = Table(
    "calibration",
    metadata,
    Column("id", Text, primary_key=True),
    Column("embedder", Text, nullable=False),
    Column("index_version", Text, nullable=False),
    Column("fitted_on", Text, nullable=False),
    Column("coefficients", JSON, nullable=False),
    Column("at", TIME, nullable=False),
)
