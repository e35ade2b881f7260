"""Budgets on both engines: never exceeded, never deadlocked, never refilled by a clock."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import select

from staid.domain.call import CallRecord, CallState
from staid.domain.errors import NotDone
from staid.domain.message import ProposedCall
from staid.domain.principal import Principal
from staid.gates.approval import Move
from staid.gates.budget import Budget
from staid.gates.ledger import Lease, Settlement
from staid.store import tables
from staid.store.engine import Store
from staid.testing.gating import LEAD, MINUTE, REFUND, GateWorld
from staid.testing.spending import Spree, together

DAY = timedelta(days=1)


@pytest.fixture
def world(store: Store) -> GateWorld:
    """Give a gate on a fresh store."""
    return GateWorld(store)


def drawn(store: Store) -> Counter[str]:
    """Return the sum of what counts, per budget."""
    held = tables.reservation.c
    found: Counter[str] = Counter()
    with store.read() as connection:
        for row in connection.execute(select(held.budget, held.amount, held.state)):
            if row.state != "released":
                found[row.budget] += int(Decimal(row.amount))
    return found


# --- concurrency -----------------------------------------------------------------------------


def test_64_threads(url: str, store: Store) -> None:
    """Of 64 threads that draw on two budgets in opposite orders exactly the limit gets through."""
    states = Counter(Spree(url, "a", threads=64, each=1, amount=50).run())
    assert states == {"done": 20, "denied": 44}
    assert drawn(store) == {"money": 1000, "rate": 20}


def test_8_processes_of_8_threads(url: str, store: Store) -> None:
    """Eight processes of eight threads draw no more than one would; the rate is a limit, too."""
    sprees = [Spree(url, f"p{n}_", threads=8, each=2, amount=7) for n in range(8)]
    assert together(sprees) == {"done": 40, "denied": 88}
    assert drawn(store) == {"money": 280, "rate": 40}


# --- keys and rates --------------------------------------------------------------------------


def proposed(world: GateWorld, who: str, order: str, amount: int) -> CallRecord:
    """Propose a refund for somebody."""
    proposer = replace(world.proposer(), principal=Principal("local", "user", who))
    wanted = ProposedCall("p", REFUND, {"order_id": order, "amount": amount})
    return asyncio.run(world.gate.act(wanted, proposer))


def test_two_keys_at_once(world: GateWorld) -> None:
    """Per customer and order each combination has a total of its own."""
    budget = Budget(100, sum_of="amount", per=["customer", "order_id"])
    world.tools[REFUND] = world.define(budget=budget)
    assert proposed(world, "ada", "7", 60).state is CallState.DONE
    assert proposed(world, "ada", "7", 60).state is CallState.DENIED
    assert proposed(world, "ada", "8", 60).state is CallState.DONE
    assert proposed(world, "eve", "7", 60).state is CallState.DONE


@pytest.mark.parametrize(
    "again",
    [
        "JOS\u00c9 STRA\u1e9eE",
        " jose\u0301  strasse ",
        "jos\u00e9\u200b stra\u00dfe",
        "jos\u00e9\ufe0f stra\u00dfe\x00",
        "\uff4aos\u00e9\u00a0stra\u00dfe",
    ],
)
def test_a_name_in_another_spelling_is_no_second_total(world: GateWorld, again: str) -> None:
    """Case, spaces and what nobody sees split no total; another name has its own."""
    world.tools[REFUND] = world.define(budget=Budget(100, sum_of="amount", per="order_id"))
    assert world.act(60, order="Jos\u00e9 Stra\u00dfe").state is CallState.DONE
    denied = world.act(60, order=again)
    assert (denied.state, denied.call.arguments["order_id"]) == (CallState.DENIED, again)
    assert denied.ruling.message == "This would exceed the limit of 100 within 1 day."
    assert world.act(40, order=again).state is CallState.DONE
    assert world.act(60, order="jos\u00e8 strasse").state is CallState.DONE


def test_rate(world: GateWorld) -> None:
    """Three calls an hour are three calls in any hour, not in any calendar hour."""
    world.tools[REFUND] = world.define(budget=Budget(3, per="agent", window="1h"))
    for _ in range(3):
        assert world.act(5).state is CallState.DONE
        world.clock.move(25 * MINUTE)
    assert world.act(5).state is CallState.DONE  # the first is 75 minutes old
    assert world.act(5).state is CallState.DENIED


# --- what frees a budget, and what does not --------------------------------------------------


@pytest.mark.parametrize("how", ["deny", "expire", "revoke", "fail"])
def test_released_at_once(world: GateWorld, how: str) -> None:
    """Whatever ends a call without an effect gives back what it had reserved in the same moment."""
    world.tools[REFUND] = world.define(budget=Budget(400, sum_of="amount"))
    waiting = world.propose(400)
    assert world.act(50).state is CallState.DENIED
    if how == "deny":
        world.ledger.decide(waiting.approval, LEAD, "deny")  # type: ignore[arg-type]
    elif how == "expire":
        world.clock.move(8 * DAY)
        assert len(world.ledger.sweep().expired) == 1
    elif how == "revoke":
        world.ledger.revoke(waiting.call.id, waiting.ruling)
    else:
        world.approve(waiting)
        world.raises = NotDone("no")
        assert world.execute(waiting).state is CallState.FAILED
        world.raises = None
    assert world.act(50).state is CallState.DONE


@pytest.mark.parametrize("back", [timedelta(hours=1), 2 * DAY, 400 * DAY])
def test_clock_jumps_back_after_a_call(world: GateWorld, back: timedelta) -> None:
    """What was spent before the clock jumped back is still spent."""
    world.tools[REFUND] = world.define(budget=Budget(100, sum_of="amount"))
    assert world.act(100).state is CallState.DONE
    world.clock.move(-back)
    assert world.act(1).state is CallState.DENIED
    world.clock.move(back)
    assert world.act(1).state is CallState.DENIED


def test_clock_jumps_back_during_a_call(world: GateWorld) -> None:
    """A call that is settled by a wrong clock counts for the whole window by the right one."""
    world.tools[REFUND] = world.define(budget=Budget(400, sum_of="amount"))
    record = world.approved(400)
    world.claim(record, Lease("a", MINUTE))
    world.clock.move(-2 * DAY)
    world.ledger.settle(record.call.id, "a", Settlement(Move.SUCCEED))
    world.clock.move(2 * DAY + timedelta(hours=23))
    assert world.act(1).state is CallState.DENIED
    world.clock.move(timedelta(hours=1))
    assert world.act(1).state is CallState.DONE


def test_spent_while_the_clock_is_wrong(world: GateWorld) -> None:
    """What is spent by a clock that is behind counts from what was there already."""
    world.tools[REFUND] = world.define(budget=Budget(100, sum_of="amount"))
    assert world.act(40).state is CallState.DONE
    world.clock.move(timedelta(hours=-23))
    assert world.act(60).state is CallState.DONE
    world.clock.move(timedelta(hours=23 + 23))
    assert world.act(41).state is CallState.DENIED
    world.clock.move(timedelta(hours=1))
    assert world.act(100).state is CallState.DONE


def test_clock_of_the_far_future(world: GateWorld) -> None:
    """A call by a clock that was years ahead keeps its own amount, and makes no other wait."""
    world.tools[REFUND] = world.define(budget=Budget(100, sum_of="amount"))
    world.clock.move(1000 * DAY)
    assert world.act(40).state is CallState.DONE
    world.clock.move(-1000 * DAY)
    assert world.act(60).state is CallState.DONE
    assert world.act(1).state is CallState.DENIED
    world.clock.move(DAY)
    assert world.act(60).state is CallState.DONE
