"""A gate on a fresh store whose refund tool notes what it did: for tests of what leans on it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any

from pydantic import BaseModel, Field
from sqlalchemy import select

from staid.domain.call import CallRecord, CallState
from staid.domain.canonical import Json
from staid.domain.errors import (
    StaidError,
)
from staid.domain.events import Event
from staid.domain.ids import ApprovalId, RunId
from staid.domain.message import ProposedCall
from staid.domain.principal import Principal
from staid.gates.ledger import Lease
from staid.gates.policy import prepare
from staid.gates.rules import NO_POLICY, Policy
from staid.gates.tool import Call, Tool, define
from staid.runtime.gate import Gate, Proposer
from staid.runtime.gate_witness import read
from staid.store import tables
from staid.store.engine import Store
from staid.store.journal import Journal
from staid.store.ledger.sql import SqlLedger
from staid.store.ledger.stops import SqlStops
from staid.testing.kill import CountedIds, StepClock

ADA = Principal("local", "user", "ada")
LEAD = Principal("local", "user", "lead", frozenset({"group:leads"}))
RUN = RunId("run_1")
REFUND = "refund.issue"
MINUTE = timedelta(minutes=1)


class Refund(BaseModel):
    """Arguments of the tool under test."""

    order_id: str
    amount: Decimal = Field(gt=0, le=500)


def above(limit: int) -> Callable[[Refund], bool]:
    """Return a predicate."""
    return lambda p: p.amount > limit


def below(limit: int) -> Callable[[Refund], bool]:
    """Return a predicate."""
    return lambda p: p.amount < limit


def back_to_card(p: Refund) -> str:
    """Say what would happen."""
    return f"{p.amount} back to the card ..42"


def broken(*_: object) -> None:
    """Fail."""
    raise StaidError


@dataclass
class GateWorld:
    """A gate on a fresh store, and what its handlers did."""

    store: Store
    effects: list[tuple[str, Decimal]] = field(default_factory=list[tuple[str, Decimal]])
    clock: StepClock = field(default_factory=StepClock)
    stopped: set[str] = field(default_factory=set[str])
    raises: BaseException | None = None

    def __post_init__(self) -> None:
        """Open journal, ledger and gate."""
        self.journal = Journal(self.store, b"key")
        ids = CountedIds()
        self.ledger = SqlLedger(self.store, self.journal, self.clock, ids)
        self.stops = SqlStops(self.store, self.journal, self.clock, ids)
        self.tools = {
            REFUND: self.define(),
            "orders.find": define(self.handle, "orders.find", params=Refund, effect="read"),
        }
        self._ids = ids
        self.under(NO_POLICY)

    def under(self, policy: Policy) -> None:
        """Go on as a process that was started with this policy."""
        self.gate = Gate(
            self.tools,
            self.ledger,
            self.clock,
            self._ids,
            "p1",
            lease=MINUTE,
            stopped=lambda: frozenset(self.stopped),
            policy=policy,
        )

    def define(self, **options: Any) -> Tool:  # noqa: ANN401 - those of `define`
        """Return the refund tool; above 100 a human has to approve."""
        given: dict[str, Any] = {
            "params": Refund,
            "result": "Refunded {amount} for order {order_id}.",
            "requires_approval": above(100),
            "approvers": ["group:leads"],
            **options,
        }
        return define(given.pop("handler", self.handle), REFUND, **given)

    def handle(self, p: Refund, call: Call) -> dict[str, Json]:
        """Let the effect happen."""
        self.effects.append((call.key, p.amount))
        if self.raises is not None:
            raise self.raises
        return {"refund": f"re_{p.order_id}"}

    def proposer(self, **options: Any) -> Proposer:  # noqa: ANN401 - fields of `Proposer`
        """Return who proposes."""
        given: dict[str, Any] = {
            "run": RUN,
            "agent": "support",
            "principal": ADA,
            "allowed": frozenset(self.tools),
            **options,
        }
        return Proposer(**given)

    def propose(
        self,
        amount: Json = 150,
        tool: str = REFUND,
        order: str = "7",
        earlier: Sequence[Event] = (),
    ) -> CallRecord:
        """Propose one call."""
        who = self.proposer()
        return asyncio.run(
            self.gate.propose(
                ProposedCall("p-1", tool, {"order_id": order, "amount": amount}),
                run=who.run,
                agent=who.agent,
                allowed=who.allowed,
                principal=who.principal,
                upstream=frozenset({"user:root"}),
                earlier=earlier,
            )
        )

    def act(
        self, amount: Json = 50, tool: str = REFUND, key: str | None = None, order: str = "7"
    ) -> CallRecord:
        """Propose one call and execute it where the rules allow it."""
        proposal = ProposedCall("p-1", tool, {"order_id": order, "amount": amount})
        return asyncio.run(self.gate.act(proposal, self.proposer(), key=key))

    def execute(self, record: CallRecord) -> CallRecord:
        """Execute a call through the gate."""
        return asyncio.run(self.gate.execute(record.call.id))

    def approve(self, record: CallRecord, **options: Any) -> None:  # noqa: ANN401 - those of `decide`
        """Approve a pending call as the lead."""
        self.ledger.decide(ApprovalId(record.approval or ""), LEAD, "approve", **options)

    def claim(self, record: CallRecord, lease: Lease) -> CallRecord:
        """Claim a call as its gate would, and execute nothing."""
        call = record.call
        tool = self.tools.get(call.tool)
        prepared = prepare(call.tool, tool, call.arguments, call.subject, call.agent)
        reading = asyncio.run(read(prepared, ""))
        return self.ledger.claim(call.id, lease, digest=call.digest, reading=reading)

    def approved(self, amount: Json = 150) -> CallRecord:
        """Give a call that was approved."""
        record = self.propose(amount)
        self.approve(record)
        return record

    def state(self, record: CallRecord) -> CallState:
        """Return the present state of a call."""
        return self.ledger.get(record.call.id).state

    def kinds(self) -> list[str]:
        """Return the kinds of the facts of the run."""
        return [row.kind.value for row in self.journal.rows(RUN)]

    def reservations(self) -> list[str]:
        """Return the states of all reservations."""
        with self.store.read() as connection:
            return [row.state for row in connection.execute(select(tables.reservation.c.state))]
