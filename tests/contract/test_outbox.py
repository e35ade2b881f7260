"""The outbox: due in the transaction that ends a run, claimed by one, in order; on two engines."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from staid.domain.errors import RunBusy
from staid.domain.events import Content, Event, EventKind
from staid.domain.exports import OutboxRow
from staid.domain.ids import ConversationId, HandoffId, RunId
from staid.domain.label import EVERYONE
from staid.domain.principal import Actor
from staid.domain.records import Ending, Handoff, RunStart
from staid.store.engine import Store
from staid.store.journal import Journal
from staid.store.outbox import SqlOutbox
from staid.store.runs import SqlRecords

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(minutes=2)
SECOND = timedelta(seconds=1)
ADA = Actor("human", "user:ada")
EXPORTERS = 8


def event(kind: EventKind, **fact: Any) -> Event:
    """Return one fact."""
    return Event(kind, NOW, ADA, fact, Content({"question": "?"}, EVERYONE, "user:ada"))


@pytest.fixture
def records_of(store: Store) -> Callable[..., SqlRecords]:
    """Return a function that gives the records of a project with these sinks."""
    return lambda *sinks: SqlRecords(store, Journal(store, b"key"), sinks)


@pytest.fixture
def outbox(store: Store) -> SqlOutbox:
    """Return the outbox of a fresh store."""
    return SqlOutbox(store)


def begin(records: SqlRecords, run: str, at: datetime = NOW) -> RunId:
    """Begin a run."""
    start = RunStart(RunId(run), ConversationId(f"cnv_{run}"), "support", "user:ada", at)
    records.begin(start, [event(EventKind.RUN_STARTED)])
    return start.run


def finish(records: SqlRecords, *runs: str) -> None:
    """Record whole runs, each a second after the one before."""
    for number, run in enumerate(runs):
        begin(records, run, NOW + number * SECOND)
        ending = Ending("released", "answer", None, 0.7, NOW)
        records.release(RunId(run), ending, [event(EventKind.OUTCOME_DECIDED)], None)


def claim(outbox: SqlOutbox, at: datetime = NOW, worker: str = "w", limit: int = 10) -> list[str]:
    """Claim what is due and return the runs."""
    rows = outbox.claim("a", worker, at, at + timedelta(minutes=2), limit=limit)
    return [row.run for row in rows]


def due(outbox: SqlOutbox) -> list[tuple[str, str, str, int]]:
    """Return everything in the outbox."""
    return [(row.sink, row.run, row.kind, row.seq) for row in outbox.rows()]


# --- what is due, and when -------------------------------------------------------------------


def test_a_released_run_is_due_at_every_sink(
    records_of: Callable[..., SqlRecords], outbox: SqlOutbox
) -> None:
    """Releasing and becoming due are one transaction; a running or parked run is not due."""
    records = records_of("a", "b")
    run = begin(records, "run_1")
    assert due(outbox) == []
    records.park(run, {}, Ending("parked", "pending", None, 0.7, NOW), [])
    assert due(outbox) == []
    records.release(run, Ending("released", "answer", None, 0.7, NOW), [], None)
    assert due(outbox) == [("a", "run_1", "run", 0), ("b", "run_1", "run", 0)]


def test_a_release_that_fails_makes_nothing_due(
    records_of: Callable[..., SqlRecords], outbox: SqlOutbox
) -> None:
    """When a part of the release cannot be written, the run is not released and not due."""
    records = records_of("a")
    handoff = Handoff(HandoffId("hof_1"), RunId("run_1"), "user:ada", "weak", "?", NOW)
    begin(records, "run_1")
    begin(records, "run_2")
    ending = Ending("released", "abstention", "weak", 0.1, NOW)
    records.release(RunId("run_1"), ending, [], handoff)
    with pytest.raises(Exception, match="ST-110"):  # the hand-off's id is taken
        records.release(RunId("run_2"), ending, [], handoff)
    with pytest.raises(RunBusy):
        records.release(RunId("run_1"), ending, [], None)
    assert due(outbox) == [("a", "run_1", "run", 0)]


def test_a_failed_run_is_due_once(records_of: Callable[..., SqlRecords], outbox: SqlOutbox) -> None:
    """A run that ended without an outcome is exported too; failing again adds nothing."""
    records = records_of("a")
    begin(records, "run_1")
    for _ in range(2):
        records.fail(RunId("run_1"), NOW, [], "ST-999")
    finish(records, "run_2")
    records.fail(RunId("run_2"), NOW, [], "ST-999")
    assert due(outbox) == [("a", "run_1", "run", 0), ("a", "run_2", "run", 0)]


def test_scores_are_due_where_the_run_was(
    records_of: Callable[..., SqlRecords], outbox: SqlOutbox
) -> None:
    """Feedback and grades are due by the number of their fact, at the sinks that got the run."""
    finish(records_of("a"), "run_1")
    both = records_of("a", "b")
    both.note("run_1", [event(EventKind.HANDOFF_ANSWERED), event(EventKind.FEEDBACK_GIVEN)])
    both.note("run_1", [event(EventKind.GRADE_GIVEN)])
    assert due(outbox) == [
        ("a", "run_1", "run", 0),
        ("a", "run_1", "score", 4),
        ("a", "run_1", "score", 5),
    ]
    kinds = {row.seq: row.kind for row in both.rows("run_1")}
    assert (kinds[4], kinds[5]) == (EventKind.FEEDBACK_GIVEN, EventKind.GRADE_GIVEN)


def test_backfill_is_what_was_never_due(
    records_of: Callable[..., SqlRecords], outbox: SqlOutbox
) -> None:
    """Earlier finished runs become due oldest first with their scores, once, from a date on."""
    before = records_of()
    finish(before, "run_3", "run_1", "run_2")
    before.note("run_1", [event(EventKind.FEEDBACK_GIVEN)])
    begin(before, "run_4")
    finish(records_of("a"), "run_5")
    assert outbox.missing("a") == ["run_3", "run_1", "run_2"]
    assert outbox.backfill("a", NOW, NOW + SECOND) == 2
    assert outbox.backfill("a", NOW, None) == 1
    assert outbox.backfill("a", NOW, None) == 0
    assert due(outbox) == [
        ("a", "run_5", "run", 0),
        ("a", "run_1", "run", 0),
        ("a", "run_1", "score", 3),
        ("a", "run_2", "run", 0),
        ("a", "run_3", "run", 0),
    ]


# --- claims ----------------------------------------------------------------------------------


def test_a_sink_has_one_exporter_at_a_time(
    records_of: Callable[..., SqlRecords], outbox: SqlOutbox
) -> None:
    """While rows are held nobody gets any of that sink; once the claim lapses somebody does."""
    finish(records_of("a", "b"), "run_1", "run_2", "run_3")
    assert claim(outbox, limit=2) == ["run_1", "run_2"]
    assert claim(outbox, worker="x") == []
    assert [r.run for r in outbox.claim("b", "x", NOW, LATER, limit=1)] == ["run_1"]
    assert claim(outbox, LATER + SECOND, "x") == ["run_1", "run_2", "run_3"]


def test_eight_exporters_claim_disjoint_rows(url: str) -> None:
    """Eight at once: the rows of a sink go to one of them, the others get nothing."""
    stores = [Store(url) for _ in range(EXPORTERS)]
    finish(SqlRecords(stores[0], Journal(stores[0], b"key"), ["a"]), "run_1", "run_2")
    with ThreadPoolExecutor(EXPORTERS) as pool:
        claims = [pool.submit(claim, SqlOutbox(s), worker=f"w{n}") for n, s in enumerate(stores)]
        got = [one.result() for one in claims]
    assert sorted(filter(None, got)) == [["run_1", "run_2"]]
    for store in stores:
        store.close()


def test_a_lost_claim_cannot_be_held_or_given_back(
    records_of: Callable[..., SqlRecords], outbox: SqlOutbox
) -> None:
    """An exporter that was too slow neither extends nor postpones what another one holds."""
    finish(records_of("a"), "run_1")
    claim(outbox)
    row = outbox.rows()[0].id
    assert outbox.hold([row], "w", LATER) is True
    claim(outbox, LATER + SECOND, "x")
    assert outbox.hold([row], "w", LATER) is False
    outbox.postpone([row], "w", LATER + timedelta(days=1), "slow")
    assert outbox.rows()[0].attempts == 0
    assert outbox.hold([row], "x", LATER) is True


def test_a_postponed_head_keeps_the_sink_at_rest(
    records_of: Callable[..., SqlRecords], outbox: SqlOutbox
) -> None:
    """Nothing overtakes the oldest row: until it is due the sink rests, then it goes first."""
    finish(records_of("a"), "run_1", "run_2")
    claim(outbox, limit=1)
    outbox.postpone([outbox.rows()[0].id], "w", LATER, "no route")
    assert claim(outbox) == []
    standing = outbox.standing()["a"]
    assert (standing.error, standing.next_at, standing.counts) == (
        "no route",
        LATER,
        {"waiting": 2},
    )
    assert claim(outbox, LATER) == ["run_1", "run_2"]


def test_a_retry_is_due_at_once(records_of: Callable[..., SqlRecords], outbox: SqlOutbox) -> None:
    """A person's retry ends the rest, and takes rejected rows only when asked to."""
    finish(records_of("a"), "run_1", "run_2")
    claim(outbox)
    first, second = outbox.rows()
    outbox.settle(first.id, "rejected", NOW, error="400")
    outbox.postpone([second.id], "w", LATER, "no route")
    assert claim(outbox) == []
    assert outbox.retry("a", ["waiting"]) == 1
    assert claim(outbox) == ["run_2"]
    assert outbox.retry("a", ["rejected"]) == 1
    assert claim(outbox, LATER + SECOND) == ["run_1", "run_2"]


# --- receipts --------------------------------------------------------------------------------


@pytest.fixture
def sent(records_of: Callable[..., SqlRecords], outbox: SqlOutbox) -> OutboxRow:
    """Return a run that was sent."""
    finish(records_of("a"), "run_1")
    claim(outbox)
    outbox.settle(outbox.rows()[0].id, "sent", NOW, receipt={"spans": ["1"]})
    return outbox.rows()[0]


def test_what_was_sent_is_read_back_until_it_is_there(sent: OutboxRow, outbox: SqlOutbox) -> None:
    """A sent run is looked at after a while, again when it differs, no more when it is there."""
    assert (sent.state, sent.attempts, sent.sent_at, sent.receipt) == (
        "sent",
        1,
        NOW,
        {"spans": ["1"]},
    )
    assert outbox.unconfirmed("a", NOW - SECOND, NOW, limit=9) == []
    assert [r.run for r in outbox.unconfirmed("a", NOW, NOW, limit=9)] == ["run_1"]
    outbox.differing(sent.id, {"missing": ["1"]}, LATER)
    assert outbox.unconfirmed("a", NOW, NOW, limit=9) == []
    assert outbox.unconfirmed("a", NOW, LATER, limit=9)[0].receipt == {"missing": ["1"]}
    outbox.confirmed(sent.id, {"seen": 1})
    assert outbox.rows()[0].state == "confirmed"
    assert outbox.unconfirmed("a", LATER, LATER, limit=9) == []


def test_what_is_to_be_forgotten_is_not_read_back(
    sent: OutboxRow, store: Store, outbox: SqlOutbox
) -> None:
    """A run that the sink was asked to forget is not expected to be there."""
    with store.write() as connection:
        connection.exec_driver_sql(
            f"INSERT INTO outbox (sink, run, kind) VALUES ('a', '{sent.run}', 'forget')"
        )
    assert outbox.unconfirmed("a", NOW, NOW, limit=9) == []
    assert claim(outbox) == ["run_1"]
