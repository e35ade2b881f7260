"""Approvals in depth: what they are bound to, what they ask, votes and edits."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("call", sa.Column("asked", sa.String(length=64), nullable=True))
    op.add_column("call", sa.Column("replaces", sa.Text(), nullable=True))
    op.add_column("call", sa.Column("replaced_by", sa.Text(), nullable=True))
    op.add_column("call", sa.Column("edited_by", sa.Text(), nullable=True))
    op.create_index("ix_call_replaces", "call", ["replaces"], unique=True)
    op.add_column("approval", sa.Column("bound", sa.Text(), nullable=True))
    op.add_column("approval", sa.Column("demand", sa.Text(), nullable=True))
    op.add_column("approval", sa.Column("round", sa.Integer(), nullable=False, server_default="1"))
    op.add_column("approval", sa.Column("changes", sa.Text(), nullable=True))
    op.add_column("approval", sa.Column("escalates_at", _TIME, nullable=True))
    op.add_column("approval", sa.Column("escalated_at", _TIME, nullable=True))
    op.create_index("ix_approval_escalates_at", "approval", ["escalates_at"], unique=False)
    op.create_table(
        "vote",
        sa.Column("approval", sa.Text(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("voter", sa.Text(), nullable=False),
        sa.Column("decision", sa.String(length=16), nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("binding", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["approval"], ["approval.id"]),
        sa.PrimaryKeyConstraint("approval", "round", "voter"),
    )
