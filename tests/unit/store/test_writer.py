"""Writing together: one transaction for all who wait, and each keeps its own fate."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import pytest
from sqlalchemy import select
from sqlalchemy.engine.interfaces import DBAPICursor

from staid.domain.errors import StoreLocked, StoreUnavailable
from staid.store import tables
from staid.store import writer as writing
from staid.store.engine import Store
from staid.store.tables import metadata
from staid.store.writer import Work, Writer

PUT = "INSERT INTO content (id, subject, label, body) VALUES (?, 'user:ada', '{}', ?)"


@pytest.fixture
def store(tmp_path: Path) -> Generator[Store]:
    """Give a fresh store."""
    made = Store(f"sqlite:///{tmp_path}/staid.db", busy_seconds=5)
    metadata.create_all(made.engine)
    yield made
    made.close()


class Noted:
    """The transactions of a store, each with its durability."""

    def __init__(self, store: Store) -> None:
        """Begin them on `store`."""
        self.store = store
        self.begun: list[bool] = []

    @contextmanager
    def driver(self, *, durable: bool) -> Generator[DBAPICursor]:
        """Give the cursor as the store does."""
        self.begun.append(durable)
        with self.store.driver(durable=durable) as cursor:
            yield cursor


def put(name: str, body: str = "{}") -> Work:
    """Return the work that keeps one content."""
    return lambda cursor: cursor.execute(PUT, (name, body))


def kept(store: Store) -> set[str]:
    """Return the names of the contents that are there."""
    with store.read() as connection:
        return set(connection.execute(select(tables.content.c.id)).scalars())


def all_at_once(writer: Writer, works: Sequence[Work]) -> list[BaseException | None]:
    """Hand the works over while the writer is busy, so that it finds all of them waiting."""
    busy, free = Event(), Event()

    def hold(_: DBAPICursor) -> None:
        busy.set()
        free.wait(10)

    with ThreadPoolExecutor(len(works) + 1) as pool:
        pool.submit(writer.write, hold, durable=False)
        busy.wait(10)
        futures: list[Future[None]] = []
        for number, work in enumerate(works):
            futures.append(pool.submit(writer.write, work, durable=number == 0))
            while writer.waiting <= number:
                os.sched_yield()
        free.set()
        return [future.exception() for future in futures]


def test_whoever_waits_is_committed_in_one_transaction(store: Store) -> None:
    """Eight flushes that wait cost one commit, durable because one of them asked for it."""
    noted = Noted(store)
    ends = all_at_once(Writer(noted), [put(f"c{number}") for number in range(8)])
    assert ends == [None] * 8
    assert kept(store) == {f"c{number}" for number in range(8)}
    assert noted.begun == [False, True]


def test_the_work_of_one_fails_for_it_alone(store: Store) -> None:
    """What raised is raised where it came from, takes its own rows back, and nobody else's."""

    def half(cursor: DBAPICursor) -> None:
        put("half")(cursor)
        raise ZeroDivisionError

    writer = Writer(store)
    good, bad, twice = all_at_once(writer, [put("a"), half, put("a")])
    assert good is None
    assert isinstance(bad, ZeroDivisionError)
    assert isinstance(twice, sqlite3.IntegrityError)
    assert kept(store) == {"a"}
    writer.write(put("after"), durable=True)
    assert kept(store) == {"a", "after"}


def test_what_the_driver_raises_is_coded(store: Store) -> None:
    """Whoever writes together gets the coded errors of every other way to write."""
    store.together(put("a"), durable=False)
    with pytest.raises(StoreUnavailable, match="UNIQUE"):
        store.together(put("a"), durable=False)


def test_a_full_disk_tells_nobody_what_is_not_so(store: Store) -> None:
    """Where the disk is full, who was told of no error is committed, and nobody else is."""
    with store.driver(durable=False) as cursor:
        cursor.execute("PRAGMA page_count")
        found = cursor.fetchone()
        assert found is not None
        cursor.execute(f"PRAGMA max_page_count = {found[0] + 2}")
    names = ["a", "b", "c"]
    works = [put(name, "x" * (100_000 if name == "b" else 1)) for name in names]
    ends = all_at_once(Writer(store), works)
    assert ends[1] is not None
    assert kept(store) == {name for name, end in zip(names, ends, strict=True) if end is None}
    store.together(put("small"), durable=False)
    assert "small" in kept(store)


def test_a_store_that_stays_locked_says_so_to_each(store: Store) -> None:
    """While another process holds the file, each that waits gets a coded error of its own."""
    impatient = Store(store.url, busy_seconds=0.05)
    with store.write(), ThreadPoolExecutor(3) as pool:
        works = [put(f"c{number}") for number in range(3)]
        futures = [pool.submit(impatient.together, work, durable=False) for work in works]
        errors = [future.exception() for future in futures]
    assert all(isinstance(error, StoreLocked) for error in errors)
    assert len({id(error) for error in errors}) == len(errors)
    impatient.close()


def test_an_idle_thread_ends_and_the_next_work_starts_another(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that nobody writes to keeps no thread."""
    monkeypatch.setattr(writing, "IDLE_SECONDS", 0.01)
    for number in range(3):
        before = set(threading.enumerate())
        store.together(put(f"c{number}"), durable=False)
        for thread in set(threading.enumerate()) - before:
            thread.join(10)
        assert set(threading.enumerate()) <= before
    assert len(kept(store)) == 3


def test_a_child_of_a_fork_writes_by_itself(store: Store) -> None:
    """The thread of the parent is not in the child: its first work starts its own."""
    store.together(put("parent"), durable=False)
    child = os.fork()
    if not child:
        try:
            store.together(put("child"), durable=True)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert kept(store) == {"parent", "child"}
