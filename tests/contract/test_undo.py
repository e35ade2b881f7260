"""Taking a call back, on both engines: who may, at most once, and what is known afterwards."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete, insert, select, update

from staid.domain.call import CallRecord, CallState, UndoRecord, UndoState
from staid.domain.errors import (
    ApprovalMismatch,
    ApproverNotAllowed,
    NotDone,
    StaidError,
    ToolInvalid,
    UndoImpossible,
)
from staid.domain.events import EventKind
from staid.domain.principal import Principal
from staid.gates.approval import Move
from staid.gates.budget import Budget
from staid.gates.ledger import Lease, Settlement
from staid.gates.tool import Call, define
from staid.store import tables
from staid.store.engine import Store
from staid.testing.gating import ADA, LEAD, MINUTE, REFUND, RUN, GateWorld, Refund

OTHER = Principal("local", "user", "other", frozenset({"group:leads"}))


class World(GateWorld):
    """A gate whose refund tool can take a refund back."""

    def __post_init__(self) -> None:
        """Give the tool its undo."""
        super().__post_init__()
        self.undone: list[tuple[str, str, Any]] = []
        self.undo_raises: BaseException | None = None
        self.tools[REFUND] = self.define(
            undo=self.take_back, budget=Budget(100, sum_of="amount", window="1d")
        )

    def take_back(self, p: Refund, call: Call) -> None:
        """Take a refund back."""
        self.undone.append((call.key, p.order_id, call.result))
        if self.undo_raises is not None:
            raise self.undo_raises

    def undo(self, record: CallRecord, by: Principal = LEAD, **options: Any) -> UndoRecord:
        """Take a call back through the gate."""
        return asyncio.run(self.gate.undo(record.call.id, by, **options))


@pytest.fixture
def world(store: Store) -> World:
    """Give such a gate on a fresh store."""
    return World(store)


def test_a_done_call_is_taken_back_once(world: World) -> None:
    """The undo gets params, key and result; the call is undone, and a second time is refused."""
    record = world.act(50)
    undone = world.undo(record, reason="wrong customer", via="root")
    assert (undone.state, undone.asked_by) == (UndoState.UNDONE, "user:lead")
    assert world.undone == [(record.call.key, "7", {"refund": "re_7"})]
    assert world.state(record) is CallState.UNDONE
    with pytest.raises(UndoImpossible, match="already"):
        world.undo(record)
    assert len(world.undone) == 1
    rows = [r for r in world.journal.rows(RUN) if r.kind.value.startswith("undo.")]
    assert [r.kind for r in rows] == [EventKind.UNDO_CLAIMED, EventKind.UNDO_ENDED]
    assert (rows[0].actor.name, rows[0].actor.via) == ("user:lead", "root")
    assert rows[0].body == {"reason": "wrong customer"}
    assert rows[1].fact["state"] == "undone"
    assert world.journal.verify() == []


def test_the_budget_is_given_back(world: World) -> None:
    """What was undone no longer counts against the customer's limit; what failed to be still does.

    The refund of 60 leaves 40 of 100.
    """
    record = world.act(60)
    assert world.act(60).ruling.rule.startswith("budget:")
    world.undo_raises = NotDone("the provider is closed")
    assert world.undo(record).state is UndoState.FAILED
    assert world.act(60).ruling.rule.startswith("budget:")
    world.undo_raises = None
    world.undo(record)
    assert "released" in world.reservations()
    assert world.act(60).state is CallState.DONE


@pytest.mark.parametrize(
    ("by", "why"),
    [
        (ADA, "asked for this call"),
        (Principal("local", "user", "bob"), "group:leads"),
        (Principal("local", "agent", "support", frozenset({"group:leads"})), "only a user"),
    ],
)
def test_only_an_approver_who_is_not_upstream(world: World, by: Principal, why: str) -> None:
    """Neither who asked, nor a stranger, nor an agent takes a call back."""
    record = world.act(50)
    with pytest.raises(ApproverNotAllowed, match=why):
        world.undo(record, by)
    assert world.undone == []
    assert world.ledger.undo_of(record.call.id) is None


def test_whoever_is_upstream_of_the_request_may_not(world: World) -> None:
    """The causal chain of an approved call is that of its request."""
    world.tools[REFUND] = world.define(undo=world.take_back)
    record = world.execute(world.approved(150))
    root = Principal("local", "user", "root", frozenset({"group:leads"}))
    with pytest.raises(ApproverNotAllowed, match="upstream"):
        world.undo(record, root)
    assert world.undo(record, OTHER).state is UndoState.UNDONE


def test_it_raises_and_nobody_knows(world: World) -> None:
    """An undo that raises anything but `NotDone` is in doubt; the call still counts as done."""
    record = world.act(50)
    world.undo_raises = ConnectionError("the provider hung up")
    assert world.undo(record).state is UndoState.IN_DOUBT
    assert world.state(record) is CallState.DONE
    with pytest.raises(UndoImpossible, match="settle it first"):
        world.undo(record)
    assert len(world.undone) == 1


@pytest.mark.parametrize(
    ("move", "state", "call"),
    [
        (Move.SUCCEED, UndoState.UNDONE, CallState.UNDONE),
        (Move.FAIL, UndoState.FAILED, CallState.DONE),
    ],
)
def test_a_person_settles_it(world: World, move: Move, state: UndoState, call: CallState) -> None:
    """What a person found out about an undo in doubt ends it; `no` lets it be tried again."""
    record = world.act(50)
    world.undo_raises = ConnectionError("the provider hung up")
    world.undo(record)
    with pytest.raises(ApproverNotAllowed):
        world.ledger.resolve_undo(record.call.id, ADA, Settlement(move))
    found = world.ledger.resolve_undo(
        record.call.id, OTHER, Settlement(move), approvers=frozenset({"group:leads"})
    )
    assert (found.state, world.state(record)) == (state, call)
    with pytest.raises(UndoImpossible):
        world.ledger.resolve_undo(record.call.id, OTHER, Settlement(move))
    world.undo_raises = None
    if state is UndoState.FAILED:
        assert world.undo(record).state is UndoState.UNDONE


def test_a_lost_undo_is_in_doubt_and_a_late_end_is_accepted(world: World) -> None:
    """An executor that falls silent leaves a doubt; if it was only slow, its word still counts."""
    record = world.act(50)
    lease = Lease("slow", MINUTE)
    digest = record.call.digest
    world.ledger.claim_undo(record.call.id, LEAD, lease, digest=digest, approvers=frozenset())
    assert world.ledger.sweep().undo_in_doubt == ()
    world.clock.move(2 * MINUTE)
    assert [u.call for u in world.ledger.sweep().undo_in_doubt] == [record.call.id]
    assert world.ledger.beat_undo(record.call.id, lease) is False
    done = world.ledger.settle_undo(record.call.id, "slow", Settlement(Move.SUCCEED))
    assert (done.state, world.state(record)) == (UndoState.UNDONE, CallState.UNDONE)


def test_what_a_lost_executor_saw_stays_a_fact(world: World) -> None:
    """A late end after a person settled it changes nothing, is recorded, and blocks another try."""
    record = world.act(50)
    lease, digest = Lease("slow", MINUTE), record.call.digest
    world.ledger.claim_undo(record.call.id, LEAD, lease, digest=digest, approvers=frozenset())
    world.clock.move(2 * MINUTE)
    world.ledger.sweep()
    world.ledger.resolve_undo(record.call.id, LEAD, Settlement(Move.FAIL))
    late = world.ledger.settle_undo(record.call.id, "slow", Settlement(Move.SUCCEED))
    assert late.state is UndoState.FAILED
    assert world.journal.rows(RUN)[-1].fact["late"] is True
    with pytest.raises(ApprovalMismatch):
        world.undo(record)
    assert world.undone == []


def test_only_what_is_done(world: World) -> None:
    """A call that waits, failed or is in doubt cannot be taken back."""
    world.tools[REFUND] = world.define(undo=world.take_back)
    with pytest.raises(UndoImpossible, match="pending"):
        world.undo(world.propose(150))
    world.raises = ConnectionError("lost")
    with pytest.raises(UndoImpossible, match="in_doubt"):
        world.undo(world.act(10))
    assert world.undone == []


def test_a_tool_without_undo(world: World) -> None:
    """Where the tool has none, nothing is claimed; a tool that only looks cannot have one."""
    record = world.act(50)
    world.tools[REFUND] = world.define()
    with pytest.raises(UndoImpossible, match="has no undo"):
        world.undo(record)
    assert world.ledger.undo_of(record.call.id) is None
    with pytest.raises(ToolInvalid):
        define(world.handle, "orders.find", params=Refund, effect="read", undo=world.take_back)


def test_a_stopped_tool_can_still_be_undone(world: World) -> None:
    """Stop, look, undo: the kill switch must not stand in the way of the last step."""
    record = world.act(50)
    world.stopped.add("*")
    assert world.undo(record).state is UndoState.UNDONE


def test_an_undo_that_hangs_is_in_doubt(world: World) -> None:
    """After the tool's timeout nobody knows; when it returns at last, that is recorded."""
    release = threading.Event()

    def hang(_: Refund, __: Call) -> None:
        release.wait(20)

    world.tools[REFUND] = world.define(undo=hang, timeout=timedelta(milliseconds=50))
    record = world.act(50)

    async def late() -> UndoState:
        assert (await world.gate.undo(record.call.id, LEAD)).state is UndoState.IN_DOUBT
        release.set()
        for _ in range(200):
            found = world.ledger.undo_of(record.call.id)
            if found is not None and found.state is UndoState.UNDONE:
                return found.state
            await asyncio.sleep(0.02)
        return UndoState.IN_DOUBT

    assert asyncio.run(late()) is UndoState.UNDONE


@pytest.mark.parametrize("what", ["arguments", "row", "undo"])
def test_a_row_that_was_changed_is_not_undone(world: World, what: str) -> None:
    """Other arguments, a call set to done by hand, an undo row removed: the journal knows."""
    record = world.act(50)
    if what == "undo":
        world.undo(record)
    with world.store.write() as connection:
        changes = {
            "arguments": update(tables.call).values(arguments='{"amount":"50","order_id":"8"}'),
            "row": update(tables.call).values(state="done", id="cal_forged"),
            "undo": update(tables.call).values(state="done"),
        }
        if what == "undo":
            connection.execute(delete(tables.undo))
        if what == "row":
            connection.execute(delete(tables.reservation))
            row = connection.execute(select(tables.call)).one()
            connection.execute(
                insert(tables.call).values({**row._asdict(), "id": "cal_forged", "key": "forged"})
            )
        else:
            connection.execute(changes[what])
    known = len(world.undone)
    target = "cal_forged" if what == "row" else record.call.id
    with pytest.raises(ApprovalMismatch):
        asyncio.run(world.gate.undo(target, LEAD))
    assert len(world.undone) == known


def test_of_eight_who_ask_at_once_one_undoes(world: World) -> None:
    """Eight threads that take the same call back give one effect; the others are told."""
    record = world.act(50)

    def attempt(_: int) -> str:
        try:
            return world.undo(record).state.value
        except StaidError as error:
            return error.code

    with ThreadPoolExecutor(8) as pool:
        said = sorted(pool.map(attempt, range(8)))
    assert said == ["ST-427"] * 7 + ["undone"]
    assert len(world.undone) == 1
