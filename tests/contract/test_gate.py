"""The gate on both engines: how executions end, keys, budgets, previews and reads."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest
from pydantic import BaseModel
from sqlalchemy import Connection, event, insert, select, update

from staid.domain.call import CallRecord, CallState, Severity
from staid.domain.errors import (
    ApprovalNotFound,
    ApproverNotAllowed,
    CallMoved,
    CallNotFound,
    KeyReused,
    NotDone,
    StaidError,
)
from staid.domain.events import EventKind
from staid.domain.ids import ApprovalId, CallId
from staid.domain.message import ProposedCall
from staid.domain.principal import Principal
from staid.gates.approval import Move
from staid.gates.budget import Budget
from staid.gates.ledger import Lease, Settlement
from staid.gates.tool import Call, define
from staid.runtime.gate import Gate
from staid.store import tables
from staid.store.engine import Store
from staid.store.runs import SqlRecords
from staid.testing.gating import (
    ADA,
    LEAD,
    MINUTE,
    REFUND,
    RUN,
    GateWorld,
    Refund,
    back_to_card,
    broken,
)
from staid.testing.kill import START, CountedIds


@pytest.fixture
def world(store: Store) -> GateWorld:
    """Give a gate on a fresh store."""
    return GateWorld(store)


# --- settling --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (NotDone("the card has expired"), CallState.FAILED),
        (RuntimeError("connection reset"), CallState.IN_DOUBT),
        (SystemExit(1), CallState.IN_DOUBT),
    ],
)
def test_handler_raises(world: GateWorld, error: BaseException, state: CallState) -> None:
    """A write that raises is in doubt unless it says that nothing happened."""
    world.raises = error
    record = world.act(50)
    assert record.state is state
    assert str(error).partition(": ")[2] in (record.error or "")
    assert world.execute(record).state is state
    assert len(world.effects) == 1


def test_read_raises(world: GateWorld) -> None:
    """A read that raises has failed: there is nothing to be in doubt about."""
    world.raises = RuntimeError("no route")
    assert world.act(50, "orders.find").state is CallState.FAILED
    assert world.execute(world.propose(50, "orders.find")).state is CallState.FAILED


def test_expired_lease(world: GateWorld) -> None:
    """A silent executor's call is in doubt after its lease; a heartbeat prolongs the lease."""
    record = world.approved()
    lease = Lease("a", MINUTE)
    world.claim(record, lease)
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


def test_late_settle(world: GateWorld) -> None:
    """The executor itself may still say how it ended; nobody else may, and only once."""
    record = world.approved()
    world.claim(record, Lease("a", MINUTE))
    world.clock.move(2 * MINUTE)
    world.ledger.sweep()
    with pytest.raises(CallMoved):
        world.ledger.settle(record.call.id, "b", Settlement(Move.SUCCEED))
    after = world.ledger.settle(record.call.id, "a", Settlement(Move.SUCCEED, {"refund": "re_7"}))
    assert (after.state, after.result) == (CallState.DONE, {"refund": "re_7"})
    with pytest.raises(CallMoved):
        world.ledger.settle(record.call.id, "a", Settlement(Move.FAIL))
    assert world.state(record) is CallState.DONE


def test_a_human_resolves_a_doubt(world: GateWorld) -> None:
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
def test_reconcile(world: GateWorld, answer: Callable[[], object], state: CallState) -> None:
    """Only a clear answer of the system behind settles a doubt; nothing is executed again."""
    asked: list[str] = []

    def probe(p: Refund, call: Call) -> object:
        asked.append(call.key)
        return answer()

    world.tools[REFUND] = world.define(reconcile=probe)
    record = world.approved()
    world.claim(record, Lease("a", MINUTE))
    world.clock.move(2 * MINUTE)
    swept = asyncio.run(world.gate.sweep())
    assert [r.state for r in swept.in_doubt] == [state]
    assert asked == [record.call.key]
    assert world.effects == []


def test_a_look_takes_no_probe_away(world: GateWorld) -> None:
    """What a list or a page found lost before the worker did is asked about as well, once."""
    asked: list[str] = []

    def probe(p: Refund, call: Call) -> None:
        asked.append(call.key)

    world.tools[REFUND] = world.define(reconcile=probe)
    world.raises = ConnectionError("what raised is asked about when a person says so")
    assert world.act(order="8").state is CallState.IN_DOUBT
    record = world.approved()
    world.claim(record, Lease("a", MINUTE))
    world.clock.move(2 * MINUTE)
    world.ledger.sweep()
    assert world.state(record) is CallState.IN_DOUBT
    swept = asyncio.run(world.gate.sweep())
    assert [r.call.id for r in swept.in_doubt] == [record.call.id]
    assert asyncio.run(world.gate.sweep()).in_doubt == ()
    assert asked == [record.call.key]


class Mute(Exception):
    """An error that raises where somebody asks for its words."""

    def __str__(self) -> str:
        """Fail."""
        raise ZeroDivisionError

    __repr__ = __str__


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (Mute(), "Mute"),
        (
            type("Quiet", (BaseException,), {"__str__": Mute.__str__, "__repr__": Mute.__repr__})(),
            "RuntimeError: the handler raised Quiet",
        ),
        (ValueError("x" * 20_000), "ValueError: " + "x" * 10_000 + " … and 10000 characters more"),
        (SystemExit(3), "RuntimeError: the handler raised SystemExit: 3"),
    ],
)
def test_an_error_without_words(world: GateWorld, raised: BaseException, told: str) -> None:
    """What an odd exception says of itself cannot keep the end of a call from being recorded."""
    world.raises = raised
    record = world.act()
    assert (record.state, record.error) == (CallState.IN_DOUBT, told)


def test_timeout(world: GateWorld) -> None:
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


def test_heartbeat_while_running(world: GateWorld) -> None:
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


def test_cancelled_caller(world: GateWorld) -> None:
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


def test_key_used_again(world: GateWorld) -> None:
    """The same key gives the same call, its handler run once; for another call it is refused."""
    first = world.act(50, key="ticket-1")
    again = world.act("50.00", key="ticket-1")
    assert (again.call.id, again.result) == (first.call.id, first.result)
    assert len(world.effects) == 1
    with pytest.raises(KeyReused):
        world.act(51, key="ticket-1")


def test_store_refuses_a_key_twice(world: GateWorld) -> None:
    """Two calls can never carry one key, even where code forgot to look: the table says so."""
    first, second = world.act(50), world.act(50, order="8")
    mine = tables.call.c.id == second.call.id
    forged = update(tables.call).where(mine).values(key=first.call.key)
    with pytest.raises(StaidError), world.store.write() as connection:
        connection.execute(forged)


def test_key_race(world: GateWorld) -> None:
    """Eight concurrent calls with one key have one effect."""

    async def scenario() -> list[CallRecord]:
        proposal = ProposedCall("p", REFUND, {"order_id": "7", "amount": 50})
        acts = [world.gate.act(proposal, world.proposer(), key="t") for _ in range(8)]
        return await asyncio.gather(*acts)

    assert len({record.call.id for record in asyncio.run(scenario())}) == 1
    assert len(world.effects) == 1


# --- budgets ---------------------------------------------------------------------------------


def test_budget_over_its_life(world: GateWorld) -> None:
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


def test_doubt_keeps_its_budget(world: GateWorld) -> None:
    """What may have happened counts until somebody knows better, however long that takes."""
    world.tools[REFUND] = world.define(budget=Budget(limit=100, sum_of="amount"))
    world.raises = RuntimeError("reset")
    record = world.act(60)
    world.raises = None
    world.clock.move(timedelta(days=30))
    assert world.act(60).state is CallState.DENIED
    world.ledger.resolve(record.call.id, LEAD, Settlement(Move.FAIL))
    assert world.act(60).state is CallState.DONE


def test_budget_per_asker(world: GateWorld) -> None:
    """One asker's spending leaves another's budget alone."""
    world.tools[REFUND] = world.define(budget=Budget(limit=1))
    eve = world.proposer(principal=Principal("local", "user", "eve"))
    proposal = ProposedCall("p", REFUND, {"order_id": "7", "amount": 5})
    assert world.act(5).state is CallState.DONE
    assert world.act(5).state is CallState.DENIED
    assert asyncio.run(world.gate.act(proposal, eve)).state is CallState.DONE


def test_budget_race(world: GateWorld) -> None:
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


def test_preview(world: GateWorld) -> None:
    """The approver sees the preview; where it fails nobody is asked and nothing runs."""
    world.tools[REFUND] = world.define(preview=back_to_card)
    record = world.propose()
    assert record.approval is not None
    assert world.ledger.approval(record.approval).preview == "150 back to the card ..42"
    world.tools[REFUND] = world.define(preview=broken)
    assert world.propose().ruling.rule == "preview"
    assert world.propose(50).state is CallState.APPROVED


def test_commits(world: GateWorld) -> None:
    """An allowed write costs two commits, of which one is before the effect; a read costs one."""
    commits = _commits(world)

    def writes(work: Callable[[], object]) -> int:
        before = _rows(world)
        commits.clear()
        work()
        assert _rows(world) == before + 1
        return len(commits)

    assert writes(lambda: world.act(50)) == 2
    assert writes(lambda: world.act(50, "orders.find")) == 1


def test_statements(world: GateWorld) -> None:
    """What each step of an approved write asks of the store: no row is read twice."""
    statements: list[str] = []

    @event.listens_for(world.store.engine, "before_cursor_execute")
    def count(*given: object) -> None:  # pyright: ignore[reportUnusedFunction]  # called by SQLAlchemy
        # Turns at a name are taken on PostgreSQL alone.
        if not re.search("pg_advisory|FOR UPDATE|SET LOCAL|pg_catalog", str(given[2])):
            statements.append(str(given[2]))

    def asked(work: Callable[[], object]) -> int:
        statements.clear()
        work()
        return len(statements)

    record = world.propose()
    assert asked(lambda: world.propose(160)) == 5
    assert asked(lambda: world.approve(record)) == 7
    assert asked(lambda: world.execute(record)) == 11
    assert asked(lambda: world.act(50)) == 9


def test_a_look_adds_no_commit(world: GateWorld) -> None:
    """A read in a turn rides with the facts that are written next, as row and chain, whole."""
    commits = _commits(world)
    looked = asyncio.run(world.gate.look(_find("orders.find"), world.proposer()))
    assert looked is not None
    assert commits == []
    assert _rows(world) == 0
    record, facts = looked
    assert world.gate.evidence_of(record) == "refund: re_7"
    commits.clear()
    SqlRecords(world.store, world.journal).append(RUN, facts)
    assert len(commits) == 1
    assert world.ledger.get(record.call.id) == record
    assert world.kinds() == ["call.proposed", "call.ruled", "call.executed", "call.settled"]
    assert world.journal.verify() == []


def test_a_look_before_a_write(world: GateWorld) -> None:
    """What was looked up is durable in the commit before the effect that may rest on it."""
    looked = asyncio.run(world.gate.look(_find("orders.find"), world.proposer()))
    assert looked is not None
    world.propose(50, earlier=looked[1])
    assert world.state(looked[0]) is CallState.DONE
    assert world.kinds()[3:6] == ["call.settled", "call.proposed", "call.ruled"]


@pytest.mark.parametrize("tool", [REFUND, "orders.lost", "rocket.launch"])
def test_only_an_allowed_read_is_a_look(world: GateWorld, tool: str) -> None:
    """A write, a read that has to be asked for, and an unknown tool are left alone."""
    world.tools["orders.lost"] = define(
        world.handle, "orders.lost", params=Refund, effect="read", requires_approval=True
    )
    assert asyncio.run(world.gate.look(_find(tool), world.proposer())) is None
    assert (world.effects, _rows(world)) == ([], 0)


def _find(tool: str) -> ProposedCall:
    return ProposedCall("p-1", tool, {"order_id": "7", "amount": "50"})


def _commits(world: GateWorld) -> list[str]:
    """Return a list that grows with every commit of the store that wrote something."""
    commits: list[str] = []

    @event.listens_for(world.store.engine, "begin")
    def begin(connection: Connection) -> None:  # pyright: ignore[reportUnusedFunction]  # called by SQLAlchemy
        connection.info["before"] = _written(connection)

    @event.listens_for(world.store.engine, "commit")
    def commit(connection: Connection) -> None:  # pyright: ignore[reportUnusedFunction]  # called by SQLAlchemy
        if connection.info["before"] != _written(connection):
            commits.append("commit")

    return commits


def _written(connection: Connection) -> object:
    """Return what changes with the first thing that a transaction writes."""
    if connection.dialect.name == "sqlite":
        driver = connection.connection.driver_connection
        return driver.total_changes if driver is not None else None
    return connection.exec_driver_sql("SELECT pg_current_xact_id_if_assigned()").scalar()


def _rows(world: GateWorld) -> int:
    with world.store.read() as connection:
        return len(connection.execute(select(tables.call.c.id)).all())


def test_read_result_is_evidence(world: GateWorld) -> None:
    """A read's result counts as evidence, a write's does not; its arguments never do."""
    read, write = world.act(42, "orders.find"), world.act(50)
    assert world.gate.evidence_of(read) == "refund: re_7"
    assert world.gate.evidence_of(write) is None
    assert world.gate.evidence_of(world.propose(900, "orders.find")) is None
    assert world.kinds()[:4] == ["call.proposed", "call.ruled", "call.executed", "call.settled"]


def test_released_run_is_sealed_again(world: GateWorld) -> None:
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


def test_not_found(world: GateWorld) -> None:
    """What does not exist is a coded error."""
    with pytest.raises(CallNotFound):
        world.ledger.get(CallId("cal_0"))
    with pytest.raises(ApprovalNotFound):
        world.ledger.decide(ApprovalId("apr_0"), LEAD, "approve")
    assert world.ledger.find("no key") is None
    assert world.ledger.open_like("user:ada", "support", "0" * 64) is None


def test_nothing_half_written(world: GateWorld) -> None:
    """When the facts cannot be written, the call is not there either."""
    world.journal.append = broken  # pyright: ignore[reportAttributeAccessIssue]  # a fault
    with pytest.raises(StaidError):
        world.propose()
    assert world.ledger.calls(RUN) == []
