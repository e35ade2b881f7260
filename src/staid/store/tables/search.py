"""What is found again: what was said, what was used, and how many runs ended how on which day.

Projections of the journal: written in its transactions, rebuildable from it at any time.
"""

from __future__ import annotations

from sqlalchemy import DDL, Column, Index, Integer, String, Table, Text, event

from staid.store.tables.runs import handoff, run
from staid.store.tables.shared import NUMBER, metadata

said = Table(
    "said",
    metadata,
    Column("id", NUMBER, primary_key=True, autoincrement=True),
    Column("run", Text, nullable=False, index=True),
    Column("seq", Integer, nullable=False),
    Column("role", String(16), nullable=False),  # asker, agent, teammate, feedback
    Column("content", String(64), nullable=False, index=True),
    # Its words as they are compared (`store/words.py`); how it was written is in the content.
    Column("text", Text, nullable=False),
)

used = Table(
    "used",
    metadata,
    # document, prompt, tool, rule, model, calibration
    Column("kind", String(16), primary_key=True),
    Column("name", Text, primary_key=True),
    Column("run", Text, primary_key=True),
    Column("version", Text, primary_key=True),
    Column("source", Text, primary_key=True),  # of a document; else empty
    Column("at", Text, nullable=False),
    Index("ix_used_at", "kind", "name", "version", "at"),
    sqlite_with_rowid=False,
)

rollup = Table(
    "rollup",
    metadata,
    Column("day", String(10), primary_key=True),
    Column("agent", Text, primary_key=True),
    Column("outcome", String(16), primary_key=True),
    Column("reason", Text, primary_key=True),
    Column(
        "band", Integer, primary_key=True, autoincrement=False
    ),  # tenth of the confidence: 0 to 9
    Column("runs", NUMBER, nullable=False),
    Column("confidence", NUMBER, nullable=False),  # sum, in millionths
    Column("latency", NUMBER, nullable=False),  # sum, in milliseconds
    Column("requests", NUMBER, nullable=False),
    Column("input_tokens", NUMBER, nullable=False),
    Column("output_tokens", NUMBER, nullable=False),
    Column("cost", NUMBER, nullable=False),  # sum, in billionths of the currency's unit
    sqlite_with_rowid=False,
)

Index("ix_run_asker", run.c.asker, run.c.started_at)
Index("ix_run_state", run.c.state)
Index("ix_handoff_state", handoff.c.state)

SQLITE_WORDS = (
    "CREATE VIRTUAL TABLE said_words USING fts5(text, content='said', content_rowid='id')",
    (
        "CREATE TRIGGER said_added AFTER INSERT ON said BEGIN "
        "INSERT INTO said_words(rowid, text) VALUES (new.id, new.text); END"
    ),
    (
        "CREATE TRIGGER said_forgotten AFTER DELETE ON said BEGIN "
        "INSERT INTO said_words(said_words, rowid, text) VALUES ('delete', old.id, old.text); END"
    ),
)
"""The full-text index of SQLite; triggers keep it in step whoever writes or deletes."""

POSTGRES_WORDS = (
    (
        "ALTER TABLE said ADD COLUMN words tsvector "
        "GENERATED ALWAYS AS (to_tsvector('simple', text)) STORED"
    ),
    "CREATE INDEX ix_said_words ON said USING gin (words)",
)
"""The full-text index of PostgreSQL."""

for _dialect, _statements in (("sqlite", SQLITE_WORDS), ("postgresql", POSTGRES_WORDS)):
    for _statement in _statements:
        event.listen(said, "after_create", DDL(_statement).execute_if(dialect=_dialect))
