"""Small calls add up under a rule of a policy as under a threshold in code, on both engines."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from staid.domain.call import ApprovalRecord, CallRecord, CallState
from staid.domain.ids import RunId
from staid.domain.message import ProposedCall
from staid.gates.rules import Policy
from staid.project.policy_file import parse_policy
from staid.store.engine import Store
from staid.testing.gating import LEAD, REFUND, GateWorld

RULE = "{name: a-lot, when: amount > 100, then: ask, approvers: [group:leads]}"
MORE = "{name: more, when: amount > 300, then: ask, approvers: [user:cfo]}"


def policy(world: GateWorld, *rules: str) -> Policy:
    """Return a policy of these rules about refunds."""
    lines = "".join(f"      - {rule}\n" for rule in rules)
    text = f"version: 1\ntools:\n  {REFUND}:\n    rules:\n{lines}"
    return parse_policy(text.encode(), Path("policy.yaml"), world.tools).required()


@pytest.fixture
def world(store: Store) -> GateWorld:
    """Give a gate whose refunds ask nobody, but for the policy."""
    world = GateWorld(store)
    world.tools[REFUND] = world.define(requires_approval=False, approvers=())
    world.under(policy(world, RULE))
    return world


def act(world: GateWorld, order: int, amount: int = 99) -> CallRecord:
    """Propose a refund in a run of its own, and execute it where it may run."""
    proposer = replace(world.proposer(), run=RunId(f"run_{order}"))
    wanted = ProposedCall("p", REFUND, {"order_id": str(order), "amount": amount})
    return asyncio.run(world.gate.act(wanted, proposer))


def asked(world: GateWorld) -> ApprovalRecord:
    """Return the one request that waits."""
    (found,) = world.ledger.approvals()
    return found


def test_fifty_refunds_of_99(world: GateWorld) -> None:
    """One of fifty runs unattended; the others are one request with the sum, decided at once."""
    records = [act(world, n) for n in range(50)]
    assert [r.state for r in records] == [CallState.DONE] + [CallState.PENDING] * 49
    assert len(world.effects) == 1
    found = asked(world)
    assert found.rule == "structuring:policy:refund.issue:amount:86400"
    assert found.message.startswith("50 calls within 1 day add up to 4950, above 100")
    assert found.asks.approvers == {"group:leads"}
    world.ledger.decide(found.id, LEAD, "approve", seen=found.binding)
    assert {world.execute(r).state for r in records[1:]} == {CallState.DONE}
    assert len(world.effects) == 50


def test_beyond_a_higher_number_more_is_asked(world: GateWorld) -> None:
    """Once the sum is beyond the number of another rule, that rule's people are asked as well."""
    world.under(policy(world, RULE, MORE))
    act(world, 1)
    second, third, fourth = (act(world, n) for n in (2, 3, 4))
    first_asked, then_asked = world.ledger.approvals()
    assert [r.request for r in (second, third, fourth)] == [
        first_asked.id,
        first_asked.id,
        then_asked.id,
    ]
    assert first_asked.asks.also == ()
    assert [terms.approvers for terms in then_asked.asks.also] == [{"user:cfo"}]


def test_alone_above_it(world: GateWorld) -> None:
    """A call above the number is asked about by the rule itself, and is no part of the sum."""
    big = act(world, 1, 300)
    assert (big.state, big.ruling.rule) == (CallState.PENDING, "policy:a-lot")
    assert act(world, 2, 100).state is CallState.DONE


def test_a_rule_can_say_that_sums_do_not_matter(world: GateWorld) -> None:
    """With `sums: false` every call is looked at alone."""
    world.under(policy(world, RULE.replace("}", ", sums: false}")))
    assert [act(world, n).state for n in range(4)] == [CallState.DONE] * 4


def test_written_down_beside_a_rule(world: GateWorld) -> None:
    """What no comparison tells is said: here per order, above 150, in an hour."""
    said = (
        "{name: odd, when: amount > 100 and order_id == 'x', then: ask,"
        " sums: {of: amount, above: 150, per: order_id, window: 1h}}"
    )
    world.under(policy(world, said))
    assert act(world, 1).state is CallState.DONE
    assert act(world, 2).state is CallState.DONE
    proposer = replace(world.proposer(), run=RunId("run_3"))
    again = ProposedCall("p", REFUND, {"order_id": "1", "amount": 99})
    record = asyncio.run(world.gate.act(again, proposer))
    assert record.ruling.rule == "structuring:policy:refund.issue:odd:3600"
    assert record.state is CallState.PENDING
