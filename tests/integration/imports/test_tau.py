"""The 88 recorded airline conversations: imported whole, replayed, and ruled by another policy."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, Field, create_model
from sqlalchemy import func, select

import staid
from staid.domain.call import CallState
from staid.project.importing import Imported, Wanted, import_conversations
from staid.project.project import Project
from staid.project.replaying import Replays
from staid.project.replaying import Wanted as Otherwise
from staid.runtime.imported import turn_of
from staid.store import tables
from staid.store.past_calls import past_uses
from staid.tracing.story import tell
from tau2_runs import conversations

DATA = os.environ.get("STAID_DATA")
pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(DATA is None, reason="STAID_DATA is not set"),
]
FILE = Path(DATA or ".") / "tau_airline_gpt4o_runs.jsonl.gz"
SETTINGS = """
[project]
name = "airline"
[agents.airline]
model = "quote"
allow_tools = [{allowed}]
"""


class Payment(BaseModel):
    """One way to pay."""

    payment_id: str
    amount: float


class Booking(BaseModel):
    """A booking, whatever it costs."""

    user_id: str
    origin: str
    destination: str
    flight_type: str
    cabin: str
    flights: list[Any]
    passengers: list[Any]
    payment_methods: list[Payment]
    total_baggages: int
    nonfree_baggages: int
    insurance: str


class Certificate(BaseModel):
    """A travel certificate of at most 100."""

    user_id: str
    amount: int = Field(le=100)


class Cancellation(BaseModel):
    """One cancelled reservation."""

    reservation_id: str


PLAIN = {
    "get_reservation_details": "reservation_id",
    "search_direct_flight": "origin destination date",
    "get_user_details": "user_id",
    "think": "thought",
    "transfer_to_human_agents": "summary",
    "calculate": "expression",
    "search_onestop_flight": "origin destination date",
    "update_reservation_flights": "reservation_id cabin flights payment_id",
    "update_reservation_baggages": "reservation_id total_baggages nonfree_baggages payment_id",
}
"""Tools with arguments that nothing bounds; the new policy does not know `list_all_airports`."""


def over_700(booking: Booking) -> bool:
    """Ask above 700."""
    return sum(payment.amount for payment in booking.payment_methods) > 700


def never(_: Any) -> None:
    """Fail: an imported call is carried out by nobody."""
    pytest.fail("a handler was called")


def bounded(project: Project) -> None:
    """Give the project the tools of the airline under a policy that nobody had then."""
    for name, fields in PLAIN.items():
        shape: dict[str, Any] = dict.fromkeys(fields.split(), (Any, ...))
        project.tool(name, params=create_model(name, **shape))(never)
    project.tool("book_reservation", params=Booking, requires_approval=over_700)(never)
    project.tool("send_certificate", params=Certificate)(never)
    two = staid.Budget(limit=2, per="customer", window="1d")
    project.tool("cancel_reservation", params=Cancellation, budget=two)(never)


ALLOWED = (
    *(name for name in PLAIN if name != "update_reservation_baggages"),
    "book_reservation",
    "send_certificate",
    "cancel_reservation",
)
"""The agent's allowlist: `update_reservation_baggages` is known and not allowed."""


def raw() -> list[dict[str, Any]]:
    """Read the file with nothing of the importer."""
    with gzip.open(FILE, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


@pytest.fixture(scope="module")
def airline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Project, Imported]]:
    """Import the file once into a project that bounds its tools."""
    folder = tmp_path_factory.mktemp("airline")
    allowed = ", ".join(f'"{name}"' for name in ALLOWED)
    (folder / "staid.toml").write_text(SETTINGS.format(allowed=allowed), "utf-8")
    project = Project(folder)
    bounded(project)
    yield project, import_conversations(project, Wanted(FILE, "tau", agent="airline"))
    project.close()


Airline = tuple[Project, Imported]


def test_every_turn_and_every_call_is_there(airline: Airline) -> None:
    """The counts are those of the file, read by other code; nothing is skipped."""
    project, done = airline
    messages = [m for row in raw() for m in row["messages"]]
    turns = sum(m["role"] == "user" for m in messages)
    calls = sum(len(m.get("tool_calls") or ()) for m in messages)
    assert (done.conversations, done.runs, done.calls) == (88, turns, calls)
    assert done.skipped == []
    assert {use.record.state for use in past_uses(project.wiring.store)} == {CallState.DONE}
    assert project.wiring.journal.verify() == []


def test_the_record_gives_back_the_file(airline: Airline) -> None:
    """From the journal alone every message comes back: roles, texts, calls, results, in order."""
    project, _ = airline
    for row, runs in zip(raw(), conversations(project), strict=True):
        told = [
            _as_logged(message)
            for run in runs
            for message in turn_of(run, project.wiring.records.rows(run)).turn.messages
        ]
        assert told == [_logged(message) for message in row["messages"]]


def test_the_same_file_again_adds_nothing(airline: Airline) -> None:
    """A second import finds every turn and writes neither runs nor facts."""
    project, _ = airline
    before = _facts(project)
    again = import_conversations(project, Wanted(FILE, "tau", agent="airline"))
    assert (again.runs, again.known, again.calls) == (0, 639, 0)
    assert _facts(project) == before


def test_every_run_replays_identical(airline: Airline) -> None:
    """All 639 runs of all 88 conversations are made again to the byte."""
    project, _ = airline
    summary = asyncio.run(Replays(project, Otherwise()).every(None))
    assert (summary.runs, summary.same, summary.changed, summary.cannot) == (639, 639, [], [])


def test_a_changed_policy_flips_exactly_the_calls_it_should(airline: Airline) -> None:
    """The flipped calls are those that a reading of the file by hand says, no more, no fewer."""
    project, _ = airline
    summary = asyncio.run(Replays(project, Otherwise(policy=True)).every(None))
    found = {
        flip.call: (flip.now.severity.word, flip.now.rule)
        for replayed in summary.changed
        for flip in replayed.flips
    }
    expected = _by_hand()
    ids = [use.record.call.id for run in _all_runs(project) for use in run]
    assert len(ids) == len(expected)
    told = {call: ruling for call, ruling in zip(ids, expected, strict=True) if ruling}
    assert found == told
    assert {word for word, _ in found.values()} == {"deny", "ask"}
    assert {rule.partition(":")[0] for _, rule in found.values()} == {
        "allowlist",
        "constraint",
        "approval",
        "budget",
    }
    assert len(found) > 30


def test_a_stopped_tool_flips_its_calls_alone(airline: Airline) -> None:
    """Without a policy only the stopped tool's calls are ruled otherwise."""
    project, _ = airline
    wanted = Otherwise(deny=frozenset({"send_certificate"}))
    summary = asyncio.run(Replays(project, wanted).every(None))
    assert [flip.tool for r in summary.changed for flip in r.flips] == ["send_certificate"] * 5


def test_rewards_are_grades_and_the_rest_is_kept(airline: Airline) -> None:
    """A run's reward is a grade on its last turn; task, trial and expected actions are kept."""
    project, _ = airline
    for row, runs in zip(raw(), conversations(project), strict=True):
        first = turn_of(runs[0], project.wiring.records.rows(runs[0]))
        last = turn_of(runs[-1], project.wiring.records.rows(runs[-1]))
        assert last.grades == {"reward": row["reward"]}
        assert first.metadata == {k: v for k, v in row.items() if k != "messages"}


def test_the_story_of_an_imported_run_is_told(airline: Airline) -> None:
    """An imported run has a story like any other, and its call says that no rule was asked."""
    project, _ = airline
    run = next(u.record.call.run for u in past_uses(project.wiring.store))
    story = tell(run, project.wiring.records.rows(run))
    assert story.outcome == "answer"
    assert "no rule of Staid was asked" in " ".join(step.text for step in story.steps)


# --- by hand --------------------------------------------------------------------------------


def _by_hand() -> list[tuple[str, str] | None]:
    """Rule on every call of the file in order, in as few words as the policy has."""
    rulings: list[tuple[str, str] | None] = []
    cancelled: dict[str, int] = {}
    for row in raw():
        for call in (c for m in row["messages"] for c in m.get("tool_calls") or ()):
            name, given = call["function"]["name"], json.loads(call["function"]["arguments"])
            rulings.append(_ruling(name, given, row["instruction"], cancelled))
    return rulings


def _ruling(
    name: str, given: Mapping[str, Any], instruction: str, cancelled: dict[str, int]
) -> tuple[str, str] | None:
    if name in {"list_all_airports", "update_reservation_baggages"}:
        return "deny", "allowlist"
    if name == "send_certificate" and given["amount"] > 100:
        return "deny", "constraint:amount"
    if name == "book_reservation":
        paid = sum(payment["amount"] for payment in given["payment_methods"])
        return ("ask", "approval") if paid > 700 else None
    if name == "cancel_reservation":
        who = next(w for w in instruction.replace("'", " ").split() if w.count("_") == 2)
        who = who.strip("().,")
        cancelled[who] = cancelled.get(who, 0) + 1
        if cancelled[who] > 2:
            return "deny", "budget:cancel_reservation:count:customer:86400"
    return None


def _logged(message: Mapping[str, Any]) -> tuple[Any, ...]:
    calls = [
        (c["id"], c["function"]["name"], json.loads(c["function"]["arguments"]))
        for c in message.get("tool_calls") or ()
    ]
    return message["role"], message["content"] or "", calls


def _as_logged(message: Any) -> tuple[Any, ...]:
    return message.role, message.text, [(c.id, c.tool, dict(c.arguments)) for c in message.calls]


def _all_runs(project: Project) -> Iterator[list[Any]]:
    uses: dict[str, list[Any]] = {}
    for use in past_uses(project.wiring.store):
        uses.setdefault(use.record.call.run, []).append(use)
    for runs in conversations(project):
        for run in runs:
            order: Callable[[Any], int] = _place(project, run)
            yield sorted(uses.get(run, []), key=order)


def _place(project: Project, run: str) -> Callable[[Any], int]:
    calls = turn_of(run, project.wiring.records.rows(run)).calls
    return lambda use: calls.index(use.record.call.id)


def _facts(project: Project) -> int:
    with project.wiring.store.read() as connection:
        return connection.execute(select(func.count()).select_from(tables.journal)).scalar_one()
