"""Sums and budgets from a terminal: one request for many small calls, and every running total."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]

LAMBDA = "requires_approval=lambda p: p.amount > 100,"
DECLARED = """requires_approval=staid.Threshold("amount", above=100),
    budget=[
        staid.Budget(1000, sum_of="amount", name="money out"),
        staid.Budget(300, sum_of="amount", per="approver", name="by one"),
    ],"""


@pytest.fixture
def desk(ready: Run, folder: Path) -> Run:
    """Give the command line of a project whose refunds ask by a threshold that is data."""
    agent = folder / "agent.py"
    text = agent.read_text()
    assert LAMBDA in text
    agent.write_text(text.replace(LAMBDA, DECLARED))
    return ready


def refund(desk: Run, order: str) -> Any:
    """Ask for a refund of 99."""
    who = ("--as", "user:ada", "--agent", "desk")
    return desk("ask", f"refund 99 for order {order}", *who).body


def test_small_refunds_are_one_request(desk: Run, folder: Path) -> None:
    """Three of four refunds of 99 wait as one request; approving it carries every run on."""
    said = [refund(desk, f"A{n}") for n in range(4)]
    assert [each["outcome"] for each in said] == ["answer", "pending", "pending", "pending"]
    (waits,) = {approval for each in said[1:] for approval in each["approvals"]}
    (listed,) = desk("approvals", "list").body["approvals"]
    assert listed["id"] == waits
    shown = desk("approvals", "show", waits).body
    assert "4 calls within 1 day add up to 396" in shown["message"]
    assert len(shown["calls"]) == 3
    assert [each["amount"] for each in shown["adding_up"]] == ["99"] * 4
    lead = ("--as", "user:lead", "--digest", listed["digest"])
    decided = desk("approvals", "approve", waits, *lead)
    assert decided.body["outcome"]["outcome"] == "answer"
    lines = (folder / "effects.txt").read_text().split("\n")
    assert sorted(lines) == ["", "refund A0", "refund A1", "refund A2", "refund A3"]
    for each in said:
        assert desk("runs", "show", each["run"]).body["outcome"] == "answer"


def test_every_running_total(desk: Run) -> None:
    """Totals are listed with key and limit, those of approvers and of sums among them."""
    refund(desk, "A0")
    (waits,) = refund(desk, "A1")["approvals"]
    desk("approvals", "approve", waits, "--as", "user:lead")
    found = desk("gates", "budgets").body["budgets"]
    assert [(b["budget"], b["key"], b["drawn"], b["limit"], b["beyond"]) for b in found] == [
        ("approver:by one", "user:lead", "99", "300", "deny"),
        ("money out", "user:ada", "198", "1000", "deny"),
        ("structuring:refund.issue:amount:customer:86400", "user:ada", "198", "100", "ask"),
    ]
