"""A call is carried out under the policy that rules now, or not at all, on both engines."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from staid.domain.call import CallRecord, CallState
from staid.domain.errors import RulingOutdated
from staid.domain.events import EventKind
from staid.domain.ids import CallId
from staid.gates.budget import Budget
from staid.gates.ledger import Lease
from staid.gates.policy import outdated
from staid.gates.rules import NO_POLICY, Policy
from staid.project.policy_file import parse_policy
from staid.store.engine import Store
from staid.testing.gating import MINUTE, REFUND, RUN, GateWorld


def policy(then: str, message: str = "") -> Policy:
    """Return a policy of one rule about every refund."""
    text = (
        f"version: 1\ntools:\n  {REFUND}:\n    unknown: ok\n    rules:\n"
        f"      - {{name: it, then: {then}, message: '{message}'}}\n"
    )
    return parse_policy(text.encode(), Path("policy.yaml"), {}).required()


@pytest.fixture
def world(store: Store) -> GateWorld:
    """Give a gate whose policy allows every refund, within a budget for one."""
    world = GateWorld(store)
    budget = Budget(100, sum_of="amount", per="customer")
    world.tools[REFUND] = world.define(requires_approval=False, budget=budget)
    world.under(policy("allow"))
    return world


def act(world: GateWorld, amount: int = 80) -> CallRecord:
    """Propose a refund under a key of its own, and execute it where it may run."""
    return world.act(amount)


def test_the_same_policy_carries_it_out(world: GateWorld) -> None:
    """What was allowed and not begun is carried out by a process with the same policy."""
    record = world.propose(80)
    world.under(policy("allow"))
    assert world.execute(record).state is CallState.DONE
    assert len(world.effects) == 1


@pytest.mark.parametrize("then", ["ask", "deny"])
def test_another_policy_does_not(world: GateWorld, then: str) -> None:
    """After a change nothing that was allowed before runs; proposed again it is ruled anew."""
    record = world.propose(80)
    world.under(policy(then))
    ended = world.execute(record)
    assert outdated(ended)
    assert world.effects == []
    again = act(world)
    assert again.state is (CallState.PENDING if then == "ask" else CallState.DENIED)
    assert again.ruling.rule == "policy:it"
    assert world.effects == []


def test_a_policy_that_allows_it_too(world: GateWorld) -> None:
    """Also under a policy that would allow it the call is proposed again: it rules on all of it."""
    record = world.propose(80)
    world.under(policy("allow", "in other words"))
    assert outdated(world.execute(record))
    assert act(world).state is CallState.DONE  # what the first one had reserved is free
    assert [amount for _, amount in world.effects] == [80]


def test_no_policy_any_more(world: GateWorld) -> None:
    """A policy that is gone is another one."""
    record = world.propose(80)
    world.under(NO_POLICY)
    assert outdated(world.execute(record))


def test_the_claim_itself_refuses(world: GateWorld) -> None:
    """Whoever claims says by which policy; the ledger holds it against the journal."""
    record = world.propose(80)
    lease, digest = Lease("p2", MINUTE), record.call.digest
    with pytest.raises(RulingOutdated):
        world.ledger.claim(record.call.id, lease, digest=digest, policy="another")
    assert world.state(record) is CallState.APPROVED
    version = policy("allow").version
    claimed = world.ledger.claim(record.call.id, lease, digest=digest, policy=version)
    assert claimed.state is CallState.EXECUTING


def test_a_read_that_was_allowed_before(world: GateWorld) -> None:
    """A read has no claim, and tells nothing under a policy that did not allow it."""
    record = world.propose(80, "orders.find")
    world.under(policy("allow", "in other words"))
    assert outdated(world.execute(record))
    assert world.effects == []


def test_the_version_is_in_the_fact(world: GateWorld) -> None:
    """Which policy ruled is known after an erasure, too."""
    world.propose(80)
    ruled = [row.fact for row in world.journal.rows(RUN) if row.kind is EventKind.CALL_RULED]
    assert [fact["policy"] for fact in ruled] == [policy("allow").version]


def test_a_call_of_a_release_before(world: GateWorld) -> None:
    """Where nobody noted the policy, nobody knows that it is the one of now."""
    assert world.ledger.ruled_under(world.propose(80).call) == policy("allow").version
    other = replace(world.propose(20).call, id=CallId("cal_none"))
    assert world.ledger.ruled_under(other) is None
