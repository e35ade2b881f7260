"""The command as a person starts it: real processes, the real embedder, pipes, another process."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from staid.cli.main import VERBS
from staid.domain.label import Label
from staid.project.project import Project
from staid.testing.documents import written
from staid.testing.embedder import HashingEmbedder

KNOWN = "Are annual plans refunded within 30 days of the purchase?"
Run = Callable[..., Any]


def staid(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the installed command with its output in pipes."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("STAID_")}
    return subprocess.run(
        [str(Path(sys.executable).with_name("staid")), *words],
        cwd=folder,
        env={**kept, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def test_ingest_and_ask_in_pipes(folder: Path) -> None:
    """With pipes stdout has the document alone: no colour, no progress, empty stderr."""
    acl = '"*.md": {allow: [["group:customers"]]}\n'
    (folder / "acl.yaml").write_text(acl)
    taken = staid(folder, "--json", "ingest")
    assert (taken.returncode, taken.stderr) == (0, "")
    assert json.loads(taken.stdout)["documents"] == 2
    asked = staid(folder, "ask", KNOWN, "--as", "user:ada", "--agent", "support", FORCE_COLOR="1")
    assert (asked.returncode, asked.stderr) == (0, "")
    assert "Annual plans are refunded within 30 days of the purchase." in asked.stdout
    assert "\x1b" not in asked.stdout
    assert max(map(len, asked.stdout.splitlines())) <= 80


def test_a_terminal_that_knows_only_ascii(ready: Run, folder: Path) -> None:
    """Characters that cannot be shown are escaped; JSON stays JSON and means the same."""
    question = "Ist der Käse — wirklich — “grün”?"
    run = ready("ask", question, "--as", "user:ada", "--agent", "support").body["run"]
    shown = staid(folder, "why", run, "--json", PYTHONIOENCODING="ascii")
    assert shown.returncode == 0
    assert shown.stdout.isascii()
    assert question in json.loads(shown.stdout)["story"]
    listed = staid(folder, "runs", "list", PYTHONIOENCODING="ascii")
    assert (listed.returncode, run in listed.stdout) == (0, True)


def test_help_lists_every_verb(tmp_path: Path) -> None:
    """`--help` needs no project, exits 0, and names every verb at 80 columns."""
    told = staid(tmp_path, "--help")
    assert told.returncode == 0
    assert all(f"  {verb} " in told.stdout for verb in VERBS)
    assert max(map(len, told.stdout.splitlines())) <= 80


def test_a_reader_that_leaves_is_no_error(ready: Run, folder: Path) -> None:
    """`staid … | head -0` ends without a traceback."""
    for _ in range(3):
        ready("ask", KNOWN, "--as", "user:ada", "--agent", "support")
    command = f"{Path(sys.executable).with_name('staid')} runs list --limit 1000 | true"
    done = subprocess.run(
        command, shell=True, cwd=folder, capture_output=True, text=True, timeout=100, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_revoke_of_another_process_holds_at_once(folder: Path) -> None:
    """What `staid acl revoke` or an edit of the directory takes is gone at the next question."""
    project = Project(folder)
    project.wiring.__dict__["embedder"] = embedder = HashingEmbedder()
    text = "Annual plans are refunded within 30 days of the purchase."
    change = written(embedder, "refunds.md", text, Label.of([["group:customers"]]))
    project.wiring.corpus.apply([change], embedder.id)
    support = project.agent_named("support")
    asked = [support.ask_sync(KNOWN, asker=who).outcome for who in ("user:ada", "user:bea")]
    assert asked == ["answer", "answer"]
    revoked = staid(folder, "acl", "revoke", "refunds.md", "user:ada", "--json")
    assert json.loads(revoked.stdout)["deny"] == ["user:ada"]
    hers = support.ask_sync(KNOWN, asker="user:ada")
    assert (hers.outcome, hers.reason, hers.evidence) == ("abstention", "empty", ())
    assert support.ask_sync(KNOWN, asker="user:bea").outcome == "answer"
    directory = folder / "directory.yaml"
    old, new = "user:bea: {groups: [group:customers, ", "user:bea: {groups: ["
    directory.write_text(directory.read_text().replace(old, new))
    assert support.ask_sync(KNOWN, asker="user:bea").reason == "empty"
    project.close()


def test_interrupted_runs_are_listed(ready: Run, folder: Path) -> None:
    """A process killed while its model thinks leaves a run that is listed as running."""
    script = (
        "import os, signal, sys\n"
        "from functools import cached_property\n"
        "from staid.project.parts import Wiring\n"
        "from staid.testing.embedder import HashingEmbedder\n"
        "from staid.adapters.models.quote import QuoteModel\n"
        "fast = cached_property(lambda self: HashingEmbedder())\n"
        "fast.__set_name__(Wiring, 'embedder')\n"
        "Wiring.embedder = fast\n"
        "async def die(self, request): os.kill(os.getpid(), signal.SIGKILL)\n"
        "QuoteModel.generate = die\n"
        "from staid.cli import main\n"
        "main()\n"
    )
    words = ("ask", KNOWN, "--as", "user:ada", "--agent", "support")
    done = subprocess.run(
        [sys.executable, "-c", script, *words], cwd=folder, timeout=100, check=False
    )
    assert done.returncode == -9
    runs = ready("runs", "list", "--state", "running").body["runs"]
    assert [run["state"] for run in runs] == ["running"]
    told = ready("why", runs[0]["run"]).body
    assert (told["outcome"], told["deciding"]) == ("interrupted", None)
    # Everything up to the request that it died in was on disk.
    assert told["steps"][-1]["kind"] == "model.requested"
    with sqlite3.connect(folder / ".staid/staid.db") as connection:
        last = connection.execute(
            "SELECT kind FROM journal WHERE run LIKE 'run_%' ORDER BY seq DESC"
        ).fetchone()
    connection.close()
    assert last == ("model.requested",)
    assert ready("runs", "show", runs[0]["run"]).body["outcome"] is None
    assert ready("doctor").code == 0


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """Run the demo once, in pipes, in an empty home, where keys are set that it must not use."""
    home = tmp_path_factory.mktemp("home")
    keys = {"STRIPE_API_KEY": "sk_test_1", "STRIPE_API_BASE": "http://127.0.0.1:1"}
    return staid(home, "demo", HOME=str(home), CALDAV_URL="http://127.0.0.1:1/", **keys)


def test_the_demo_shows_every_promise(demo: subprocess.CompletedProcess[str]) -> None:
    """The demo exits 0, at 80 columns without colour, and shows each step by its outcome."""
    assert (demo.returncode, demo.stderr) == (0, "")
    lines = demo.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in demo.stdout
    for step in range(1, 9):
        assert any(line.startswith(f"{step}. ") for line in lines)
    for shown in (
        "abstention (weak)",
        "refusal (constraint:amount)",
        "pending (approval)",
        "answer (tool_result)",
        "ST-411",
        "What decided:",
        "hand-off hof_",
        "board documents in Ada's search of everything: 0 of ",
    ):
        assert shown in demo.stdout, shown
