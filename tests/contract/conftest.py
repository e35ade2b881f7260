"""One store fixture, two engines: every contract test runs on both."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from staid.store.engine import Store
from staid.store.tables import metadata
from staid.testing.postgres import PostgresServer


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """One PostgreSQL for the whole run, shared by the workers of pytest-xdist."""
    folder = tmp_path_factory.getbasetemp()
    if folder.name.startswith("popen-"):
        folder = folder.parent
    server = PostgresServer(folder / "postgres")
    yield server
    server.stop()


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
