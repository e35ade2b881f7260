"""Many calls below a threshold become one request, decided together, on both engines."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from staid.domain.call import ApprovalRecord, CallRecord, CallState
from staid.domain.errors import (
    AlreadyVoted,
    ApprovalDecided,
    ApprovalJoined,
    ApprovalMismatch,
    ApproverNotAllowed,
    ApproverSpent,
)
from staid.domain.ids import ApprovalId, RunId
from staid.domain.message import ProposedCall
from staid.domain.principal import Principal
from staid.gates.budget import Budget
from staid.gates.structuring import Structuring, Threshold
from staid.store import tables
from staid.store.engine import Store
from staid.testing.gating import LEAD, REFUND, GateWorld

DAY = timedelta(days=1)
BOSS = Principal("local", "user", "boss", frozenset({"group:leads"}))


@pytest.fixture
def world(store: Store) -> GateWorld:
    """Give a gate whose refunds ask above 100, alone and together."""
    world = GateWorld(store)
    tool(world)
    return world


def tool(world: GateWorld, **options: Any) -> None:
    """Put a refund with other options in the place of the refund."""
    world.tools[REFUND] = world.define(
        **{"requires_approval": Threshold("amount", 100), "approvers": ["group:leads"], **options}
    )


def act(world: GateWorld, order: int, amount: int = 99, who: str = "ada") -> CallRecord:
    """Propose a refund of somebody in a run of its own, and execute it where it may run."""
    proposer = replace(
        world.proposer(), run=RunId(f"run_{who}{order}"), principal=Principal("local", "user", who)
    )
    wanted = ProposedCall("p", REFUND, {"order_id": str(order), "amount": amount})
    return asyncio.run(world.gate.act(wanted, proposer))


def asked(world: GateWorld) -> ApprovalRecord:
    """Return the one request that waits."""
    (found,) = world.ledger.approvals()
    return found


def decide(world: GateWorld, found: ApprovalRecord, decision: Any, by: Principal = LEAD) -> None:
    """Decide a request as it was looked at."""
    world.ledger.decide(found.id, by, decision, seen=found.binding)


def states(world: GateWorld, records: Sequence[CallRecord]) -> list[CallState]:
    """Return the present state of each call."""
    return [world.state(record) for record in records]


# --- the sum ---------------------------------------------------------------------------------


def test_fifty_refunds_of_99(world: GateWorld) -> None:
    """One of fifty runs unattended; the others are one request that tells sum, count and calls."""
    records = [act(world, n) for n in range(50)]
    assert [r.state for r in records] == [CallState.DONE] + [CallState.PENDING] * 49
    assert len(world.effects) == 1
    found = asked(world)
    assert found.rule == "structuring:refund.issue:amount:customer:86400"
    assert found.message.startswith("50 calls within 1 day add up to 4950, above 100")
    assert len(found.members) == 48
    assert {r.request for r in records[1:]} == {found.id}
    adding = world.ledger.adding_up(found.id)
    assert [each.record.call.id for each in adding] == [r.call.id for r in records]
    assert sum(each.amount for each in adding) == 4950


def test_exactly_the_threshold(world: GateWorld) -> None:
    """A sum of exactly the threshold asks nobody; one more does."""
    assert [act(world, n, 25).state for n in range(4)] == [CallState.DONE] * 4
    assert act(world, 4, 1).state is CallState.PENDING


def test_above_alone_is_not_counted(world: GateWorld) -> None:
    """A call that is above the threshold alone is asked about as such, and is no part of a sum."""
    big = act(world, 1, 300)
    assert (big.state, big.ruling.rule) == (CallState.PENDING, "approval")
    assert act(world, 2, 100).state is CallState.DONE


def test_per_customer_and_window(world: GateWorld) -> None:
    """Another asker's calls are another sum, and what is older than the window is none."""
    assert act(world, 1).state is CallState.DONE
    assert act(world, 2, who="eve").state is CallState.DONE
    world.clock.move(DAY)
    assert act(world, 3).state is CallState.DONE
    assert act(world, 4).state is CallState.PENDING


def test_per_recipient_tells_the_asker_nothing(world: GateWorld) -> None:
    """Counted over several askers, the sum is found, and what others did is not told."""
    tool(world, structuring=Structuring("amount", 100, per="order_id"))
    assert act(world, 1, who="ada").state is CallState.DONE
    record = act(world, 1, who="eve")
    assert record.state is CallState.PENDING
    assert "198" not in record.ruling.message
    assert sum(each.amount for each in world.ledger.adding_up(asked(world).id)) == 198


def test_not_at_all(world: GateWorld) -> None:
    """A tool can say that sums do not matter."""
    tool(world, structuring=False)
    assert [act(world, n).state for n in range(5)] == [CallState.DONE] * 5


def test_released_calls_leave_the_sum(world: GateWorld) -> None:
    """Denied calls are no part of the sum any more."""
    act(world, 1, 60)
    assert act(world, 2, 60).state is CallState.PENDING
    decide(world, asked(world), "deny")
    assert act(world, 3, 40).state is CallState.DONE


# --- decided together ------------------------------------------------------------------------


def test_approve_all(world: GateWorld) -> None:
    """Approving approves every call; each executes its own arguments, once."""
    records = [act(world, n) for n in range(4)]
    decide(world, asked(world), "approve")
    assert states(world, records[1:]) == [CallState.APPROVED] * 3
    assert world.ledger.approvals() == []
    for _ in range(2):
        assert [world.execute(r).state for r in records] == [CallState.DONE] * 4
    assert len(world.effects) == 4
    assert {key for key, _ in world.effects} == {r.call.key for r in records}
    assert world.reservations() == ["captured"] * 4


def test_deny_all(world: GateWorld) -> None:
    """Denying denies every call; none runs, and the sum is what it was before."""
    records = [act(world, n) for n in range(4)]
    decide(world, asked(world), "deny")
    assert states(world, records[1:]) == [CallState.DENIED] * 3
    assert [world.execute(r).state for r in records[1:]] == [CallState.DENIED] * 3
    assert len(world.effects) == 1


def test_expire_all(world: GateWorld) -> None:
    """They expire together, when the first would have; no later one buys the first more time."""
    records = [act(world, 0), act(world, 1)]
    world.clock.move(6 * DAY)
    records += [act(world, 2), act(world, 3)]
    assert world.state(records[1]) is CallState.PENDING
    late = [r for r in records[1:] if r.state is CallState.PENDING]
    world.clock.move(DAY + timedelta(seconds=1))
    expired = world.ledger.sweep().expired
    assert {r.call.id for r in expired} == {r.call.id for r in late}
    assert world.ledger.sweep().expired == ()
    assert states(world, late) == [CallState.EXPIRED] * len(late)


def test_joining_after_a_look(world: GateWorld) -> None:
    """Who looked before a call joined has to look again; then all of them are decided."""
    records = [act(world, n) for n in range(2)]
    before = asked(world)
    records.append(act(world, 2))
    with pytest.raises(ApprovalMismatch):
        decide(world, before, "approve")
    assert states(world, records[1:]) == [CallState.PENDING] * 2
    after = asked(world)
    assert after.binding not in {before.digest, before.binding}
    decide(world, after, "approve")
    assert states(world, records[1:]) == [CallState.APPROVED] * 2


def test_joining_voids_votes(world: GateWorld) -> None:
    """Where it takes two people, the first one votes again about a longer list."""
    tool(world, quorum=2)
    records = [act(world, n) for n in range(2)]
    decide(world, asked(world), "approve")
    with pytest.raises(AlreadyVoted):
        decide(world, asked(world), "approve")
    records.append(act(world, 2))
    decide(world, asked(world), "approve", BOSS)
    assert states(world, records[1:]) == [CallState.PENDING] * 2
    decide(world, asked(world), "approve")
    assert states(world, records[1:]) == [CallState.APPROVED] * 2


def test_a_member_is_not_decided_alone(world: GateWorld) -> None:
    """The request of a call that joined points to the one it is decided with."""
    records = [act(world, n) for n in range(3)]
    alone = ApprovalId(records[2].approval or "")
    assert alone != records[2].request
    with pytest.raises(ApprovalJoined, match=str(records[2].request)):
        world.ledger.decide(alone, LEAD, "approve")
    assert states(world, records[1:]) == [CallState.PENDING] * 2


def test_upstream_of_any(world: GateWorld) -> None:
    """Who asked for one of the calls decides none of them."""
    tool(world, structuring=Structuring("amount", 100, per="agent"), approvers=["user:eve"])
    act(world, 1)
    records = [act(world, 2), act(world, 3, who="eve")]
    eve = Principal("local", "user", "eve")
    with pytest.raises(ApproverNotAllowed):
        decide(world, asked(world), "approve", eve)
    assert states(world, records) == [CallState.PENDING] * 2


def test_ceiling_over_the_sum(world: GateWorld) -> None:
    """A ceiling bounds what an approver approves together, not each call."""
    ceilings = {"user:lead": 250, "user:boss": 1000}
    tool(world, amount="amount", ceilings=ceilings, approvers=["group:leads"])
    records = [act(world, n) for n in range(3)]
    with pytest.raises(ApproverNotAllowed):
        decide(world, asked(world), "approve")
    decide(world, asked(world), "approve", BOSS)
    assert states(world, records[1:]) == [CallState.APPROVED] * 2


def test_other_approvers_are_another_request(world: GateWorld) -> None:
    """What other people decide does not join."""
    act(world, 1)
    act(world, 2)
    tool(world, approvers=["user:boss"])
    act(world, 3)
    assert [len(a.members) for a in world.ledger.approvals()] == [0, 0]


def test_a_member_that_went_alone(world: GateWorld) -> None:
    """Where a call of the list was revoked meanwhile, the approver has to look again."""
    records = [act(world, n) for n in range(4)]
    found = asked(world)
    world.ledger.revoke(records[2].call.id, records[2].ruling)
    for seen in (found.binding, asked(world).binding):
        with pytest.raises(ApprovalMismatch):
            world.ledger.decide(found.id, LEAD, "approve", seen=seen)
    decide(world, asked(world), "approve")
    assert states(world, records[1:]) == [
        CallState.APPROVED,
        CallState.REVOKED,
        CallState.APPROVED,
    ]


def test_a_leader_that_went_alone(world: GateWorld) -> None:
    """Where the first call was revoked, the others are decided one by one, and expire so."""
    records = [act(world, n) for n in range(4)]
    world.ledger.revoke(records[1].call.id, records[1].ruling)
    left = world.ledger.approvals()
    assert [a.call.id for a in left] == [r.call.id for r in records[2:]]
    decide(world, left[0], "approve")
    assert states(world, records[2:]) == [CallState.APPROVED, CallState.PENDING]
    world.clock.move(8 * DAY)
    assert [r.call.id for r in world.ledger.sweep().expired] == [records[3].call.id]


@pytest.mark.parametrize("column", ["bound", "leader"])
def test_tampered_list(world: GateWorld, column: str) -> None:
    """A list that was changed in the store is not what the journal says, and decides nothing."""
    records = [act(world, n) for n in range(3)] + [
        act(world, 9, who="eve"),
        act(world, 8, who="eve"),
    ]
    table = tables.approval
    target = table.c.call == records[1 if column == "bound" else 4].call.id
    value = None if column == "bound" else records[1].approval
    with world.store.write() as connection:
        connection.execute(update(table).where(target).values({column: value}))
    found = next(a for a in world.ledger.approvals() if a.call.id == records[1].call.id)
    with pytest.raises(ApprovalMismatch):
        decide(world, found, "approve")
    assert states(world, records[1:3]) == [CallState.PENDING] * 2


def test_reconsidered_alone(world: GateWorld) -> None:
    """A call whose tool changed after the decision waits again, alone; the others run."""
    records = [act(world, n) for n in range(4)]
    decide(world, asked(world), "approve")
    assert world.execute(records[2]).state is CallState.DONE
    tool(world, version="2")
    assert world.execute(records[3]).state is CallState.PENDING
    assert world.execute(records[1]).state is CallState.PENDING
    left = world.ledger.approvals()
    assert [(a.call.id, a.members) for a in left] == [
        (r.call.id, ()) for r in (records[1], records[3])
    ]
    for each in left:
        decide(world, each, "approve")
    assert [world.execute(r).state for r in records] == [CallState.DONE] * 4
    assert len(world.effects) == 4


def test_joining_what_is_reconsidered(world: GateWorld) -> None:
    """What joins a request that is asked anew joins that one alone, not those decided before."""
    records = [act(world, n) for n in range(3)]
    decide(world, asked(world), "approve")
    tool(world, version="2")
    assert world.execute(records[1]).state is CallState.PENDING
    records.append(act(world, 3))
    found = asked(world)
    assert [each.call.id for each in found.members] == [records[3].call.id]
    decide(world, found, "approve")
    assert states(world, records[1:]) == [CallState.APPROVED] * 3


def test_facts_of_every_run(world: GateWorld) -> None:
    """The decision is a fact of every run that waited for it, and every chain still verifies."""
    records = [act(world, n) for n in range(3)]
    decide(world, asked(world), "approve")
    for record in records[1:]:
        kinds = [row.kind.value for row in world.journal.rows(record.call.run)]
        assert kinds[-1] == "approval.decided"
        assert kinds.count("approval.decided") == 1


def test_joins_race_decisions(world: GateWorld) -> None:
    """While calls join and people decide at once, nothing runs that was not on the list."""
    act(world, 0)

    def approve() -> None:
        for found in world.ledger.approvals():
            try:
                decide(world, found, "approve")
            except (ApprovalMismatch, ApprovalDecided, ApprovalJoined):
                continue

    def turn(n: int) -> CallRecord | None:
        return act(world, n) if n % 2 else approve()

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(turn, range(1, 41)))
    records = [record for record in found if record is not None]
    while world.ledger.approvals():
        approve()
    assert set(states(world, records)) <= {CallState.APPROVED, CallState.DONE}
    assert [world.execute(r).state for r in records] == [CallState.DONE] * len(records)
    assert len(world.effects) == len(records) + 1


# --- what an approver may approve ------------------------------------------------------------


def test_approver_budget(world: GateWorld) -> None:
    """One approver approves so much in a window; then somebody else has to, and it frees again."""
    tool(world, budget=Budget(500, sum_of="amount", per="approver"), structuring=False)
    records = [act(world, n, 300) for n in range(3)]
    first, second, third = world.ledger.approvals()
    decide(world, first, "approve")
    with pytest.raises(ApproverSpent, match="approved 300 within 1 day, and may approve 500"):
        decide(world, second, "approve")
    decide(world, second, "approve", BOSS)
    decide(world, third, "deny")
    assert states(world, records) == [CallState.APPROVED, CallState.APPROVED, CallState.DENIED]
    assert world.execute(records[0]).state is CallState.DONE
    world.clock.move(DAY)
    act(world, 4, 300)
    decide(world, asked(world), "approve")


def test_approver_budget_of_a_list(world: GateWorld) -> None:
    """A list draws for every call in it, all or nothing."""
    tool(world, budget=Budget(250, sum_of="amount", per="approver"))
    records = [act(world, n) for n in range(4)]
    with pytest.raises(ApproverSpent):
        decide(world, asked(world), "approve")
    assert states(world, records[1:]) == [CallState.PENDING] * 3
    assert world.reservations().count("reserved") == 3


def test_approver_budget_race(world: GateWorld) -> None:
    """One person in many windows at once approves no more than the budget."""
    tool(world, budget=Budget(1000, sum_of="amount", per="approver"), structuring=False)
    for n in range(16):
        act(world, n, 200)

    def approve(found: ApprovalRecord) -> bool:
        try:
            decide(world, found, "approve")
        except ApproverSpent:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(approve, world.ledger.approvals())) == 5


def test_voted_in_vain(world: GateWorld) -> None:
    """What a person drew for a vote that became void is free again."""
    tool(world, budget=Budget(200, sum_of="amount", per="approver"), quorum=2)
    records = [act(world, n) for n in range(2)]
    decide(world, asked(world), "approve")
    records.append(act(world, 2))
    decide(world, asked(world), "approve")
    decide(world, asked(world), "approve", BOSS)
    assert states(world, records[1:]) == [CallState.APPROVED] * 2
