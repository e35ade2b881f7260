"""The tools of the template really work: bounded, idempotent, and safe against a crash."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import staid
from staid.domain.call import CallState
from staid.domain.canonical import Json
from staid.domain.ids import ApprovalId, CallId, RunId
from staid.domain.message import ProposedCall
from staid.gates.params import Invalid, canonical_arguments
from staid.gates.tool import Call, Tool
from staid.project.guarding import begin_external
from staid.project.loading import load_project
from staid.runtime.gate import Proposer
from staid.scaffold.write import write

CALL = Call(CallId("cal_1"), "key-1", RunId("run_1"), "user:ada", "support")


@pytest.fixture
def project(tmp_path: Path) -> Iterator[staid.Project]:
    """Give a fresh project, loaded through its entry."""
    loaded = load_project(write(tmp_path / "shop"))
    yield loaded
    loaded.close()


def book(project: staid.Project, name: str) -> list[dict[str, Any]]:
    """Return what a book holds."""
    lines = (project.settings.directory_path / name).read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def invoke(tool: Tool, arguments: dict[str, Json], key: str = "key-1") -> Any:
    """Run a handler as the gate does: validated arguments, a call with a key."""
    params, _ = canonical_arguments(tool.params, arguments)
    return tool.invoke(params, replace(CALL, key=key))


def booking(start: str, calendar: str = "onboarding", minutes: int = 60) -> dict[str, Json]:
    """Arguments of a booking."""
    return {"calendar": calendar, "start": start, "minutes": minutes}


def test_every_allowed_tool_is_registered(project: staid.Project) -> None:
    """Both agents can be built: their allowlists name tools that exist."""
    for agent in ("support", "desk"):
        assert project.resolve_tools(agent) == {"refund.issue", "calendar.book"}


def test_a_refund_happens_once_per_key(project: staid.Project) -> None:
    """The same key again returns the first row and writes nothing; another key refunds again."""
    tool = project.tools["refund.issue"]
    first = invoke(tool, {"order_id": "R-1001", "amount": "40.00"})
    again = invoke(tool, {"order_id": "R-1001", "amount": "40.00"})
    invoke(tool, {"order_id": "R-1001", "amount": "40.00"}, key="key-2")
    assert again == first
    assert [row["key"] for row in book(project, "refunds.jsonl")] == ["key-1", "key-2"]
    assert first["customer"] == "user:ada"


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        ({"order_id": "R-1003", "amount": "5000.00"}, "constraint:amount"),
        ({"order_id": "R-1003", "amount": "0"}, "constraint:amount"),
        ({"order_id": "R-1003", "amount": "-5"}, "constraint:amount"),
        ({"order_id": "R-1003", "amount": "1.005"}, "constraint:amount"),
        ({"order_id": "everything", "amount": "5"}, "constraint:order_id"),
        ({"order_id": "R-1003", "amount": "5", "to": "me"}, "schema"),
    ],
)
def test_refunds_out_of_bounds_are_refused(
    project: staid.Project, arguments: dict[str, Json], rule: str
) -> None:
    """No amount outside 0 to 500 EUR, no order that is none, nothing extra."""
    with pytest.raises(Invalid) as caught:
        canonical_arguments(project.tools["refund.issue"].params, arguments)
    assert caught.value.rule == rule


@pytest.mark.parametrize(("amount", "asks"), [("100.00", False), ("100.01", True), ("500", True)])
def test_a_person_decides_above_100(project: staid.Project, amount: str, *, asks: bool) -> None:
    """Exactly 100 EUR runs, a cent more waits."""
    tool = project.tools["refund.issue"]
    params, _ = canonical_arguments(tool.params, {"order_id": "R-1002", "amount": amount})
    assert callable(tool.requires_approval)
    assert tool.requires_approval(params) is asks


def test_a_day_holds_500_for_one_customer(project: staid.Project) -> None:
    """The budget draws the amount from the asker's own total of 500 EUR a day."""
    (budget,) = project.tools["refund.issue"].budgets
    draw = budget.draw("refund.issue", {"order_id": "R-1", "amount": "40"}, "user:ada", "support")
    assert (draw.key, str(draw.amount), str(draw.limit)) == ("user:ada", "40", "500")
    assert draw.window.days == 1


def test_reconcile_tells_what_happened(project: staid.Project) -> None:
    """For a call in doubt the books know: done with this key, or not."""
    tool = project.tools["refund.issue"]
    arguments: dict[str, Json] = {"order_id": "R-1001", "amount": "40.00"}
    params, _ = canonical_arguments(tool.params, arguments)
    assert tool.reconcile is not None
    assert tool.reconcile(params, CALL) is False
    invoke(tool, arguments)
    assert tool.reconcile(params, CALL) is True
    assert tool.reconcile(params, replace(CALL, key="key-2")) is False
    calendar = project.tools["calendar.book"]
    slot, _ = canonical_arguments(calendar.params, booking("2027-01-12T10:00:00+01:00"))
    assert calendar.reconcile is not None
    assert calendar.reconcile(slot, CALL) is False
    calendar.invoke(slot, CALL)
    assert calendar.reconcile(slot, CALL) is True
    assert calendar.reconcile(slot, replace(CALL, key="key-2")) is False


def test_what_an_approval_rests_on(project: staid.Project) -> None:
    """Another refund of the same order meanwhile is another state; one of another order is not."""
    tool = project.tools["refund.issue"]
    assert tool.fingerprint is not None
    params, _ = canonical_arguments(tool.params, {"order_id": "R-1001", "amount": "140.00"})
    before = tool.fingerprint(params)
    invoke(tool, {"order_id": "R-1002", "amount": "40.00"})
    assert tool.fingerprint(params) == before
    invoke(tool, {"order_id": "R-1001", "amount": "0.50"}, key="key-2")
    assert tool.fingerprint(params) == "0.50 EUR refunded already, on paper" != before


def test_a_refund_meanwhile_asks_again(project: staid.Project) -> None:
    """An approved refund does not run when the order was refunded since; the change is shown."""
    refund = project.tools["refund.issue"]
    call = ProposedCall("p-1", "refund.issue", {"order_id": "R-1001", "amount": "140.00"})
    ada, wiring = project.wiring.principal("user:ada"), project.wiring
    run = begin_external(project.wiring, ada, "desk")
    proposer = Proposer(run, "desk", frozenset(project.tools), ada)
    waiting = asyncio.run(wiring.gate.act(call, proposer))
    decided = wiring.ledger.decide(
        waiting.approval or ApprovalId(""), wiring.principal("user:lead"), "approve"
    )
    invoke(refund, {"order_id": "R-1001", "amount": "0.50"}, key="key-2")
    after = asyncio.run(wiring.gate.execute(waiting.call.id))
    assert after.state is CallState.PENDING
    (change,) = wiring.ledger.approval(decided.id).changes
    assert change.words.startswith("fingerprint: ")
    assert "0.50 EUR refunded" in change.words
    assert [row["key"] for row in book(project, "refunds.jsonl")] == ["key-2"]


def test_a_torn_line_is_mended(project: staid.Project) -> None:
    """A line cut short by a crash is dropped, and the next row does not stick to it."""
    tool = project.tools["refund.issue"]
    invoke(tool, {"order_id": "R-1001", "amount": "40.00"})
    path = project.settings.directory_path / "refunds.jsonl"
    with path.open("a", encoding="utf-8") as file:
        file.write('{"key": "key-2", "order_id": "R-10')
    invoke(tool, {"order_id": "R-1002", "amount": "41.00"}, key="key-2")
    assert [row["order_id"] for row in book(project, "refunds.jsonl")] == ["R-1001", "R-1002"]


def test_only_named_calendars(project: staid.Project) -> None:
    """A calendar that is not named in the tool cannot be booked, nor a time without a zone."""
    params = project.tools["calendar.book"].params
    with pytest.raises(Invalid) as caught:
        canonical_arguments(params, booking("2027-01-12T10:00:00+01:00", calendar="board"))
    assert caught.value.rule == "constraint:calendar"
    with pytest.raises(Invalid):
        canonical_arguments(params, booking("2027-01-12T10:00:00"))


@pytest.mark.parametrize(
    "start",
    ["2027-01-12T10:00:00+01:00", "2027-01-12T10:30:00+01:00", "2027-01-12T08:30:00Z"],
)
def test_no_double_booking(project: staid.Project, start: str) -> None:
    """A call that overlaps another one, in whatever zone it is written, surely changes nothing."""
    tool = project.tools["calendar.book"]
    invoke(tool, booking("2027-01-12T10:00:00+01:00"))
    with pytest.raises(staid.NotDone, match="taken"):
        invoke(tool, booking(start), key="key-2")
    assert len(book(project, "calendar.jsonl")) == 1


def test_calls_may_follow_each_other(project: staid.Project) -> None:
    """Back to back, another calendar, and the same key again: all fine."""
    tool = project.tools["calendar.book"]
    first = invoke(tool, booking("2027-01-12T10:00:00+01:00"))
    assert invoke(tool, booking("2027-01-12T10:00:00+01:00")) == first
    invoke(tool, booking("2027-01-12T11:00:00+01:00"), key="key-2")
    invoke(tool, booking("2027-01-12T10:00:00+01:00", calendar="training"), key="key-3")
    assert len(book(project, "calendar.jsonl")) == 3


@pytest.mark.skipif(sys.platform == "win32", reason="the books are locked on POSIX only")
def test_a_booking_waits_for_another_process(project: staid.Project) -> None:
    """While somebody else holds the book a booking waits, and then sees what they wrote."""
    import fcntl

    tool = project.tools["calendar.book"]
    taken = invoke(tool, booking("2027-01-12T14:00:00+01:00"))
    path = project.settings.directory_path / "calendar.jsonl"
    with ThreadPoolExecutor(1) as pool:
        with path.open("a", encoding="utf-8") as other:
            fcntl.flock(other, fcntl.LOCK_EX)
            attempt = pool.submit(invoke, tool, booking("2027-01-12T10:00:00+01:00"), "key-2")
            with pytest.raises(TimeoutError):
                attempt.result(timeout=0.2)
            slot = {"start": "2027-01-12T09:00:00+00:00", "end": "2027-01-12T10:00:00+00:00"}
            other.write(json.dumps({**taken, **slot, "key": "key-3"}) + "\n")
        with pytest.raises(staid.NotDone):
            attempt.result(timeout=10)


def test_results_are_told_in_plain_words(project: staid.Project) -> None:
    """The result templates name fields that exist."""
    refund, calendar = project.tools["refund.issue"], project.tools["calendar.book"]
    _, arguments = canonical_arguments(refund.params, {"order_id": "R-1001", "amount": "40.50"})
    done = invoke(refund, arguments)
    assert refund.tell(arguments, done) == "Refunded 40.5 EUR for order R-1001."
    _, slot = canonical_arguments(calendar.params, booking("2027-01-12T10:00:00+01:00"))
    told = calendar.tell(slot, invoke(calendar, slot))
    assert told == "Booked the onboarding calendar for 2027-01-12 09:00 UTC, 60 minutes."


def undo(tool: Tool, arguments: dict[str, Json], key: str = "key-1") -> None:
    """Take a call back as the gate does."""
    assert tool.undo is not None
    tool.undo(canonical_arguments(tool.params, arguments)[0], replace(CALL, key=key))


def test_a_booking_on_paper_is_taken_back(project: staid.Project) -> None:
    """Its time is free again, its probe says so, another booking stays, and twice is fine."""
    tool, nine, ten = project.tools["calendar.book"], "2027-01-12T09:00Z", "2027-01-12T10:00Z"
    invoke(tool, booking(nine))
    invoke(tool, booking(ten), "key-2")
    undo(tool, booking(nine))
    undo(tool, booking(nine))
    assert tool.reconcile is not None
    params = canonical_arguments(tool.params, booking(nine))[0]
    assert tool.reconcile(params, CALL) is False
    assert len(book(project, "calendar.jsonl")) == 3
    with pytest.raises(staid.NotDone):
        invoke(tool, booking(ten), "key-3")
    assert invoke(tool, booking(nine), "key-3")["key"] == "key-3"
