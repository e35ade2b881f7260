"""One store, two engines: transactions with a stated durability, errors with a next step."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.exc import ArgumentError, DBAPIError

from staid.domain.errors import (
    StaidError,
    StoreFull,
    StoreLocked,
    StoreReadOnly,
    StoreUnavailable,
)
from staid.store.writer import Work, Writer

BUSY_SECONDS = 10


class Store:
    """A connection pool that hands out read and write transactions, and nothing else."""

    def __init__(self, url: str, *, busy_seconds: float = BUSY_SECONDS) -> None:
        """Open lazily: nothing is touched before the first transaction."""
        parsed = _url(url)
        if parsed.drivername in {"postgresql", "postgres"}:
            parsed = parsed.set(drivername="postgresql+psycopg")
        self.url = url
        self.dialect = parsed.get_backend_name()
        self.path = Path(parsed.database or "") if self.dialect == "sqlite" else None
        self.busy_seconds = busy_seconds
        self._owner = os.getpid()
        self._turns = Lock()
        self._writer = Writer(self)
        self.engine = _sqlite(parsed, busy_seconds) if self.path else _postgres(parsed)
        self._errors: tuple[type[Exception], ...] = (_driver(self.engine).Error,)

    @contextmanager
    def read(self) -> Generator[Connection]:
        """Give a transaction that sees one committed state throughout."""
        mode = "BEGIN" if self.path else "REPEATABLE READ"
        with self._transaction(mode, durable=False) as connection:
            yield connection

    @contextmanager
    def write(self, *, durable: bool = True) -> Generator[Connection]:
        """Give a transaction that commits whole or not at all.

        `durable` waits until the commit would survive a power cut; without it a commit survives
        the death of this process, which is enough for facts that nothing was released on.
        """
        mode = "BEGIN IMMEDIATE" if self.path else "READ COMMITTED"
        self._after_fork()
        with self._turn(), self._transaction(mode, durable=durable) as connection:
            if not self.path and not durable:
                connection.exec_driver_sql("SET LOCAL synchronous_commit = off")
            yield connection

    def together(self, work: Work, *, durable: bool) -> None:
        """Do the work in one transaction with whoever else waits; committed when this returns.

        On SQLite, where one writes at a time and each commit waits for the disk: a thread of this
        store commits for all. PostgreSQL does the same by itself.
        """
        if self.path:
            self._after_fork()
            try:
                self._writer.write(work, durable=durable)
            except self._errors as error:
                raise self.coded(error) from error
        else:
            with self.driver(durable=durable) as cursor:
                work(cursor)

    @contextmanager
    def driver(self, *, durable: bool) -> Generator[DBAPICursor]:
        """Give the driver's own cursor in a write transaction as `write` gives it.

        For the journal alone, whose facts are many and small: SQLAlchemy costs about 80
        microseconds for each statement, the driver about 10.
        """
        self._after_fork()
        try:
            with self._turn():
                yield from self._driver(durable=durable)
        except (DBAPIError, *self._errors) as error:
            raise self.coded(error) from error

    def _driver(self, *, durable: bool) -> Generator[DBAPICursor]:
        pooled = self.engine.raw_connection()
        try:
            cursor = pooled.cursor()
            if self.path:
                _begin_sqlite(cursor, pooled.info, "BEGIN IMMEDIATE", durable=durable)
            elif not durable:
                cursor.execute("SET LOCAL synchronous_commit = off")
            yield cursor
            pooled.commit()
        except BaseException:
            pooled.rollback()
            raise
        finally:
            pooled.close()

    @contextmanager
    def _turn(self) -> Generator[None]:
        """Let the threads of this process write one after the other.

        SQLite has one writer at a time. A second one asks again after longer and longer sleeps, so
        that many threads would spend most of their time asleep; in a queue each goes on at once.
        """
        mine = self.path is not None and self._turns.acquire(timeout=self.busy_seconds)
        try:
            yield
        finally:
            if mine:
                self._turns.release()

    @contextmanager
    def _transaction(self, mode: str, *, durable: bool) -> Generator[Connection]:
        self._after_fork()
        try:
            with self.engine.connect() as connection:
                if self.path:
                    connection.info["next"] = (mode, durable)
                else:
                    connection.execution_options(isolation_level=mode)
                with connection.begin():
                    yield connection
        except (DBAPIError, *self._errors) as error:
            raise self.coded(error) from error

    def close(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()

    def _after_fork(self) -> None:
        # A connection shared by two processes corrupts both; a child starts with its own.
        if os.getpid() != self._owner:
            self.engine.dispose(close=False)
            self._owner = os.getpid()
            # Another thread of the parent may have held it, and none of them is here.
            self._turns, self._writer = Lock(), Writer(self)

    def coded(self, error: Exception) -> StaidError:
        """Return the coded error behind what the database driver raised."""
        told = str(getattr(error, "orig", error)).strip()
        detail = told.splitlines()[0] if told else type(error).__name__
        lowered = detail.lower()
        if "locked" in lowered or "busy" in lowered:
            return StoreLocked(seconds=self.busy_seconds, path=self.path)
        if "readonly" in lowered or "read-only" in lowered:
            return StoreReadOnly()
        if "disk is full" in lowered or "no space left" in lowered:
            return StoreFull()
        return StoreUnavailable(detail=detail)


def _url(text: str) -> URL:
    try:
        url = make_url(text)
    except ArgumentError as error:
        # Not the text itself: it may hold a password.
        raise StoreUnavailable(detail="its URL cannot be read") from error
    if url.get_backend_name() not in {"sqlite", "postgresql", "postgres"}:
        raise StoreUnavailable(detail=f"{url.get_backend_name()} is neither sqlite nor postgresql")
    return url


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise StoreFull from error
        if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
            raise StoreReadOnly from error
        raise StoreUnavailable(detail=f"{folder}: {error.strerror}") from error


def _sqlite(url: URL, busy_seconds: float) -> Engine:
    _make_folder(Path(url.database or "").parent)
    engine = create_engine(url, connect_args={"timeout": busy_seconds, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def _connect(connection: sqlite3.Connection, _record: object) -> None:  # pyright: ignore[reportUnusedFunction]  # called by SQLAlchemy
        connection.isolation_level = None  # transactions are begun by us, never implicitly
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA foreign_keys = ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:  # pyright: ignore[reportUnusedFunction]  # called by SQLAlchemy
        mode, durable = connection.info.pop("next", ("BEGIN", True))
        raw = connection.connection.cursor()
        _begin_sqlite(raw, connection.info, mode, durable=durable)
        raw.close()

    return engine


def _begin_sqlite(cursor: DBAPICursor, info: dict[Any, Any], mode: str, *, durable: bool) -> None:
    """Begin a transaction; `info` remembers how the connection waits for the disk now."""
    if info.get("durable") is not durable:  # has no effect inside a transaction
        cursor.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        info["durable"] = durable
    cursor.execute(mode)


def _driver(engine: Engine) -> Any:  # noqa: ANN401 - a driver is a module of its own shape
    return engine.dialect.loaded_dbapi


def _postgres(url: URL) -> Engine:
    return create_engine(url, pool_pre_ping=True)


def ping(store: Store) -> None:
    """Raise a coded error unless the store answers."""
    with store.read() as connection:
        connection.execute(text("SELECT 1"))
