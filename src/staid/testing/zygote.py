"""One clean process that has imported everything, and the processes forked from it to die.

`run` gives every job a process of its own. `carry` plays many: jobs that nobody kills are played by
long-lived workers, and those with a kill point share processes, each of which stands at the kill
point of every call it carries when SIGKILL hits it.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import groupby
from typing import IO, Any, cast

from staid.store.engine import Store
from staid.testing.kill import Job, Report
from staid.testing.lives import die
from staid.testing.undo_life import life_of

WORKERS = 2
"""Long-lived processes beside those that die: one call is always played by several at once."""


class Zygote:
    """A clean process that has imported everything; one process per job, or a few for many."""

    def __init__(self) -> None:
        """Start it; the import is paid once."""
        self._process = subprocess.Popen(  # noqa: S603 - our own module in our own interpreter
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, *jobs: Job) -> list[Report]:
        """Run jobs side by side, each in a process of its own, and wait for all of them."""
        return self._ask("run", jobs)

    def carry(self, *jobs: Job) -> list[Report]:
        """Run jobs side by side in as few processes as can die as asked, and wait for all."""
        return self._ask("carry", jobs)

    def _ask(self, how: str, jobs: Sequence[Job]) -> list[Report]:
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            message = "the zygote has no pipes"
            raise RuntimeError(message)
        stdin.write(json.dumps({"how": how, "jobs": [asdict(job) for job in jobs]}) + "\n")
        stdin.flush()
        line = stdout.readline()
        if not line:
            message = "the zygote died"
            raise RuntimeError(message)
        return [_report(each) for each in json.loads(line)]

    def close(self) -> None:
        """Let it go."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait(timeout=10)
        if self._process.stdout is not None:
            self._process.stdout.close()


@contextmanager
def zygote() -> Generator[Zygote]:
    """Give a zygote and end it afterwards."""
    started = Zygote()
    try:
        yield started
    finally:
        started.close()


def _report(told: dict[str, Any]) -> Report:
    return Report(told["killed"], told["state"], tuple(told["errors"]))


class _Stores:
    """The store of this process: opened once, and anew where the URL changes."""

    def __init__(self) -> None:
        self._store: Store | None = None

    def of(self, url: str) -> Store:
        if self._store is None or self._store.url != url:
            if self._store is not None:
                self._store.close()
            self._store = Store(url)
        return self._store


@dataclass(slots=True)
class _Worker:
    """A long-lived process that plays jobs nobody kills."""

    pid: int
    asking: IO[str]
    telling: IO[str]


class _Server:
    """The zygote's own loop."""

    def __init__(self) -> None:
        self._stores = _Stores()
        self._warmed: set[str] = set()
        self._workers: list[_Worker] = []

    def serve(self) -> None:
        """Answer until nobody asks any more."""
        for line in sys.stdin:
            asked = json.loads(line)
            jobs = [Job(**cast("dict[str, Any]", job)) for job in asked["jobs"]]
            self._warm(jobs)
            reports = self._run(jobs) if asked["how"] == "run" else self._carry(jobs)
            sys.stdout.write(json.dumps([asdict(report) for report in reports]) + "\n")
            sys.stdout.flush()
        self._dismiss()

    def _warm(self, jobs: Sequence[Job]) -> None:
        """Do once what a fork inherits: statements compiled, modules imported."""
        for job in jobs:
            if job.via not in self._warmed:
                self._dismiss()  # workers started now know this framework too
                first = replace(
                    job,
                    run=f"run_warm{job.via}{os.getpid()}",
                    role="live",
                    crash="",
                    hours=0,
                    effects=f"{job.effects}.warm",
                    broken="",
                )
                asyncio.run(life_of(first, self._stores.of(job.url)).play())
                self._warmed.add(job.via)
                gc.collect()
                gc.freeze()  # a collection in a child would copy every page it looks at

    def _run(self, jobs: Sequence[Job]) -> list[Report]:
        children = [self._fork([job]) for job in jobs]
        return [_reap(*child, 1)[0] for child in children]

    def _carry(self, jobs: Sequence[Job]) -> list[Report]:
        surviving = [(at, job) for at, job in enumerate(jobs) if not job.crash]
        doomed = [(at, job) for at, job in enumerate(jobs) if job.crash]
        while len(self._workers) < WORKERS:
            self._workers.append(self._hire())
        shares = [surviving[number::WORKERS] for number in range(WORKERS)]
        for worker, share in zip(self._workers, shares, strict=True):
            json.dump([asdict(job) for _, job in share], worker.asking)
            worker.asking.write("\n")
            worker.asking.flush()
        forks = [(share, self._fork([job for _, job in share])) for share in _shared(doomed)]
        found: dict[int, Report] = {}
        for share, child in forks:
            found |= dict(zip((at for at, _ in share), _reap(*child, len(share)), strict=True))
        for worker, share in zip(self._workers, shares, strict=True):
            told = [_report(each) for each in json.loads(worker.telling.readline())]
            found |= dict(zip((at for at, _ in share), told, strict=True))
        return [found[at] for at in range(len(jobs))]

    def _fork(self, jobs: Sequence[Job]) -> tuple[int, int]:
        reading, writing = os.pipe()
        child = os.fork()
        if child:
            os.close(writing)
            return child, reading
        gc.disable()
        try:
            _play_and_die(jobs, self._stores.of(jobs[0].url), writing)
        finally:
            os._exit(0)

    def _hire(self) -> _Worker:
        (asked, asking), (telling, told) = os.pipe(), os.pipe()
        child = os.fork()
        if child:
            os.close(asked)
            os.close(told)
            return _Worker(child, os.fdopen(asking, "w"), os.fdopen(telling))
        os.close(asking)
        os.close(telling)
        for worker in self._workers:
            os.close(worker.asking.fileno())  # else the other workers would never see its end
        try:
            _work(os.fdopen(asked), os.fdopen(told, "w"))
        finally:
            os._exit(0)

    def _dismiss(self) -> None:
        for worker in self._workers:
            worker.asking.close()
            os.waitpid(worker.pid, 0)
            worker.telling.close()
        self._workers.clear()


def _shared(doomed: Sequence[tuple[int, Job]]) -> Iterator[list[tuple[int, Job]]]:
    """Share jobs out to processes: only the last of each may die inside a transaction."""
    inside = [each for each in doomed if each[1].crash.endswith(".inside")]
    others = [each for each in doomed if not each[1].crash.endswith(".inside")]
    number = max(len(inside), 1)
    for at in range(number):
        if share := [*others[at::number], *inside[at : at + 1]]:
            yield share


def _play_and_die(jobs: Sequence[Job], store: Store, telling: int) -> None:
    """Play jobs one after the other; those at their kill point stand still until SIGKILL."""
    *others, last = enumerate(jobs)
    standing = [number for number, job in others if _stands(number, job, store, telling)]
    _tell(telling, last[0], _played(last[1], store))
    if standing:
        die()


def _stands(number: int, job: Job, store: Store, telling: int) -> bool:
    """Play a job in a thread until it stands at its kill point, or has ended."""
    parked, over = threading.Event(), threading.Event()

    def stand() -> None:
        parked.set()
        over.set()
        threading.Event().wait()

    def play() -> None:
        _tell(telling, number, _played(job, store, stand))
        over.set()

    threading.Thread(target=play, daemon=True).start()
    over.wait()
    return parked.is_set()


def _tell(telling: int, number: int, report: Report) -> None:
    os.write(telling, (json.dumps([number, asdict(report)]) + "\n").encode())


def _played(job: Job, store: Store, end: Callable[[], None] = die) -> Report:
    return _guarded(lambda: asyncio.run(life_of(job, store, end).play()))


def _guarded(play: Callable[[], Report]) -> Report:
    try:
        return play()
    except BaseException as error:  # noqa: BLE001 - the parent has to hear of it
        return Report(killed=False, errors=(repr(error)[:2000],))


def _work(asked: IO[str], told: IO[str]) -> None:
    stores, loops = _Stores(), _Loops()
    with ThreadPoolExecutor() as threads:
        for line in asked:
            jobs = [Job(**cast("dict[str, Any]", job)) for job in json.loads(line)]
            reports = [
                report
                for group in _alike(jobs)
                for report in threads.map(partial(loops.play, stores.of(group[0].url)), group)
            ]
            told.write(json.dumps([asdict(report) for report in reports]) + "\n")
            told.flush()


class _Loops(threading.local):
    """The event loop of each thread of this process, kept with its own threads."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()

    def play(self, store: Store, job: Job) -> Report:
        """Play a job on the loop of the thread that asks."""
        return _guarded(lambda: self._runner.run(life_of(job, store).play()))


def _alike(jobs: Sequence[Job]) -> Iterator[list[Job]]:
    """Give neighbours that are about one call together."""
    return (list(group) for _, group in groupby(jobs, key=lambda job: job.run))


def _reap(child: int, pipe: int, number: int) -> list[Report]:
    with os.fdopen(pipe, "rb") as file:
        written = file.read()
    os.waitpid(child, 0)
    reports = [Report(killed=True)] * number
    for line in written.splitlines():
        at, told = json.loads(line)
        reports[at] = _report(told)
    return reports


if __name__ == "__main__":
    _Server().serve()
