"""The circuit breaker on both engines: counted as calls settle, tried by exactly one call."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from staid.domain.call import CallRecord, CallState
from staid.domain.errors import NotDone, NotStopped
from staid.domain.events import EventKind
from staid.domain.message import ProposedCall
from staid.domain.principal import Actor
from staid.gates.approval import Move
from staid.gates.breaker import Breaker
from staid.gates.ledger import Lease, Settlement
from staid.gates.tool import Tool, define
from staid.store.engine import Store
from staid.testing.gating import LEAD, MINUTE, REFUND, RUN, GateWorld, Refund
from staid.testing.kill import CountedIds

BREAKER = Breaker(failures=3, window="10m", rest="5m")
RULE = "breaker:refund.issue"
OPERATOR = Actor("human", "user:lead")


@pytest.fixture
def world(store: Store) -> GateWorld:
    """Give a gate whose refund tool has a breaker."""
    made = GateWorld(store)
    made.tools[REFUND] = made.define(breaker=BREAKER)
    return made


def fail(world: GateWorld, times: int = 3) -> None:
    """Let calls end in doubt, as where the provider hangs up."""
    world.raises = ConnectionError("the provider hung up")
    for _ in range(times):
        assert world.act(50).state is CallState.IN_DOUBT
    world.raises = None


def test_it_opens_rests_and_is_tried(world: GateWorld) -> None:
    """After three doubts calls are denied; after the rest one tries it, and closes it."""
    fail(world)
    denied = world.act(50)
    assert (denied.state, denied.ruling.rule) == (CallState.DENIED, RULE)
    assert len(world.effects) == 3
    ruled = [r for r in world.journal.rows(RUN) if r.kind is EventKind.CALL_RULED][-1]
    assert [RULE, "deny"] in list(ruled.fact["steps"] or ())  # pyright: ignore[reportArgumentType]  # a list
    world.clock.move(timedelta(minutes=5))
    assert world.act(50).state is CallState.DONE
    assert world.act(50).state is CallState.DONE


def test_a_failed_trial_begins_another_rest(world: GateWorld) -> None:
    """The call that tries it and fails leaves it open for as long again."""
    fail(world)
    world.clock.move(timedelta(minutes=5))
    fail(world, 1)
    world.clock.move(timedelta(minutes=4))
    assert world.act(50).ruling.rule == RULE
    world.clock.move(MINUTE)
    assert world.act(50).state is CallState.DONE


def test_what_says_that_nothing_happened_is_an_answer(world: GateWorld) -> None:
    """A tool that refuses is not ill: ten refusals in a row leave the circuit closed."""
    world.raises = NotDone("the card has expired")
    assert {world.act(50).state for _ in range(10)} == {CallState.FAILED}
    assert world.stops.resting() == {}


def test_a_read_that_fails_counts(world: GateWorld) -> None:
    """A read is recorded with a claim where it has a breaker, so that its failures count."""
    world.tools["orders.find"] = _read(world)
    world.raises = RuntimeError("no route")
    assert {world.act(50, "orders.find").state for _ in range(3)} == {CallState.FAILED}
    assert world.act(50, "orders.find").ruling.rule == "breaker:orders.find"
    assert world.act(50).state is CallState.IN_DOUBT  # another tool's circuit is its own


def _read(world: GateWorld) -> Tool:
    return define(world.handle, "orders.find", params=Refund, effect="read", breaker=BREAKER)


def test_lost_executions_count(world: GateWorld) -> None:
    """A process that dies in the handler is a failure, found by the sweep."""
    for number in range(3):
        record = world.propose(50 + number)
        lease = Lease("dead", MINUTE)
        world.ledger.claim(record.call.id, lease, digest=record.call.digest, breaker=BREAKER)
    world.clock.move(2 * MINUTE)
    assert len(world.ledger.sweep().in_doubt) == 3
    assert list(world.stops.resting()) == [REFUND]


def test_what_was_approved_before_it_opened_is_not_executed(world: GateWorld) -> None:
    """An approved call that meets a resting tool is revoked, and says why."""
    record = world.approved()
    fail(world)
    revoked = world.execute(record)
    assert revoked.state is CallState.REVOKED
    assert "rests until" in (revoked.error or "")
    assert len(world.effects) == 3


def test_a_call_ruled_on_before_can_be_the_trial(world: GateWorld) -> None:
    """After the rest the claim takes the trial, and a proposal meanwhile is denied."""
    record = world.propose(50)
    fail(world)
    world.clock.move(timedelta(minutes=5))
    world.ledger.claim(
        record.call.id, Lease("p1", MINUTE), digest=record.call.digest, breaker=BREAKER
    )
    assert world.act(50).ruling.rule == RULE


def test_a_call_allowed_as_the_trial_may_be_claimed_later(world: GateWorld) -> None:
    """Proposing and executing in two steps is one trial, not two."""
    fail(world)
    world.clock.move(timedelta(minutes=5))
    trial = world.propose(50)
    assert trial.state is CallState.APPROVED
    assert world.propose(51).ruling.rule == RULE
    assert world.execute(trial).state is CallState.DONE
    assert world.act(52).state is CallState.DONE


def test_concurrent_proposals_let_exactly_one_through(world: GateWorld, url: str) -> None:
    """Of eight gates that propose at once after the rest one executes; the others are denied."""
    fail(world)
    world.clock.move(timedelta(minutes=5))
    before = len(world.effects)
    others = [GateWorld(Store(url), world.effects, world.clock) for _ in range(8)]

    def propose(number: int) -> CallRecord:
        other = others[number]
        other.tools[REFUND] = other.define(breaker=BREAKER)
        ids = CountedIds(f"g{number}x")
        other.gate = type(other.gate)(other.tools, other.ledger, other.clock, ids, f"p{number}")
        proposal = ProposedCall("p", REFUND, {"order_id": str(number), "amount": "50"})
        return asyncio.run(other.gate.propose(proposal, **_named(other)))

    with ThreadPoolExecutor(8) as pool:
        records = list(pool.map(propose, range(8)))
    states = sorted(record.state.value for record in records)
    assert states == ["approved"] + ["denied"] * 7
    assert len(world.effects) == before
    for other in others:
        other.store.close()


def _named(world: GateWorld) -> dict[str, Any]:
    who = world.proposer()
    return {name: getattr(who, name) for name in ("run", "agent", "allowed", "principal")}


def test_an_operator_ends_the_rest(world: GateWorld) -> None:
    """A start closes the circuit at once, and is a fact; a second has nothing to end."""
    fail(world)
    assert world.stops.start(REFUND, "the provider is back", OPERATOR) is None
    assert world.act(50).state is CallState.DONE
    with pytest.raises(NotStopped):
        world.stops.start(REFUND, "", OPERATOR)
    (told,) = world.journal.rows("gates_2026")
    assert (told.kind, told.fact["tool"]) == (EventKind.TOOL_STARTED, REFUND)


def test_what_a_person_found_out_says_nothing_about_now(world: GateWorld) -> None:
    """A late answer, or a doubt that is settled, neither closes nor opens the circuit."""
    fail(world, 2)
    lost = world.ledger.in_state(CallState.IN_DOUBT)[0]
    world.ledger.resolve(lost.call.id, LEAD, Settlement(Move.SUCCEED))
    fail(world, 1)
    assert list(world.stops.resting()) == [REFUND]


def test_another_breaker_in_a_new_release_holds_at_once(world: GateWorld) -> None:
    """The breaker as the newest process defines it is the one that counts."""
    fail(world, 2)
    world.tools[REFUND] = world.define(breaker=Breaker(failures=5))
    fail(world, 2)
    assert world.stops.resting() == {}
    fail(world, 1)
    assert list(world.stops.resting()) == [REFUND]
