"""The schema: what migrations build is what the tables say, on both engines."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from staid.domain.errors import SchemaNewer
from staid.store.engine import Store
from staid.store.schema import HEAD, prepare, version
from staid.store.tables import metadata


def test_migrations_build_exactly_the_tables(tmp_path: Path) -> None:
    """An empty store is brought to the head revision, and nothing differs from the definition."""
    store = Store(f"sqlite:///{tmp_path}/new.db")
    assert version(store) is None
    prepare(store)
    assert version(store) == HEAD
    with store.read() as connection:
        context = MigrationContext.configure(connection, opts={"include_name": _ours})
        assert compare_metadata(context, metadata) == []
    store.close()


def _ours(name: str | None, kind: str, _parents: object) -> bool:
    """Leave out the tables that SQLite's full-text index keeps for itself."""
    return not (kind == "table" and name is not None and name.startswith("said_words"))


def test_preparing_twice_changes_nothing(tmp_path: Path) -> None:
    """A store at the head revision is left as it is."""
    store = Store(f"sqlite:///{tmp_path}/new.db")
    prepare(store)
    prepare(store)
    assert version(store) == HEAD
    store.close()


def test_a_newer_schema_is_refused_and_left_alone(tmp_path: Path) -> None:
    """A store of a later release is neither read nor changed."""
    store = Store(f"sqlite:///{tmp_path}/new.db")
    prepare(store)
    with store.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SchemaNewer):
        prepare(store)
    assert version(store) == "9999"
    store.close()
