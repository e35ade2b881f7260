"""Imports, past calls and prompts keep their promises on both engines."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from sqlalchemy import func, select

from staid.domain.call import CallState
from staid.domain.ids import CallId, ConversationId, RunId
from staid.domain.message import ProposedCall
from staid.domain.recorded import RecordedMessage, RecordedTurn
from staid.runtime.imported import ImportedRun, events_of, turn_of
from staid.runtime.replay.compare import first_divergence
from staid.store import tables
from staid.store.engine import Store
from staid.store.imports import Added, SqlImports
from staid.store.journal import Journal
from staid.store.past_calls import past_uses
from staid.store.prompts import SqlPrompts
from staid.testing.kill import StepClock

AT = datetime(2026, 5, 1, 10, tzinfo=UTC)


def run(number: int = 1, answer: str = "Shipped.", conversation: str = "cnv_1") -> ImportedRun:
    """Return a turn with two calls, one of which has no result."""
    calls = (
        ProposedCall("x", "look", {"order": "7", "deep": {"é": [1, 2.5, None]}}),
        ProposedCall("y", "find", {}),
    )
    messages = (
        RecordedMessage("system", "Be kind.", extra={"name": "s"}),
        RecordedMessage("user", f"Where is order {number}?"),
        RecordedMessage("assistant", "", calls),
        RecordedMessage("tool", "It left.", call=0),
        RecordedMessage("assistant", answer),
    )
    return ImportedRun(
        run=RunId(f"run_{conversation}_{number}"),
        conversation=ConversationId(conversation),
        agent="support",
        asker="user:ada",
        turn=RecordedTurn(messages, AT),
        number=number,
        at=AT,
        times="log",
        origin={"format": "openai-messages", "file": "log.jsonl", "line": number},
        calls=tuple(CallId(f"cal_{conversation}_{number}_{place}") for place in range(2)),
        grades={"reward": 0.5},
    )


@pytest.fixture
def journal(store: Store) -> Journal:
    """Give the journal of a fresh store."""
    return Journal(store, b"key")


@pytest.fixture
def imports(store: Store, journal: Journal) -> SqlImports:
    """Give imports on a fresh store."""
    return SqlImports(store, journal, StepClock())


def test_the_record_gives_back_the_turn(imports: SqlImports, journal: Journal) -> None:
    """What comes back from the stored facts is the turn that went in, and its facts again."""
    given = run()
    assert imports.add([given]) == Added(1, 0)
    rows = journal.rows(given.run)
    found = turn_of(given.run, rows)
    assert found.turn.messages == given.turn.messages
    assert found.turn.digest == given.turn.digest
    assert first_divergence(rows, events_of(found), whole=True) is None
    assert journal.verify() == []


def test_a_missing_message_shows(imports: SqlImports, journal: Journal) -> None:
    """The comparison is not blind: facts of a shorter turn are not the recorded ones."""
    given = run()
    imports.add([given])
    other = events_of(run(answer="Lost."))
    assert first_divergence(journal.rows(given.run), other, whole=True) is not None
    assert first_divergence(journal.rows(given.run), events_of(given)[:-1], whole=True) is not None


def test_calls_stand_in_the_ledger_in_their_order(imports: SqlImports, store: Store) -> None:
    """A call with a result is done, one without is only proposed; order is that of the turn."""
    imports.add([run()])
    uses = past_uses(store)
    assert [(u.record.call.tool, u.record.state) for u in uses] == [
        ("look", CallState.DONE),
        ("find", CallState.PROPOSED),
    ]
    assert uses[0].record.result == "It left."
    assert {u.snapshot for u in uses} == {None}
    assert {u.said for u in uses} == {"Where is order 1?"}


def test_turns_are_added_once_and_never_changed(imports: SqlImports, store: Store) -> None:
    """Again adds nothing, a grown conversation its new turn, another text nothing at all."""
    assert imports.add([run(1)]) == Added(1, 0)
    assert imports.add([run(1)]) == Added(0, 1)
    assert imports.add([run(1), run(2)]) == Added(1, 1)
    assert imports.add([run(1, "Lost."), run(3)]) == Added(0, 2, 1)
    with store.read() as connection:
        counted = select(func.count()).select_from(tables.run)
        assert connection.execute(counted).scalar() == 2


def test_two_imports_at_once_keep_each_turn_once(imports: SqlImports, journal: Journal) -> None:
    """Processes that import the same file at the same time do not double a run."""
    with ThreadPoolExecutor(4) as pool:
        added = [
            each.result() for each in [pool.submit(imports.add, [run(1), run(2)]) for _ in range(4)]
        ]
    assert sorted(one.added for one in added) == [0, 0, 0, 2]
    assert journal.verify() == []


def test_versions_do_not_fork(store: Store) -> None:
    """Registries that see new texts at once number them without a gap or a double."""
    registries = [SqlPrompts(store, StepClock()) for _ in range(4)]
    texts = [f"text {n}" for n in range(6)]

    def pin(registry: SqlPrompts) -> dict[str, int | None]:
        return {text: registry.pin({"a.md": text, "b.md": "b"})[0].version for text in texts}

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(pin, registries))
    assert all(one == found[0] for one in found)
    assert sorted(v.version for v in registries[0].history("a.md")) == [1, 2, 3, 4, 5, 6]
    assert [v.version for v in registries[0].history("b.md")] == [1]
