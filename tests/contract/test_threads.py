"""What broke elsewhere around approvals and effects, thread by thread, on both engines.

Each docstring names the public issue it comes from; docs/evidence/threads.md lists all twenty.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from staid.domain.call import CallRecord, CallState
from staid.domain.errors import (
    ApprovalDecided,
    ApprovalMismatch,
    ApproverNotAllowed,
    KeyReused,
    StoreLocked,
)
from staid.domain.ids import ApprovalId, RunId
from staid.domain.message import ProposedCall
from staid.domain.principal import Principal
from staid.runtime.gate import Gate, Proposer
from staid.store.engine import Store
from staid.testing.gating import ADA, LEAD, MINUTE, REFUND, GateWorld
from staid.testing.kill import CountedIds


@pytest.fixture
def world(store: Store) -> GateWorld:
    """Give a gate on a fresh store."""
    return GateWorld(store)


def act(
    world: GateWorld, who: Proposer, tool: str, call: str = "p-1", **arguments: Any
) -> CallRecord:
    """Propose one call for somebody, and execute it where the rules allow it."""
    return asyncio.run(world.gate.act(ProposedCall(call, tool, arguments), who))


def another_process(world: GateWorld) -> Gate:
    """Return a gate as another process has it on the same store."""
    return Gate(world.tools, world.ledger, world.clock, CountedIds("other"), "p2", lease=MINUTE)


def test_01_an_approved_call_ran_again_on_a_later_turn(world: GateWorld) -> None:
    """microsoft/agent-framework #6851: done once, it stays done, whatever is asked later."""
    record = world.approved()
    world.execute(record)
    world.act(50, order="8")
    assert world.execute(record).state is CallState.DONE
    assert asyncio.run(another_process(world).execute(record.call.id)).state is CallState.DONE
    assert len(world.effects) == 2


def test_02_a_retry_could_not_be_told_from_a_first_try(
    world: GateWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """microsoft/agent-framework #7458: an effect whose record failed is in doubt, not retried."""
    record = world.approved()

    def fail(*_: object, **__: object) -> None:
        raise StoreLocked(seconds=0, path=None)

    with monkeypatch.context() as patched:
        patched.setattr(world.ledger, "settle", fail)
        with pytest.raises(StoreLocked):
            world.execute(record)
    assert world.execute(record).state is CallState.EXECUTING
    world.clock.move(2 * MINUTE)
    asyncio.run(world.gate.sweep())
    assert world.execute(record).state is CallState.IN_DOUBT
    assert len(world.effects) == 1


@pytest.mark.parametrize("before", ["no.such.tool", "orders.find"])
def test_03_an_unknown_call_in_the_batch_opened_the_gate(world: GateWorld, before: str) -> None:
    """microsoft/agent-framework #8079: each call of a batch is ruled on for itself."""
    who = world.proposer()
    act(world, who, before, order_id="7", amount=5)
    assert act(world, who, REFUND, "p-2", order_id="7", amount=150).state is CallState.PENDING
    assert world.effects == [(key, amount) for key, amount in world.effects if amount != 150]


def test_05_a_decided_request_was_offered_again(world: GateWorld) -> None:
    """microsoft/agent-framework #7570: what is decided or expired waits in no list any more."""
    decided, expired = world.propose(150), world.propose(160, order="8")
    assert len(world.ledger.approvals(CallState.PENDING)) == 2
    world.approve(decided)
    world.clock.move(11_000 * MINUTE)
    asyncio.run(world.gate.sweep())
    assert world.ledger.approvals(CallState.PENDING) == []
    with pytest.raises(ApprovalDecided):
        world.approve(decided)
    assert world.state(expired) is CallState.EXPIRED


@pytest.mark.parametrize("decision", [None, "no", "", True, "APPROVE"])
def test_06_a_missing_decision_executed(world: GateWorld, decision: Any) -> None:
    """pydantic/pydantic-ai #8060: only the word `approve` approves; anything else runs nothing."""
    record = world.propose()
    with pytest.raises(ValueError, match="decision"):
        world.ledger.decide(ApprovalId(record.approval or ""), LEAD, decision)
    assert world.execute(record).state is CallState.PENDING
    assert world.effects == []


def test_07_an_ordinary_retry_ran_an_approved_call_again(world: GateWorld) -> None:
    """pydantic/pydantic-ai #5536: five executions of one approved call, at once, are one effect."""
    record = world.approved()
    gates = [another_process(world) for _ in range(5)]

    async def race() -> None:
        await asyncio.gather(*(gate.execute(record.call.id) for gate in gates))

    asyncio.run(race())
    assert len(world.effects) == 1


def test_08_the_approver_saw_other_arguments_than_ran(world: GateWorld) -> None:
    """pydantic/pydantic-ai #6968: what is shown is the canonical call, and the handler gets it."""
    record = world.propose("150.500")
    shown = world.ledger.approval(ApprovalId(record.approval or "")).call.arguments
    assert shown == {"order_id": "7", "amount": "150.5"}
    world.approve(record)
    world.execute(record)
    assert world.effects == [(record.call.key, Decimal("150.5"))]


def test_09_approval_was_all_or_nothing_and_bound_to_no_arguments(world: GateWorld) -> None:
    """pydantic/pydantic-ai #5617, #5777, #6862.

    A predicate asks; a decision is on what was seen.
    """
    assert world.act(100).state is CallState.DONE
    record, other = world.propose(101), world.propose(499, order="8")
    with pytest.raises(ApprovalMismatch):
        world.approve(record, seen=other.call.digest)
    assert world.state(record) is CallState.PENDING


def test_10_an_approval_was_not_honoured_on_resume(world: GateWorld) -> None:
    """openai/openai-agents-python #4244: an approval holds in whichever process goes on."""
    record = world.approved()
    assert asyncio.run(another_process(world).execute(record.call.id)).state is CallState.DONE
    assert len(world.effects) == 1


def test_11_a_decision_on_one_authorised_the_other(world: GateWorld) -> None:
    """openai/openai-agents-python #4409: the same call twice is two requests with two decisions."""
    first, second = world.propose(), world.propose()
    world.approve(first)
    assert world.execute(second).state is CallState.PENDING
    assert world.effects == []


def test_12_a_fresh_run_used_the_pending_approval_of_another(world: GateWorld) -> None:
    """openai/openai-agents-python #5123, #4264, #5105: requests belong to asker, agent and key."""
    record = world.approved()
    other = Principal("local", "user", "eve")
    for who in (world.proposer(principal=other), world.proposer(agent="crew", run=RunId("run_2"))):
        assert act(world, who, REFUND, order_id="7", amount=150).state is CallState.PENDING
        open_ = world.gate.open_like(who.principal.token, who.agent, record.call.digest)
        assert open_ is not None
        assert open_.call.id != record.call.id
        proposal = ProposedCall("p", REFUND, {"order_id": "7", "amount": 150})
        with pytest.raises(KeyReused):
            asyncio.run(world.gate.act(proposal, who, key=record.call.key))
    assert world.effects == []


def test_13_a_deny_was_never_enforced(world: GateWorld) -> None:
    """google/adk-python #7148: denied means that it cannot run, by whoever and however often."""
    record = world.propose()
    world.ledger.decide(ApprovalId(record.approval or ""), LEAD, "deny")
    for gate in (world.gate, another_process(world)):
        assert asyncio.run(gate.execute(record.call.id)).state is CallState.DENIED
    with pytest.raises(ApprovalDecided):
        world.approve(record)
    assert world.effects == []


def test_14_approved_was_100_and_executed_999(world: GateWorld) -> None:
    """google/adk-go #1499: a confirmation names one call by our id, and binds its arguments."""
    record = world.approved(150)
    forged = replace(record.call, arguments={"order_id": "7", "amount": "499"})
    with pytest.raises(ApprovalMismatch):
        world.ledger.claim(record.call.id, world.gate._lease(), digest=forged.digest)
    assert act(world, world.proposer(), REFUND, order_id="7", amount=499).state is CallState.PENDING
    assert world.effects == []


@pytest.mark.parametrize("backwards", [False, True])
def test_16_decisions_were_matched_by_position(world: GateWorld, *, backwards: bool) -> None:
    """langchain-ai/langchain #40172: a decision names its request, in whatever order they come."""
    yes, no = world.propose(150), world.propose(160, order="8")
    decisions: list[tuple[CallRecord, Any]] = [(yes, "approve"), (no, "deny")]
    for record, decision in reversed(decisions) if backwards else decisions:
        world.ledger.decide(ApprovalId(record.approval or ""), LEAD, decision)
    assert world.execute(yes).state is CallState.DONE
    assert world.execute(no).state is CallState.DENIED
    assert [amount for _, amount in world.effects] == [150]


def test_18_a_sub_agents_need_for_approval_was_dropped(world: GateWorld) -> None:
    """langchain-ai/deepagents #554, keurcien/auxilia #301.

    A sub-agent's call meets the same gate; nobody in the chain above it may decide, the asker's
    own parent agent included.
    """
    above = frozenset({"agent:planner", "user:boss"})
    who = world.proposer(agent="helper", upstream=above)
    record = act(world, who, REFUND, order_id="7", amount=150)
    assert record.state is CallState.PENDING
    approval = ApprovalId(record.approval or "")
    for token in (ADA, Principal("local", "user", "boss", frozenset({"group:leads"}))):
        with pytest.raises(ApproverNotAllowed):
            world.ledger.decide(approval, token, "approve")
    machine = Principal("local", "agent", "planner", frozenset({"group:leads"}))
    with pytest.raises(ApproverNotAllowed):
        world.ledger.decide(approval, machine, "approve")
    world.approve(record)
    assert world.execute(record).state is CallState.DONE


def test_20_an_approved_call_ran_twice_when_it_was_cancelled(world: GateWorld) -> None:
    """crewAIInc/crewAI #5802, extra-org/extra #139, heypinchy/pinchy #1167.

    Cancelled and retried it runs once; ids of a provider, unique in one response at best, name
    nothing of ours.
    """
    record = world.approved()

    async def cancelled() -> None:
        task = asyncio.ensure_future(world.gate.execute(record.call.id))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await world.gate.execute(record.call.id)

    asyncio.run(cancelled())
    asyncio.run(world.gate.execute(record.call.id))
    assert len(world.effects) == 1
    same = [act(world, world.proposer(), REFUND, "call_1", order_id=o, amount=9) for o in "12"]
    assert same[0].call.id != same[1].call.id
    assert len(world.effects) == 3
