"""What is to be told about a request that escalates, on both engines."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import update

from staid.domain.canonical import canonical
from staid.domain.demand import Terms
from staid.domain.ids import ApprovalId
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
