"""Bringing a store's schema up to this release, and refusing one from a later release."""

from __future__ import annotations

from sqlalchemy import inspect, select, text
from sqlalchemy.exc import DBAPIError

from staid.domain.errors import SchemaNewer
from staid.store.engine import Store
from staid.store.ledger.reservations import take_turns

HEAD = "0013"
"""The newest migration this release knows; revisions are numbered in order."""


def prepare(store: Store) -> None:
    """Leave the store at this release's schema, or raise without touching a newer one."""
    found = version(store)
    if found == HEAD:
        return
    if found is not None and found > HEAD:
        raise SchemaNewer(found=found, known=HEAD)
    _upgrade(store)


def version(store: Store) -> str | None:
    """Return the store's schema revision; None for an empty store."""
    with store.read() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        found = connection.execute(select(text("version_num")).select_from(text("alembic_version")))
        return found.scalar()


def _upgrade(store: Store) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "staid:store/migrations")
    try:
        with store.write() as connection:
            # Two processes may open an empty store at once: the second finds the tables there.
            take_turns(store, connection, "schema")
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except DBAPIError as error:
        raise store.coded(error) from error
