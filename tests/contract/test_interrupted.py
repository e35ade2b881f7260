"""Runs whose process died: found by their silence, closed once, never one that still works."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from staid.domain.errors import RunBusy
from staid.domain.events import Event, EventKind
from staid.domain.ids import ConversationId, RunId
from staid.domain.principal import Actor
from staid.domain.records import Ending, RunStart
from staid.store import tables
from staid.store.engine import Store
from staid.store.interrupted import InterruptedRuns
from staid.store.journal import Journal
from staid.store.runs import SqlRecords

KEY = b"the journal's key in tests"
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
SINCE = NOON - timedelta(minutes=15)
STAID = Actor("service", "staid")


@pytest.fixture
def journal(store: Store) -> Journal:
    """Give the journal of a fresh store."""
    return Journal(store, KEY)


@pytest.fixture
def records(store: Store, journal: Journal) -> SqlRecords:
    """Give the records of a fresh store."""
    return SqlRecords(store, journal)


@pytest.fixture
def runs(store: Store, journal: Journal) -> InterruptedRuns:
    """Give what finds and closes silent runs."""
    return InterruptedRuns(store, journal)


def fact(minutes: float, kind: EventKind = EventKind.RUN_STARTED) -> Event:
    """Return a fact that many minutes before noon."""
    return Event(kind, NOON - timedelta(minutes=minutes), STAID, {})


def begin(records: SqlRecords, name: str, minutes: float, key: str | None = None) -> RunId:
    """Begin a run that many minutes before noon."""
    run = RunId(name)
    at = NOON - timedelta(minutes=minutes)
    conversation = ConversationId(f"cnv_{name}")
    start = RunStart(run, conversation, "support", "user:ada", at, key)
    records.begin(start, [fact(minutes)])
    return run


def closing() -> list[Event]:
    """Return the fact that closes a run."""
    return [fact(0, EventKind.RUN_INTERRUPTED)]


def test_only_silent_runs_are_found(records: SqlRecords, runs: InterruptedRuns) -> None:
    """A run that began lately, spoke lately or has an outcome was not interrupted."""
    begin(records, "run_cut", 30)
    begin(records, "run_new", 5)
    records.append(begin(records, "run_long", 60), [fact(1)])
    ended = begin(records, "run_ended", 60)
    records.release(ended, Ending("released", "answer", None, 1.0, NOON), [fact(50)], None)
    assert runs.silent(SINCE) == ["run_cut"]


def test_a_wrong_clock_closes_no_run_that_spoke_lately(
    records: SqlRecords, runs: InterruptedRuns
) -> None:
    """A run that began under a clock of yesterday is not closed while its facts are of today."""
    records.append(begin(records, "run_skewed", 24 * 60), [fact(2)])
    begin(records, "run_ahead", -60)
    assert runs.silent(SINCE) == []
    assert not runs.close("run_skewed", SINCE, NOON, closing())
    assert records.run("run_skewed").state == "running"


def test_closing_is_recorded_once(
    records: SqlRecords, runs: InterruptedRuns, journal: Journal
) -> None:
    """The first worker closes a run with a fact and a seal; the second one does nothing."""
    begin(records, "run_cut", 30)
    assert runs.close("run_cut", SINCE, NOON, closing())
    assert not runs.close("run_cut", SINCE, NOON, closing())
    record = records.run("run_cut")
    assert (record.state, record.reason, record.outcome) == ("failed", "interrupted", None)
    assert [row.kind for row in records.rows("run_cut")][1:] == [EventKind.RUN_INTERRUPTED]
    sealed = journal.sealed()
    assert sealed is not None
    assert sealed.run == "run_cut"
    assert journal.verify() == []


def test_a_closed_run_is_due_at_its_sinks_once(
    store: Store, records: SqlRecords, journal: Journal
) -> None:
    """What was cut off is exported as it is, like every run that ended."""
    runs = InterruptedRuns(store, journal, ["far"])
    begin(records, "run_cut", 30)
    assert runs.close("run_cut", SINCE, NOON, closing())
    assert not runs.close("run_cut", SINCE, NOON, closing())
    with store.read() as connection:
        due = connection.execute(select(tables.outbox.c.sink, tables.outbox.c.run)).all()
    assert due == [("far", "run_cut")]


def test_a_slow_process_cannot_release_a_closed_run(
    records: SqlRecords, runs: InterruptedRuns, journal: Journal
) -> None:
    """Whoever wakes up after its run was closed records no outcome, so nobody is given one."""
    run = begin(records, "run_slow", 30)
    assert runs.close(run, SINCE, NOON, closing())
    with pytest.raises(RunBusy):
        records.release(run, Ending("released", "answer", None, 1.0, NOON), [fact(0)], None)
    assert records.run(run).outcome is None
    assert len(records.rows(run)) == 2
    assert journal.verify() == []


def test_the_key_is_free_again_unless_a_call_was_claimed(
    records: SqlRecords, runs: InterruptedRuns
) -> None:
    """A repeat under the same key starts anew only where nothing can have been done."""
    begin(records, "run_read", 30, "k1")
    records.append(begin(records, "run_acted", 30, "k2"), [fact(29, EventKind.CALL_CLAIMED)])
    for name in ("run_read", "run_acted"):
        assert runs.close(name, SINCE, NOON, closing())
    now = RunStart(
        RunId("run_again"), ConversationId("cnv_again"), "support", "user:ada", NOON, "k1"
    )
    assert records.begin(now, [fact(0)]) is None
    earlier = records.begin(
        RunStart(RunId("run_b"), ConversationId("cnv_b"), "support", "user:ada", NOON, "k2"), []
    )
    assert earlier is not None
    assert earlier.run == "run_acted"
