"""The record from a terminal: anchors told and checked, runs that were cut off."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import update

from staid.project.project import Project
from staid.store import tables

KNOWN = "What is the refund policy?"


def test_without_an_anchor_the_next_step_is_said(ready: Any) -> None:
    """Telling nobody is an error that says what to set."""
    said = ready("anchor")
    assert said.code == 2
    assert "ST-522" in said.out + said.err


def test_a_seal_is_told_once_and_checked(ready: Any, folder: Path) -> None:
    """The newest seal goes to the place outside once; a file of anchors can be held against it."""
    toml = folder / "staid.toml"
    toml.write_text(f'{toml.read_text()}[journal]\nanchor = "file:far/anchors.jsonl"\n')
    assert ready("ask", KNOWN, "--as", "user:ada").code == 0
    assert ready("anchor").body["anchored"] == [{"target": "file:far/anchors.jsonl", "seal": 1}]
    assert ready("anchor").body == {"anchored": []}
    kept = folder / "far" / "anchors.jsonl"
    assert ready("anchor", "--check", str(kept)).body == {"ok": True, "anchors": 1, "findings": []}
    kept.write_text(kept.read_text().replace('"hash": "', '"hash": "0'))
    checked = ready("anchor", "--check", str(kept))
    assert (checked.code, checked.body["ok"]) == (1, False)


def test_a_run_that_was_cut_off_is_listed_and_closed(ready: Any, folder: Path) -> None:
    """A run left in the middle long ago shows as interrupted, closed or not yet."""
    run = ready("ask", KNOWN, "--as", "user:ada").body["run"]
    project = Project(folder)
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    with project.wiring.store.write() as connection:
        connection.execute(update(tables.run).values(state="running", started_at=long_ago))
        connection.execute(update(tables.journal).values(at="2026-01-01T00:00:00.000000Z"))
    project.close()
    assert [r["run"] for r in ready("runs", "list", "--state", "interrupted").body["runs"]] == [run]
    assert ready("worker", "--once").body["interrupted"] == [run]
    listed = ready("runs", "list", "--state", "interrupted").body["runs"]
    assert [(r["run"], r["state"]) for r in listed] == [(run, "interrupted")]
    assert ready("worker", "--once").body["interrupted"] == []
