"""Finding runs by words, by what they used, by how they ended: one suite, two engines."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Connection, select

from staid.domain.errors import RunNotFound
from staid.domain.errors.search import TextWithoutWords
from staid.domain.events import Content, Event, EventKind
from staid.domain.finding import RunSearch, Suspect
from staid.domain.ids import ConversationId, RunId
from staid.domain.label import Label
from staid.domain.principal import Actor
from staid.domain.records import Ending, RunStart
from staid.store import tables
from staid.store.engine import Store
from staid.store.interrupted import InterruptedRuns
from staid.store.journal import Journal
from staid.store.projections import forget, rebuild, scrub
from staid.store.runs import SqlRecords
from staid.store.search import SqlSearch
from staid.tracing.days import summary

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
KEY = b"a key of the tests"
STAID = Actor("service", "staid")
SHA = "3f9a0c11d2" * 6


@pytest.fixture
def records(store: Store) -> SqlRecords:
    """Give the records of a fresh store."""
    return SqlRecords(store, Journal(store, KEY))


@pytest.fixture
def search(store: Store) -> SqlSearch:
    """Give the search of the same store."""
    return SqlSearch(store)


def fact(
    kind: EventKind,
    at: datetime,
    subject: str = "",
    body: dict[str, Any] | None = None,
    **told: Any,
) -> Event:
    """Return one fact, with content where there is a body."""
    content = Content(body, Label.of([["user:ada"]]), subject) if body else None
    return Event(kind, at, STAID, told, content)


def begun(records: SqlRecords, run: str) -> None:
    """Begin a run and leave it there."""
    start = RunStart(RunId(run), ConversationId(f"cnv_{run}"), "support", "user:ada", NOW)
    asked = fact(EventKind.RUN_STARTED, NOW, "user:ada", {"question": "?"}, agent="support")
    assert records.begin(start, [asked]) is None


def ask(  # noqa: PLR0913 - what a test says of a run
    records: SqlRecords,
    run: str,
    question: str = "What of it?",
    answer: str = "This of it.",
    *,
    at: datetime = NOW,
    asker: str = "user:ada",
    agent: str = "support",
    outcome: str = "answer",
    reason: str | None = None,
    confidence: float = 0.75,
    waits: bool = False,
    more: tuple[Event, ...] = (),
) -> None:
    """Record a whole run that said this, in two seconds, with one request to a model."""
    start = RunStart(RunId(run), ConversationId(f"cnv_{run}"), agent, asker, at)
    began = fact(EventKind.RUN_STARTED, at, asker, {"question": question}, agent=agent)
    assert records.begin(start, [began]) is None
    model = fact(
        EventKind.MODEL_RETURNED, at, model="m", input_tokens=100, output_tokens=7, cost="0.002"
    )
    records.append(RunId(run), [*more, model])
    late = at + timedelta(seconds=2)
    ended = [
        fact(
            EventKind.OUTCOME_DECIDED,
            late,
            asker,
            {"text": answer},
            outcome=outcome,
            reason=reason,
            confidence=confidence,
        ),
        fact(EventKind.OUTCOME_RELEASED, late, outcome=outcome),
    ]
    ending = Ending("parked" if waits else "released", outcome, reason, confidence, late)
    if waits:
        records.park(RunId(run), {}, ending, ended)
    else:
        records.release(RunId(run), ending, ended, None)


def kept(document: str, version: str = SHA, source: str = "help") -> Event:
    """Return the fact that a passage of this document was kept."""
    return fact(
        EventKind.PASSAGE_KEPT, NOW, source=source, document=document, version=version, chunk="c"
    )


def found(search: SqlSearch, **wanted: Any) -> list[str]:
    """Return the ids of the runs that fit."""
    return [record.run for record in search.runs(RunSearch(**wanted))]


def test_words_that_were_said_are_found(records: SqlRecords, search: SqlSearch) -> None:
    """Words in a row are found whatever their case, accents and punctuation, the last one begun."""
    ask(
        records,
        "run_1",
        "Können Café-Gäste 1.000,50 € zahlen?",
        "Refunds take thirty days, always.",
    )
    ask(records, "run_2", "Is 返金 possible here?", "No days of thirty refunds.", asker="user:bob")
    for phrase in (
        "konnen cafe gaste",
        "CAFÉ gä",
        "1.000,50",
        "refunds take thir",
        "thirty days always",
    ):
        assert [s.run for s in search.said(phrase)] == ["run_1"], phrase
    assert [(s.run, s.seq, s.role) for s in search.said("金 poss")] == [("run_2", 1, "asker")]
    assert [s.role for s in search.said("refunds take")] == ["agent"]
    assert search.said("thirty take") == []
    assert search.said("irty days") == []
    assert search.said("days", to="user:bob")[0].run == "run_2"
    assert search.said("always", to="user:bob") == []


def test_nothing_to_look_for_is_an_error(search: SqlSearch) -> None:
    """A text without a word is told so; operators of an engine's own language are only words."""
    for nothing in ("", " ?! ", "…", "_"):
        with pytest.raises(TextWithoutWords):
            search.said(nothing)
    for hostile in (
        '" OR 1',
        "a' | 'b",
        "NEAR(a b)",
        "text:a",
        "a:*",
        "\\ a",
        "a\x00b",
        "\ud800 a",
    ):
        assert search.said(hostile) == []


def test_everything_said_is_searchable(records: SqlRecords, search: SqlSearch) -> None:
    """Question, outcome, a teammate's answer and the comment of a vote are found, each by role."""
    ask(records, "run_1", "alpha", "beta")
    records.note(
        RunId("run_1"),
        [
            fact(EventKind.HANDOFF_ANSWERED, NOW, "user:ada", {"text": "gamma"}, handoff="hof_1"),
            fact(EventKind.FEEDBACK_GIVEN, NOW, "user:ada", {"comment": "delta"}, vote="down"),
            fact(EventKind.MODEL_REQUESTED, NOW, "user:ada", {"messages": "epsilon"}, model="m"),
        ],
    )
    words = ("alpha", "beta", "gamma", "delta")
    roles = ("asker", "agent", "teammate", "feedback")
    assert tuple(search.said(word)[0].role for word in words) == roles
    assert search.said("epsilon") == []


def test_several_matches_come_newest_first(records: SqlRecords, search: SqlSearch) -> None:
    """The order is that of the runs, not of the writing."""
    for number in (2, 0, 1):
        ask(records, f"run_{number}", "the same words", at=NOW + timedelta(hours=number))
    assert [s.run for s in search.said("the same")] == ["run_2", "run_1", "run_0"]
    assert [s.run for s in search.said("the same", limit=1)] == ["run_2"]


def test_frequent_words_are_found_alike(
    records: SqlRecords, search: SqlSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the words or from the newest runs: the way taken changes nothing in the result."""
    ask(records, "run_1", "Refunds take thirty days", "No, forty.")
    ask(records, "run_2", "take thirty", "Take 30, days", at=NOW + timedelta(hours=1))
    phrases = (
        "take thirty",
        "TAKE thir",
        "take",
        "ake thirty",
        "thirty take",
        "30 d",
        "days",
        "no",
    )

    def answers() -> list[tuple[Any, ...]]:
        return [
            (search.said(p), search.said(p, to="user:ada"), found(search, text=p)) for p in phrases
        ]

    seldom = answers()
    monkeypatch.setattr("staid.store.search.MOST", 0)
    assert answers() == seldom
    assert [bool(said) for said, _, _ in seldom] == [
        True,
        True,
        True,
        False,
        False,
        True,
        True,
        True,
    ]


def test_every_filter_narrows(records: SqlRecords, search: SqlSearch) -> None:
    """Each filter keeps what fits and drops what does not, alone and together."""
    call = fact(EventKind.CALL_PROPOSED, NOW, tool="refund.issue", call="cal_1")
    rule = fact(EventKind.CALL_RULED, NOW, tool="refund.issue", rule="above-100", ruling="ask")
    ask(records, "run_1", "alpha", more=(kept("a.md"), call, rule), confidence=0.9)
    ask(
        records,
        "run_2",
        "alpha beta",
        at=NOW + timedelta(days=1),
        asker="user:bob",
        agent="desk",
        outcome="abstention",
        reason="weak",
        confidence=0.2,
        more=(kept("b.md"),),
    )
    ask(records, "run_3", "gamma", at=NOW + timedelta(days=2), outcome="pending", waits=True)
    narrowed: list[tuple[dict[str, Any], list[str]]] = [
        ({}, ["run_3", "run_2", "run_1"]),
        ({"asker": "user:bob"}, ["run_2"]),
        ({"agent": "desk"}, ["run_2"]),
        ({"outcome": "answer"}, ["run_1"]),
        ({"reason": "weak"}, ["run_2"]),
        ({"state": "parked"}, ["run_3"]),
        ({"rule": "above-100"}, ["run_1"]),
        ({"tool": "refund.issue"}, ["run_1"]),
        ({"tool": "refund"}, []),
        ({"document": "b.md"}, ["run_2"]),
        ({"document": "help/a.md"}, ["run_1"]),
        ({"document": "a.md@" + SHA}, ["run_1"]),
        ({"since": NOW + timedelta(days=1)}, ["run_3", "run_2"]),
        ({"until": NOW + timedelta(days=1)}, ["run_1"]),
        ({"confidence_below": 0.75}, ["run_2"]),
        ({"text": "alpha"}, ["run_2", "run_1"]),
        ({"text": "alpha", "asker": "user:ada", "outcome": "answer"}, ["run_1"]),
        ({"text": "alpha", "document": "b.md", "asker": "user:ada"}, []),
    ]
    for wanted, runs in narrowed:
        assert found(search, **wanted) == runs, wanted


def test_pages_neither_skip_nor_repeat(records: SqlRecords, search: SqlSearch) -> None:
    """Pages join to the whole list, also where runs began at one moment and others come between."""
    for number in range(7):
        ask(records, f"run_{number}", at=NOW + timedelta(seconds=number // 3))
    whole = found(search)
    paged: list[str] = []
    while True:
        page = found(search, limit=2, after=paged[-1] if paged else None)
        if not page:
            break
        paged += page
        ask(records, f"run_new{len(paged)}", at=NOW + timedelta(hours=1))
    assert paged == whole
    with pytest.raises(RunNotFound):
        found(search, after="run_none")


def test_a_blast_radius_is_exact(records: SqlRecords, search: SqlSearch) -> None:
    """Runs, principals and outcomes that used one version, a source's document, within a time."""
    old, new = "a" * 64, "b" * 64
    ask(records, "run_1", more=(kept("a.md", old), kept("a.md", old)))
    ask(records, "run_2", at=NOW + timedelta(hours=1), more=(kept("a.md", new), kept("a.md", old)))
    ask(
        records,
        "run_3",
        at=NOW + timedelta(hours=2),
        asker="user:bob",
        outcome="abstention",
        reason="weak",
        more=(kept("a.md", new, "wiki"),),
    )
    ask(records, "run_4", at=NOW + timedelta(hours=3), more=(kept("ba.md", new),))

    def radius(name: str, **more: Any) -> list[str]:
        return [
            t.run.run for t in search.impact(Suspect(kind="document", name=name, **more)).newest
        ]

    assert radius("a.md") == ["run_3", "run_2", "run_1"]
    assert radius(f"a.md@{new}") == ["run_3", "run_2"]
    assert radius("a.md@aaaaaaaa") == ["run_2", "run_1"]
    assert radius("a.md@aaaa") == []
    assert radius("help/a.md") == ["run_2", "run_1"]
    assert radius(f"wiki/a.md@{new}") == ["run_3"]
    assert radius("a.md", since=NOW + timedelta(seconds=1)) == []
    assert radius("a.md", until=NOW + timedelta(seconds=1)) == ["run_3", "run_2", "run_1"]
    whole = search.impact(Suspect(kind="document", name="a.md"), limit=1)
    assert (whole.runs, len(whole.newest)) == (3, 1)
    assert whole.principals == {"user:ada": 2, "user:bob": 1}
    assert whole.outcomes == {"answer": 2, "abstention": 1}
    second = search.impact(Suspect(kind="document", name="a.md")).newest[1]
    assert second.versions == (old, new)
    assert search.impact(Suspect(kind="tool", name="a.md")).runs == 0


def test_every_kind_of_suspect_has_a_radius(records: SqlRecords, search: SqlSearch) -> None:
    """Prompts by version, tools, rules, models and calibrations are found by their names."""
    ask(
        records,
        "run_1",
        more=(
            fact(EventKind.PROMPT_RENDERED, NOW, name="prompts/a.md", sha256=SHA),
            fact(
                EventKind.PROMPT_RENDERED,
                NOW,
                name="prompts/b.md",
                version=12,
                sha256=SHA,
                pins=[{"name": "staid/draft", "version": 3, "sha256": SHA}],
            ),
            fact(EventKind.MODEL_REQUESTED, NOW, model="openai:gpt"),
            fact(EventKind.CALL_PROPOSED, NOW, tool="refund.issue"),
            fact(EventKind.CALL_RULED, NOW, rule="above-100"),
            fact(EventKind.FLOOR_COMPARED, NOW, calibration="cal-1"),
        ),
    )
    for kind, name in [
        ("prompt", "prompts/a.md"),
        ("prompt", f"prompts/a.md@{SHA[:8]}"),
        ("prompt", "prompts/b.md@12"),
        ("prompt", "staid/draft@3"),
        ("model", "openai:gpt"),
        ("model", "m"),
        ("tool", "refund.issue"),
        ("rule", "above-100"),
        ("calibration", "cal-1"),
    ]:
        assert search.impact(Suspect(kind=kind, name=name)).runs == 1, (kind, name)
        assert search.impact(Suspect(kind=kind, name=name + "x")).runs == 0, (kind, name)


def test_days_are_rolled_up(records: SqlRecords, search: SqlSearch) -> None:
    """Runs count once, on the day they ended, with waiting, tokens and money summed exactly."""
    ask(records, "run_1", confidence=0.9)
    ask(records, "run_2", confidence=0.95)
    ask(records, "run_3", outcome="abstention", reason="weak", confidence=0.2)
    ask(records, "run_4", at=NOW + timedelta(days=1), agent="desk")
    ask(records, "run_5", at=NOW, outcome="pending", waits=True)
    days = search.ended()
    assert [(d.day, d.agent, d.outcome, d.reason, d.band, d.runs) for d in days] == [
        ("2026-05-01", "support", "abstention", "weak", 2, 1),
        ("2026-05-01", "support", "answer", "", 9, 2),
        ("2026-05-02", "desk", "answer", "", 7, 1),
    ]
    both = days[1]
    assert (both.confidence, both.latency, both.cost) == (1.85, 4.0, Decimal("0.004"))
    assert (both.requests, both.input_tokens, both.output_tokens) == (2, 200, 14)
    late = fact(EventKind.OUTCOME_RELEASED, NOW + timedelta(days=9), outcome="answer")
    decided = fact(EventKind.OUTCOME_DECIDED, late.at, outcome="answer", confidence=0.75)
    ending = Ending("released", "answer", None, 0.75, late.at)
    records.release(RunId("run_5"), ending, [decided, late], None)
    last = search.ended(since=NOW + timedelta(days=2))
    assert [(d.day, d.runs, d.latency) for d in last] == [("2026-05-10", 1, 2.0)]
    assert [d.day for d in search.ended(agent="desk")] == ["2026-05-02"]
    assert {d.day for d in search.ended(until=NOW + timedelta(days=1))} == {"2026-05-01"}


def test_failed_runs_are_counted_by_their_code(
    records: SqlRecords, search: SqlSearch, store: Store
) -> None:
    """A run without an outcome counts once, as failed, on its day; one that goes on does not."""
    ask(records, "run_1", confidence=0.9)
    for run in ("run_2", "run_3"):
        begun(records, run)
        records.fail(RunId(run), NOW + timedelta(seconds=3), [], "ST-701")
    records.fail(RunId("run_3"), NOW, [], "ST-701")  # it is over: nothing is added
    ask(records, "run_4", outcome="pending", waits=True)
    records.fail(RunId("run_4"), NOW, [], "ST-701")  # it waits: its resume may be tried again
    begun(records, "run_5")
    silent = InterruptedRuns(store, Journal(store, KEY))
    cut_off = fact(EventKind.RUN_INTERRUPTED, NOW, reason="interrupted")
    assert silent.close("run_5", NOW + timedelta(days=1), NOW, [cut_off])
    found = [(d.outcome, d.reason, d.runs, d.latency, d.confidence) for d in search.ended()]
    assert found == [
        ("answer", "", 1, 2.0, 0.9),
        ("failed", "ST-701", 2, 6.0, 0.0),
        ("failed", "interrupted", 1, 0.0, 0.0),
    ]
    told = summary(search.ended())
    assert (told["runs"], told["outcomes"]["failed"]) == (4, 3)
    assert (told["abstention_rate"], told["confidence"], told["latency_s"]) == (0.0, 0.9, 2.0)
    assert [r.run for r in search.runs(RunSearch(reason="ST-701"))] == ["run_3", "run_2"]
    before = dump(store)
    rebuild(store)
    assert dump(store) == before


def dump(store: Store) -> list[list[tuple[Any, ...]]]:
    """Return every row of every projection, without the numbers that the engine gives."""
    said = tables.said.c
    queries = [
        select(said.run, said.seq, said.role, said.content, said.text).order_by(said.run, said.seq),
        select(tables.used).order_by(*tables.used.primary_key.columns),
        select(tables.rollup).order_by(*tables.rollup.primary_key.columns),
    ]
    with store.read() as connection:
        return [[tuple(row) for row in connection.execute(query)] for query in queries]


def test_a_rebuild_changes_nothing(records: SqlRecords, search: SqlSearch, store: Store) -> None:
    """What was projected fact by fact is what the whole journal projects to; twice, too."""
    ask(records, "run_1", "alpha", more=(kept("a.md"), kept("b.md")))
    ask(records, "run_2", "beta", outcome="abstention", reason="weak", asker="user:bob")
    ask(records, "run_3", "gamma", outcome="pending", waits=True)
    before = dump(store)
    assert all(before)
    assert rebuild(store) == 3
    assert dump(store) == before
    with store.write() as connection:
        for table in (tables.said, tables.used, tables.rollup):
            connection.execute(table.delete())
    assert search.said("alpha") == []
    assert rebuild(store) == 3
    assert dump(store) == before
    assert [s.run for s in search.said("alpha")] == ["run_1"]


def test_a_fact_that_is_not_recorded_is_not_projected(records: SqlRecords, store: Store) -> None:
    """Facts and projections commit together, or neither does."""
    ask(records, "run_1", "alpha")
    before = dump(store)
    vote = fact(EventKind.FEEDBACK_GIVEN, NOW, "user:ada", {"comment": "x"})
    broken = fact(EventKind.GRADE_GIVEN, NOW.replace(tzinfo=None))
    with pytest.raises(ValueError, match="without a zone"):
        records.note(RunId("run_1"), [vote, broken])
    journal = Journal(store, KEY)
    with pytest.raises(RunNotFound), store.write() as connection:
        _append_and_give_up(journal, connection, [vote])
    assert dump(store) == before


def _append_and_give_up(journal: Journal, connection: Connection, events: list[Event]) -> None:
    journal.append(connection, "run_1", events)
    raise RunNotFound(run="run_1")


def test_what_is_forgotten_is_not_found(
    records: SqlRecords, search: SqlSearch, store: Store
) -> None:
    """The words of erased contents are gone from the search, those of others stay."""
    ask(records, "run_1", "quixotic zeugma", "xylophone")
    ask(records, "run_2", "quixotic zephyr", "yonder", asker="user:bob")
    with store.write() as connection:
        subject = tables.content.c.subject == "user:ada"
        contents = list(connection.execute(select(tables.content.c.id).where(subject)).scalars())
        forget(connection, contents)
        scrub(connection)
    assert [s.run for s in search.said("quixotic")] == ["run_2"]
    assert search.said("xylophone") == []
    forget_again = replace(RunSearch(), text="zeugma")
    assert search.runs(forget_again) == []


def test_forgotten_words_leave_the_file(tmp_path: Any, sqlite_url: str) -> None:
    """After a vacuum no byte of SQLite's files holds a word that was erased, index included."""
    store = Store(sqlite_url)
    records = SqlRecords(store, Journal(store, KEY))
    for number in range(60):
        ask(records, f"run_{number}", f"ordinary{number} words")
    ask(records, "run_x", "wyvernqueen", "jabberwocky", asker="user:bob")
    for number in range(60, 120):
        ask(records, f"run_{number}", f"ordinary{number} words")
    with store.write() as connection:
        content = tables.content
        mine = content.c.subject == "user:bob"
        forget(connection, list(connection.execute(select(content.c.id).where(mine)).scalars()))
        connection.execute(content.delete().where(mine))
        scrub(connection)
    store.close()
    plain = sqlite3.connect(tmp_path / "staid.db", isolation_level=None)
    plain.execute("VACUUM")
    plain.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert plain.execute("SELECT count(*) FROM said_words('ordinary100')").fetchone() == (1,)
    plain.execute("INSERT INTO said_words(said_words) VALUES ('integrity-check')")
    plain.close()
    held = b"".join(file.read_bytes() for file in tmp_path.glob("staid.db*"))
    assert b"ordinary100" in held
    for word in (b"wyvernq", b"yvernqueen", b"jabberw", b"abberwocky"):
        assert word not in held
