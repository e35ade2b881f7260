"""Every table, defined once for SQLite and PostgreSQL."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData()

_Number = BigInteger().with_variant(Integer, "sqlite")
_Json = JSON().with_variant(JSONB, "postgresql")
_Time = DateTime(timezone=True)

# --- knowledge -----------------------------------------------------------------------------

acl_class = Table(
    "acl_class",
    metadata,
    Column("id", _Number, primary_key=True, autoincrement=True),
    Column("key", Text, nullable=False),
    # Unvetted documents have classes of their own: an answer's view leaves them out whole, so that
    # they move neither a confidence nor a rank.
    Column("vetted", Boolean, nullable=False),
    # How often the view of those who see this class changed: what `position` is counted from,
    # so that a change outside an asker's view moves nothing inside it.
    Column("changes", _Number, nullable=False, default=0, server_default="0"),
    UniqueConstraint("key", "vetted"),
)

document = Table(
    "document",
    metadata,
    Column("pk", _Number, primary_key=True, autoincrement=True),
    Column("source", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("version", String(64), nullable=False),
    Column("title", Text, nullable=False),
    Column("vetted", Boolean, nullable=False),
    Column("class", _Number, ForeignKey("acl_class.id"), nullable=False, index=True),
    Column("metadata", _Json, nullable=False),
    UniqueConstraint("source", "id"),
)

chunk = Table(
    "chunk",
    metadata,
    Column("pk", _Number, primary_key=True, autoincrement=True),
    Column("id", String(32), nullable=False, unique=True),
    Column(
        "document",
        _Number,
        ForeignKey("document.pk", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    Column("ordinal", Integer, nullable=False),
    Column("section", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("text_hash", String(64), nullable=False, index=True),
    Column("length", Integer, nullable=False),
    Column("terms", _Json, nullable=False),
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
    Column("seq", _Number, primary_key=True, autoincrement=True),
    Column("kind", String(16), nullable=False),
    Column("document", _Number, nullable=False),
    Column("class", _Number, nullable=False),
)

calibration = Table(
    "calibration",
    metadata,
    Column("id", Text, primary_key=True),
    Column("embedder", Text, nullable=False),
    Column("index_version", Text, nullable=False),
    Column("fitted_on", Text, nullable=False),
    Column("coefficients", _Json, nullable=False),
    Column("at", _Time, nullable=False),
)

# --- runs and their record -----------------------------------------------------------------

conversation = Table(
    "conversation",
    metadata,
    Column("id", Text, primary_key=True),
    Column("asker", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Column("started_at", _Time, nullable=False),
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
    Column("started_at", _Time, nullable=False, index=True),
    Column("ended_at", _Time),
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
    Column("seq", _Number, primary_key=True, autoincrement=False),
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
    Column("asker", Text, nullable=False),
    Column("reason", String(16), nullable=False),
    Column("state", String(16), nullable=False),  # open, answered
    Column("opened_at", _Time, nullable=False, index=True),
    Column("answered_at", _Time),
    Column("answered_by", Text),
)

# --- the ledger ----------------------------------------------------------------------------

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
    Column("subject", Text, nullable=False),
    Column("state", String(16), nullable=False, index=True),
    Column("severity", Integer, nullable=False),
    Column("rule", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("proposed_at", _Time, nullable=False),
    Column("executor", Text),
    Column("lease_until", _Time),
    Column("result", Text),
    Column("error", Text),
    Column("settled_at", _Time),
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
    Column("requested_at", _Time, nullable=False),
    Column("expires_at", _Time, nullable=False, index=True),
    Column("requested_by", Text, nullable=False),
    Column("approvers", Text, nullable=False, server_default="[]"),
    Column("decision", String(16)),
    Column("decided_by", Text),
    Column("decided_at", _Time),
    Column("reason", Text),
)

reservation = Table(
    "reservation",
    metadata,
    Column("call", Text, ForeignKey("call.id"), primary_key=True),
    Column("budget", Text, primary_key=True),
    Column("key", Text, nullable=False),
    Column("amount", Text, nullable=False),
    Column("state", String(16), nullable=False),  # reserved, captured, released
    Column("at", _Time, nullable=False),
    Index("ix_reservation_budget_key", "budget", "key", "at"),
)

parked = Table(
    "parked",
    metadata,
    Column("run", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("claimed_by", Text),
    Column("claimed_until", _Time),
)
