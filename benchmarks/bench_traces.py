"""What a recorded fact costs its caller, how many are durable in a second, and what is lost.

Through the store's own layer (`SqlRecords`): the chain, the keyed hashes, the contents apart. The
clients of other vendors run in the same command, in turn with it, when `.venv-peers` is there
(`make peers-setup`). CPU of the calling thread, because machines are shared; beside it that of the
whole process, because a thread commits for all, and the time the caller waited for it. The last
line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any
from urllib.request import urlopen

from sqlalchemy import func, select

from staid.domain.events import Content, Event, EventKind
from staid.domain.ids import ConversationId, RunId
from staid.domain.label import Label
from staid.domain.principal import Actor
from staid.domain.records import Ending, RunStart
from staid.store import tables
from staid.store.engine import Store
from staid.store.journal import Journal
from staid.store.runs import SqlRecords
from staid.store.schema import prepare
from staid.tracing.story import tell

KEY = b"the journal's key in benchmarks"
ROOT = Path(__file__).parent.parent
PEERS = ROOT / ".venv-peers" / "bin" / "python"
CLIENTS = ("otel", "langfuse", "langsmith", "logfire")
TEXT = "lorem ipsum dolor " * 114
"""2,052 characters: what a model was asked, or what it said."""
MINE = Label.of([["user:ada"]])
ACTOR = Actor("agent", "support")
FLUSH = 9
"""Facts of one flush: what a turn has noted when it asks its model (docs/one-turn.md)."""
EMITTED, APART = 300, 0.005
THREADS = 8


class Log:
    """A store, its journal and its records, opened as a project opens them."""

    def __init__(self, url: str) -> None:
        """Open and bring to this release's schema."""
        self.store = Store(url)
        prepare(self.store)
        self.journal = Journal(self.store, KEY)
        self.records = SqlRecords(self.store, self.journal)

    def turn(self, run: str, facts: int = 12) -> None:
        """Record a whole turn of `facts` facts: begun, flushed once, released durably."""
        now, name = datetime.now(UTC), RunId(run)
        start = RunStart(name, ConversationId(f"cnv_{run}"), "support", "user:ada", now)
        self.records.begin(start, [fact(run, 0)])
        middle = facts - 3
        self.records.append(name, [fact(run, number) for number in range(1, middle)])
        ending = Ending("released", "answer", None, 0.7, now)
        last = [fact(run, number) for number in range(middle, facts)]
        self.records.release(name, ending, last, None)

    def facts(self) -> int:
        """Count the facts that are there."""
        with self.store.read() as connection:
            found = connection.execute(select(func.count()).select_from(tables.journal)).scalar()
        return found or 0


def fact(run: str, number: int) -> Event:
    """Return a fact with 2 kB of content that no other fact has."""
    body = {"text": f"{run} {number} {TEXT}"}
    return Event(
        EventKind.MODEL_RETURNED,
        datetime.now(UTC),
        ACTOR,
        {"calls": 0, "model": "quote", "input_tokens": number, "output_tokens": 120},
        Content(body, MINE, "user:ada"),
    )


# --- what one fact costs -------------------------------------------------------------------


@dataclass(frozen=True)
class Cost:
    """What one fact costs, in microseconds."""

    caller: float
    """CPU of the thread that records it."""
    process: float
    """CPU of the whole process: the thread that commits is in it."""
    wall: float
    """How long the caller waits until it is committed."""


def cost(log: Log, together: int, name: str, rounds: int = 13) -> Cost:
    """Return the medians of rounds for one fact."""
    found: list[Cost] = []
    flushes = max(1, 180 // together)
    for number in range(rounds):
        started = _clocks()
        for flush in range(flushes):
            run = RunId(f"run_{name}_{number}_{flush}")
            log.records.append(run, [fact(run, seq) for seq in range(together)])
        spent = zip(_clocks(), started, strict=True)
        found.append(Cost(*((end - begin) / (flushes * together) * 1e6 for end, begin in spent)))
    return _median(found[1:])


def _clocks() -> tuple[float, float, float]:
    return time.thread_time(), time.process_time(), time.perf_counter()


def _median(costs: Sequence[Cost]) -> Cost:
    return Cost(*(median(astuple(one)[place] for one in costs) for place in range(3)))


def turn_cost(log: Log, rounds: int = 9) -> float:
    """Return CPU microseconds for each fact of a whole turn: rows, seal, durable release."""
    found: list[float] = []
    for number in range(rounds):
        started = time.thread_time()
        for turn in range(15):
            log.turn(f"run_turn_{number}_{turn}")
        found.append((time.thread_time() - started) / (15 * 12) * 1e6)
    return median(found[1:])


# --- how many, and none lost ---------------------------------------------------------------


def durable(log: Log, seconds: float = 4.0) -> float:
    """Return facts a second from eight threads, each waiting for the disk at every flush."""
    stop = time.monotonic() + seconds
    counts = [0] * THREADS

    def write(thread: int) -> None:
        while time.monotonic() < stop:
            run = RunId(f"run_durable_{thread}_{counts[thread]}")
            events = [fact(run, seq) for seq in range(FLUSH)]
            log.records.append(run, events, durable=True)
            counts[thread] += FLUSH

    started = time.monotonic()
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(write, range(THREADS)))
    return sum(counts) / (time.monotonic() - started)


def burst(log: Log, runs: int, facts: int = 4) -> dict[str, Any]:
    """Record runs as fast as eight threads can; return what of them is missing or broken."""
    before = log.facts()
    started = time.monotonic()

    def write(thread: int) -> None:
        for number in range(thread, runs, THREADS):
            log.turn(f"run_burst_{number}", facts)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(write, range(THREADS)))
    seconds = time.monotonic() - started
    return {
        "runs": runs,
        "lost": runs * facts - (log.facts() - before),
        "findings": len(log.journal.verify()),
        "events_per_s": round(runs * facts / seconds),
    }


def opening(log: Log, facts: int = 10_000) -> dict[str, float]:
    """Return milliseconds to open a short run and one of 10,000 facts, story included."""
    run = RunId("run_long")
    for first in range(0, facts, 500):
        log.records.append(run, [fact(run, seq) for seq in range(first, first + 500)])
    log.turn("run_short")
    found: dict[str, float] = {}
    for name in ("run_short", "run_long"):
        times: list[float] = []
        for _ in range(3):
            started = time.thread_time()
            tell(name, log.records.rows(name))
            times.append((time.thread_time() - started) * 1e3)
        found[name.removeprefix("run_")] = round(min(times), 1)
    return found


# --- kill -9 -------------------------------------------------------------------------------


def ours_after_kill(folder: Path) -> int:
    """Return how many of 300 recorded facts are gone after SIGKILL, or do not verify."""
    url = f"sqlite:///{folder}/killed.db"
    Log(url).store.close()
    words = [sys.executable, __file__, "--die", url]
    died = subprocess.run(words, check=False, env=_environment(), timeout=300)
    if died.returncode != -signal.SIGKILL:
        message = f"the process that was to be killed ended with {died.returncode}"
        raise RuntimeError(message)
    log = Log(url)
    lost = EMITTED - log.facts() + len(log.journal.verify())
    log.store.close()
    return lost


def die(url: str) -> None:
    """Record 300 facts a few milliseconds apart and die without a word."""
    log = Log(url)
    for number in range(EMITTED):
        log.records.append(RunId(f"run_{number // 7}"), [fact("run", number)])
        time.sleep(APART)
    os.kill(os.getpid(), signal.SIGKILL)


# --- the others ----------------------------------------------------------------------------


class Sink:
    """The loopback receiver of the peers' spans."""

    def __init__(self) -> None:
        """Start it."""
        words = [str(PEERS), str(ROOT / "benchmarks" / "peer_client.py"), "sink"]
        self._process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        line = self._process.stdout.readline() if self._process.stdout else ""
        self.url = f"http://127.0.0.1:{line.strip()}"

    def spans(self) -> int:
        """Return how many spans have arrived."""
        with urlopen(f"{self.url}/spans") as answer:
            return int(answer.read())

    def stop(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()


@contextmanager
def sink() -> Generator[Sink]:
    """Give a sink and end it afterwards."""
    started = Sink()
    try:
        yield started
    finally:
        started.stop()


def peer(what: str, client: str, url: str) -> subprocess.CompletedProcess[str]:
    """Run one client of another vendor to its end."""
    words = [str(PEERS), str(ROOT / "benchmarks" / "peer_client.py"), what, client, url]
    return subprocess.run(
        words, capture_output=True, text=True, check=False, timeout=300, env=_environment()
    )


def peer_lost(client: str, receiver: Sink) -> int:
    """Return how many of 300 emitted spans never arrived after SIGKILL."""
    before = receiver.spans()
    died = peer("kill", client, receiver.url)
    if died.returncode != -signal.SIGKILL:
        message = f"{client} ended with {died.returncode}: {died.stderr[-300:]}"
        raise RuntimeError(message)
    threading.Event().wait(1)  # what the kernel still holds arrives
    return EMITTED - (receiver.spans() - before)


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT / "src")}


# --- the report ----------------------------------------------------------------------------


def measure(log: Log, folder: Path, runs: int) -> dict[str, Any]:
    """Measure ourselves and, turn by turn with it, the peers."""
    result: dict[str, Any] = {"peers": {}}
    costs = [cost(log, FLUSH, "a")]
    if PEERS.exists():
        with sink() as receiver:
            for client in CLIENTS:
                told = peer("cost", client, receiver.url).stdout.split()
                caller, process = (round(float(spent), 1) for spent in told[-2:])
                result["peers"][client] = {
                    "us_per_event": caller,
                    "us_per_event_process": process,
                    "lost_after_kill": peer_lost(client, receiver),
                }
                costs.append(cost(log, FLUSH, client))
    else:
        print("no .venv-peers here (make peers-setup): measured without the peers")
    for key, found in (("", _median(costs)), ("_alone", cost(log, 1, "alone"))):
        result[f"us_per_event{key}"] = round(found.caller, 1)
        result[f"us_per_event{key}_process"] = round(found.process, 1)
        result[f"us_per_event{key}_wall"] = round(found.wall, 1)
    result["us_per_event_of_a_turn"] = round(turn_cost(log), 1)
    result["events_per_s"] = round(durable(log))
    result["lost_after_kill"] = ours_after_kill(folder)
    result["open_ms"] = opening(log)
    result["burst"] = burst(log, runs)
    return result


def _row(name: str, cost: object, lost: object, process: object = "", wall: object = "") -> str:
    return f"{name:<34}{cost!s:>12}{process!s:>12}{wall!s:>12}{lost!s:>14}"


def report(result: dict[str, Any]) -> None:
    """Print what was measured as a table."""
    print(f"microseconds for an event of 2 kB; events of {EMITTED} that kill -9 lost")
    print(_row("", "caller CPU", "lost", "process CPU", "wall"))
    mine = [("us_per_event", f"Staid, {FLUSH} facts a flush"), ("us_per_event_alone", "Staid, one")]
    for key, name in mine:
        more = (result[f"{key}_process"], result[f"{key}_wall"])
        print(_row(name, result[key], result["lost_after_kill"], *more))
    whole = "Staid, whole durable turn of 12"
    print(_row(whole, result["us_per_event_of_a_turn"], result["lost_after_kill"]))
    for client, found in result["peers"].items():
        costs = (found["us_per_event"], found["lost_after_kill"], found["us_per_event_process"])
        print(_row(client, *costs))
    told, opened = result["burst"], result["open_ms"]
    print(f"durable facts a second, {THREADS} threads: {result['events_per_s']}")
    print(
        f"burst of {told['runs']} runs: {told['lost']} facts lost, {told['findings']} findings, "
        f"{told['events_per_s']} facts a second"
    )
    print(f"CPU ms to open a run of 12 facts: {opened['short']}; of 10,000: {opened['long']}")


def main() -> None:
    """Measure, print, and end with one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000, help="of the burst")
    parser.add_argument("--store", help="a URL; without it a fresh SQLite file")
    parser.add_argument("--die", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.die:
        die(given.die)
    with tempfile.TemporaryDirectory() as folder:
        log = Log(given.store or f"sqlite:///{folder}/staid.db")
        result = measure(log, Path(folder), given.runs)
        log.store.close()
    report(result)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
