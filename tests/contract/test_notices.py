"""What is to be told about requests that escalate and undos in doubt, on both engines."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import update

from staid.domain.call import UndoState
from staid.domain.canonical import canonical
from staid.domain.demand import Terms
from staid.domain.ids import ApprovalId
from staid.gates.approval import Move
from staid.gates.ledger import Settlement
from staid.store import tables
from staid.store.engine import Store
from staid.store.notices import SqlNotices
from staid.testing.gating import LEAD, REFUND, GateWorld
from staid.testing.kill import CountedIds

HOUR = timedelta(hours=1)


@pytest.fixture
def world(store: Store) -> GateWorld:
    """Give a gate whose refunds escalate to the directors after four hours."""
    made = GateWorld(store)
    made.tools[REFUND] = made.define(escalate_after="4h", escalate_to=["group:directors"])
    return made


def asked(world: GateWorld) -> ApprovalId:
    """Let a refund wait that escalates once more after eight hours."""
    approval = world.ledger.approval(world.propose().approval or ApprovalId(""))
    more = Terms(frozenset({"group:leads"}), escalate_after=8 * HOUR, escalate_to=frozenset("b"))
    demand = replace(approval.asks, also=(more,))
    with world.store.write() as connection:
        values = {"demand": canonical(demand.as_json())}
        connection.execute(update(tables.approval).values(values))
    return approval.id


def found(world: GateWorld, notices: SqlNotices, hours: float) -> int:
    """Sweep and look for what is new so many hours later."""
    world.clock.move(hours * HOUR)
    world.ledger.sweep()
    return notices.discover("night", ["escalated"], world.clock.now())


def test_each_widening_is_found_once_and_by_one(world: GateWorld) -> None:
    """Not before it is late, once for each time, and by one of two workers that look at once."""
    notices = SqlNotices(world.store, CountedIds("n"))
    approval = asked(world)
    assert found(world, notices, 3) == 0
    world.clock.move(2 * HOUR)
    world.ledger.sweep()
    now = world.clock.now()
    with ThreadPoolExecutor(2) as pool:
        looks = [pool.submit(notices.discover, "night", ["escalated"], now) for _ in range(2)]
        assert sum(look.result() for look in looks) == 1
    assert found(world, notices, 1) == 0
    assert found(world, notices, 3) == 1
    again = SqlNotices(world.store, CountedIds("m"))  # as after a restart
    assert found(world, again, 1) == 0
    told = [each.about for each in notices.all()]
    assert sorted(told) == [f"{approval}/1", f"{approval}/2"]
    assert again.discover("day", ["escalated"], world.clock.now()) == 1


def test_what_is_decided_is_not_news(world: GateWorld) -> None:
    """A request that somebody decided before anybody was told of it is not told."""
    notices = SqlNotices(world.store, CountedIds("n"))
    record = world.propose()
    world.clock.move(5 * HOUR)
    world.ledger.sweep()
    world.ledger.decide(record.approval or ApprovalId(""), LEAD, "deny")
    assert found(world, notices, 1) == 0


def test_an_undo_in_doubt_is_found_once_and_anew_when_it_is_begun_again(world: GateWorld) -> None:
    """Not while it is decided; settled, begun again and in doubt again it is another doubt."""

    def nobody_knows(_params: object) -> None:
        raise OSError

    world.tools[REFUND] = world.define(undo=nobody_knows)
    notices, clock = SqlNotices(world.store, CountedIds("n")), world.clock

    def found() -> int:
        return notices.discover("night", ["in_doubt"], clock.now())

    record = world.act(50)
    assert found() == 0
    assert asyncio.run(world.gate.undo(record.call.id, LEAD)).state is UndoState.IN_DOUBT
    assert (found(), found()) == (1, 0)
    world.ledger.resolve_undo(record.call.id, LEAD, Settlement(Move.FAIL))
    clock.move(HOUR)
    assert found() == 0
    assert asyncio.run(world.gate.undo(record.call.id, LEAD)).state is UndoState.IN_DOUBT
    assert (found(), found()) == (1, 0)
    told = {each.about for each in notices.all()}
    assert len(told) == 2
    assert {about.partition("/")[0] for about in told} == {record.call.id}
