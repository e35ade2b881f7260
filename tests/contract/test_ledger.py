"""The ledger and the gate on both engines: one winner per move, bound arguments, held budgets."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel, Field
from sqlalchemy import event, insert, select, update

from staid.domain.call import CallRecord, CallState, Severity, call_digest
from staid.domain.canonical import Json, canonical
from staid.domain.errors import (
    ApprovalDecided,
    ApprovalExpired,
    ApprovalMismatch,
    ApprovalNotFound,
    ApproverNotAllowed,
    CallMoved,
    CallNotFound,
    KeyReused,
    NotDone,
    StaidError,
    ToolUnknown,
)
from staid.domain.events import Event, EventKind
from staid.domain.ids import ApprovalId, CallId, RunId
from staid.domain.message import ProposedCall
from staid.domain.principal import Actor, Principal
from staid.gates.approval import Move
from staid.gates.budget import Budget
from staid.gates.ledger import Lease, Settlement
from staid.gates.tool import Call, Tool, define
from staid.runtime.gate import Gate, Proposer
from staid.store import tables
from staid.store.engine import Store
from staid.store.journal import Journal
from staid.store.ledger import SqlLedger
from staid.testing.kill import START, CountedIds, StepClock

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
class World:
    """A gate on a fresh store, and what its handlers did."""

    store: Store
    effects: list[tuple[str, Decimal]] = field(default_factory=list[tuple[str, Decimal]])
    clock: StepClock = field(default_factory=StepClock)
    stopped: set[str] = field(default_factory=set[str])
    raises: BaseException | None = None

    def __post_init__(self) -> None:
        self.journal = Journal(self.store, b"key")
        ids = CountedIds()
        self.ledger = SqlLedger(self.store, self.journal, self.clock, ids)
        self.tools = {
            REFUND: self.define(),
            "orders.find": define(self.handle, "orders.find", params=Refund, effect="read"),
        }
        self.gate = Gate(
            self.tools,
            self.ledger,
            self.clock,
            ids,
            "p1",
            lease=MINUTE,
            stopped=lambda: frozenset(self.stopped),
        )

    def define(self, **options: Any) -> Tool:
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

    def proposer(self, **options: Any) -> Proposer:
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

    def approve(self, record: CallRecord, **options: Any) -> None:
        """Approve a pending call as the lead."""
        assert record.approval is not None
        self.ledger.decide(record.approval, LEAD, "approve", **options)

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


@pytest.fixture
def world(store: Store) -> World:
    """Give a gate on a fresh store."""
    return World(store)


# --- proposing -------------------------------------------------------------------------------


def test_allowed_call(world: World) -> None:
    """An allowed call runs once, with its facts in order and its result told."""
    record = world.act(50)
    assert (record.state, record.result) == (CallState.DONE, {"refund": "re_7"})
    assert world.effects == [(record.call.key, Decimal(50))]
    assert world.gate.statement_of(record) == "Refunded 50 for order 7."
    assert world.kinds() == [
        "call.proposed",
        "call.ruled",
        "call.claimed",
        "call.executed",
        "call.settled",
    ]
    assert world.journal.verify() == []


def test_denied_call(world: World) -> None:
    """A call over a hard bound is denied, recorded, and can be neither approved nor executed."""
    record = world.propose(900)
    assert record.state is CallState.DENIED
    assert (record.ruling.rule, record.approval) == ("constraint:amount", None)
    assert world.execute(record).state is CallState.DENIED
    with pytest.raises(CallMoved):
        world.ledger.claim(record.call.id, Lease("x"), digest=record.call.digest)
    assert world.effects == []


def test_unknown_and_foreign_tools_look_alike(world: World) -> None:
    """A tool that does not exist and one this agent may not use give the same message."""
    world.tools["other.tool"] = define(world.handle, "other.tool", params=Refund)
    unknown = world.propose(50, "no.tool")
    foreign = asyncio.run(
        world.gate.act(
            ProposedCall("p", "other.tool", {}), world.proposer(allowed=frozenset({REFUND}))
        )
    )
    assert unknown.ruling.rule == foreign.ruling.rule == "allowlist"
    assert unknown.ruling.message.replace("no.tool", "X") == foreign.ruling.message.replace(
        "other.tool", "X"
    )


def test_pending_call(world: World) -> None:
    """A call above the threshold waits, bound to the digest of what would run."""
    earlier = Event(EventKind.MODEL_RETURNED, START, Actor("service", "staid"))
    record = world.propose("150.00", earlier=[earlier])
    assert record.state is CallState.PENDING
    assert record.approval is not None
    approval = world.ledger.approval(record.approval)
    assert approval.digest == record.call.digest == approval.call.digest
    assert approval.call.arguments == {"order_id": "7", "amount": "150"}
    assert approval.requested_by == {"user:ada", "agent:support", "user:root"}
    assert approval.approvers == {"group:leads"}
    assert approval.expires_at == START + timedelta(days=7)
    assert world.kinds()[:2] == ["model.returned", "call.proposed"]
    assert [a.id for a in world.ledger.approvals()] == [record.approval]
    assert world.ledger.approvals(CallState.DONE) == []
    assert world.execute(record).state is CallState.PENDING
    assert world.effects == []


def test_facts_hold_no_arguments(world: World) -> None:
    """Arguments and results are in the content, under the asker's name and rights alone."""
    world.act(50)
    with world.store.read() as connection:
        facts = [row.fact for row in connection.execute(select(tables.journal.c.fact))]
        contents = connection.execute(select(tables.content)).all()
    assert not any("order_id" in fact or "re_7" in fact for fact in facts)
    assert any("order_id" in row.body for row in contents)
    assert {row.subject for row in contents} == {"user:ada"}
    assert all("user:ada" in row.label for row in contents)


# --- deciding --------------------------------------------------------------------------------


def test_approve_and_execute(world: World) -> None:
    """An approved call executes exactly the arguments that were approved, once."""
    record = world.approved("150")
    for _ in range(3):
        assert world.execute(record).state is CallState.DONE
    assert world.effects == [(record.call.key, Decimal(150))]
    approval = world.ledger.approval(ApprovalId(record.approval or ""))
    assert (approval.decision, approval.decided_by) == ("approve", "user:lead")


def test_deny(world: World) -> None:
    """A denied call never runs."""
    record = world.propose()
    assert record.approval is not None
    world.ledger.decide(record.approval, LEAD, "deny", reason="Not this customer.", via="root")
    assert world.execute(record).state is CallState.DENIED
    assert world.effects == []
    decided = next(r for r in world.journal.rows(RUN) if r.kind is EventKind.APPROVAL_DECIDED)
    assert decided.actor == Actor("human", "user:lead", "root")
    assert decided.body == {"reason": "Not this customer."}


@pytest.mark.parametrize("decision", [None, "", "no", "yes", True])
def test_a_missing_decision_is_none(world: World, decision: Any) -> None:
    """Whatever is neither approve nor deny decides nothing."""
    record = world.propose()
    assert record.approval is not None
    with pytest.raises(ValueError, match="approve"):
        world.ledger.decide(record.approval, LEAD, decision)
    assert world.state(record) is CallState.PENDING


def test_deciding_twice(world: World) -> None:
    """The second decision is told who made the first, and changes nothing."""
    record = world.approved()
    assert record.approval is not None
    with pytest.raises(ApprovalDecided, match="approve by user:lead"):
        world.ledger.decide(record.approval, LEAD, "deny")
    assert world.state(record) is CallState.APPROVED


def test_deciding_too_late(world: World) -> None:
    """An expired request cannot be approved, before the sweep and after it."""
    record = world.propose()
    assert record.approval is not None
    world.clock.move(timedelta(days=7))
    for _ in range(2):
        with pytest.raises(ApprovalExpired):
            world.ledger.decide(record.approval, LEAD, "approve")
        world.ledger.sweep()
    assert world.execute(record).state is CallState.EXPIRED
    assert world.effects == []


def test_deciding_what_was_not_seen(world: World) -> None:
    """Who looked at other arguments than those stored decides nothing."""
    record = world.propose()
    with pytest.raises(ApprovalMismatch):
        world.approve(record, seen="0" * 64)
    world.approve(record, seen=record.call.digest)


@pytest.mark.parametrize(
    "approver",
    [
        ADA,
        Principal("local", "user", "root", frozenset({"group:leads"})),
        Principal("local", "agent", "support", frozenset({"group:leads"})),
        Principal("local", "user", "eve"),
    ],
)
def test_who_may_not_decide(world: World, approver: Principal) -> None:
    """The asker, the operator behind it, an agent, and who lacks the role change nothing."""
    record = world.propose()
    assert record.approval is not None
    with pytest.raises(ApproverNotAllowed):
        world.ledger.decide(record.approval, approver, "approve")
    assert world.state(record) is CallState.PENDING


def test_approval_survives_ninety_days_once_given(world: World) -> None:
    """An approved call may still be executed when the run is resumed much later."""
    record = world.approved()
    world.clock.move(timedelta(days=90))
    world.ledger.sweep()
    assert world.execute(record).state is CallState.DONE


# --- claiming --------------------------------------------------------------------------------


def test_one_claim(world: World) -> None:
    """A second claim finds the call moved, before and after the first is settled."""
    record = world.approved()
    digest = record.call.digest
    world.ledger.claim(record.call.id, Lease("a"), digest=digest)
    with pytest.raises(CallMoved, match="executing"):
        world.ledger.claim(record.call.id, Lease("b"), digest=digest)
    world.ledger.settle(record.call.id, "a", Settlement(Move.SUCCEED))
    with pytest.raises(CallMoved, match="done"):
        world.ledger.claim(record.call.id, Lease("b"), digest=digest)


def test_claims_race(world: World) -> None:
    """Of 16 concurrent claims of one call exactly one wins."""
    record = world.approved()
    start = threading.Barrier(16)

    def claim(number: int) -> bool:
        start.wait()
        try:
            world.ledger.claim(record.call.id, Lease(f"e{number}"), digest=record.call.digest)
        except CallMoved:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(claim, range(16))) == 1


def test_claim_is_durable_before_the_handler(world: World) -> None:
    """When the handler starts, another connection already sees `executing`."""
    seen: list[CallState] = []

    def handler(p: Refund, call: Call) -> None:
        seen.append(world.ledger.get(call.id).state)

    world.tools[REFUND] = world.define(handler=handler)
    world.act(50)
    world.execute(world.approved())
    assert seen == [CallState.EXECUTING] * 2


def test_claim_of_another_digest(world: World) -> None:
    """A process that would run other arguments gets no claim, and the call stays approved."""
    record = world.approved()
    with pytest.raises(ApprovalMismatch):
        world.ledger.claim(record.call.id, Lease("a"), digest="0" * 64)
    assert world.state(record) is CallState.APPROVED
    assert world.execute(record).state is CallState.DONE


@pytest.mark.parametrize(
    ("table", "values"),
    [
        (tables.call, {"arguments": '{"amount":"499","order_id":"7"}'}),
        (tables.call, {"digest": "0" * 64}),
        (tables.call, {"tool": "orders.find"}),
        (tables.approval, {"digest": "0" * 64}),
        (tables.approval, {"decision": "deny"}),
        (tables.approval, {"decision": None}),
    ],
)
def test_tampered_rows(world: World, table: Any, values: dict[str, Any]) -> None:
    """Whatever is changed in the store after the approval, nothing runs."""
    record = world.approved()
    with world.store.write() as connection:
        connection.execute(update(table).values(**values))
    with pytest.raises(ApprovalMismatch):
        world.execute(record)
    assert world.effects == []


def test_tampered_before_the_decision(world: World) -> None:
    """Arguments exchanged while the request waits, digests and all, can no longer be approved."""
    record = world.propose()
    forged: dict[str, Json] = {"amount": "499", "order_id": "7"}
    digest = call_digest(REFUND, forged)
    with world.store.write() as connection:
        values = {"arguments": canonical(forged), "digest": digest}
        connection.execute(update(tables.call).values(**values))
        connection.execute(update(tables.approval).values(digest=digest))
    with pytest.raises(ApprovalMismatch):
        world.approve(record, seen=digest)
    assert world.state(record) is CallState.PENDING


def test_pending_row_set_to_approved(world: World) -> None:
    """A row set to approved without anybody's approval does not run: the journal knows of none."""
    record = world.propose()
    with world.store.write() as connection:
        connection.execute(update(tables.call).values(state="approved"))
        connection.execute(update(tables.approval).values(decision="approve", decided_by="user:x"))
    with pytest.raises(ApprovalMismatch):
        world.execute(record)
    assert world.effects == []


def test_bound_tightened_meanwhile(world: World) -> None:
    """An approved call that a constraint of today forbids is revoked, not executed."""
    record = world.approved()
    world.tools[REFUND] = world.define(constraints={"small": below(120)})
    after = world.execute(record)
    assert (after.state, after.error) == (
        CallState.REVOKED,
        "The arguments do not satisfy small.",
    )
    assert world.effects == []


def test_kill_switch(world: World) -> None:
    """A stopped tool is neither offered, nor allowed, nor executed after its approval."""
    record = world.approved()
    world.stopped.add("*")
    assert world.gate.specs(frozenset(world.tools)) == ()
    assert world.act(50).ruling.rule == "kill_switch"
    assert world.execute(record).state is CallState.REVOKED
    assert world.effects == []


def test_tool_gone(world: World) -> None:
    """A call whose tool is not registered in this process stays as it is."""
    record = world.approved()
    del world.tools[REFUND]
    with pytest.raises(ToolUnknown):
        world.execute(record)
    assert world.state(record) is CallState.APPROVED


# --- settling --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (NotDone("the card has expired"), CallState.FAILED),
        (RuntimeError("connection reset"), CallState.IN_DOUBT),
        (SystemExit(1), CallState.IN_DOUBT),
    ],
)
def test_handler_raises(world: World, error: BaseException, state: CallState) -> None:
    """A write that raises is in doubt unless it says that nothing happened."""
    world.raises = error
    record = world.act(50)
    assert record.state is state
    assert str(error).partition(": ")[2] in (record.error or "")
    assert world.execute(record).state is state
    assert len(world.effects) == 1


def test_read_raises(world: World) -> None:
    """A read that raises has failed: there is nothing to be in doubt about."""
    world.raises = RuntimeError("no route")
    assert world.act(50, "orders.find").state is CallState.FAILED
    assert world.execute(world.propose(50, "orders.find")).state is CallState.FAILED


def test_expired_lease(world: World) -> None:
    """A silent executor's call is in doubt after its lease; a heartbeat prolongs the lease."""
    record = world.approved()
    lease = Lease("a", MINUTE)
    world.ledger.claim(record.call.id, lease, digest=record.call.digest)
    world.clock.move(MINUTE)
    assert world.ledger.heartbeat(record.call.id, lease)
    assert not world.ledger.heartbeat(record.call.id, Lease("b", MINUTE))
    world.clock.move(MINUTE)
    assert world.ledger.sweep().in_doubt == ()
    world.clock.move(timedelta(seconds=1))
    assert [r.call.id for r in world.ledger.sweep().in_doubt] == [record.call.id]
    assert world.ledger.sweep().in_doubt == ()
    assert not world.ledger.heartbeat(record.call.id, lease)
    assert world.execute(record).state is CallState.IN_DOUBT
    assert world.effects == []


def test_late_settle(world: World) -> None:
    """The executor itself may still say how it ended; nobody else may, and only once."""
    record = world.approved()
    world.ledger.claim(record.call.id, Lease("a", MINUTE), digest=record.call.digest)
    world.clock.move(2 * MINUTE)
    world.ledger.sweep()
    with pytest.raises(CallMoved):
        world.ledger.settle(record.call.id, "b", Settlement(Move.SUCCEED))
    after = world.ledger.settle(record.call.id, "a", Settlement(Move.SUCCEED, {"refund": "re_7"}))
    assert (after.state, after.result) == (CallState.DONE, {"refund": "re_7"})
    with pytest.raises(CallMoved):
        world.ledger.settle(record.call.id, "a", Settlement(Move.FAIL))
    assert world.state(record) is CallState.DONE


def test_a_human_resolves_a_doubt(world: World) -> None:
    """Somebody who is not upstream may say what happened; the late truth is kept beside it."""
    world.raises = RuntimeError("reset")
    record = world.act(50)
    outcome = Settlement(Move.FAIL, error="Looked it up: no refund.")
    with pytest.raises(ApproverNotAllowed):
        world.ledger.resolve(record.call.id, ADA, outcome)
    assert world.ledger.resolve(record.call.id, LEAD, outcome).state is CallState.FAILED
    with pytest.raises(CallMoved):
        world.ledger.resolve(record.call.id, LEAD, outcome)
    with pytest.raises(CallMoved):
        world.ledger.settle(record.call.id, record.executor or "", Settlement(Move.SUCCEED))
    last = world.journal.rows(RUN)[-1]
    assert (last.kind, last.fact["late"]) == (EventKind.CALL_EXECUTED, True)


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (lambda: True, CallState.DONE),
        (lambda: False, CallState.FAILED),
        (lambda: None, CallState.IN_DOUBT),
        (lambda: "probably", CallState.IN_DOUBT),
        (lambda: 1 / 0, CallState.IN_DOUBT),
    ],
)
def test_reconcile(world: World, answer: Callable[[], object], state: CallState) -> None:
    """Only a clear answer of the system behind settles a doubt; nothing is executed again."""
    asked: list[str] = []

    def probe(p: Refund, call: Call) -> object:
        asked.append(call.key)
        return answer()

    world.tools[REFUND] = world.define(reconcile=probe)
    record = world.approved()
    world.ledger.claim(record.call.id, Lease("a", MINUTE), digest=record.call.digest)
    world.clock.move(2 * MINUTE)
    swept = asyncio.run(world.gate.sweep())
    assert [r.state for r in swept.in_doubt] == [state]
    assert asked == [record.call.key]
    assert world.effects == []


def test_timeout(world: World) -> None:
    """A write that does not return in time is in doubt; when it returns, late, it is done."""
    go = threading.Event()

    def handler(p: Refund) -> str:
        go.wait(10)
        return "late"

    world.tools[REFUND] = world.define(handler=handler, timeout=timedelta(milliseconds=20))

    async def scenario() -> tuple[CallRecord, CallRecord]:
        proposal = ProposedCall("p", REFUND, {"order_id": "7", "amount": 50})
        record = await world.gate.act(proposal, world.proposer())
        (handler_task,) = world.gate._tasks
        go.set()
        await asyncio.wait({handler_task})
        await asyncio.sleep(0)  # its callbacks settle it in the next round of the loop
        return record, world.ledger.get(record.call.id)

    first, last = asyncio.run(scenario())
    assert (first.state, last.state, last.result) == (CallState.IN_DOUBT, CallState.DONE, "late")


def test_heartbeat_while_running(world: World) -> None:
    """A handler slower than its lease keeps it by heartbeats."""
    beats: list[bool] = []
    enough = threading.Event()
    real = world.ledger.heartbeat

    def counted(call: CallId, lease: Lease) -> bool:
        beats.append(real(call, lease))
        if len(beats) == 3:
            enough.set()
        return beats[-1]

    world.ledger.heartbeat = counted  # pyright: ignore[reportAttributeAccessIssue]  # a spy
    ids = CountedIds("b")
    gate = Gate(world.tools, world.ledger, world.clock, ids, "p", lease=timedelta(milliseconds=15))

    def handler(p: Refund) -> str:
        return "done" if enough.wait(10) else "never"

    world.tools[REFUND] = world.define(handler=handler)
    proposal = ProposedCall("p", REFUND, {"order_id": "7", "amount": 50})
    record = asyncio.run(gate.act(proposal, world.proposer()))
    assert record.state is CallState.DONE
    assert beats[:3] == [True] * 3


def test_cancelled_caller(world: World) -> None:
    """Cancelling whoever waits neither stops the handler half-way nor loses its settlement."""

    async def scenario() -> CallRecord:
        running, go = asyncio.Event(), asyncio.Event()

        async def handler(p: Refund) -> str:
            running.set()
            await go.wait()
            return "done"

        world.tools[REFUND] = world.define(handler=handler)
        proposal = ProposedCall("p", REFUND, {"order_id": "7", "amount": 50})
        caller = asyncio.create_task(world.gate.act(proposal, world.proposer()))
        await running.wait()
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        go.set()
        await asyncio.gather(*world.gate._tasks)
        return world.ledger.calls(RUN)[0]

    assert asyncio.run(scenario()).state is CallState.DONE


# --- keys ------------------------------------------------------------------------------------


def test_key_used_again(world: World) -> None:
    """The same key gives the same call, its handler run once; for another call it is refused."""
    first = world.act(50, key="ticket-1")
    again = world.act("50.00", key="ticket-1")
    assert (again.call.id, again.result) == (first.call.id, first.result)
    assert len(world.effects) == 1
    with pytest.raises(KeyReused):
        world.act(51, key="ticket-1")


def test_key_race(world: World) -> None:
    """Eight concurrent calls with one key have one effect."""

    async def scenario() -> list[CallRecord]:
        proposal = ProposedCall("p", REFUND, {"order_id": "7", "amount": 50})
        acts = [world.gate.act(proposal, world.proposer(), key="t") for _ in range(8)]
        return await asyncio.gather(*acts)

    assert len({record.call.id for record in asyncio.run(scenario())}) == 1
    assert len(world.effects) == 1


# --- budgets ---------------------------------------------------------------------------------


def test_budget_over_its_life(world: World) -> None:
    """Waiting calls count, denied and failed ones do not, done ones count for their window."""
    world.tools[REFUND] = world.define(budget=Budget(limit=400, sum_of="amount"))
    waiting = world.propose(300)
    denied = world.propose(101)
    assert (denied.state, denied.ruling.severity) == (CallState.DENIED, Severity.DENY)
    assert denied.ruling.rule.startswith("budget:")
    assert world.act(100).state is CallState.DONE
    assert waiting.approval is not None
    world.ledger.decide(waiting.approval, LEAD, "deny")
    assert world.act(100).state is CallState.DONE
    world.raises = NotDone("no")
    assert world.act(50).state is CallState.FAILED
    world.raises = None
    assert sorted(world.reservations()) == ["captured", "captured", "released", "released"]
    world.clock.move(timedelta(days=1))
    assert world.propose(400).state is CallState.PENDING


def test_doubt_keeps_its_budget(world: World) -> None:
    """What may have happened counts until somebody knows better, however long that takes."""
    world.tools[REFUND] = world.define(budget=Budget(limit=100, sum_of="amount"))
    world.raises = RuntimeError("reset")
    record = world.act(60)
    world.raises = None
    world.clock.move(timedelta(days=30))
    assert world.act(60).state is CallState.DENIED
    world.ledger.resolve(record.call.id, LEAD, Settlement(Move.FAIL))
    assert world.act(60).state is CallState.DONE


def test_budget_per_asker(world: World) -> None:
    """One asker's spending leaves another's budget alone."""
    world.tools[REFUND] = world.define(budget=Budget(limit=1))
    eve = world.proposer(principal=Principal("local", "user", "eve"))
    proposal = ProposedCall("p", REFUND, {"order_id": "7", "amount": 5})
    assert world.act(5).state is CallState.DONE
    assert world.act(5).state is CallState.DENIED
    assert asyncio.run(world.gate.act(proposal, eve)).state is CallState.DONE


def test_budget_race(world: World) -> None:
    """Of 24 concurrent proposals of 100 against 1000, ten are let through, and nobody deadlocks."""
    world.tools[REFUND] = world.define(
        budget=[Budget(limit=1000, sum_of="amount"), Budget(limit=99, per="agent")],
        requires_approval=False,
    )

    async def scenario() -> list[CallRecord]:
        proposal = ProposedCall("p", REFUND, {"order_id": "7", "amount": 100})
        return await asyncio.gather(
            *(world.gate.act(proposal, world.proposer()) for _ in range(24))
        )

    states = [record.state for record in asyncio.run(scenario())]
    assert states.count(CallState.DONE) == len(world.effects) == 10
    assert states.count(CallState.DENIED) == 14


def test_negative_amount_refills_nothing() -> None:
    """A draw below zero is no draw: the call is denied."""

    class Any_(BaseModel):  # noqa: N801 - a name of no meaning
        amount: Decimal

    def handler(p: Any_) -> None:
        """Do nothing."""

    from staid.gates.policy import Snapshot, prepare, rule

    tool = define(handler, "t", params=Any_, budget=Budget(limit=10, sum_of="amount"))
    prepared = prepare("t", tool, {"amount": "-5"}, "user:ada", "support")
    assert rule(prepared, Snapshot(frozenset({"t"}))).severity is Severity.DENY


# --- previews, reads, reading ----------------------------------------------------------------


def test_preview(world: World) -> None:
    """The approver sees the preview; where it fails nobody is asked and nothing runs."""
    world.tools[REFUND] = world.define(preview=back_to_card)
    record = world.propose()
    assert record.approval is not None
    assert world.ledger.approval(record.approval).preview == "150 back to the card ..42"
    world.tools[REFUND] = world.define(preview=broken)
    assert world.propose().ruling.rule == "preview"
    assert world.propose(50).state is CallState.APPROVED


def test_commits(world: World) -> None:
    """An allowed write costs two commits, of which one is before the effect; a read costs one."""
    commits: list[str] = []

    @event.listens_for(world.store.engine, "commit")
    def commit(_: object) -> None:  # pyright: ignore[reportUnusedFunction]  # called by SQLAlchemy
        commits.append("commit")

    def writes(work: Callable[[], object]) -> int:
        before = _rows(world)
        commits.clear()
        work()
        assert _rows(world) == before + 1
        return len(commits) - 1  # the last one is of the reading above

    assert writes(lambda: world.act(50)) == 2
    assert writes(lambda: world.act(50, "orders.find")) == 1


def _rows(world: World) -> int:
    with world.store.read() as connection:
        return len(connection.execute(select(tables.call.c.id)).all())


def test_read_result_is_evidence(world: World) -> None:
    """A read's result counts as evidence, a write's does not; its arguments never do."""
    read, write = world.act(42, "orders.find"), world.act(50)
    assert world.gate.evidence_of(read) == "refund: re_7"
    assert world.gate.evidence_of(write) is None
    assert world.gate.evidence_of(world.propose(900, "orders.find")) is None
    assert world.kinds()[:4] == ["call.proposed", "call.ruled", "call.executed", "call.settled"]


def test_released_run_is_sealed_again(world: World) -> None:
    """A fact that comes after the outcome moves the sealed head along, so the journal verifies."""
    record = world.propose()
    with world.store.write() as connection:
        connection.execute(
            insert(tables.conversation).values(
                id="cnv_1", asker="user:ada", agent="support", started_at=START
            )
        )
        connection.execute(
            insert(tables.run).values(
                id=RUN,
                conversation="cnv_1",
                agent="support",
                asker="user:ada",
                state="released",
                started_at=START,
            )
        )
        world.journal.seal(connection, RUN)
    world.approve(record)
    assert world.execute(record).state is CallState.DONE
    assert world.journal.verify() == []


def test_not_found(world: World) -> None:
    """What does not exist is a coded error."""
    with pytest.raises(CallNotFound):
        world.ledger.get(CallId("cal_0"))
    with pytest.raises(ApprovalNotFound):
        world.ledger.decide(ApprovalId("apr_0"), LEAD, "approve")
    assert world.ledger.find("no key") is None
    assert world.ledger.open_like("user:ada", "support", "0" * 64) is None


def test_nothing_half_written(world: World) -> None:
    """When the facts cannot be written, the call is not there either."""
    world.journal.append = broken  # pyright: ignore[reportAttributeAccessIssue]  # a fault
    with pytest.raises(StaidError):
        world.propose()
    assert world.ledger.calls(RUN) == []
