"""Turns under load in processes that are killed with SIGKILL, and what has to be there afterwards.

A clean process that has imported everything forks a child for each trial. The child's threads ask
agents without end; each writes down every outcome it was given, in a file that Staid knows nothing
of. The moment of the kill is drawn in transactions, not in seconds, so that it falls into the
turns' work on every machine.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from staid.domain.ids import RunId
from staid.domain.label import Label
from staid.project.exporting import export_once
from staid.project.interrupting import close_interrupted, interrupted
from staid.project.loading import load_project
from staid.project.project import Project
from staid.runtime.agent import CLAIM
from staid.runtime.released import outcome_of
from staid.store.engine import Store
from staid.store.outbox import FINISHED
from staid.testing.documents import written
from staid.testing.embedder import HashingEmbedder
from staid.tracing.spans import trace_id

THREADS = 4
EXPORTS = 0.1
"""How often whoever was told an outcome then empties the outbox: kills fall into exports, too."""
LATEST = 60
"""Transactions that a child has begun when it is killed, at most."""

WARM = (
    "staid.adapters.models.quote",
    "staid.adapters.models.scripted",
    "staid.knowledge.index.embedded",
    "staid.knowledge.index.pgvector",
    "staid.store.ledger.sql",
    "staid.store.runs",
    "yaml",
)

SETTINGS = """
[project]
name = "killed"
store = "{url}"
entry = "agent:project"
[agents.support]
model = "quote"
[agents.desk]
model = "scripted:script.yaml"
allow_tools = ["refund.issue"]
[directory]
file = "directory.yaml"
[grounding]
signal = "similarity"
floor = 0.35
floor_reason = "the hashing embedder of the tests knows no meaning"
[sinks.log]
kind = "file"
path = "exports.jsonl"
content = "full"
"""
AGENT = '''
import os
from decimal import Decimal
from pathlib import Path

from pydantic import BaseModel

import staid

project = staid.Project()
EFFECTS = str(Path(__file__).parent / "effects.txt")


class Refund(BaseModel):
    order_id: str
    amount: Decimal


@project.tool("refund.issue", effect="write", result="Refunded {amount} for order {order_id}.",
              requires_approval=lambda p: p.amount > 100)
def issue_refund(p: Refund) -> dict[str, str]:
    """Refund an order."""
    file = os.open(EFFECTS, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(file, f"{p.order_id}\\n".encode())
    os.close(file)
    return {"id": "r"}
'''
SCRIPT = """
- when: "refund (?P<amount>[0-9]+) for order (?P<order>[A-Z0-9-]+)"
  steps:
    - calls:
        - {tool: refund.issue, arguments: {order_id: "{order}", amount: "{amount}"}}
    - text: ""
"""
TURNS = (
    ("support", "Are annual plans refunded within 30 days of the purchase?"),
    ("support", "Do whales sing at night?"),
    ("desk", "refund 40 for order {order}"),
    ("desk", "refund 200 for order {order}"),
)


@dataclass(frozen=True, slots=True)
class Told:
    """An outcome that somebody was given."""

    run: str
    outcome: str
    text: str


@dataclass(slots=True)
class Seen:
    """What was there after the kills."""

    kills: int = 0
    runs: int = 0
    told: int = 0
    interrupted: int = 0
    effects: int = 0
    violations: list[str] = field(default_factory=list[str])


Check = Callable[[Project, Sequence[Told]], list[str]]
CHECKS: list[Check] = []
"""Further promises held after the kills: each returns what is broken, in words."""


def prepare(home: Path, url: str) -> None:
    """Write a project with one document into an empty folder."""
    files = {
        "staid.toml": SETTINGS.replace("{url}", url),
        "agent.py": AGENT,
        "script.yaml": SCRIPT,
        "directory.yaml": "principals:\n  user:ada: {groups: [group:customers]}\n",
    }
    for name, text in files.items():
        (home / name).write_text(text, "utf-8")
    project = Project(home)
    embedder = HashingEmbedder()
    text = "Annual plans are refunded within 30 days of the purchase."
    change = written(embedder, "refunds.md", text, Label.of([["group:customers"]]))
    project.wiring.corpus.apply([change], embedder.id)
    project.wiring.journal.verify()  # makes the key
    project.close()


@contextmanager
def killer(home: Path) -> Generator[Callable[[int], bool]]:
    """Give a function that plays one trial by its seed and tells whether it ended by SIGKILL."""
    process = subprocess.Popen(  # noqa: S603 - this very module
        [sys.executable, "-m", "staid.testing.load", str(home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def play(seed: int) -> bool:
        if process.stdin is None or process.stdout is None:
            raise RuntimeError
        process.stdin.write(f"{seed}\n")
        process.stdin.flush()
        return process.stdout.readline().strip() == str(signal.SIGKILL.value)

    try:
        yield play
    finally:
        if process.stdin is not None:
            process.stdin.close()
        process.wait(timeout=60)
        if process.stdout is not None:
            process.stdout.close()


def check(home: Path, seen: Seen) -> None:
    """Hold everything that was told and everything recorded against the promises."""
    project = Project(home)
    told = _told(home)
    records = project.wiring.records
    seen.told = len(told)
    seen.violations += [broken for each in told for broken in _whole(project, each)]
    seen.violations += [str(finding) for finding in project.wiring.journal.verify()]
    seen.violations += _interrupted(project, told, seen)
    seen.runs = len(records.runs(limit=1_000_000))
    effects = Counter((home / "effects.txt").read_text().split()) if seen.told else Counter[str]()
    seen.effects = sum(effects.values())
    seen.violations += [f"{n} effects for {order}" for order, n in effects.items() if n > 1]
    for promise in CHECKS:
        seen.violations += promise(project, told)
    project.close()


def _told(home: Path) -> list[Told]:
    file = home / "told.txt"
    lines = file.read_text("utf-8").splitlines() if file.exists() else []
    return [Told(*json.loads(line)) for line in lines]


def _whole(project: Project, told: Told) -> list[str]:
    """Return what is missing of a run whose outcome somebody was given."""
    records = project.wiring.records
    rows = records.rows(told.run)
    if [row.kind.value for row in rows[-2:]] != ["outcome.decided", "outcome.released"]:
        return [f"{told.run} was told, and its record ends with {rows[-1:]}"]
    kept = outcome_of(RunId(told.run), rows)
    state = records.run(told.run).state
    same = (kept.outcome, kept.text) == (told.outcome, told.text)
    good = same and state in {"released", "parked"}
    return [] if good else [f"{told.run} was told {told}, recorded {kept} in state {state}"]


class _Later:
    """A clock that stands where every claim of the killed has lapsed."""

    def now(self) -> datetime:
        """Return the time it stands at."""
        return datetime.now(UTC) + CLAIM + timedelta(minutes=1)


def _interrupted(project: Project, told: Sequence[Told], seen: Seen) -> list[str]:
    """Return what is wrong with the list of interrupted runs, before and after they are closed."""
    records = project.wiring.records
    project.wiring.clock = _Later()
    running = {run.run for run in records.runs(limit=1_000_000, state="running")}
    listed = {run.run for run in interrupted(project, 1_000_000)}
    seen.interrupted = len(listed)
    wrong = [f"{run} is running, and not listed as interrupted" for run in running - listed]
    wrong += [
        f"{each.run} was told, and is listed as interrupted" for each in told if each.run in listed
    ]
    while close_interrupted(project):
        pass
    left = records.runs(limit=10, state="running")
    wrong += [f"{run.run} cannot be closed" for run in left]
    if {run.run for run in interrupted(project, 1_000_000)} != listed:
        wrong.append("closing changed which runs are listed as interrupted")
    return wrong + [f"after closing: {finding}" for finding in project.wiring.journal.verify()]


# --- exports -------------------------------------------------------------------------------


def _exported(project: Project, _: Sequence[Told]) -> list[str]:
    """Return finished runs that are not due or did not arrive, and spans with a second id."""
    outbox, records = project.wiring.outbox, project.wiring.records
    wrong = [f"{run} is finished, and was never due at the sink" for run in outbox.missing("log")]
    _flush(project)
    first = _spans(project)
    left = outbox.rows(sink="log", states=("waiting", "rejected", "skipped"), limit=1_000_000)
    wrong += [f"the {row.kind} of {row.run} did not leave: {row.state} {row.error}" for row in left]
    finished = [run.run for run in records.runs(limit=1_000_000) if run.state in FINISHED]
    traces = {trace for trace, _ in first}
    wrong += [f"{run} is not in the export" for run in finished if trace_id(run) not in traces]
    outbox.retry("log", ["sent"])
    _flush(project)
    again = _spans(project) - first
    return wrong + [f"sent again under another id: {trace} {span}" for trace, span in again]


def _flush(project: Project) -> None:
    while any(done.moved for done in export_once(project)):
        pass


def _spans(project: Project) -> set[tuple[str, str]]:
    """Return trace and span of every whole line that was exported."""
    found: set[tuple[str, str]] = set()
    file = project.settings.path("exports.jsonl")
    for line in file.read_text("utf-8").splitlines() if file.exists() else []:
        with suppress(json.JSONDecodeError):  # the kill fell into this line
            span = json.loads(line)
            found.add((span["trace"], span["span"]))
    return found


CHECKS.append(_exported)


# --- inside the process that forks ---------------------------------------------------------


def _child(home: Path, seed: int, pipe: int) -> None:
    os.chdir(home)
    _tell_transactions(pipe)
    project = load_project(home)
    project.wiring.__dict__["embedder"] = HashingEmbedder()
    threads = [
        threading.Thread(target=_ask, args=(project, home, random.Random(f"{seed} {number}")))  # noqa: S311 - a seeded trial
        for number in range(THREADS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _tell_transactions(pipe: int) -> None:
    """Write a byte when a transaction begins and one when it is over."""
    around = Store.write, Store.driver

    def telling(kind: Any) -> Any:  # noqa: ANN401 - any of the store's context managers
        @contextmanager
        def told(self: Store, *, durable: bool = True) -> Generator[Any]:
            with kind(self, durable=durable) as given:
                os.write(pipe, b"(")
                yield given
            os.write(pipe, b")")

        return told

    for kind in around:
        setattr(Store, kind.__name__, telling(kind))


def _ask(project: Project, home: Path, draw: random.Random) -> None:
    file = os.open(home / "told.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    while True:
        agent, question = draw.choice(TURNS)
        order = f"A-{draw.getrandbits(60)}"
        outcome = project.agent_named(agent).ask_sync(
            question.format(order=order), asker="user:ada", key=order
        )
        line = json.dumps([outcome.run, outcome.outcome, outcome.text])
        os.write(file, f"{line}\n".encode())
        if draw.random() < EXPORTS:
            export_once(project)


def _trial(home: Path, seed: int) -> int:
    """Fork a child, let it come so far as the seed says, kill it; return how it ended."""
    draw = random.Random(seed)  # noqa: S311 - a seeded trial
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            _child(home, seed, writing)
        finally:
            os._exit(7)
    os.close(writing)
    left = draw.randint(1, LATEST)
    while left and (got := os.read(reading, left)):
        left -= len(got)
    threading.Event().wait(draw.uniform(0, 0.004))  # anywhere between two transactions
    os.kill(child, signal.SIGKILL)
    os.close(reading)
    return os.waitpid(child, 0)[1]


def _serve(home: Path) -> None:
    # What a fork inherits it need not do again.
    for name in WARM:
        importlib.import_module(name)
    for line in sys.stdin:
        sys.stdout.write(f"{_trial(home, int(line))}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
