"""Whoever rewrites a request in the database has nothing run, whichever column it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import Literal

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from staid.domain.call import ApprovalRecord, CallState
from staid.domain.canonical import canonical
from staid.domain.errors import ApprovalMismatch, StaidError
from staid.domain.principal import Principal
from staid.gates.budget import Budget
from staid.gates.tool import Call
from staid.store import tables
from staid.store.engine import Store
from staid.testing.gating import LEAD, REFUND, GateWorld, Refund, back_to_card

When = Literal["pending", "approved"]
Make = Callable[[ApprovalRecord, GateWorld], object]
"""Makes a value of the request and the world."""


@dataclass(frozen=True)
class Forged:
    """What somebody writes into one column of a request."""

    value: str | int | Make | None
    runs: tuple[When, ...] = ()
    """When the call runs nevertheless, as it was approved."""
    why: str = ""
    """Why nothing rests on it then."""


def _left(_: Refund) -> str:
    return "500 left"


def _another(_: ApprovalRecord, world: GateWorld) -> str:
    return world.act(50).call.id


def _wider(asked: ApprovalRecord, _: GateWorld) -> str:
    demand = replace(asked.asks, ceilings={"group:leads": Decimal(500)})
    return canonical(demand.as_json())


def _bound(asked: ApprovalRecord, _: GateWorld) -> str:
    assert asked.bound is not None
    return canonical(replace(asked.bound, fingerprint='"0 left"').as_json())


LATER = timedelta(days=1)
FORGED = {
    "id": Forged("apr_forged"),
    "call": Forged(_another),
    "run": Forged("run_2"),
    "rule": Forged("approval:harmless"),
    "message": Forged("Nothing of note."),
    "digest": Forged("0" * 64),
    "preview": Forged("5 back", ("pending", "approved"), "what is shown is in `bound`"),
    "requested_at": Forged(lambda asked, _: asked.requested_at - LATER),
    "expires_at": Forged(lambda asked, _: asked.expires_at + LATER),
    "requested_by": Forged("[]"),
    "approvers": Forged('["group:everybody"]'),
    "decision": Forged("deny"),
    "decided_by": Forged("user:eve", ("pending",), "replaced when somebody decides"),
    "decided_at": Forged(
        lambda asked, _: asked.requested_at, ("pending", "approved"), "told; the fact has its time"
    ),
    "reason": Forged("because", ("pending", "approved"), "told; the fact has its words"),
    "bound": Forged(_bound),
    "demand": Forged(_wider),
    "round": Forged(2),
    "changes": Forged('[["preview","a","b"]]'),
    "escalates_at": Forged(
        lambda asked, _: asked.requested_at,
        ("pending", "approved"),
        "when to tell; who may decide follows from `requested_at`",
    ),
    "escalated_at": Forged(
        lambda asked, _: asked.requested_at, ("pending", "approved"), "whether others were told"
    ),
    "leader": Forged("apr_none", ("approved",), "it says with what it is decided; it was"),
    "draws": Forged(None),
}


@pytest.fixture
def world(store: Store) -> GateWorld:
    """Give a gate whose refunds have a ceiling, a fingerprint and a budget per approver."""
    made = GateWorld(store)
    made.tools[REFUND] = made.define(
        preview=back_to_card,
        fingerprint=_left,
        amount="amount",
        ceilings={"group:leads": 200},
        escalate_after="4h",
        escalate_to=["group:directors"],
        budget=Budget(1000, sum_of="amount", per="approver", window="1d"),
    )
    return made


def test_every_column_is_classified() -> None:
    """A column that is added to the table has to be tampered with here, too."""
    assert set(FORGED) == {column.name for column in tables.approval.c}
    assert all(forged.why for forged in FORGED.values() if forged.runs)


@pytest.mark.parametrize("when", ["pending", "approved"])
@pytest.mark.parametrize("column", sorted(FORGED))
def test_a_rewritten_column(world: GateWorld, column: str, when: When) -> None:
    """Rewritten before or after the decision it is refused, or nothing rests on it."""
    record, forged = world.propose(150), FORGED[column]
    assert record.approval is not None
    asked = world.ledger.approval(record.approval)
    assert asked.draws is not None
    if when == "approved":
        world.approve(record)
    value = forged.value(asked, world) if callable(forged.value) else forged.value
    already = len(world.effects)
    mine = tables.approval.c.id == asked.id
    try:
        with world.store.write() as connection:
            connection.execute(update(tables.approval).where(mine).values({column: value}))
            kept = select(tables.approval.c[column])
            assert connection.execute(kept).scalars().first() != getattr(asked, column, None)
        if when == "pending":
            world.ledger.decide(asked.id, LEAD, "approve", seen=asked.binding)
        world.execute(record)
    except (StaidError, IntegrityError):
        assert when not in forged.runs
    runs = when in forged.runs
    assert world.effects[already:] == ([(record.call.key, Decimal(150))] if runs else [])
    state = world.state(record)
    assert state in ({CallState.DONE} if runs else {CallState.PENDING, CallState.APPROVED})


def test_a_request_that_vanished(world: GateWorld) -> None:
    """Where somebody deletes the request of an approved call it does not run."""
    record = world.approved()
    with world.store.write() as connection:
        connection.execute(tables.vote.delete())
        connection.execute(tables.approval.delete())
    with pytest.raises(ApprovalMismatch):
        world.execute(record)
    assert world.effects == []


def test_of_an_undo_too(world: GateWorld) -> None:
    """Who may take a call back is read from its request: rewritten, nothing is taken back."""
    undone: list[str] = []

    def take_back(_: Refund, call: Call) -> None:
        undone.append(call.key)

    world.tools[REFUND] = world.define(undo=take_back)
    record = world.execute(world.approved())
    with world.store.write() as connection:
        connection.execute(update(tables.approval).values(approvers='["user:eve"]'))
    eve = Principal("local", "user", "eve")
    with pytest.raises(ApprovalMismatch):
        asyncio.run(world.gate.undo(record.call.id, eve))
    assert undone == []
