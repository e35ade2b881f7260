"""One thread that writes for those who wait: many flushes, one transaction, one wait for the disk.

Whoever hands work over waits until it is committed, so nothing is promised sooner than it is kept.
What it saves is the wait for the disk of each, and the work of writing on the caller's thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Protocol, TypeAlias

from sqlalchemy.engine.interfaces import DBAPICursor

from staid.domain.errors import StaidError

Work: TypeAlias = Callable[[DBAPICursor], None]
"""Statements on the cursor of a transaction that somebody else begins and commits."""

IDLE_SECONDS = 2.0
"""After which the thread ends; the next work starts another."""
MOST = 64
"""Flushes in one transaction: other processes wait that long, and no longer."""


class Transactions(Protocol):
    """What gives a write transaction on the driver's own cursor."""

    def driver(self, *, durable: bool) -> AbstractContextManager[DBAPICursor]:
        """Give the cursor; commit behind it, or roll back when anything was raised."""
        ...


class Writer:
    """Commits the work of many threads together; the work of one fails for it alone."""

    def __init__(self, transactions: Transactions) -> None:
        """Start nothing: the thread begins with the first work."""
        self._transactions = transactions
        self._queue: SimpleQueue[_Job] = SimpleQueue()
        self._lock = Lock()
        self._thread: Thread | None = None

    @property
    def waiting(self) -> int:
        """How many wait for a transaction to begin."""
        return self._queue.qsize()

    def write(self, work: Work, *, durable: bool) -> None:
        """Return when the work is committed; raise what kept it from being so."""
        job = _Job(work, durable=durable)
        with self._lock:  # against the thread that is about to end
            self._queue.put(job)
            if self._thread is None:
                self._thread = Thread(target=self._serve, name="staid-writer", daemon=True)
                self._thread.start()
        job.over.acquire()
        if isinstance(job.error, StaidError):  # it may be shared, and a traceback is not
            raise type(job.error)(**job.error.values) from job.error
        if job.error is not None:
            raise job.error

    def _serve(self) -> None:
        while jobs := list(self._next()):
            self._commit(jobs)

    def _next(self) -> Iterator[_Job]:
        """Yield the work that waits; nothing when the thread is to end."""
        try:
            yield self._queue.get(timeout=IDLE_SECONDS)
        except Empty:
            with self._lock:
                if self._queue.empty():
                    self._thread = None
                    return
        for _ in range(MOST - 1):
            try:
                yield self._queue.get_nowait()
            except Empty:
                return

    def _commit(self, jobs: list[_Job]) -> None:
        try:
            with self._transactions.driver(durable=any(job.durable for job in jobs)) as cursor:
                if len(jobs) == 1:
                    jobs[0].work(cursor)
                else:
                    for job in jobs:
                        _apart(cursor, job)
        except BaseException as error:  # noqa: BLE001 - it is raised where the work came from
            for job in jobs:
                job.error = job.error or error
        finally:
            for job in jobs:
                job.over.release()


class _Job:
    __slots__ = ("durable", "error", "over", "work")

    def __init__(self, work: Work, *, durable: bool) -> None:
        self.work = work
        self.durable = durable
        self.error: BaseException | None = None
        self.over = Lock()
        self.over.acquire()


def _apart(cursor: DBAPICursor, job: _Job) -> None:
    """Do one work of several: what it raises takes back what it did, and nothing else."""
    cursor.execute("SAVEPOINT apart")
    try:
        job.work(cursor)
    except BaseException as error:  # noqa: BLE001 - it is raised where the work came from
        job.error = error
        # Where the engine gave the whole transaction up, this raises, and all of them fail.
        cursor.execute("ROLLBACK TO apart")
    cursor.execute("RELEASE apart")
