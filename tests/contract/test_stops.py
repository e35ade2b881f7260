"""The kill switch on both engines: what it stops, what it leaves alone, and what it records."""

from __future__ import annotations

import json
import threading

import pytest
from sqlalchemy import select, text, update

from staid.domain.call import CallState, Severity
from staid.domain.errors import NotStopped, StaidError, ToolStopped
from staid.domain.events import EventKind
from staid.domain.principal import Actor
from staid.gates.policy import EVERY_TOOL
from staid.store import tables
from staid.store.engine import Store
from staid.store.ledger.stops import CHAIN, SqlStops, check
from staid.testing.gating import REFUND, RUN, GateWorld
from staid.testing.kill import CountedIds

LEAD = Actor("human", "user:lead", "root")


@pytest.fixture
def world(store: Store) -> GateWorld:
    """Give a gate on a fresh store."""
    return GateWorld(store)


@pytest.mark.parametrize("name", [REFUND, EVERY_TOOL])
def test_a_stop_holds_for_a_gate_that_runs_already(world: GateWorld, url: str, name: str) -> None:
    """The next call is denied by the switch, by a gate that was opened before; then it may run."""
    opened = Store(url)
    other = SqlStops(opened, world.journal, world.clock, CountedIds("other"))
    other.stop(name, "refunds arrive twice", LEAD)
    denied = world.act(50)
    assert (denied.state, denied.ruling.rule) == (CallState.DENIED, "kill_switch")
    assert ("kill_switch", "deny") in denied.ruling.steps
    assert world.gate.specs(frozenset({REFUND})) == ()
    other.start(name, "", LEAD)
    opened.close()
    assert world.act(50).state is CallState.DONE
    assert len(world.effects) == 1


def test_other_tools_run_on(world: GateWorld) -> None:
    """A stop of one tool says nothing about another."""
    world.stops.stop("orders.find", "wrong orders", LEAD)
    assert world.act(50).state is CallState.DONE


def test_an_approved_call_is_not_executed_once_its_tool_is_stopped(world: GateWorld) -> None:
    """A stop that comes between the approval and the claim wins; the budget is given back."""
    record = world.approved()
    world.stops.stop(REFUND, "refunds arrive twice", LEAD)
    revoked = world.execute(record)
    assert (revoked.state, world.effects) == (CallState.REVOKED, [])
    world.stops.start(REFUND, "", LEAD)
    assert world.execute(record).state is CallState.REVOKED


def test_stopping_twice_keeps_the_first_stop(world: GateWorld) -> None:
    """The second person is told of the first; one start ends it, a second has nothing to end."""
    first = world.stops.stop(REFUND, "refunds arrive twice", LEAD)
    assert world.stops.stop(REFUND, "me too", Actor("human", "user:ada")) == first
    ended = world.stops.start(REFUND, "fixed", LEAD)
    assert ended is not None
    assert (ended.id, ended.started_by, ended.start_reason) == (first.id, "user:lead", "fixed")
    assert world.stops.stops() == []
    assert world.stops.stops(everything=True) == [ended]
    with pytest.raises(NotStopped):
        world.stops.start(REFUND, "", LEAD)


def test_starting_everything_leaves_what_was_stopped_by_name(world: GateWorld) -> None:
    """Each stop is ended by itself, so that nobody ends one they know nothing of."""
    world.stops.stop(REFUND, "refunds arrive twice", LEAD)
    world.stops.stop(EVERY_TOOL, "the provider is down", LEAD)
    world.stops.start(EVERY_TOOL, "", LEAD)
    assert world.stops.names() == {REFUND}
    assert world.act(50).ruling.rule == "kill_switch"


def test_who_stopped_what_is_a_fact_and_the_table_no_name(world: GateWorld) -> None:
    """Stop and start are sealed in the journal, which verifies; rows hold aliases."""
    world.stops.stop(REFUND, "refunds arrive twice", LEAD)
    world.stops.start(REFUND, "fixed", LEAD)
    rows = world.journal.rows(f"{CHAIN}2026")
    told = [
        (r.kind.value, r.actor.name, r.actor.via, r.fact["tool"], r.fact["reason"]) for r in rows
    ]
    assert told == [
        ("tool.stopped", "user:lead", "root", REFUND, "refunds arrive twice"),
        ("tool.started", "user:lead", "root", REFUND, "fixed"),
    ]
    assert world.journal.verify() == []
    with world.store.read() as connection:
        row = connection.execute(select(tables.stop.c.stopped_by, tables.stop.c.started_by)).one()
    assert "lead" not in json.dumps(list(row))


def test_what_was_claimed_before_the_stop_is_named(world: GateWorld) -> None:
    """A stop tears no handler apart, so it says which calls it came too late for."""
    record = world.act(50)
    with world.store.write() as connection:
        running = update(tables.call).values(state="executing")
        connection.execute(running.where(tables.call.c.id == record.call.id))
    assert [r.call.id for r in world.stops.running(REFUND)] == [record.call.id]
    assert [r.call.id for r in world.stops.running(EVERY_TOOL)] == [record.call.id]
    assert world.stops.running("orders.find") == []


@pytest.mark.parametrize("tool", [REFUND, "orders.find"])
def test_nothing_runs_while_nobody_can_say_what_is_stopped(world: GateWorld, tool: str) -> None:
    """A store that cannot be asked about stops lets nothing through, reads included."""
    approved = world.approved()
    with world.store.write() as connection:
        connection.execute(text("ALTER TABLE stop RENAME TO gone"))
    with pytest.raises(StaidError):
        world.act(50, tool)
    with pytest.raises(StaidError):
        world.execute(approved)
    assert world.effects == []
    assert world.state(approved) is CallState.APPROVED


def test_a_stop_between_look_and_claim_wins(
    world: GateWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stop that lands after the gate looked is seen by the claim, and the call is revoked."""
    record = world.approved()
    looked = world.ledger.stopped()
    answers = iter([looked])
    monkeypatch.setattr(world.ledger, "stopped", lambda: next(answers, frozenset({REFUND})))
    world.stops.stop(REFUND, "refunds arrive twice", LEAD)
    assert world.execute(record).state is CallState.REVOKED
    assert world.effects == []


def test_a_stop_between_look_and_proposal_wins(
    world: GateWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the ledger reads in its own transaction is ruled on and recorded, not what was known."""
    monkeypatch.setattr(world.ledger, "stopped", frozenset)
    world.stops.stop(REFUND, "refunds arrive twice", LEAD)
    denied = world.act(50)
    assert (denied.ruling.rule, world.effects) == ("kill_switch", [])
    ruled = next(row for row in world.journal.rows(RUN) if row.kind is EventKind.CALL_RULED)
    assert json.loads(json.dumps(ruled.body))["snapshot"]["stopped"] == [REFUND]


@pytest.mark.postgres
def test_a_stop_waits_for_a_claim_in_flight(postgres_url: str) -> None:
    """While a transaction that claims is open no stop returns, so a stop misses no claim.

    On SQLite there is one writer at a time.
    """
    world = GateWorld(Store(postgres_url))
    world.stops.stop("other.tool", "opens the connections", LEAD)
    done = threading.Event()

    def stop() -> None:
        world.stops.stop(REFUND, "refunds arrive twice", LEAD)
        done.set()

    stopping = threading.Thread(target=stop)
    with world.store.write() as connection:
        check(world.store, connection, REFUND)
        stopping.start()
        waits = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        while connection.execute(waits).scalar() == 0:
            assert not done.is_set()
    stopping.join()
    assert done.is_set()
    world.store.close()


def test_the_claim_itself_sees_a_stop(world: GateWorld) -> None:
    """Inside the transaction that takes the right to execute a stop raises, and says why."""
    world.stops.stop(EVERY_TOOL, "the provider is down", LEAD)
    with (
        world.store.write() as connection,
        pytest.raises(ToolStopped, match="the provider is down"),
    ):
        check(world.store, connection, REFUND)


def test_severity_of_a_stop(world: GateWorld) -> None:
    """Nobody can approve past a stop: it denies what would have been asked about."""
    world.stops.stop(REFUND, "refunds arrive twice", LEAD)
    assert world.propose(150).ruling.severity is Severity.DENY
    with world.store.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM approval")).scalar() == 0
