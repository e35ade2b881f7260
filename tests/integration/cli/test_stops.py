"""The kill switch from the command line, on a real project."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from staid.project.project import Project
from staid.store import tables

Run = Callable[..., Any]
REFUND = "Please refund 40 for order Z8"


def test_stop_status_start(ready: Run, folder: Path) -> None:
    """A stopped tool runs for nobody; status says who stopped it and why; a start ends it."""
    said = ready("gates", "stop", "refund.issue", "--as", "user:lead", "--reason", "twice")
    assert (said.code, said.body["tool"], said.body["running"]) == (0, "refund.issue", [])
    asked = ready("ask", REFUND, "--as", "user:ada", "--agent", "desk")
    assert not (folder / "effects.txt").exists()
    told = ready("why", asked.body["run"], json=False).out
    assert "kill_switch" in told or "stopped" in told
    (stop,) = ready("gates", "status").body["stops"]
    assert (stop["stopped_by"], stop["reason"]) == ("user:lead", "twice")
    shown = ready("gates", "status", json=False).out
    assert all(len(line) <= 80 for line in shown.splitlines())
    assert ready("gates", "start", "refund.issue", "--as", "user:lead").body["stopped"] == []
    assert ready("gates", "status", json=False).out == "Nothing is stopped.\n"
    assert len(ready("gates", "status", "--all").body["stops"]) == 1
    ready("ask", REFUND, "--as", "user:ada", "--agent", "desk")
    assert (folder / "effects.txt").read_text() == "refund Z8\n"


def test_what_lost_its_process_does_not_run(ready: Run, folder: Path) -> None:
    """A call whose process died is in doubt for whoever looks, without a worker or another look."""
    ready("ask", "Please refund 200 for order Z8", "--as", "user:ada", "--agent", "desk")
    project = Project(folder)
    past = datetime.now(UTC) - timedelta(minutes=5)
    with project.wiring.run_store.write() as connection:
        values = {"state": "executing", "executor": "gone", "lease_until": past}
        connection.execute(update(tables.call).values(**values))
    project.close()
    found = ready("gates", "status").body
    assert (found["running"], len(found["in_doubt"])) == ([], 1)
    call = found["in_doubt"][0]["call"]
    told = ready("gates", "status", json=False).out
    assert f"Nobody knows whether {call} of refund.issue took effect." in " ".join(told.split())


def test_all_of_them(ready: Run, folder: Path) -> None:
    """With --all nothing at all runs."""
    assert ready("gates", "stop", "--all", "--as", "user:lead", "--reason", "down").code == 0
    ready("ask", "send order Z9", "--as", "user:ada", "--agent", "desk")
    ready("ask", REFUND, "--as", "user:ada", "--agent", "desk")
    assert not (folder / "effects.txt").exists()


def test_a_sandbox_obeys_the_project(ready: Run, folder: Path) -> None:
    """An eval runs reading tools for real, so what is stopped in the project is stopped in it."""
    ready("gates", "stop", "refund.issue", "--as", "user:lead", "--reason", "down")
    project = Project(folder)
    with project.sandbox() as copy:
        assert "refund.issue" not in {t.name for t in copy.wiring.gate.specs(frozenset(copy.tools))}
        assert copy.wiring.stops.stops() == []
    project.close()


def test_only_operators(ready: Run, folder: Path) -> None:
    """Who is not named may neither stop nor start; `operators` wins over the approvers."""
    refused = ready("gates", "stop", "--all", "--as", "user:ada", "--reason", "x")
    assert (refused.code, refused.error["code"]) == (4, "ST-425")
    settings = folder / "staid.toml"
    settings.write_text(settings.read_text() + 'operators = ["user:bea"]\n')
    refused = ready("gates", "stop", "--all", "--as", "user:lead", "--reason", "x")
    assert refused.error["code"] == "ST-425"
    assert ready("gates", "stop", "--all", "--as", "user:bea", "--reason", "x").code == 0
    assert ready("gates", "start", "--all", "--as", "user:lead").error["code"] == "ST-425"


def test_what_cannot_be_meant(ready: Run) -> None:
    """A name with a slip in it, no reason, nobody, nothing to start: each says what to do."""
    lead = ("--as", "user:lead", "--reason", "x")
    assert ready("gates", "stop", "refund.isue", *lead).error["code"] == "ST-402"
    assert ready("gates", "stop", "refund.issue", "--as", "user:lead").code == 2
    assert ready("gates", "stop", "refund.issue", "--reason", "x").code == 2
    assert ready("gates", "stop", *lead).code == 2
    assert ready("gates", "stop", "refund.issue", "--all", *lead).code == 2
    assert ready("gates", "start", "refund.issue", *lead).error["code"] == "ST-426"


@pytest.mark.parametrize("reason", ["pasted \0", "pasted \udcff"])
def test_a_reason_is_text(ready: Run, folder: Path, reason: str) -> None:
    """Bytes that are none are told as such by every command that keeps a reason; nothing moves."""
    ready("ask", "Please refund 200 for order Z8", "--as", "user:ada", "--agent", "desk")
    (asked,) = ready("approvals", "list").body["approvals"]
    why = ("--as", "user:lead", "--reason", reason)
    tries = [
        ("gates", "stop", "refund.issue"),
        ("approvals", "approve", asked["id"]),
        ("approvals", "deny", asked["id"]),
        ("approvals", "edit", asked["id"], "--set", "amount=50"),
    ]
    assert [ready(*each, *why).error["code"] for each in tries] == ["ST-601"] * 4
    assert ready("approvals", "show", asked["id"]).body["state"] == "pending"
    ready("gates", "stop", "refund.issue", "--as", "user:lead", "--reason", "x")
    assert ready("gates", "start", "refund.issue", *why).error["code"] == "ST-601"
    assert len(ready("gates", "status").body["stops"]) == 1
    assert not (folder / "effects.txt").exists()
