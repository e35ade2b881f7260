"""The ledger on both engines: one winner per move, and nothing runs but what was approved."""

from __future__ import annotations

import asyncio
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from staid.domain.call import CallState, call_digest
from staid.domain.canonical import Json, canonical
from staid.domain.errors import (
    ApprovalDecided,
    ApprovalExpired,
    ApprovalMismatch,
    ApproverNotAllowed,
    CallMoved,
    FactAltered,
    ToolUnknown,
)
from staid.domain.events import Event, EventKind
from staid.domain.ids import ApprovalId
from staid.domain.message import ProposedCall
from staid.domain.principal import Actor, Principal
from staid.gates.approval import Decision, Move
from staid.gates.ledger import Lease, Settlement
from staid.gates.tool import Call, define
from staid.store import tables
from staid.store.engine import Store
from staid.testing.gating import (
    ADA,
    LEAD,
    REFUND,
    RUN,
    GateWorld,
    Refund,
    below,
)
from staid.testing.kill import START


@pytest.fixture
def world(store: Store) -> GateWorld:
    """Give a gate on a fresh store."""
    return GateWorld(store)


# --- proposing -------------------------------------------------------------------------------


def test_allowed_call(world: GateWorld) -> None:
    """An allowed call runs once, with its facts in order and its result told."""
    record = world.act(50)
    assert (record.state, record.result) == (CallState.DONE, {"refund": "re_7"})
    assert world.effects == [(record.call.key, Decimal(50))]
    assert world.gate.statement_of(record) == "Refunded 50 for order 7."
    assert world.kinds() == [
        "call.proposed",
        "call.ruled",
        "call.claimed",
        "call.executed",
        "call.settled",
    ]
    assert world.journal.verify() == []


def test_denied_call(world: GateWorld) -> None:
    """A call over a hard bound is denied, recorded, and can be neither approved nor executed."""
    record = world.propose(900)
    assert record.state is CallState.DENIED
    assert (record.ruling.rule, record.approval) == ("constraint:amount", None)
    assert world.execute(record).state is CallState.DENIED
    with pytest.raises(CallMoved):
        world.claim(record, Lease("x"))
    assert world.effects == []


def test_unknown_and_foreign_tools_look_alike(world: GateWorld) -> None:
    """A tool that does not exist and one this agent may not use give the same message."""
    world.tools["other.tool"] = define(world.handle, "other.tool", params=Refund)
    unknown = world.propose(50, "no.tool")
    foreign = asyncio.run(
        world.gate.act(
            ProposedCall("p", "other.tool", {}), world.proposer(allowed=frozenset({REFUND}))
        )
    )
    assert unknown.ruling.rule == foreign.ruling.rule == "allowlist"
    assert unknown.ruling.message.replace("no.tool", "X") == foreign.ruling.message.replace(
        "other.tool", "X"
    )


def test_pending_call(world: GateWorld) -> None:
    """A call above the threshold waits, bound to the digest of what would run."""
    earlier = Event(EventKind.MODEL_RETURNED, START, Actor("service", "staid"))
    record = world.propose("150.00", earlier=[earlier])
    assert record.state is CallState.PENDING
    assert record.approval is not None
    approval = world.ledger.approval(record.approval)
    assert approval.digest == record.call.digest == approval.call.digest
    assert approval.call.arguments == {"order_id": "7", "amount": "150"}
    assert approval.requested_by == {"user:ada", "agent:support", "user:root"}
    assert approval.approvers == {"group:leads"}
    assert approval.expires_at == START + timedelta(days=7)
    assert world.kinds()[:2] == ["model.returned", "call.proposed"]
    assert [a.id for a in world.ledger.approvals()] == [record.approval]
    assert world.ledger.approvals(CallState.DONE) == []
    assert world.execute(record).state is CallState.PENDING
    assert world.effects == []


def test_facts_hold_no_arguments(world: GateWorld) -> None:
    """Arguments and results are in the content, under the asker's name and rights alone."""
    world.act(50)
    with world.store.read() as connection:
        facts = [row.fact for row in connection.execute(select(tables.journal.c.fact))]
        contents = connection.execute(select(tables.content)).all()
    assert not any("order_id" in fact or "re_7" in fact for fact in facts)
    assert any("order_id" in row.body for row in contents)
    assert {row.subject for row in contents} == {"user:ada"}
    assert all(world.journal.alias("user:ada") in row.label for row in contents)


# --- deciding --------------------------------------------------------------------------------


def test_approve_and_execute(world: GateWorld) -> None:
    """An approved call executes exactly the arguments that were approved, once."""
    record = world.approved("150")
    for _ in range(3):
        assert world.execute(record).state is CallState.DONE
    assert world.effects == [(record.call.key, Decimal(150))]
    approval = world.ledger.approval(ApprovalId(record.approval or ""))
    assert (approval.decision, approval.decided_by) == ("approve", "user:lead")


def test_deny(world: GateWorld) -> None:
    """A denied call never runs."""
    record = world.propose()
    assert record.approval is not None
    world.ledger.decide(record.approval, LEAD, "deny", reason="Not this customer.", via="root")
    assert world.execute(record).state is CallState.DENIED
    assert world.effects == []
    decided = next(r for r in world.journal.rows(RUN) if r.kind is EventKind.APPROVAL_DECIDED)
    assert decided.actor == Actor("human", "user:lead", "root")
    assert decided.body == {"reason": "Not this customer."}


@pytest.mark.parametrize("decision", [None, "", "no", "yes", True])
def test_a_missing_decision_is_none(world: GateWorld, decision: Any) -> None:
    """Whatever is neither approve nor deny decides nothing."""
    record = world.propose()
    assert record.approval is not None
    with pytest.raises(ValueError, match="approve"):
        world.ledger.decide(record.approval, LEAD, decision)
    assert world.state(record) is CallState.PENDING


def test_deciding_twice(world: GateWorld) -> None:
    """The second decision is told who made the first, and changes nothing."""
    record = world.approved()
    assert record.approval is not None
    with pytest.raises(ApprovalDecided, match="approve by user:lead"):
        world.ledger.decide(record.approval, LEAD, "deny")
    assert world.state(record) is CallState.APPROVED


def test_deciding_too_late(world: GateWorld) -> None:
    """An expired request cannot be approved, before the sweep and after it."""
    record = world.propose()
    assert record.approval is not None
    world.clock.move(timedelta(days=7))
    for _ in range(2):
        with pytest.raises(ApprovalExpired):
            world.ledger.decide(record.approval, LEAD, "approve")
        world.ledger.sweep()
    assert world.execute(record).state is CallState.EXPIRED
    assert world.effects == []


def test_deciding_what_was_not_seen(world: GateWorld) -> None:
    """Who looked at other arguments than those stored decides nothing."""
    record = world.propose()
    with pytest.raises(ApprovalMismatch):
        world.approve(record, seen="0" * 64)
    asked = world.ledger.approval(ApprovalId(record.approval or ""))
    world.approve(record, seen=asked.binding)


@pytest.mark.parametrize(
    "approver",
    [
        ADA,
        Principal("local", "user", "root", frozenset({"group:leads"})),
        Principal("local", "agent", "support", frozenset({"group:leads"})),
        Principal("local", "user", "eve"),
    ],
)
def test_who_may_not_decide(world: GateWorld, approver: Principal) -> None:
    """The asker, the operator behind it, an agent, and who lacks the role change nothing."""
    record = world.propose()
    assert record.approval is not None
    with pytest.raises(ApproverNotAllowed):
        world.ledger.decide(record.approval, approver, "approve")
    assert world.state(record) is CallState.PENDING


def test_approval_survives_ninety_days_once_given(world: GateWorld) -> None:
    """An approved call may still be executed when the run is resumed much later."""
    record = world.approved()
    world.clock.move(timedelta(days=90))
    world.ledger.sweep()
    assert world.execute(record).state is CallState.DONE


# --- claiming --------------------------------------------------------------------------------


def test_one_claim(world: GateWorld) -> None:
    """A second claim finds the call moved, before and after the first is settled."""
    record = world.approved()
    world.claim(record, Lease("a"))
    with pytest.raises(CallMoved, match="executing"):
        world.claim(record, Lease("b"))
    world.ledger.settle(record.call.id, "a", Settlement(Move.SUCCEED))
    with pytest.raises(CallMoved, match="done"):
        world.claim(record, Lease("b"))


def test_claims_race(world: GateWorld) -> None:
    """Of 16 concurrent claims of one call exactly one wins."""
    record = world.approved()
    start = threading.Barrier(16)

    def claim(number: int) -> bool:
        start.wait()
        try:
            world.claim(record, Lease(f"e{number}"))
        except CallMoved:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(claim, range(16))) == 1


def test_claim_is_durable_before_the_handler(world: GateWorld) -> None:
    """When the handler starts, another connection already sees `executing`."""
    seen: list[CallState] = []

    def handler(p: Refund, call: Call) -> None:
        seen.append(world.ledger.get(call.id).state)

    world.tools[REFUND] = world.define(handler=handler)
    world.act(50)
    world.execute(world.approved())
    assert seen == [CallState.EXECUTING] * 2


def test_claim_of_another_digest(world: GateWorld) -> None:
    """A process that would run other arguments gets no claim, and the call stays approved."""
    record = world.approved()
    with pytest.raises(ApprovalMismatch):
        world.ledger.claim(record.call.id, Lease("a"), digest="0" * 64)
    assert world.state(record) is CallState.APPROVED
    assert world.execute(record).state is CallState.DONE


@pytest.mark.parametrize(
    ("table", "values"),
    [
        (tables.call, {"arguments": '{"amount":"499","order_id":"7"}'}),
        (tables.call, {"digest": "0" * 64}),
        (tables.call, {"tool": "orders.find"}),
        (tables.approval, {"digest": "0" * 64}),
        (tables.approval, {"decision": "deny"}),
        (tables.approval, {"decision": None}),
    ],
)
def test_tampered_rows(world: GateWorld, table: Any, values: dict[str, Any]) -> None:
    """Whatever is changed in the store after the approval, nothing runs."""
    record = world.approved()
    with world.store.write() as connection:
        connection.execute(update(table).values(**values))
    with pytest.raises(ApprovalMismatch):
        world.execute(record)
    assert world.effects == []


def test_tampered_before_the_decision(world: GateWorld) -> None:
    """Arguments exchanged while the request waits, digests and all, can no longer be approved."""
    record = world.propose()
    forged: dict[str, Json] = {"amount": "499", "order_id": "7"}
    digest = call_digest(REFUND, forged)
    with world.store.write() as connection:
        values = {"arguments": canonical(forged), "digest": digest}
        connection.execute(update(tables.call).values(**values))
        connection.execute(update(tables.approval).values(digest=digest))
    with pytest.raises(ApprovalMismatch):
        world.approve(record, seen=digest)
    assert world.state(record) is CallState.PENDING


def test_pending_row_set_to_approved(world: GateWorld) -> None:
    """A row set to approved without anybody's approval does not run: the journal knows of none."""
    record = world.propose()
    with world.store.write() as connection:
        connection.execute(update(tables.call).values(state="approved"))
        connection.execute(update(tables.approval).values(decision="approve", decided_by="user:x"))
    with pytest.raises(ApprovalMismatch):
        world.execute(record)
    assert world.effects == []


def test_a_decision_inserted_into_the_journal(world: GateWorld) -> None:
    """Who can write every row, and has no key, gets nothing run by a decision that nobody made."""
    earlier = world.approved(120)
    record = world.propose()
    asked = world.ledger.approval(ApprovalId(record.approval or ""))
    rows = tables.journal.c
    with world.store.write() as connection:
        connection.execute(update(tables.call).values(state="approved"))
        decided = {"decision": "approve", "decided_by": LEAD.token, "round": 1}
        connection.execute(update(tables.approval).values(**decided))
        told = select(tables.journal).where(rows.kind == EventKind.APPROVAL_DECIDED.value)
        copied = dict(connection.execute(told).mappings().one())
        last = (
            connection.execute(select(tables.journal).order_by(rows.seq.desc())).mappings().first()
        )
        assert last is not None
        fact = json.loads(copied["fact"])
        mine = {"call": record.call.id, "approval": asked.id, "digest": asked.digest}
        forged = {**fact, **mine, "binding": asked.binding}
        copied |= {"seq": last["seq"] + 1, "fact": canonical(forged), "prev": last["hash"]}
        connection.execute(insert(tables.journal).values(**copied))
    with pytest.raises(FactAltered, match="ST-419"):
        world.execute(record)
    assert world.effects == []
    assert world.execute(earlier).state is CallState.DONE


@pytest.mark.parametrize("written", ["{", "[]", "", '"allow"'])
def test_a_fact_that_is_none_lets_nothing_run(world: GateWorld, written: str) -> None:
    """What the journal can never have written, in the place of a ruling, is a coded error."""
    record = world.approved()
    rows = tables.journal.c
    with world.store.write() as connection:
        ruled = update(tables.journal).where(rows.kind == EventKind.CALL_RULED.value)
        connection.execute(ruled.values(fact=written))
    with pytest.raises(FactAltered, match="ST-419"):
        world.execute(record)
    assert world.effects == []


@pytest.mark.parametrize("decision", ["approve", "deny"])
def test_what_decide_returns(world: GateWorld, decision: Decision) -> None:
    """Who decided is told of the request exactly as it stands in the store from then on."""
    record = world.propose()
    told = world.ledger.decide(
        ApprovalId(record.approval or ""), LEAD, decision, reason="as agreed"
    )
    assert told.decided_by == LEAD.token
    assert told == world.ledger.approval(told.id)


def test_bound_tightened_meanwhile(world: GateWorld) -> None:
    """An approved call that a constraint of today forbids is revoked, not executed."""
    record = world.approved()
    world.tools[REFUND] = world.define(constraints={"small": below(120)})
    after = world.execute(record)
    assert (after.state, after.error) == (
        CallState.REVOKED,
        "The arguments do not satisfy small.",
    )
    assert world.effects == []


def test_kill_switch(world: GateWorld) -> None:
    """A stopped tool is neither offered, nor allowed, nor executed after its approval."""
    record = world.approved()
    world.stopped.add("*")
    assert world.gate.specs(frozenset(world.tools)) == ()
    assert world.act(50).ruling.rule == "kill_switch"
    assert world.execute(record).state is CallState.REVOKED
    assert world.effects == []


def test_tool_gone(world: GateWorld) -> None:
    """A call whose tool is not registered in this process stays as it is."""
    record = world.approved()
    del world.tools[REFUND]
    with pytest.raises(ToolUnknown):
        world.execute(record)
    assert world.state(record) is CallState.APPROVED
