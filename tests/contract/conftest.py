"""One store fixture, two engines: every contract test runs on both."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from staid.store.engine import Store
from staid.store.tables import metadata
from staid.testing.postgres import PostgresServer


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """Give one PostgreSQL for the whole run, shared by the workers of pytest-xdist."""
    # Not in pytest's own folder: another run of pytest may tidy that up under the server.
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", f"pid{os.getpid()}")
    folder = Path(tempfile.gettempdir()) / f"staid-pg-{run[:12]}"
    server = PostgresServer(folder)
    yield server
    server.stop()
    if not (folder / "postmaster.pid").exists():
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """Give the URL of a fresh file that holds every table."""
    url = f"sqlite:///{tmp_path}/staid.db"
    store = Store(url)
    metadata.create_all(store.engine)
    store.close()
    return url


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """Give the URL of a fresh database that holds every table."""
    with postgres.database() as url:
        store = Store(url)
        metadata.create_all(store.engine)
        store.close()
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest) -> str:
    """Give the URL of a fresh store with every table, on each engine in turn."""
    return request.getfixturevalue(f"{request.param}_url")


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """Give a fresh store with every table, on each engine in turn."""
    opened = Store(url)
    yield opened
    opened.close()
