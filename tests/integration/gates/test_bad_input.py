"""Bad input at the gate: coded, denied or refused, and nothing is lost or carried out."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from staid.adapters.models.wire import arguments as read_arguments
from staid.domain.call import CallRecord, CallState
from staid.domain.errors import ApprovalExpired, ApprovalMismatch, ApproverNotAllowed
from staid.domain.lookalike import skeleton
from staid.domain.message import MALFORMED_ARGUMENTS, ProposedCall
from staid.domain.principal import Principal
from staid.gates.budget import Budget
from staid.gates.ledger import Lease
from staid.gates.structuring import Structuring
from staid.gates.tool import define
from staid.store.engine import Store
from staid.store.tables import metadata
from staid.testing.gating import MINUTE, REFUND, GateWorld, Refund

DAY = timedelta(days=1)


class Loose(BaseModel):
    """Arguments without a single bound of their own."""

    amount: Decimal | float | int


@pytest.fixture
def world(tmp_path: Path) -> Iterator[GateWorld]:
    """Give a gate on a fresh store."""
    store = Store(f"sqlite:///{tmp_path}/staid.db")
    metadata.create_all(store.engine)
    yield GateWorld(store)
    store.close()


def proposed(world: GateWorld, arguments: Any, tool: str = REFUND) -> CallRecord:
    """Propose any arguments, and execute them where they may run."""
    return asyncio.run(world.gate.act(ProposedCall("p", tool, arguments), world.proposer()))


def denied(world: GateWorld, record: CallRecord, rule: str) -> bool:
    """Return whether a call was denied by a rule, is kept, and had no effect."""
    kept = world.ledger.get(record.call.id)
    return kept.state is CallState.DENIED and record.ruling.rule == rule and not world.effects


# --- arguments -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "amount",
    [
        float("nan"),
        float("inf"),
        "NaN",
        "sNaN",
        "Infinity",
        "1e-999999999",
        True,
        None,
        [],
        {"a": 1},
        "",
        "12 EUR",
    ],
)
def test_amounts_that_are_no_number(world: GateWorld, amount: Any) -> None:
    """What is no finite number of a sane length is denied by the schema."""
    assert denied(world, proposed(world, {"order_id": "7", "amount": amount}), "schema")


@pytest.mark.parametrize("amount", [-5, "-0.01", 0, "1e400", "1e999999999", 10**400])
def test_amounts_out_of_bounds(world: GateWorld, amount: Any) -> None:
    """Negative, zero and huge amounts are denied, whatever way they are written."""
    record = proposed(world, {"order_id": "7", "amount": amount})
    assert record.ruling.rule in {"constraint:amount", "schema"}
    assert denied(world, record, record.ruling.rule)


@pytest.mark.parametrize(
    "amount", [-5, "-1e300", float("inf"), float("nan"), "1e999999999", 10**400]
)
def test_amounts_that_a_total_refuses(world: GateWorld, amount: Any) -> None:
    """Where the tool itself bounds nothing, budget and sum still refuse what is no amount."""

    def handle(p: Loose) -> None:
        world.effects.append(("k", Decimal(str(p.amount))))

    tool = define(
        handle,
        "loose",
        params=Loose,
        budget=Budget(100, sum_of="amount"),
        structuring=Structuring("amount", 50),
    )
    world.tools["loose"] = tool
    record = proposed(world, {"amount": amount}, "loose")
    assert world.ledger.get(record.call.id).state is CallState.DENIED
    assert world.effects == []


@pytest.mark.parametrize("name", ["reason", "Amount", "amount ", "__class__", ""])
def test_unknown_arguments(world: GateWorld, name: str) -> None:
    """An argument that the tool does not have is not passed over."""
    assert denied(world, proposed(world, {"order_id": "7", "amount": 5, name: 1}), "schema")


def test_arguments_of_ten_megabytes(world: GateWorld) -> None:
    """Arguments that nobody could look at are denied, and not kept."""
    record = proposed(world, {"order_id": "x" * 10_000_000, "amount": 5})
    assert denied(world, record, "schema")
    assert len(str(world.ledger.get(record.call.id).call.arguments)) < 1000


@pytest.mark.parametrize(
    "raw",
    ['{"amount": 5, "amount": 500}', '{"a": {"b": 1, "b": 2}}', '{"amount": NaN}', "[" * 100_000],
)
def test_json_that_says_two_things(raw: str) -> None:
    """A name that stands twice, and what is no JSON, is kept whole under a name no tool has."""
    assert set(read_arguments(raw)) == {MALFORMED_ARGUMENTS}


# --- what the tool's author wrote ------------------------------------------------------------


def _raises(_: Refund) -> bool:
    raise LookupError


def _mutates(p: Refund) -> Any:
    p.amount = Decimal(499)
    p.order_id = "other"
    return False


def test_predicate_that_raises(world: GateWorld) -> None:
    """A predicate that raises decides nothing, so the call is denied."""
    world.tools[REFUND] = world.define(requires_approval=_raises)
    assert denied(world, world.act(5), "approval")


def test_predicate_that_mutates(world: GateWorld) -> None:
    """A predicate looks at a copy: what runs is what was proposed."""
    world.tools[REFUND] = world.define(requires_approval=_mutates)
    assert world.act(5).call.arguments == {"order_id": "7", "amount": "5"}
    assert [amount for _, amount in world.effects] == [Decimal(5)]


def test_preview_that_mutates(world: GateWorld) -> None:
    """A preview looks at a copy, too."""
    world.tools[REFUND] = world.define(preview=_mutates)
    record = world.approved(150)
    assert world.execute(record).state is CallState.DONE
    assert [amount for _, amount in world.effects] == [Decimal(150)]


def test_preview_that_hangs(world: GateWorld) -> None:
    """A preview that does not come back is given up, and the call denied: nobody could look."""
    release = threading.Event()

    def hang(_: Refund) -> bool:
        return release.wait()

    world.tools[REFUND] = world.define(preview=hang, timeout=timedelta(milliseconds=50))
    try:
        assert denied(world, world.propose(150), "preview")
    finally:
        release.set()


def test_handler_that_hangs(world: GateWorld) -> None:
    """A write that does not come back is in doubt, and is not tried again."""
    release = threading.Event()

    def hang(p: Refund) -> None:
        world.effects.append(("k", p.amount))
        release.wait()

    world.tools[REFUND] = world.define(handler=hang, timeout=timedelta(milliseconds=50))
    try:
        record = world.act(5)
        assert record.state is CallState.IN_DOUBT
        assert world.execute(record).state is CallState.IN_DOUBT
        assert len(world.effects) == 1
    finally:
        release.set()


# --- who decides, and on what ----------------------------------------------------------------


@pytest.mark.parametrize("seen", ["xyz", "", "0" * 64, "A" * 10_000, "\u202e", "' OR 1=1 --"])
def test_malformed_digests(world: GateWorld, seen: str) -> None:
    """A digest that is not the one that is shown decides nothing."""
    record = world.propose(150)
    with pytest.raises(ApprovalMismatch, match="ST-413"):
        world.approve(record, seen=seen)
    assert world.state(record) is CallState.PENDING


def test_approver_without_the_role(world: GateWorld) -> None:
    """A user who lacks the role is refused with a code, and the request waits on."""
    record = world.propose(150)
    with pytest.raises(ApproverNotAllowed, match="ST-414"):
        world.ledger.decide(record.approval, Principal("local", "user", "bob"), "approve")  # type: ignore[arg-type]
    assert world.state(record) is CallState.PENDING


@pytest.mark.parametrize(
    "name", ["\u0430da", "ad\u0430", "a\u200bda", "ada\u00ad", "\uff41da", "Ada", "a\u0301da"]
)
def test_approver_who_looks_like_the_asker(world: GateWorld, name: str) -> None:
    """Nobody decides under a name that a reader takes for that of the asker."""
    world.tools[REFUND] = world.define(approvers=())
    record = world.propose(150)
    twin = Principal("local", "user", name, frozenset({"group:leads"}))
    with pytest.raises(ApproverNotAllowed, match="looks like user:ada"):
        world.ledger.decide(record.approval, twin, "approve")  # type: ignore[arg-type]
    assert world.state(record) is CallState.PENDING


def test_names_that_differ() -> None:
    """Names that nobody takes for each other stay apart."""
    names = ["user:ada", "user:adam", "user:bob", "user:анна", "user:idp/ada", "service:ada"]
    assert len({skeleton(name) for name in names}) == len(names)


# --- clocks ----------------------------------------------------------------------------------


def test_clock_jumps_back_over_an_expiry(world: GateWorld) -> None:
    """A request that expired stays expired when the clock jumps back."""
    record = world.propose(150)
    world.clock.move(8 * DAY)
    world.ledger.sweep()
    world.clock.move(-8 * DAY)
    with pytest.raises(ApprovalExpired):
        world.approve(record)
    assert world.state(record) is CallState.EXPIRED


def test_clock_jumps_back_during_a_lease(world: GateWorld) -> None:
    """A lost executor is found once the clock is right again; its call is never given away."""
    record = world.approved()
    world.claim(record, Lease("a", MINUTE))
    world.clock.move(-DAY)
    assert world.ledger.sweep().in_doubt == ()
    assert world.execute(record).state is CallState.EXECUTING
    world.clock.move(DAY + 2 * MINUTE)
    assert [r.call.id for r in world.ledger.sweep().in_doubt] == [record.call.id]
    assert world.effects == []


def test_clock_jumps_back_over_a_window(world: GateWorld) -> None:
    """What was spent later than now is still spent, by a budget and by a sum."""
    world.tools[REFUND] = world.define(
        budget=Budget(100, sum_of="amount"), structuring=Structuring("amount", 60)
    )
    assert world.act(60).state is CallState.DONE
    world.clock.move(-2 * DAY)
    assert world.act(30).state is CallState.PENDING
    assert world.act(30).state is CallState.DENIED
