"""The spine: knowledge, runs, journal, ledger."""

from alembic import op

from staid.store.tables import metadata

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    metadata.create_all(op.get_bind())
