"""kill -9 of an exporter in the middle of a batch: nothing lost, nothing under another id."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest

from staid.domain.exports import WireSpan
from staid.domain.principal import Principal
from staid.project.exporting import LEASE, export_once
from staid.project.project import Project
from staid.testing.otlp_server import OtlpServer
from staid.tracing.spans import trace_id

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
[sinks.there]
kind = "langfuse"
url = "{url}"
key = "env:STAID_TEST_KEY"
"""
EXPORTER = """
import sys
from staid.project.exporting import export_once
from staid.project.project import Project

print("ready", flush=True)
sys.stdin.readline()
export_once(Project(sys.argv[1]))
"""
RUNS = 6


class Later:
    """A clock by which every claim of the killed process has lapsed."""

    def now(self) -> datetime:
        """Return the present, and a lease more."""
        return datetime.now(UTC) + LEASE + timedelta(seconds=1)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a project without runs."""
    monkeypatch.setenv("STAID_TEST_KEY", "pk:sk")
    (tmp_path / "canned.yaml").write_text("hello: Good day.\n", "utf-8")
    return tmp_path


@pytest.mark.parametrize("deadly", [1, 3, RUNS])
def test_a_killed_exporter_loses_nothing(deadly: int, project: Path) -> None:
    """Killed while its n-th request is answered, its rows are sent again under the same ids."""
    victims: list[subprocess.Popen[bytes]] = []
    requests = 0

    def judge(_: tuple[WireSpan, ...]) -> int:
        nonlocal requests
        requests += 1
        if requests == deadly and victims:
            os.kill(victims[0].pid, signal.SIGKILL)
            victims[0].wait()
        return 200

    with OtlpServer(judge=judge) as server:
        (project / "staid.toml").write_text(SETTINGS.format(url=server.url), "utf-8")
        here = Project(project)
        agent = here.agent_named("support")
        ada = Principal("local", "user", "ada")
        runs: list[str] = [agent.ask_sync("hello", asker=ada).run for _ in range(RUNS)]
        command = [sys.executable, "-c", EXPORTER, str(project)]
        victims.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        victims[0].communicate(b"go\n")
        assert victims[0].returncode == -signal.SIGKILL
        states = [row.state for row in here.wiring.outbox.rows()]
        assert states == ["waiting"] * RUNS  # nobody recorded what was accepted
        here.wiring.clock = Later()
        [done] = export_once(here)
        assert (done.sent, done.error) == (RUNS, None)
        _whole(here, server, runs)
        here.close()


def _whole(project: Project, server: OtlpServer, runs: list[str]) -> None:
    """Every span of every run is there, under the ids of its receipt and no others."""
    receipts = [cast("list[str]", row.receipt["spans"]) for row in project.wiring.outbox.rows()]
    wanted = {span for spans in receipts for span in spans}
    assert {span.span for span in server.spans} == wanted
    assert {span.trace for span in server.spans} == {trace_id(run) for run in runs}
    assert {row.state for row in project.wiring.outbox.rows()} == {"sent"}
    versions: dict[str, set[str]] = {}
    for span in server.spans:
        versions.setdefault(span.span, set()).add(repr(span))
    assert {len(seen) for seen in versions.values()} == {1}
