"""Every table, defined once for SQLite and PostgreSQL; one file per subject."""

from __future__ import annotations

from staid.store.tables.knowledge import acl_class, calibration, change, chunk, document, embedding
from staid.store.tables.ledger import approval, call, reservation, vote
from staid.store.tables.notices import notice
from staid.store.tables.outbox import outbox
from staid.store.tables.privacy import hold, subject
from staid.store.tables.prompts import imported, prompt
from staid.store.tables.record import anchor
from staid.store.tables.runs import content, conversation, handoff, journal, parked, run, seal
from staid.store.tables.search import rollup, said, used
from staid.store.tables.shared import metadata
from staid.store.tables.stops import circuit, stop, undo

__all__ = [
    "acl_class",
    "anchor",
    "approval",
    "calibration",
    "call",
    "change",
    "chunk",
    "circuit",
    "content",
    "conversation",
    "document",
    "embedding",
    "handoff",
    "hold",
    "imported",
    "journal",
    "metadata",
    "notice",
    "outbox",
    "parked",
    "prompt",
    "reservation",
    "rollup",
    "run",
    "said",
    "seal",
    "stop",
    "subject",
    "undo",
    "used",
    "vote",
]
