"""What a record has to bear: huge results, bytes that are no text, clocks that run backwards."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from staid.domain.errors import StoreFull
from staid.domain.events import EventKind
from staid.tracing.story import tell

STATE = "The order has left the warehouse in Hamburg."


def texts(value: object) -> Iterator[str]:
    """Give every text in a body, wherever it stands; a result is kept as its JSON."""
    if isinstance(value, str):
        yield value
        if value[:1] in {"{", "["}:
            yield from texts(json.loads(value))
    elif isinstance(value, Mapping):
        for item in cast("Mapping[str, object]", value).values():
            yield from texts(item)


def test_a_tool_result_of_16_megabytes_is_recorded_whole(desk: Any) -> None:
    """Nothing of a huge result is cut away, and the record verifies."""
    desk.found = STATE + " " + "x" * (16 * 1024 * 1024)
    outcome = desk.ask("Where is A1?", [desk.look("A1")], "It has left the warehouse in Hamburg.")
    assert any(desk.found in text for row in desk.rows(outcome) for text in texts(row.body))
    assert desk.project.wiring.journal.verify() == []


@pytest.mark.parametrize("broken", ["caf\udce9", "\ud83d half a pair", "nul \x00 inside"])
def test_a_tool_result_that_is_no_utf8_is_recorded(desk: Any, broken: str) -> None:
    """Bytes that are no text are kept as they came; the turn ends with an outcome."""
    desk.found = f"{STATE} {broken}"
    outcome = desk.ask("Where is A1?", [desk.look("A1")], "It has left the warehouse in Hamburg.")
    assert desk.project.wiring.records.run(outcome.run).state == "released"
    assert any(desk.found in text for row in desk.rows(outcome) for text in texts(row.body))
    assert tell(outcome.run, desk.rows(outcome)).outcome == outcome.outcome
    assert desk.project.wiring.journal.verify() == []


@pytest.mark.parametrize("broken", ["It left caf\udce9 today.", "\ud83d"])
def test_a_draft_that_is_no_utf8_is_recorded(desk: Any, broken: str) -> None:
    """A model that writes half a character costs nobody the record."""
    outcome = desk.ask("What is the refund policy on annual plans?", broken)
    assert desk.project.wiring.records.run(outcome.run).state == "released"
    assert desk.project.wiring.journal.verify() == []


class Backwards:
    """A clock that is set back an hour whenever somebody looks at it."""

    def __init__(self) -> None:
        """Begin now."""
        self.at = datetime.now(UTC)

    def now(self) -> datetime:
        """Return a time an hour before the one told last."""
        self.at -= timedelta(hours=1)
        return self.at


def test_a_clock_that_runs_backwards_changes_no_order(desk: Any) -> None:
    """Facts are in the order in which they happened, whatever time each of them carries."""
    parts = replace(desk.project.wiring.parts, clock=Backwards())
    desk.project.wiring.__dict__["parts"] = parts
    outcome = desk.ask("Refund 40 for A1", [desk.refund("A1", 40)], "")
    kinds = desk.kinds(outcome)
    assert kinds[0] is EventKind.RUN_STARTED
    assert kinds[-2:] == [EventKind.OUTCOME_DECIDED, EventKind.OUTCOME_RELEASED]
    assert desk.effects == ["refund A1"]
    assert desk.project.wiring.journal.verify() == []


def test_facts_that_find_the_disk_full_change_nothing(desk: Any) -> None:
    """A disk that is full at an ordinary fact: a coded error, no answer, nothing half written."""
    first = desk.ask("What is the refund policy on annual plans?")
    connection = desk.project.wiring.store.engine.raw_connection()
    pages = connection.cursor().execute("PRAGMA page_count").fetchone()[0]
    connection.close()
    with desk.project.wiring.store.driver(durable=False) as cursor:
        cursor.execute(f"PRAGMA max_page_count = {pages + 1}")
    desk.found = "x" * 100_000
    with pytest.raises(StoreFull):
        desk.ask("Where is A1?", [desk.look("A1")], "It is there.")
    assert desk.kinds(first)[-1] is EventKind.OUTCOME_RELEASED
    assert desk.project.wiring.journal.verify() == []
