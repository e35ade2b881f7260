"""`staid export` on a command line: status, run, retry, backfill, receipts, and the doctor."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

KNOWN = "Are annual plans refunded within 30 days of the purchase?"
WORKS = '\n[sinks.log]\nkind = "file"\npath = "out/spans.jsonl"\ncontent = "full"\n'
DEAD = '\n[sinks.dead]\nkind = "otlp"\nurl = "http://127.0.0.1:9"\n'
OPEN = '\n[sinks.log]\nkind = "file"\npath = "s"\npassages = true\npassages_reason = "a test"\n'
EMPTY = {"waiting": 0, "sent": 0, "confirmed": 0, "rejected": 0, "skipped": 0}

Run = Callable[..., Any]


def sinks(folder: Path, text: str) -> None:
    """Add sinks to the project."""
    with (folder / "staid.toml").open("a", encoding="utf-8") as file:
        file.write(text)


def ask(ready: Run) -> str:
    """Ask a question and return the run."""
    return ready("ask", KNOWN, "--as", "user:ada", "--agent", "support").body["run"]


def test_a_run_is_due_sent_and_told(ready: Run, folder: Path) -> None:
    """A finished run waits, `export run` sends it, and status and receipts say so."""
    sinks(folder, WORKS)
    run = ask(ready)
    waiting = ready("export", "status").body["sinks"]
    assert waiting[0]["oldest_waiting"] is not None
    assert {k: waiting[0][k] for k in EMPTY} == {**EMPTY, "waiting": 1}
    sent = ready("export", "run")
    assert (sent.code, sent.body["sinks"][0]["sent"]) == (0, 1)
    lines = (folder / "out/spans.jsonl").read_text("utf-8").splitlines()
    [receipt] = ready("export", "receipts", "--run", run).body["receipts"]
    assert receipt["state"] == "sent"
    assert receipt["receipt"]["spans"] == [json.loads(line)["span"] for line in lines]
    assert ready("feedback", run, "up").code == 0
    assert ready("export", "run", "log").body["sinks"][0]["sent"] == 1
    assert json.loads((folder / "out/spans.jsonl").read_text().splitlines()[-1])["value"] == 1


def test_a_dead_sink_is_told_and_the_other_gets_its_runs(ready: Run, folder: Path) -> None:
    """`export run` exits 5 when a sink cannot be reached; what waits says why and until when."""
    sinks(folder, WORKS + DEAD)
    ask(ready)
    said = ready("export", "run", json=False)
    assert said.code == 5
    assert "log: 1 sent" in said.out
    assert "ST-546" in said.out
    told = {one["sink"]: one for one in ready("export", "status").body["sinks"]}
    assert told["dead"]["waiting"] == 1
    assert told["dead"]["next_attempt"] is not None
    assert "dead" in ready("export", "status", json=False).out
    checks = {c["name"]: c for c in ready("doctor").body["checks"]}
    assert (checks["sink log"]["state"], checks["sink dead"]["state"]) == ("ok", "note")
    assert ready("export", "retry", "dead").body == {"sink": "dead", "due": 1}


def test_backfill_brings_the_runs_of_before(ready: Run, folder: Path) -> None:
    """A sink added today gets earlier runs, once; a date or an age narrows them."""
    ask(ready)
    sinks(folder, WORKS)
    assert ready("export", "status").body["sinks"][0]["waiting"] == 0
    assert ready("export", "backfill", "log", "--since", "2099-01-01").body["due"] == 0
    assert ready("export", "backfill", "log", "--since", "1d").body["due"] == 1
    assert ready("export", "backfill", "log").body["due"] == 0
    assert ready("export", "run").body["sinks"][0]["sent"] == 1


def test_what_is_wrong_is_said(ready: Run, folder: Path) -> None:
    """Without sinks it says so; an unknown sink and a date that is none are usage errors."""
    assert "no sinks" in ready("export", "status", json=False).out
    assert "no sinks" in ready("export", "run", json=False).out
    assert "Nothing was due" in ready("export", "receipts", json=False).out
    assert ready("export", "receipts", "--run", "run_none").error["code"] == "ST-306"
    assert ready("export", "receipts", "elsewhere").error["code"] == "ST-545"
    for words in (("run", "x"), ("retry", "x"), ("backfill", "x")):
        said = ready("export", *words)
        assert (said.code, said.error["code"]) == (2, "ST-545")
    sinks(folder, WORKS)
    said = ready("export", "backfill", "log", "--since", "yesterday")
    assert (said.code, said.error["code"]) == (2, "ST-601")


def test_the_doctor_shows_why_every_passage_goes_out(ready: Run, folder: Path) -> None:
    """A sink that gets every passage is a note with its reason."""
    sinks(folder, OPEN)
    checks = {c["name"]: c for c in ready("doctor").body["checks"]}
    assert checks["sink log"]["state"] == "note"
    assert "because: a test" in checks["sink log"]["detail"]


def test_the_worker_tells_what_it_sent(ready: Run, folder: Path) -> None:
    """One round of the worker empties the outbox and prints it."""
    sinks(folder, WORKS)
    ask(ready)
    assert ready("worker", "--once").body["exported"][0]["sent"] == 1
