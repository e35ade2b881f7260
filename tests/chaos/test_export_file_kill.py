"""kill -9 of two exporters that write one file: no line lost, glued, or there in two versions."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import cast

import pytest

from staid.domain.principal import Principal
from staid.project.exporting import export_once
from staid.project.project import Project

pytestmark = pytest.mark.chaos

SETTINGS = """
[project]
name = "killed"
[agents.support]
model = "quote"
canned = "canned.yaml"
[grounding]
signal = "similarity"
floor = 0.35
floor_reason = "the hashing embedder of the tests knows no meaning"
[sinks.log]
kind = "file"
path = "spans.jsonl"
"""
EXPORTER = """
import os, random, sys, time
from datetime import UTC, datetime, timedelta
from staid.adapters import appending
from staid.project import exporting
from staid.project.project import Project

folder, life = sys.argv[1], int(sys.argv[2])
write, pieces = os.write, random.Random(life)

class Later:
    def now(self):
        return datetime.now(UTC) + life * 2 * exporting.LEASE

def slowly(file, data):
    time.sleep(0.003)
    return write(file, bytes(data[: pieces.randint(1, 300)]))

appending.os = type("Pieces", (), {**vars(os), "write": staticmethod(slowly)})
exporting.BATCH = 2
project = Project(folder)
project.wiring.clock = Later()
print("ready", flush=True)
sys.stdin.readline()
exporting.export_once(project)
"""
"""An exporter in its n-th life: every claim of the life before has lapsed, and the disk takes a
line in pieces, so that a kill falls inside of one."""
RUNS, LIVES = 60, 6


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return the folder of a project with runs that nobody exported."""
    (tmp_path / "canned.yaml").write_text("hello: Good day.\n", "utf-8")
    (tmp_path / "staid.toml").write_text(SETTINGS, "utf-8")
    here = Project(tmp_path)
    agent, ada = here.agent_named("support"), Principal("local", "user", "ada")
    for _ in range(RUNS):
        agent.ask_sync("hello", asker=ada)
    here.close()
    return tmp_path


def _begin(folder: Path, life: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", EXPORTER, str(folder), str(life)]
    started = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert started.stdout is not None
    assert started.stdout.readline() == b"ready\n"
    return started


def _kill(folder: Path, life: int, chance: random.Random) -> int:
    """Let two exporters write at once, kill both at some byte; return how many died of it."""
    file = folder / "spans.jsonl"
    both = [_begin(folder, life) for _ in range(2)]
    size = file.stat().st_size if file.exists() else 0
    for one in both:
        assert one.stdin is not None
        one.stdin.write(b"go\n")
        one.stdin.flush()
    wanted = size + chance.randint(1, 12_000)
    while any(one.poll() is None for one in both):
        if file.exists() and file.stat().st_size >= wanted:
            break
    time.sleep(chance.random() / 200)
    for one in both:
        one.kill()
        one.communicate()
    return sum(one.returncode == -signal.SIGKILL for one in both)


def test_a_killed_exporter_to_a_file_loses_and_glues_nothing(project: Path) -> None:
    """Each span of each receipt is in the file, in one version; what is no JSON is a kill's end."""
    chance = random.Random()
    killed = sum(_kill(project, life, chance) for life in range(1, LIVES + 1))
    assert killed >= LIVES  # else nothing was shown: the exporters were through before
    last = _begin(project, LIVES + 1)
    last.communicate(b"go\n")
    assert last.returncode == 0
    versions, times, broken = _read(project / "spans.jsonl")
    here = Project(project)
    assert export_once(here)[0].sent == 0
    rows = here.wiring.outbox.rows()
    here.close()
    assert [row.state for row in rows] == ["sent"] * RUNS
    wanted = {span for row in rows for span in cast("list[str]", row.receipt["spans"])}
    assert set(versions) == wanted
    assert {len(seen) for seen in versions.values()} == {1}
    assert max(times.values()) <= 1 + killed  # again only after a kill
    assert broken <= killed


def _read(file: Path) -> tuple[dict[str, set[str]], dict[str, int], int]:
    """Return each span's versions and how often it is there, and how many lines are no JSON."""
    versions: dict[str, set[str]] = {}
    times: dict[str, int] = {}
    broken = 0
    for line in file.read_text("utf-8").splitlines():
        try:
            span = json.loads(line)["span"]
        except ValueError:
            broken += 1
            continue
        versions.setdefault(span, set()).add(line)
        times[span] = times.get(span, 0) + 1
    return versions, times, broken
