"""Calls within one turn: ruled, run, parked, decided, told."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy.event import listen, remove

from staid.domain.call import CallState
from staid.domain.events import EventKind
from staid.domain.message import ProposedCall
from staid.domain.outcome import Pending, Refusal
from staid.gates.tool import Constraint
from staid.project.deciding import settle_doubt
from staid.project.working import work_once
from staid.runtime.turn import ROUNDS

POLICY = "Annual plans are refunded within 30 days of the purchase."
ASKED = "Are annual plans refunded within 30 days of the purchase?"


def test_refused_only_when_nothing_else_is_grounded(desk: Any) -> None:
    """A denied call refuses; beside a done one, or a supported draft, the turn answers."""
    alone = desk.ask("refund 900 for A1", [desk.refund("A1", 900)], "I refunded 900.")
    assert isinstance(alone, Refusal)
    assert desk.deciding(alone).fact["ruling"] == "deny"
    both = desk.ask("refund", [desk.refund("A1", 900), desk.refund("A2", 40, "c2")], "")
    assert both.text == "Refunded 40 for order A2."
    drafted = desk.ask(ASKED, [desk.refund("A3", 900)], POLICY)
    assert (drafted.outcome, drafted.text) == ("answer", POLICY)
    unknown = desk.ask("launch", [ProposedCall("c", "rocket.launch", {})], "")
    assert (unknown.outcome, unknown.reason) == ("refusal", "allowlist")
    assert desk.effects == ["refund A2"]


def test_the_model_is_told_the_rule_that_denied(desk: Any) -> None:
    """A policy's no goes back as the tool's result, so that the model may do better."""
    outcome = desk.ask("refund 900", [desk.refund("A1", 900)], [desk.refund("A1", 90)], "")
    assert outcome.text == "Refunded 90 for order A1."
    told = desk.play.seen[1].messages[-1]
    assert (told.role, told.call_id) == ("tool", "c1")
    assert told.text.startswith("denied: ")
    assert "500" in told.text


def test_parallel_calls_run_park_and_go_on(desk: Any) -> None:
    """Of two calls the allowed one runs once now, the other when it was approved."""
    parked = desk.ask("refund both", [desk.refund("A1", 40), desk.refund("A2", 200, "c2")])
    assert isinstance(parked, Pending)
    assert (parked.reason, len(parked.approvals)) == ("approval", 1)
    assert desk.effects == ["refund A1"]
    done = desk.decide(parked.approvals[0], "approve", "")
    assert done is not None
    assert done.text == "Refunded 40 for order A1. Refunded 200 for order A2."
    assert desk.effects == ["refund A1", "refund A2"]
    results = [m.call_id for m in desk.play.seen[0].messages if m.role == "tool"]
    assert results == ["c1", "c2"]
    assert done.run == parked.run


@pytest.mark.parametrize("first", [0, 1])
def test_two_pending_are_decided_one_by_one(desk: Any, first: int) -> None:
    """After the first decision the run waits on, and the story names what it waits for."""
    parked = desk.ask("refund both", [desk.refund("A1", 200), desk.refund("A2", 300, "c2")])
    assert len(parked.approvals) == 2
    other = parked.approvals[1 - first]
    waiting = desk.decide(parked.approvals[first], "approve")
    assert isinstance(waiting, Pending)
    assert waiting.approvals == (other,)
    assert desk.play.seen == []
    deciding = desk.deciding(waiting)
    assert (deciding.kind, deciding.fact["approval"]) == (EventKind.APPROVAL_REQUESTED, other)
    done = desk.decide(other, "deny", "")
    assert done is not None
    assert (done.outcome, len(desk.effects)) == ("answer", 1)
    assert desk.deciding(done).fact["call"] == desk.project.calls(done.run)[first].call.id


def test_a_humans_no_goes_back_to_the_model(desk: Any) -> None:
    """A human's no is told to the model as a result; it may then propose something smaller."""
    parked = desk.ask("refund 200", [desk.refund("A1", 200)])
    done = desk.decide(parked.approvals[0], "deny", [desk.refund("A1", 50)], "")
    assert done is not None
    assert desk.play.seen[0].messages[-1].text == "denied: A person decided against it."
    assert done.text == "Refunded 50 for order A1."
    assert desk.effects == ["refund A1"]


def test_the_first_no_is_the_one_that_is_told_and_named(desk: Any) -> None:
    """A human's no to the first call, a rule's to the second: text and story name the first."""
    parked = desk.ask("refund", [desk.refund("A1", 200), desk.refund("A2", 900, "c2")])
    done = desk.decide(parked.approvals[0], "deny", "")
    assert isinstance(done, Refusal)
    assert done.text == "I can't do that: A person decided against it."
    deciding = desk.deciding(done)
    assert (deciding.kind, deciding.actor.name) == (EventKind.APPROVAL_DECIDED, "user:lead")


def test_a_bound_tightened_after_the_approval_refuses(desk: Any) -> None:
    """What was approved and may no longer run is refused by the rule that says so."""
    parked = desk.ask("refund 200", [desk.refund("A1", 200)])
    tool = desk.project.tools["refund.issue"]
    bound = Constraint("frozen", lambda _p: False, "Refunds are frozen this week.")
    desk.project.tools["refund.issue"] = replace(tool, constraints=(bound,))
    done = desk.decide(parked.approvals[0], "approve", "")
    assert isinstance(done, Refusal)
    assert "frozen" in done.text
    assert desk.effects == []
    assert desk.deciding(done).fact["ruling"] == "deny"


def test_an_unknown_effect_is_pending_until_somebody_looked(desk: Any) -> None:
    """A handler that breaks off leaves `in_doubt`; settled as done it is told, never repeated."""
    parked = desk.ask("send B1", [desk.send("B1")])
    assert (parked.outcome, parked.reason, parked.approvals) == ("pending", "in_doubt", ())
    assert desk.deciding(parked).kind is EventKind.CALL_IN_DOUBT
    asyncio.run(work_once(desk.project))
    assert desk.effects == ["parcel B1"]
    call = desk.project.calls(parked.run)[0].call.id
    settled = settle_doubt(desk.project, call, "user:lead", None, happened=True)
    done = asyncio.run(settled).outcome
    assert done is not None
    assert (done.text, desk.effects) == ("Sent B1.", ["parcel B1"])


def test_a_failed_call_beside_a_done_one_does_not_decide(desk: Any) -> None:
    """The answer rests on the call that was done; the story does not name the one that failed."""
    parked = desk.ask("both", [desk.refund("A1", 40), desk.send("B1", "c2")])
    call = desk.project.calls(parked.run)[1].call.id
    done = asyncio.run(settle_doubt(desk.project, call, "user:lead", None, happened=False)).outcome
    assert done is not None
    assert done.text == "Refunded 40 for order A1."
    assert desk.deciding(done).fact["state"] == "done"


def test_a_model_that_never_stops_is_stopped(desk: Any) -> None:
    """A model that proposes for ever is asked a bounded number of times, then the turn ends."""
    steps = [[desk.refund("A1", 900, f"c{n}")] for n in range(50)]
    outcome = desk.ask("refund", *steps)
    assert len(desk.play.seen) == ROUNDS
    assert isinstance(outcome, Refusal)


def test_the_calls_of_a_turn_are_in_the_ledger(desk: Any) -> None:
    """Each proposal is one call of the run, in order, in the state it reached."""
    outcome = desk.ask(
        "refund", [desk.refund("A1", 900), desk.refund("A2", 40, "c2")], [desk.look("A3")], ""
    )
    states = [record.state for record in desk.project.calls(outcome.run)]
    assert states == [CallState.DENIED, CallState.DONE, CallState.DONE]


def test_a_read_adds_no_commit_to_a_turn(desk: Any) -> None:
    """A turn commits when it begins, before each model request and when it releases: no more."""
    looks = [desk.look("A1"), desk.look("A2", "c2")]
    told = "The order has left the warehouse in Hamburg."
    desk.ask("Where is order A1?", looks, told)  # the first turn also pins its prompts
    with _writes(desk) as writes:
        outcome = desk.ask("Where is order A1?", looks, told)
    assert (outcome.outcome, outcome.reason, len(desk.play.seen)) == ("answer", None, 2)
    assert len(desk.project.calls(outcome.run)) == 2
    assert len(writes) == 4


def test_a_write_adds_two_commits_to_a_turn(desk: Any) -> None:
    """One before the effect, one that settles it; the rest is what any such turn commits."""
    desk.ask("refund 40", [desk.refund("A1", 40)], "")
    with _writes(desk) as writes:
        outcome = desk.ask("refund 40", [desk.look("A1"), desk.refund("A1", 40, "c2")], "")
    assert (outcome.outcome, outcome.reason, len(desk.play.seen)) == ("answer", "tool_result", 2)
    assert len(writes) == 6


@contextmanager
def _writes(desk: Any) -> Generator[list[str]]:
    """Count the write transactions of the store; all of them are begun like this."""
    begun: list[str] = []

    def trace(statement: str) -> None:
        if statement == "BEGIN IMMEDIATE":
            begun.append(statement)

    def connected(connection: sqlite3.Connection, *_: object) -> None:
        connection.set_trace_callback(trace)

    engine = desk.project.wiring.store.engine
    listen(engine, "checkout", connected)
    yield begun
    remove(engine, "checkout", connected)
