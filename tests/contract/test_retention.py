"""Retention: one suite, two engines. What has reached its age goes, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from sqlalchemy import insert, select

from staid.domain.events import Content, Event, EventKind
from staid.domain.ids import ConversationId, RunId
from staid.domain.label import EVERYONE, Label
from staid.domain.principal import Actor
from staid.domain.records import Ending, RunStart
from staid.store import tables
from staid.store.engine import Store
from staid.store.erasure import Order
from staid.store.holds import SqlHolds
from staid.store.journal import Journal
from staid.store.retention import SqlRetention
from staid.store.runs import SqlRecords
from staid.tracing.retention import CLASSES

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
CUT = NOW - timedelta(days=365)
OLD = CUT - timedelta(days=1)
ORDER = Order("retention", Actor("service", "staid"), NOW)
ALL = dict.fromkeys(CLASSES, CUT)
KINDS = {
    "conversation": EventKind.OUTCOME_DECIDED,
    "passages": EventKind.PASSAGE_KEPT,
    "model": EventKind.MODEL_RETURNED,
    "calls": EventKind.CALL_EXECUTED,
    "feedback": EventKind.FEEDBACK_GIVEN,
}


class Counted:
    """Ids that count."""

    def __init__(self) -> None:
        """Begin at one."""
        self._numbers = count(1)

    def new(self, prefix: str) -> str:
        """Return the next id."""
        return f"{prefix}_{next(self._numbers)}"


@pytest.fixture
def journal(store: Store) -> Journal:
    """Give the journal of a fresh store."""
    return Journal(store, b"key")


@pytest.fixture
def records(store: Store, journal: Journal) -> SqlRecords:
    """Give the records of a fresh store."""
    return SqlRecords(store, journal)


@pytest.fixture
def retention(store: Store, journal: Journal) -> SqlRetention:
    """Give the retention of a fresh store."""
    return SqlRetention(store, journal)


def fact(kind: EventKind, at: datetime, words: str, subject: str = "user:ada") -> Event:
    """Return a fact with words."""
    label = Label.of([[subject]]) if subject else EVERYONE
    content = Content({"text": words}, label, subject)
    return Event(kind, at, Actor("service", "staid"), {"of": "a fact"}, content)


def run_of(records: SqlRecords, run: str, at: datetime, *, ended: bool = True) -> None:
    """Record a run with content of every class; what is about no one is the same in all runs."""
    start = RunStart(RunId(run), ConversationId(run), "support", "user:ada", at, f"key-{run}", "d")
    records.begin(start, [fact(EventKind.RUN_STARTED, at, f"question of {run}")])
    events = [fact(kind, at, f"{name} of {run}") for name, kind in KINDS.items()]
    events.append(fact(EventKind.PASSAGE_KEPT, at, "the passage", ""))
    if ended:
        records.release(RunId(run), Ending("released", "answer", None, 0.9, at), events, None)
    else:
        records.append(RunId(run), events)


def words(records: SqlRecords, run: str) -> list[str]:
    """Return the texts that are left of a run."""
    return [str(row.body["text"]) for row in records.rows(run) if row.body]


def test_each_class_has_its_own_age(
    records: SqlRecords, retention: SqlRetention, journal: Journal
) -> None:
    """A class that is kept stays while another goes; the chain verifies and says why."""
    run_of(records, "run_1", OLD)
    assert retention.expire({"model": CUT}, ORDER) == {"model": 1}
    assert "model of run_1" not in words(records, "run_1")
    assert len(words(records, "run_1")) == 6
    erased = records.rows("run_1")[-1]
    assert (erased.kind, erased.fact["reason"]) == (EventKind.ERASED, "retention")
    assert erased.fact["of"] == "model"
    counts = retention.expire(ALL, ORDER)
    assert counts == {"conversation": 2, "passages": 2, "model": 0, "calls": 1, "feedback": 1}
    assert words(records, "run_1") == []
    assert journal.verify() == []


def test_what_is_younger_stays_and_keeps_what_it_shares(
    records: SqlRecords, retention: SqlRetention, journal: Journal
) -> None:
    """A run within its time keeps every word, also the passage that an old run showed, too."""
    run_of(records, "run_1", OLD)
    run_of(records, "run_2", NOW)
    before = words(records, "run_2")
    retention.expire(ALL, ORDER)
    assert words(records, "run_2") == before
    assert words(records, "run_1") == ["the passage"]
    assert journal.verify() == []


@pytest.mark.parametrize("target", ["user:ada", "run_1"])
def test_what_is_held_stays(
    store: Store, records: SqlRecords, retention: SqlRetention, journal: Journal, target: str
) -> None:
    """A hold on the subject or on the run stops retention until it is released."""
    holds = SqlHolds(store, journal, Counted())
    run_of(records, "run_1", OLD)
    hold = holds.place(target, "court order", "user:root", NOW)
    assert sum(retention.expire(ALL, ORDER).values()) == 0
    assert len(words(records, "run_1")) == 7
    holds.release(hold.id, "user:root", NOW)
    assert sum(retention.expire(ALL, ORDER).values()) == 7


def test_what_is_at_work_stays(
    store: Store, records: SqlRecords, retention: SqlRetention, journal: Journal
) -> None:
    """A run without an end, and one with a call that nobody decided, keep what they need."""
    run_of(records, "run_1", OLD, ended=False)
    run_of(records, "run_2", OLD)
    values: dict[str, Any] = {
        "id": "cal_1", "run": "run_2", "agent": "support", "tool": "t", "arguments": '{"a":1}',
        "digest": "d", "key": "k", "provider_id": "p", "subject": "user:ada", "state": "in_doubt",
        "severity": 2, "rule": "r", "message": "m", "proposed_at": OLD,
    }  # fmt: skip
    with store.write() as connection:
        connection.execute(insert(tables.call).values(values))
    assert sum(retention.expire(ALL, ORDER).values()) == 0
    with store.write() as connection:
        connection.execute(tables.call.update().values(state="done"))
    retention.expire(ALL, ORDER)
    with store.read() as connection:
        row = connection.execute(select(tables.call)).one()
        key = connection.execute(select(tables.run.c.key).where(tables.run.c.id == "run_2"))
        assert key.scalar() is None
    assert (row.arguments, row.message, row.subject) == ("{}", "(erased)", "user:ada")
    assert journal.verify() == []


def test_every_kind_with_content_has_a_class() -> None:
    """No content can be written that retention does not know the class of."""
    without = {
        # The last three hold what an operator gave as a reason, which is kept with the act.
        EventKind.SCOPE_RESOLVED, EventKind.RETRIEVAL_DONE, EventKind.FLOOR_COMPARED,
        EventKind.APPROVAL_ESCALATED, EventKind.ERASED, EventKind.RUN_READ,
        EventKind.RUN_INTERRUPTED, EventKind.RUN_FAILED,
        EventKind.TOOL_STOPPED, EventKind.TOOL_STARTED, EventKind.POLICY_SIGNED,
    }  # fmt: skip
    classed = [kind for kinds in CLASSES.values() for kind in kinds]
    assert len(classed) == len(set(classed))
    assert set(classed) | without == set(EventKind)
