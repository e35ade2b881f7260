"""Looking, settling and undoing from the command line, on a real project."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
LEAD = ("--as", "user:lead")
MORE = """

def take_back(p: Refund, call: staid.Call) -> None:
    with EFFECTS.open("a") as file:
        file.write(f"back {p.order_id} {call.result['id']}\\n")
    if p.order_id == "Z5":
        raise ConnectionError("the provider hung up")


def was_sent(p: Parcel, call: staid.Call) -> bool | None:
    answer = Path(__file__).parent / "carrier.txt"
    return answer.read_text() == "yes" if answer.exists() else None

"""


@pytest.fixture
def desk(ready: Run, folder: Path) -> Run:
    """Give the project whose refunds can be taken back and whose carrier can be asked."""
    file = folder / "agent.py"
    before, after = file.read_text().split('\n@project.tool(\n    "refund.issue"')
    text = f'{before}{MORE}\n@project.tool(\n    "refund.issue"{after}'
    text = text.replace("    requires_approval", "    undo=take_back,\n    requires_approval")
    text = text.replace('"Sent {order_id}.")', '"Sent {order_id}.", reconcile=was_sent)')
    file.write_text(text)
    return ready


def done(desk: Run, order: str) -> str:
    """Refund an order after a person approved it; return the request."""
    asked = desk(
        "ask", f"Please refund 200 for order {order}", "--as", "user:ada", "--agent", "desk"
    )
    (approval,) = asked.body["approvals"]
    assert desk("approvals", "approve", approval, *LEAD).body["state"] == "done"
    return approval


def effects(folder: Path) -> list[str]:
    """Return what happened outside."""
    return (folder / "effects.txt").read_text().splitlines()


def test_undo(desk: Run, folder: Path) -> None:
    """A lead takes a refund back while everything is stopped, once; the asker may not."""
    approval = done(desk, "Z1")
    assert desk("gates", "stop", "--all", *LEAD, "--reason", "twice").code == 0
    assert desk("gates", "undo", approval, "--as", "user:ada").error["code"] == "ST-414"
    assert desk("gates", "undo", approval).code == 2
    said = desk("gates", "undo", approval, *LEAD, "--reason", "wrong customer")
    assert (said.code, said.body["state"], said.body["by"]) == (0, "undone", "user:lead")
    assert desk("gates", "undo", approval, *LEAD).error["code"] == "ST-427"
    assert effects(folder) == ["refund Z1", "back Z1 r-1"]
    shown = desk("approvals", "show", approval)
    assert shown.body["state"] == "undone"
    told = desk("why", shown.body["run"], "--steps", json=False).out
    assert "taken back" in told


def test_an_undo_in_doubt_is_shown_and_settled(desk: Run, folder: Path) -> None:
    """Who undid it in vain is told what to do; `no` lets it be tried again."""
    approval = done(desk, "Z5")
    said = desk("gates", "undo", approval, *LEAD, json=False)
    assert said.code == 3
    assert "approvals settle cal_" in said.out
    (lost,) = desk("gates", "status").body["undo_in_doubt"]
    probed = desk("approvals", "settle", lost["call"], "--happened", "ask-again", *LEAD)
    assert (probed.code, probed.error["code"]) == (3, "ST-429")
    settled = desk("approvals", "settle", lost["call"], "--happened", "no", *LEAD)
    assert (settled.code, settled.body["state"]) == (0, "done")
    assert desk("gates", "undo", approval, *LEAD).body["state"] == "in_doubt"
    settled = desk("approvals", "settle", approval, "--happened", "yes", *LEAD)
    assert settled.body["state"] == "undone"
    assert desk("gates", "status").body["undo_in_doubt"] == []
    assert effects(folder)[1:] == ["back Z5 r-1"] * 2


def sent(desk: Run, order: str) -> str:
    """Send a parcel; nobody knows whether it was."""
    asked = desk("ask", f"send order {order}", "--as", "user:ada", "--agent", "desk")
    assert asked.body["outcome"] == "pending"
    found = desk("approvals", "list", "--state", "in_doubt").body["approvals"]
    return next(each["id"] for each in found if each["arguments"]["order_id"] == order)


@pytest.mark.parametrize(("answer", "state"), [("yes", "done"), ("no", "failed")])
def test_ask_again(desk: Run, folder: Path, answer: str, state: str) -> None:
    """The carrier is asked again; while it cannot tell the call stays in doubt."""
    call = sent(desk, "Z3")
    again = ("approvals", "settle", call, "--happened", "ask-again")
    assert desk(*again, *LEAD).body["state"] == "in_doubt"
    assert "cannot tell" in desk(*again, *LEAD, json=False).out
    assert desk(*again, "--as", "user:ada").error["code"] == "ST-414"
    (folder / "carrier.txt").write_text(answer)
    assert desk(*again, *LEAD).body["state"] == state
    assert effects(folder) == ["parcel Z3"]


def test_only_an_approver_settles(desk: Run) -> None:
    """Neither the asker nor a colleague who approves nothing says what happened."""
    call = sent(desk, "Z3")
    for who in ("user:ada", "user:bea"):
        refused = desk("approvals", "settle", call, "--happened", "yes", "--as", who)
        assert refused.error["code"] == "ST-414"
    assert desk("approvals", "settle", call, "--happened", "perhaps", *LEAD).code == 2


def test_after_a_no_it_may_be_proposed_anew(desk: Run, folder: Path) -> None:
    """The same call, asked for again, is a call of its own."""
    call = sent(desk, "Z3")
    assert desk("approvals", "settle", call, "--happened", "no", *LEAD).body["state"] == "failed"
    assert sent(desk, "Z3") != call
    assert effects(folder) == ["parcel Z3"] * 2
