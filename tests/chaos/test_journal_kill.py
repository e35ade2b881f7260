"""kill -9 around every write of a turn: the whole record or no answer, never a second effect."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from staid.project.project import Project
from staid.runtime.released import outcome_of
from staid.testing.embedder import HashingEmbedder
from staid.testing.load import AGENT, SCRIPT

pytestmark = pytest.mark.chaos

SETTINGS = """
[project]
name = "killed"
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
"""
KILLER = """
import json, os, signal, sys
from pathlib import Path

from staid.project.loading import load_project
from staid.store.ledger.sql import SqlLedger
from staid.store.runs import SqlRecords
from staid.testing.embedder import HashingEmbedder
import staid.runtime.agent, staid.knowledge.index.embedded, staid.adapters.models.scripted
import staid.adapters.models.quote, staid.grounding.quoting, numpy, yaml, asyncio

home = Path(sys.argv[1])
CLASSES = {"records": SqlRecords, "ledger": SqlLedger}

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def arm(point):
    owner, name, when, nth = point
    kind, made, count = CLASSES[owner], getattr(CLASSES[owner], name), [0]
    def armed(self, *given, **options):
        count[0] += 1
        if count[0] == nth and when == "before":
            die()
        value = made(self, *given, **options)
        if count[0] == nth and when == "after":
            die()
        return value
    setattr(kind, name, armed)

def play(number, point, agent, question):
    if point:
        arm(point)
    project = load_project(home)
    project.wiring.__dict__["embedder"] = HashingEmbedder()
    outcome = project.agent_named(agent).ask_sync(question, asker="user:ada", key=f"k{number}")
    line = json.dumps([number, outcome.run, outcome.outcome, outcome.text])
    file = os.open(home / "told.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(file, (line + "\\n").encode())
    die()

for number, (point, agent, question) in enumerate(json.loads(sys.stdin.read())):
    child = os.fork()
    if not child:
        try:
            play(number, point, agent, question)
        except BaseException as error:
            os.write(2, f"{number}: {error!r}\\n".encode())
        os._exit(7)
    print(json.dumps(os.waitpid(child, 0)[1]))
"""
KNOWN = "Are annual plans refunded within 30 days of the purchase?"
POINTS: list[list[Any] | None] = [
    None,
    *([owner, name, when, nth]
      for owner, name, most in (
          ("records", "begin", 1), ("records", "append", 3), ("records", "release", 1),
          ("records", "park", 1), ("ledger", "propose", 1), ("ledger", "settle", 1))
      for when in ("before", "after")
      for nth in range(1, most + 1)),
]  # fmt: skip
TURNS = (
    ("support", KNOWN),
    ("support", "Do whales sing at night?"),
    ("desk", "refund 40 for order A-{n}"),
    ("desk", "refund 200 for order A-{n}"),
)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Give a project with one document."""
    from staid.domain.label import Label
    from staid.testing.documents import written

    files = {
        "staid.toml": SETTINGS,
        "agent.py": AGENT,
        "script.yaml": SCRIPT,
        "directory.yaml": "principals:\n  user:ada: {groups: [group:customers]}\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text, "utf-8")
    project = Project(tmp_path)
    embedder = HashingEmbedder()
    text = "Annual plans are refunded within 30 days of the purchase."
    change = written(embedder, "refunds.md", text, Label.of([["group:customers"]]))
    project.wiring.corpus.apply([change], embedder.id)
    assert project.wiring.journal.verify() == []
    project.close()
    return tmp_path


def test_kill_around_every_write(home: Path) -> None:
    """Whoever was told an outcome finds it recorded whole; every other run shows as interrupted."""
    jobs = [
        (point, agent, question.format(n=number))
        for number, (point, (agent, question)) in enumerate(
            (point, turn) for point in POINTS for turn in TURNS
        )
    ]
    killer = subprocess.run(
        [sys.executable, "-c", KILLER, str(home)],
        input=json.dumps(jobs),
        capture_output=True,
        text=True,
        timeout=200,
        check=True,
    )
    assert killer.stderr == ""
    assert [json.loads(line) for line in killer.stdout.splitlines()] == [9] * len(jobs)
    told = [json.loads(line) for line in (home / "told.txt").read_text().splitlines()]
    assert {number for number, *_ in told} >= set(range(len(TURNS)))
    _check_records(home, told)
    effects = Counter((home / "effects.txt").read_text().split())
    assert set(effects.values()) == {1}
    _check_retries(home, jobs, effects)


def _check_records(home: Path, told: list[Any]) -> None:
    project = Project(home)
    records = project.wiring.records
    for _, run, outcome, text in told:
        rows = records.rows(run)
        assert [row.kind.value for row in rows[-2:]] == ["outcome.decided", "outcome.released"]
        kept = outcome_of(run, rows)
        assert (kept.outcome, kept.text) == (outcome, text)
    assert project.wiring.journal.verify() == []
    runs = records.runs(limit=1000)
    assert {run.state for run in runs} == {"running", "released", "parked"}
    for run in runs:
        ends = [row.kind.value for row in records.rows(run.run)][-2:]
        assert (ends == ["outcome.decided", "outcome.released"]) == (run.state != "running")
    interrupted = {run.run for run in records.runs(limit=1000, state="running")}
    assert not interrupted & {run for _, run, *_ in told}
    project.close()


def _check_retries(home: Path, jobs: list[Any], effects: Counter[str]) -> None:
    """Ask again under the same keys: nothing that was done is done again."""
    again = [(None, agent, question) for _, agent, question in jobs]
    subprocess.run(
        [sys.executable, "-c", KILLER, str(home)],
        input=json.dumps(again),
        capture_output=True,
        text=True,
        timeout=200,
        check=True,
    )
    after = Counter((home / "effects.txt").read_text().split())
    assert set(after.values()) == {1}
    assert after >= effects
