"""`staid approvals`: what is shown before a decision, edits, and the twin over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


def parked(ready: Run, amount: int = 200) -> str:
    """Ask for a refund that a person has to approve; return the request."""
    asked = ready("ask", f"refund {amount} for order A2", "--as", "user:ada", "--agent", "desk")
    (approval,) = asked.body["approvals"]
    return approval


def test_an_edit_is_carried_out_and_told(ready: Run, folder: Path) -> None:
    """A lead who lowers the amount below the threshold has that executed once, and the run ends."""
    approval = parked(ready)
    said = ready("approvals", "edit", approval, "--set", "amount=60", "--as", "user:lead")
    assert said.code == 0
    assert said.body["arguments"]["amount"] == "60"
    assert said.body["outcome"]["text"] == "[scripted] Refunded 60 for order A2."
    assert (folder / "effects.txt").read_text() == "refund A2\n"
    original = ready("approvals", "show", approval).body
    assert (original["state"], original["decision"]) == ("revoked", "edit")
    assert original["replaced_by"] == said.body["id"]
    again = ready("approvals", "approve", approval, "--as", "user:lead")
    assert again.code == 1
    assert (folder / "effects.txt").read_text() == "refund A2\n"


def test_an_edit_that_needs_a_person_needs_another(ready: Run, folder: Path) -> None:
    """The editor cannot approve what it became; the run waits for somebody else."""
    approval = parked(ready)
    said = ready("approvals", "edit", approval, "--set", "amount=150", "--as", "user:lead")
    assert (said.code, said.body["state"], said.body["outcome"]) == (0, "pending", None)
    assert said.body["edited_by"] == "user:lead"
    mine = ready("approvals", "approve", said.body["id"], "--as", "user:lead")
    assert (mine.code, mine.body["error"]["code"]) == (4, "ST-414")
    assert not (folder / "effects.txt").exists()


@pytest.mark.parametrize(
    ("change", "code", "exit_code"),
    [("amount=900", "ST-422", 4), ("colour=red", "ST-421", 2), ("amount", "ST-002", 2)],
)
def test_an_edit_that_cannot_be(ready: Run, change: str, code: str, exit_code: int) -> None:
    """A change out of bounds, of no argument, or of nothing, leaves the request as it was."""
    approval = parked(ready)
    said = ready("approvals", "edit", approval, "--set", change, "--as", "user:lead")
    assert said.code == exit_code
    if code != "ST-002":
        assert said.body["error"]["code"] == code
    assert ready("approvals", "show", approval).body["state"] == "pending"
