"""The store: whole transactions, driver errors as coded ones, connections of a fork's own."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import insert, select

from staid.domain.errors import StaidError, StoreLocked, StoreUnavailable
from staid.store import tables
from staid.store.engine import Store, ping
from staid.store.tables import metadata

VALUES = {"id": "a", "subject": "user:ada", "label": "{}", "body": "{}"}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Give a fresh store."""
    made = Store(f"sqlite:///{tmp_path}/sub/folder/staid.db", busy_seconds=0.05)
    metadata.create_all(made.engine)
    return made


def rows(store: Store) -> int:
    """Count the contents."""
    with store.read() as connection:
        return len(connection.execute(select(tables.content)).all())


def test_a_write_is_whole_or_not_at_all(store: Store) -> None:
    """What raises inside a transaction leaves nothing of it, and the store goes on working."""
    with pytest.raises(ZeroDivisionError), store.write() as connection:  # noqa: PT012 - two steps are the point
        connection.execute(insert(tables.content).values(VALUES))
        raise ZeroDivisionError
    assert rows(store) == 0
    with store.write() as connection:
        connection.execute(insert(tables.content).values(VALUES))
    assert rows(store) == 1
    store.close()


@pytest.mark.parametrize(("durable", "expected"), [(True, 2), (False, 1)])
def test_durability_is_what_was_asked_for(
    store: Store,
    durable: bool,  # noqa: FBT001 - a parameter of the test
    expected: int,
) -> None:
    """`durable` commits with synchronous FULL, ordinary facts with NORMAL."""
    for _ in range(2):
        with store.write(durable=not durable):
            pass
        with store.write(durable=durable) as connection:
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == expected
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    store.close()


def test_a_read_sees_one_state(store: Store) -> None:
    """What another connection commits during a read is not seen in it."""
    other = Store(store.url)
    with store.read() as connection:
        assert connection.execute(select(tables.content)).all() == []
        with other.write() as writing:
            writing.execute(insert(tables.content).values(VALUES))
        assert connection.execute(select(tables.content)).all() == []
    assert rows(store) == 1
    other.close()
    store.close()


def test_a_locked_store_says_so_and_recovers(store: Store) -> None:
    """The error names the time; when the lock is gone the same object writes again."""
    assert store.path is not None
    holder = sqlite3.connect(store.path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    for _ in range(3):
        with pytest.raises(StoreLocked, match=r"0\.05 s"), store.write():
            pass
    assert rows(store) == 0
    holder.close()
    with store.write() as connection:
        connection.execute(insert(tables.content).values(VALUES))
    assert rows(store) == 1
    store.close()


def test_a_fork_has_its_own_connections(store: Store) -> None:
    """A child writes through a connection of its own, and both go on afterwards."""
    ping(store)
    child = os.fork()
    if not child:
        try:
            with store.write() as connection:
                connection.execute(insert(tables.content).values(VALUES))
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert rows(store) == 1
    with store.write() as connection:
        connection.execute(insert(tables.content).values({**VALUES, "id": "b"}))
    assert rows(store) == 2
    store.close()


@pytest.mark.parametrize(
    ("told", "code"),
    [
        ("database is locked", "ST-111"),
        ("attempt to write a readonly database", "ST-112"),
        ("cannot execute INSERT in a read-only transaction", "ST-112"),
        ("database or disk is full", "ST-113"),
        ("could not extend file: No space left on device", "ST-113"),
        ("disk I/O error", "ST-110"),
        ("", "ST-110"),
    ],
)
def test_driver_errors_are_coded(store: Store, told: str, code: str) -> None:
    """Each thing a driver says has its code and a next step, an empty message too."""
    error = store.coded(sqlite3.OperationalError(told))
    assert (error.code, bool(error.hint_text)) == (code, True)
    store.close()


@pytest.mark.parametrize("url", ["nonsense", "mysql://u:geheim@h/x", "oracle://u:geheim@h/x"])
def test_urls_that_are_no_store(url: str) -> None:
    """A URL of something else is refused without telling the password in it."""
    with pytest.raises(StoreUnavailable) as caught:
        Store(url)
    assert "geheim" not in str(caught.value)


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    """Where the store's folder cannot be made the error is coded, too."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StaidError, match="ST-110"):
        Store(f"sqlite:///{tmp_path}/file/staid.db")
