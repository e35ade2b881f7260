"""Budgets: what an approver may approve, and calls that are decided together."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("approval", sa.Column("leader", sa.Text(), nullable=True))
    op.create_index("ix_approval_leader", "approval", ["leader"], unique=False)
    op.add_column("approval", sa.Column("draws", sa.Text(), nullable=True))
    # The key joins the primary key: two people who approve one call draw on one budget each.
    op.drop_index("ix_reservation_budget_key", table_name="reservation")
    op.rename_table("reservation", "reservation_before")
    op.create_table(
        "reservation",
        sa.Column("call", sa.Text(), nullable=False),
        sa.Column("budget", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("amount", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["call"], ["call.id"]),
        sa.PrimaryKeyConstraint("call", "budget", "key"),
    )
    columns = '"call", budget, "key", amount, state, "at"'
    op.execute(
        f"INSERT INTO reservation ({columns}) SELECT {columns} FROM reservation_before"  # noqa: S608 - fixed names
    )
    op.drop_table("reservation_before")
    op.create_index(
        "ix_reservation_budget_key", "reservation", ["budget", "key", "at"], unique=False
    )
