"""Search of runs and daily roll-ups."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "said",
        sa.Column("id", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("run", sa.Text(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("content", sa.String(length=64), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_said_run", "said", ["run"])
    op.create_index("ix_said_content", "said", ["content"])
    op.create_table(
        "used",
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("run", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("at", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "name", "run", "version", "source"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_used_at", "used", ["kind", "name", "version", "at"])
    op.create_table(
        "rollup",
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("agent", sa.Text(), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("band", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("runs", _NUMBER, nullable=False),
        sa.Column("confidence", _NUMBER, nullable=False),
        sa.Column("latency", _NUMBER, nullable=False),
        sa.Column("requests", _NUMBER, nullable=False),
        sa.Column("input_tokens", _NUMBER, nullable=False),
        sa.Column("output_tokens", _NUMBER, nullable=False),
        sa.Column("cost", _NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("day", "agent", "outcome", "reason", "band"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_run_asker", "run", ["asker", "started_at"])
    op.create_index("ix_run_state", "run", ["state"])
    op.create_index("ix_handoff_state", "handoff", ["state"])
    for statement in _WORDS[op.get_bind().dialect.name]:
        op.execute(statement)


_WORDS = {
    "sqlite": (
        "CREATE VIRTUAL TABLE said_words USING fts5(text, content='said', content_rowid='id')",
        (
            "CREATE TRIGGER said_added AFTER INSERT ON said BEGIN "
            "INSERT INTO said_words(rowid, text) VALUES (new.id, new.text); END"
        ),
        (
            "CREATE TRIGGER said_forgotten AFTER DELETE ON said BEGIN "
            "INSERT INTO said_words(said_words, rowid, text) "
            "VALUES ('delete', old.id, old.text); END"
        ),
    ),
    "postgresql": (
        (
            "ALTER TABLE said ADD COLUMN words tsvector "
            "GENERATED ALWAYS AS (to_tsvector('simple', text)) STORED"
        ),
        "CREATE INDEX ix_said_words ON said USING gin (words)",
    ),
}
