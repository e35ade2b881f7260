"""Runs, conversations, parked turns, hand-offs and the journal: one suite, two engines."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, insert, select, update

from staid.domain.errors import ConversationNotFound, RunBusy, RunNotFound, SchemaNewer
from staid.domain.events import Content, Event, EventKind
from staid.domain.ids import ConversationId, HandoffId, RunId
from staid.domain.label import Label
from staid.domain.principal import Actor
from staid.domain.records import Ending, Handoff, RunStart
from staid.store import tables
from staid.store.engine import Store
from staid.store.journal import Journal
from staid.store.runs import SqlRecords
from staid.store.schema import HEAD, prepare, version

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(minutes=15)
KEY = b"a key of the tests"
ADA = Actor("human", "user:ada", "os-user")
WRITERS = 8


@pytest.fixture
def journal(store: Store) -> Journal:
    """Give the journal of a fresh store."""
    return Journal(store, KEY)


@pytest.fixture
def records(store: Store, journal: Journal) -> SqlRecords:
    """Give the records of a fresh store."""
    return SqlRecords(store, journal)


def start(run: str = "run_1", **changed: Any) -> RunStart:
    """Return a run about to begin."""
    given = RunStart(RunId(run), ConversationId(f"cnv_{run}"), "support", "user:ada", NOW)
    return replace(given, **changed)


def fact(kind: EventKind = EventKind.FLOOR_COMPARED, body: str | None = None, **fact: Any) -> Event:
    """Return one fact, with content where there is a body."""
    content = Content({"question": body}, Label.of([["user:ada"]]), "user:ada") if body else None
    return Event(kind, NOW, ADA, fact, content)


def begun(body: str = "What?") -> list[Event]:
    """Return the first fact of a run."""
    return [fact(EventKind.RUN_STARTED, body, agent="support")]


def ending(state: str = "released", outcome: str = "answer") -> Ending:
    """Return how a run ends."""
    return Ending(state, outcome, None, 0.75, LATER)


def complete(records: SqlRecords, run: str, **changed: Any) -> None:
    """Record a whole run."""
    assert records.begin(start(run, **changed), begun(f"What of {run}?")) is None
    records.append(RunId(run), [fact(number=n) for n in range(3)])
    records.release(RunId(run), ending(), [fact(EventKind.OUTCOME_DECIDED)], None)


def test_what_was_written_is_read_back(records: SqlRecords) -> None:
    """A run and its facts come back as they were given, in order, with label, actor and content."""
    complete(records, "run_1")
    record = records.run("run_1")
    assert (record.state, record.outcome, record.confidence) == ("released", "answer", 0.75)
    assert (record.started_at, record.ended_at) == (NOW, LATER)
    rows = records.rows("run_1")
    assert [row.seq for row in rows] == [1, 2, 3, 4, 5]
    assert rows[0].body == {"question": "What of run_1?"}
    assert rows[0].label == Label.of([["user:ada"]])
    assert rows[0].actor == ADA
    assert [row.fact.get("number") for row in rows[1:4]] == [0, 1, 2]
    assert rows[1].at == "2026-05-01T12:00:00.000000Z"


def test_lookups_of_nothing(records: SqlRecords) -> None:
    """An unknown run is an error, an unknown conversation is one about to begin."""
    with pytest.raises(RunNotFound):
        records.run("run_1")
    assert records.rows("run_1") == []
    assert records.conversation("cnv_1", "user:ada") == []
    assert records.runs() == []
    assert records.handoffs() == []


def test_runs_are_listed_newest_first(records: SqlRecords) -> None:
    """The newest run comes first, and a state narrows the list."""
    for number in range(3):
        records.begin(start(f"run_{number}", at=NOW + timedelta(seconds=number)), begun())
    records.release(RunId("run_1"), ending(), [], None)
    assert [r.run for r in records.runs(limit=2)] == ["run_2", "run_1"]
    assert [r.run for r in records.runs(state="running")] == ["run_2", "run_0"]


def test_a_conversation_belongs_to_its_asker(records: SqlRecords) -> None:
    """Nobody else joins or reads it, and the refused run leaves nothing behind."""
    complete(records, "run_1", conversation=ConversationId("c"))
    records.begin(start("run_2", conversation=ConversationId("c")), begun())
    assert [r.run for r in records.conversation("c", "user:ada")] == ["run_1"]
    with pytest.raises(ConversationNotFound):
        records.conversation("c", "user:bob")
    with pytest.raises(ConversationNotFound):
        records.begin(start("run_3", conversation=ConversationId("c"), asker="user:bob"), begun())
    with pytest.raises(RunNotFound):
        records.run("run_3")
    assert records.rows("run_3") == []


def test_a_key_is_one_run_of_one_asker_and_agent(records: SqlRecords) -> None:
    """The same key returns the earlier run; another asker or agent has keys of its own."""
    assert records.begin(start("run_1", key="k", question_digest="d"), begun()) is None
    earlier = records.begin(start("run_2", key="k"), begun())
    assert earlier is not None
    assert (earlier.run, earlier.question_digest) == ("run_1", "d")
    assert records.rows("run_2") == []
    assert records.begin(start("run_3", key="k", asker="user:bob"), begun()) is None
    assert records.begin(start("run_4", key="k", agent="desk"), begun()) is None


@pytest.mark.parametrize("kind", [EventKind.CALL_CLAIMED, EventKind.CALL_EXECUTED])
def test_a_failed_run_frees_its_key_unless_it_acted(records: SqlRecords, kind: EventKind) -> None:
    """A claimed call may have changed the world: then the key stays with the run that failed."""
    acted = kind is EventKind.CALL_CLAIMED
    records.begin(start("run_1", key="k"), [*begun(), fact(kind, call="cal_1")])
    assert records.acted(RunId("run_1")) is acted
    records.fail(RunId("run_1"), LATER, [fact(why="gone")], "ST-999")
    assert records.run("run_1").state == "failed"
    earlier = records.begin(start("run_2", key="k"), begun())
    assert (earlier.run if earlier else None) == ("run_1" if acted else None)


def test_a_released_run_is_over(records: SqlRecords, journal: Journal) -> None:
    """It is neither released twice nor failed afterwards, and a refused release adds no fact."""
    complete(records, "run_1")
    with pytest.raises(RunBusy):
        records.release(RunId("run_1"), ending(outcome="refusal"), [fact()], None)
    records.fail(RunId("run_1"), LATER, [], "ST-999")
    record = records.run("run_1")
    assert (record.state, record.outcome, len(records.rows("run_1"))) == ("released", "answer", 5)
    assert journal.verify() == []


def test_one_at_a_time_carries_a_parked_run_on(records: SqlRecords) -> None:
    """A claim excludes everybody, its own worker too, until it is given back or lapses."""
    records.begin(start(), begun())
    run, state = RunId("run_1"), {"version": 1, "messages": [{"text": "a — b"}]}
    records.park(run, state, ending("parked", "pending"), [fact(EventKind.OUTCOME_DECIDED)])
    assert records.run("run_1").state == "parked"
    assert records.unpark(run, "one", NOW, LATER) == state
    for worker in ("one", "two"):
        with pytest.raises(RunBusy):
            records.unpark(run, worker, NOW, LATER)
    records.set_down(run, "two")
    with pytest.raises(RunBusy):
        records.unpark(run, "two", NOW, LATER)
    records.set_down(run, "one")
    assert records.unpark(run, "two", NOW, LATER) == state
    lapsed, until = LATER + timedelta(seconds=1), LATER + timedelta(hours=1)
    assert records.unpark(run, "three", lapsed, until) == state
    records.release(run, ending(), [], None)
    with pytest.raises(RunBusy):
        records.unpark(run, "four", LATER + timedelta(days=1), LATER + timedelta(days=2))


def test_parking_again_replaces_the_state(records: SqlRecords) -> None:
    """A run that waits on keeps its newest state alone, and may be claimed at once."""
    records.begin(start(), begun())
    run = RunId("run_1")
    for number in (1, 2):
        records.park(run, {"n": number}, ending("parked", "pending"), [])
        assert records.unpark(run, f"w{number}", NOW, LATER) == {"n": number}


def test_handoffs_are_answered_once(records: SqlRecords, journal: Journal) -> None:
    """A hand-off comes with its question and is answered once; the run is sealed anew."""
    records.begin(start(), begun("Who sings?"))
    handoff = Handoff(HandoffId("hof_1"), RunId("run_1"), "user:ada", "weak", "Who sings?", NOW)
    records.release(RunId("run_1"), ending(outcome="abstention"), [], handoff)
    assert records.handoffs(state="open") == [handoff]
    event = fact(EventKind.HANDOFF_ANSWERED, handoff="hof_1")
    assert records.answer_handoff(handoff, "user:lead", LATER, [event]) is True
    assert records.answer_handoff(handoff, "user:bob", LATER, [event]) is False
    answered = records.handoffs(state="answered")[0]
    assert (answered.answered_by, answered.answered_at) == ("user:lead", LATER)
    assert records.handoffs(state="open") == []
    assert [row.kind for row in records.rows("run_1")].count(EventKind.HANDOFF_ANSWERED) == 1
    assert journal.verify() == []


def test_a_failed_transaction_leaves_nothing(store: Store, records: SqlRecords) -> None:
    """Facts, hand-off and state of a release are one: when one part cannot be written none is."""
    records.begin(start(), begun())
    handoff = Handoff(HandoffId("hof_1"), RunId("run_1"), "user:ada", "weak", "?", NOW)
    records.begin(start("run_2"), begun())
    records.release(RunId("run_2"), ending(), [], handoff)
    with pytest.raises(Exception, match="ST-110"):  # the id is taken
        records.release(RunId("run_1"), ending(), [fact()], handoff)
    assert (records.run("run_1").state, len(records.rows("run_1"))) == ("running", 1)
    records.release(RunId("run_1"), ending(), [fact()], None)


def test_equal_content_is_kept_once_and_read_everywhere(store: Store, records: SqlRecords) -> None:
    """Two runs that show the same passage share its content row."""
    for run in ("run_1", "run_2"):
        records.begin(start(run), [fact(EventKind.PASSAGE_KEPT, "the same words")])
    with store.read() as connection:
        assert len(connection.execute(select(tables.content)).all()) == 1
    assert records.rows("run_2")[0].body == {"question": "the same words"}


# --- proof ---------------------------------------------------------------------------------


def _fact(connection: Any) -> None:
    row = tables.journal.c
    connection.execute(
        update(tables.journal).where(row.run == "run_2", row.seq == 3).values(fact='{"number":9}')
    )


def _row_gone(connection: Any) -> None:
    row = tables.journal.c
    connection.execute(delete(tables.journal).where(row.run == "run_2", row.seq == 3))


def _last_gone(connection: Any) -> None:
    row = tables.journal.c
    connection.execute(delete(tables.journal).where(row.run == "run_2", row.seq == 5))


def _swapped(connection: Any) -> None:
    row = tables.journal.c
    for old, new in ((2, 99), (3, 2), (99, 3)):
        moved = update(tables.journal).where(row.run == "run_2", row.seq == old)
        connection.execute(moved.values(seq=new))


def _run_gone(connection: Any) -> None:
    connection.execute(delete(tables.journal).where(tables.journal.c.run == "run_2"))


def _seal_gone(connection: Any) -> None:
    connection.execute(delete(tables.seal).where(tables.seal.c.run == "run_2"))


def _last_seal_gone(connection: Any) -> None:
    connection.execute(delete(tables.seal).where(tables.seal.c.run == "run_3"))


def _seal_altered(connection: Any) -> None:
    connection.execute(update(tables.seal).where(tables.seal.c.seq == 1).values(run="run_3"))


def _content(connection: Any) -> None:
    body = json.dumps({"question": "What of run_9?"})
    table = tables.content
    connection.execute(update(table).where(table.c.body.contains("run_2")).values(body=body))


def _content_label(connection: Any) -> None:
    table = tables.content
    public = Label.of([["public"]]).key
    connection.execute(update(table).where(table.c.body.contains("run_2")).values(label=public))


def _content_gone(connection: Any) -> None:
    connection.execute(delete(tables.content).where(tables.content.c.body.contains("run_2")))


def _kind(connection: Any) -> None:
    row = tables.journal.c
    where = update(tables.journal).where(row.run == "run_2", row.seq == 5)
    connection.execute(where.values(kind="erased"))


def _actor(connection: Any) -> None:
    row = tables.journal.c
    where = update(tables.journal).where(row.run == "run_2", row.seq == 1)
    connection.execute(where.values(actor='{"kind":"human","name":"user:eve"}'))


def _time(connection: Any) -> None:
    row = tables.journal.c
    where = update(tables.journal).where(row.run == "run_2", row.seq == 1)
    connection.execute(where.values(at="2020-01-01T00:00:00.000000Z"))


def _appended(connection: Any) -> None:
    last = connection.execute(
        select(tables.journal).where(tables.journal.c.run == "run_2", tables.journal.c.seq == 5)
    ).one()
    forged = {**last._mapping, "seq": 6, "prev": last.hash}
    connection.execute(insert(tables.journal).values(forged))


TAMPERING = [
    _fact, _row_gone, _last_gone, _swapped, _run_gone, _seal_gone, _last_seal_gone, _seal_altered,
    _content, _content_label, _content_gone, _kind, _actor, _time, _appended,
]  # fmt: skip


@pytest.mark.parametrize("tamper", TAMPERING)
def test_tampering_is_found(
    store: Store, records: SqlRecords, journal: Journal, tamper: Callable[[Any], None]
) -> None:
    """Whatever is changed, removed, moved or added in the record is found, and named by its run."""
    for run in ("run_1", "run_2", "run_3"):
        complete(records, run)
    assert journal.verify() == []
    with store.write() as connection:
        tamper(connection)
    findings = journal.verify()
    assert findings
    assert {"run_2", "run_3"} & {finding.run for finding in findings}


def test_a_parked_run_cannot_lose_its_end(
    store: Store, records: SqlRecords, journal: Journal
) -> None:
    """What waits for months is sealed, too: cutting its last fact off is found."""
    records.begin(start(), begun())
    records.park(RunId("run_1"), {}, ending("parked", "pending"), [fact(), fact()])
    assert journal.verify() == []
    with store.write() as connection:
        row = tables.journal.c
        connection.execute(delete(tables.journal).where(row.run == "run_1", row.seq == 3))
    assert [finding.run for finding in journal.verify()] == ["run_1"]


def test_another_key_verifies_nothing(store: Store, records: SqlRecords) -> None:
    """The chain can only be made and checked with the key: another one finds every row altered."""
    complete(records, "run_1")
    assert len(Journal(store, b"another").verify()) >= 5


# --- many writers --------------------------------------------------------------------------


def test_eight_writers_fork_no_chain(url: str) -> None:
    """Eight connections that write runs at once leave whole chains, and seals numbered in order."""
    stores = [Store(url) for _ in range(WRITERS)]

    def write(number: int) -> None:
        records = SqlRecords(stores[number], Journal(stores[number], KEY))
        for turn in range(5):
            complete(records, f"run_{number}_{turn}", conversation=ConversationId("shared"))

    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(write, range(WRITERS)))
    journal = Journal(stores[0], KEY)
    assert journal.verify() == []
    with stores[0].read() as connection:
        seals = connection.execute(select(tables.seal).order_by(tables.seal.c.seq)).all()
        assert len(connection.execute(select(tables.run)).all()) == WRITERS * 5
    assert [seal.seq for seal in seals] == list(range(1, WRITERS * 5 + 1))
    for store in stores:
        store.close()


def test_many_writers_of_one_run_take_turns(url: str) -> None:
    """An approver, a worker and a giver of feedback at one run: no fork, no gap, no deadlock."""
    stores = [Store(url) for _ in range(WRITERS)]
    first = SqlRecords(stores[0], Journal(stores[0], KEY))
    first.begin(start(), begun())

    def write(number: int) -> None:
        records = SqlRecords(stores[number], Journal(stores[number], KEY))
        for turn in range(5):
            if number % 2:
                records.append(RunId("run_1"), [fact(number=number, turn=turn)])
                records.seal("run_1")
            else:
                records.note("run_1", [fact(number=number, turn=turn)])

    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(write, range(WRITERS)))
    rows = first.rows("run_1")
    assert [row.seq for row in rows] == list(range(1, 5 * WRITERS + 2))
    assert Journal(stores[0], KEY).verify() == []
    for store in stores:
        store.close()


def test_one_key_at_once_is_one_run(url: str) -> None:
    """Eight askers with the same key at the same moment begin one run, and all learn which."""
    stores = [Store(url) for _ in range(WRITERS)]

    def begin(number: int) -> str | None:
        records = SqlRecords(stores[number], Journal(stores[number], KEY))
        given = start(f"run_{number}", key="k", conversation=ConversationId("c"))
        earlier = records.begin(given, begun())
        return earlier.run if earlier else None

    for _ in range(3):
        with ThreadPoolExecutor(WRITERS) as pool:
            told = list(pool.map(begin, range(WRITERS)))
        assert told.count(None) == 1
        assert len({run for run in told if run}) == 1
        with stores[0].write() as connection:
            for table in (tables.run, tables.conversation):
                connection.execute(delete(table))
            connection.execute(delete(tables.journal))
    for store in stores:
        store.close()


def test_a_parked_run_is_claimed_by_one_of_eight(url: str) -> None:
    """Eight resumes at once: one claim, seven are told that the run is busy."""
    stores = [Store(url) for _ in range(WRITERS)]
    first = SqlRecords(stores[0], Journal(stores[0], KEY))
    first.begin(start(), begun())
    first.park(RunId("run_1"), {}, ending("parked", "pending"), [])

    def claim(number: int) -> bool:
        try:
            records = SqlRecords(stores[number], Journal(stores[number], KEY))
            records.unpark(RunId("run_1"), f"w{number}", NOW, LATER)
        except RunBusy:
            return False
        return True

    with ThreadPoolExecutor(WRITERS) as pool:
        assert sum(pool.map(claim, range(WRITERS))) == 1
    for store in stores:
        store.close()


# --- schema --------------------------------------------------------------------------------


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def empty_url(request: pytest.FixtureRequest, tmp_path: Any) -> Any:
    """Give the URL of a store without any table."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/empty.db"
        return
    server = request.getfixturevalue("postgres")
    with server.database() as fresh:
        yield fresh


def test_eight_processes_open_an_empty_store(empty_url: str) -> None:
    """Whoever comes first makes the tables, everybody else finds them: nobody fails."""
    stores = [Store(empty_url) for _ in range(WRITERS)]
    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(prepare, stores))
    assert [version(store) for store in stores] == [HEAD] * WRITERS
    complete(SqlRecords(stores[0], Journal(stores[0], KEY)), "run_1")
    for store in stores:
        store.close()


def test_a_newer_schema_is_refused(empty_url: str) -> None:
    """A store of a later release is not touched."""
    store = Store(empty_url)
    prepare(store)
    with store.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SchemaNewer):
        prepare(store)
    assert version(store) == "9999"
    store.close()
