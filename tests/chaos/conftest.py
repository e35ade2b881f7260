"""A database of each engine for processes that are about to die, and where they come from."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from staid.store.engine import Store
from staid.store.tables import metadata
from staid.testing.postgres import PostgresServer
from staid.testing.zygote import Zygote, zygote


@pytest.fixture(scope="module")
def processes() -> Iterator[Zygote]:
    """One clean process that everything is forked from."""
    with zygote() as started:
        yield started


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One PostgreSQL per worker, in a folder that no other test run can close to its user."""
    folder = Path(tempfile.mkdtemp(prefix="staid-chaos-"))
    folder.chmod(0o755)
    server = PostgresServer(folder / "postgres")
    yield server
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Give the URL of a fresh store with every table, on each engine in turn."""
    if request.param == "sqlite":
        fresh = f"sqlite:///{tmp_path}/staid.db"
        _create(fresh)
        yield fresh
    else:
        server: PostgresServer = request.getfixturevalue("postgres")
        with server.database() as fresh:
            _create(fresh)
            yield fresh


def _create(url: str) -> None:
    store = Store(url)
    metadata.create_all(store.engine)
    store.close()
