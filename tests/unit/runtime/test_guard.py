"""Guarded functions: same name, same signature, at most one effect, and clear refusals."""

from __future__ import annotations

import asyncio
import inspect
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field

from staid.domain.call import CallState
from staid.domain.errors import (
    ApprovalExpired,
    CallDenied,
    CallInDoubt,
    CallPending,
    NotDone,
    ToolInvalid,
)
from staid.domain.ids import RunId
from staid.domain.principal import Principal
from staid.gates.tool import Tool
from staid.runtime.gate import Gate
from staid.runtime.guard import Guard
from staid.store.engine import Store
from staid.store.journal import Journal
from staid.store.ledger.sql import SqlLedger
from staid.store.tables import metadata
from staid.testing.kill import CountedIds, StepClock

ADA = Principal("local", "user", "ada")
LEAD = Principal("local", "user", "lead")


class Receipt(BaseModel):
    """What the guarded function returns."""

    order_id: str
    amount: Decimal


def above_100(p: Any) -> bool:  # the params are built from the signature
    """Return whether a human has to approve."""
    return p.amount > 100


@dataclass
class World:
    """A guard on a fresh store, and what the guarded functions did."""

    store: Store
    clock: StepClock = field(default_factory=StepClock)
    effects: list[tuple[str, Decimal]] = field(default_factory=list[tuple[str, Decimal]])
    ended: list[str] = field(default_factory=list[str])
    error: Exception | None = None

    def __post_init__(self) -> None:
        self.ids = CountedIds()
        self.tools: dict[str, Tool] = {}
        self.journal = Journal(self.store, b"key")
        self.ledger = SqlLedger(self.store, self.journal, self.clock, self.ids)
        self.gate = Gate(self.tools, self.ledger, self.clock, self.ids, "p1")
        self.guard = self.make()

        @self.guard(
            "refund.issue",
            effect="write",
            requires_approval=above_100,
            expires_after="1d",
        )
        def refund(
            order_id: str, amount: Annotated[Decimal, Field(gt=0, le=500)], *, note: str = ""
        ) -> Receipt:
            """Refund an order."""
            self.effects.append((order_id, amount))
            if self.error is not None:
                raise self.error
            return Receipt(order_id=order_id, amount=amount)

        self.refund = refund

    def make(self) -> Guard:
        """Return a guard on this gate, as another process would have."""
        return Guard(
            lambda t: self.tools.__setitem__(t.name, t),
            lambda: self.gate,
            self.begin,
            self.ended.append,
        )

    def begin(self, principal: Principal, agent: str) -> RunId:
        """Begin a run."""
        return RunId(self.ids.new("run"))

    def decide(self, decision: Any) -> None:
        """Decide the one request that waits."""
        (waiting,) = self.ledger.approvals()
        self.ledger.decide(waiting.id, LEAD, decision)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Give a guard on a fresh SQLite store."""
    store = Store(f"sqlite:///{tmp_path}/staid.db")
    metadata.create_all(store.engine)
    yield World(store)
    store.close()


def test_signature_is_kept(world: World) -> None:
    """A guarded function looks as before to whoever reads it."""
    assert world.refund.__name__ == "refund"
    assert world.refund.__doc__ == "Refund an order."
    assert list(inspect.signature(world.refund).parameters) == ["order_id", "amount", "note"]
    assert world.tools["refund.issue"].spec.description == "Refund an order."


def test_nobody_acts(world: World) -> None:
    """Outside of `acting` a guarded function does nothing at all."""
    with pytest.raises(CallDenied, match="acting"):
        world.refund("1001", Decimal(50))
    assert world.effects == []


def test_allowed(world: World) -> None:
    """Within bounds it runs once and returns what the function returned."""
    with world.guard.acting(ADA, "crew") as run:
        assert world.refund("1001", Decimal(50)) == Receipt(order_id="1001", amount=Decimal(50))
        assert world.refund("1001", amount=Decimal("50.00")).amount == Decimal(50)
        assert world.refund("1002", Decimal(50)).order_id == "1002"
    assert world.effects == [("1001", Decimal(50)), ("1002", Decimal(50))]
    assert world.ended == [run]
    assert len(world.ledger.calls(run)) == 2
    assert world.journal.verify() == []


def test_out_of_bounds(world: World) -> None:
    """Out of bounds nothing runs, and the rule is named; a wrong type is a bound, too."""
    with world.guard.acting(ADA, "crew") as run:
        with pytest.raises(CallDenied, match="constraint:amount"):
            world.refund("1001", Decimal(900))
        with pytest.raises(CallDenied, match="schema"):
            world.refund(1001, Decimal(5))  # pyright: ignore[reportArgumentType]  # that is the point
    assert world.effects == []
    assert [r.state for r in world.ledger.calls(run)] == [CallState.DENIED] * 2


def test_not_on_the_allowlist(world: World) -> None:
    """An agent that may not use the tool is denied."""
    with world.guard.acting(ADA, "crew", allowed=frozenset()), pytest.raises(CallDenied):
        world.refund("1001", Decimal(50))
    assert world.effects == []


def test_pending_then_repeated(world: World) -> None:
    """Above the threshold the call waits; repeated after the approval it runs once."""
    with world.guard.acting(ADA, "crew"):
        for _ in range(2):
            with pytest.raises(CallPending, match="apr_"):
                world.refund("1001", Decimal(150))
        assert len(world.ledger.approvals()) == 1
        world.decide("approve")
        for _ in range(2):
            assert world.refund("1001", Decimal(150)).amount == 150
    assert len(world.effects) == 1


def test_approved_in_another_context(world: World) -> None:
    """A restarted caller finds the call it had approved, also without a key."""
    with world.guard.acting(ADA, "crew"), pytest.raises(CallPending):
        world.refund("1001", Decimal(150))
    world.decide("approve")
    with world.guard.acting(Principal("local", "user", "eve"), "crew"), pytest.raises(CallPending):
        world.refund("1001", Decimal(150))
    with world.guard.acting(ADA, "crew"):
        assert world.refund("1001", Decimal(150)).amount == 150
    assert len(world.effects) == 1


def test_executed_elsewhere(world: World) -> None:
    """With a key the result of an execution elsewhere comes back as the annotated type."""
    with world.guard.acting(ADA, "crew", key="ticket-1"), pytest.raises(CallPending):
        world.refund("1001", Decimal(150))
    world.decide("approve")
    (approved,) = world.ledger.in_state(CallState.APPROVED)
    asyncio.run(world.gate.execute(approved.call.id))
    with world.guard.acting(ADA, "crew", key="ticket-1"):
        assert world.refund("1001", Decimal(150)) == Receipt(order_id="1001", amount=Decimal(150))
    assert len(world.effects) == 1


def test_denied_by_a_human(world: World) -> None:
    """A human's deny holds for the same context and asks nobody again."""
    with world.guard.acting(ADA, "crew", key="ticket-1"):
        with pytest.raises(CallPending):
            world.refund("1001", Decimal(150))
        world.decide("deny")
        for _ in range(2):
            with pytest.raises(CallDenied, match="a human said no"):
                world.refund("1001", Decimal(150))
    assert world.ledger.approvals() == []
    assert world.effects == []


def test_expired_makes_way(world: World) -> None:
    """A request that expired makes way for a new one."""
    with world.guard.acting(ADA, "crew", key="ticket-1"):
        with pytest.raises(CallPending):
            world.refund("1001", Decimal(150))
        world.clock.move(timedelta(days=2))
        world.ledger.sweep()
        with pytest.raises(CallPending):
            world.refund("1001", Decimal(150))
    world.clock.move(timedelta(days=2))
    with pytest.raises(ApprovalExpired):
        world.decide("approve")


def test_raising_function(world: World) -> None:
    """A function that raises leaves a doubt that no repetition, in any context, executes again."""
    world.error = RuntimeError("connection reset")
    with world.guard.acting(ADA, "crew"), pytest.raises(CallInDoubt) as caught:
        world.refund("1001", Decimal(50))
    assert caught.value.__cause__ is world.error
    world.error = None
    with world.guard.acting(ADA, "crew"), pytest.raises(CallInDoubt):
        world.refund("1001", Decimal(50))
    assert len(world.effects) == 1


def test_not_done(world: World) -> None:
    """A function that says nothing happened raises its own error and may be called again."""
    world.error = NotDone("card expired")
    with world.guard.acting(ADA, "crew"):
        with pytest.raises(NotDone, match="card expired"):
            world.refund("1001", Decimal(50))
        world.error = None
        assert world.refund("1001", Decimal(50)).amount == 50


def test_async_function_and_running_loop(world: World) -> None:
    """Async functions stay async; a sync one also works inside a running loop."""

    @world.guard("calendar.book", effect="write")
    async def book(day: str, seats: int = 1) -> list[str]:
        await asyncio.sleep(0)
        world.effects.append((day, Decimal(seats)))
        return [day]

    async def scenario() -> None:
        with world.guard.acting(ADA, "crew"):
            assert await book("monday") == ["monday"]
            assert await book("monday", seats=1) == ["monday"]
            assert world.refund("1001", Decimal(50)).amount == 50

    assert inspect.iscoroutinefunction(book)
    asyncio.run(scenario())
    assert len(world.effects) == 2


def test_read_runs_every_time(world: World) -> None:
    """Within one context a repeated read is the same call; another context reads anew."""
    reads: list[str] = []

    @world.guard("orders.find", effect="read")
    def find(order_id: str) -> dict[str, str]:
        reads.append(order_id)
        return {"order": order_id}

    for _ in range(2):
        with world.guard.acting(ADA, "crew"):
            assert find("7") == {"order": "7"}
            assert find("7") == {"order": "7"}
    assert reads == ["7", "7"]


def test_odd_names(world: World) -> None:
    """Parameters may be called what pydantic would rather keep for itself."""

    @world.guard("odd.names")
    def odd(json: str, model_name: str, /, copy: bool = False) -> str:  # noqa: FBT001, FBT002 - as found in the wild
        return f"{json} {model_name} {copy}"

    with world.guard.acting(ADA, "crew"):
        assert odd("a", "b") == "a b False"


def variadic(*orders: str) -> None:
    """Take any number."""


def bare(order) -> None:  # noqa: ANN001 - that is the defect  # pyright: ignore[reportUnknownParameterType, reportMissingParameterType]
    """Has no annotation."""


def connected(db: sqlite3.Connection, order: str) -> None:
    """Take what cannot be written down."""


UNFIT: list[tuple[Any, str]] = [
    (variadic, "name its arguments"),
    (bare, "not annotated"),
    (connected, "cannot be validated"),
]


@pytest.mark.parametrize(("function", "words"), UNFIT)
def test_functions_that_cannot_be_guarded(
    world: World, function: Callable[..., object], words: str
) -> None:
    """What has no bounds, or cannot be shown to an approver, is refused when it is decorated."""
    with pytest.raises(ToolInvalid, match=words):
        world.guard("some.tool")(function)
