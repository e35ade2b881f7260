"""The scaffold's bookings at a real CalDAV server: never over another event, once per key."""

from __future__ import annotations

import asyncio
import importlib
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import staid
from staid.domain.call import UndoState
from staid.domain.ids import CallId, RunId
from staid.gates.params import canonical_arguments
from staid.gates.tool import Call
from staid.project.deciding import take_back
from staid.project.project import Project
from staid.testing.kill import StepClock

CALL = Call(CallId("cal_1"), "key-1", RunId("run_1"), "user:ada", "desk")
TEN = datetime(2027, 1, 12, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)
Opened = Callable[[], Project]
Desk = Any
"""The calendars of the fixture."""

KILLED_AFTER_THE_EFFECT = """
import os, signal, sys
from pathlib import Path
from staid.project.loading import load_project
project = load_project(Path(sys.argv[1]))
from calendar_caldav import CalDavCalendars
real = CalDavCalendars.book
def book(*arguments):
    real(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)
CalDavCalendars.book = book
project.agent_named("desk").ask_sync(sys.argv[2], asker="user:ada")
"""
QUESTION = "Book an onboarding call on 2027-01-12 at 10:00"


def book(project: Project, start: datetime, key: str = "key-1", name: str = "onboarding") -> Any:
    """Run the handler as the gate does."""
    tool = project.tools["calendar.book"]
    wanted = {"calendar": name, "start": start.isoformat(), "minutes": 60}
    return tool.invoke(canonical_arguments(tool.params, wanted)[0], replace(CALL, key=key))


def happened(project: Project, key: str = "key-1") -> object:
    """Ask the probe."""
    tool = project.tools["calendar.book"]
    wanted = {"calendar": "onboarding", "start": TEN.isoformat()}
    assert tool.reconcile is not None
    return tool.reconcile(canonical_arguments(tool.params, wanted)[0], replace(CALL, key=key))


def test_a_call_is_booked(desk: Desk, opened: Opened) -> None:
    """A question becomes one event; the board's calendar is none that can be named."""
    agent = opened().agent_named("desk")
    outcome = agent.ask_sync(QUESTION, asker="user:ada")
    assert "Booked the onboarding calendar for 2027-01-12 09:00 UTC" in outcome.text
    assert len(desk.events()) == 1
    agent.ask_sync("Book a board call on 2027-01-12 at 10:00", asker="user:ada")
    agent.ask_sync(QUESTION, asker="user:lead")
    assert (len(desk.events()), desk.events("training")) == (1, [])


@pytest.mark.parametrize("minutes", [-59, 0, 30, 59])
def test_no_double_booking(desk: Desk, opened: Opened, minutes: int) -> None:
    """An event that somebody else wrote is never booked over, whatever part of it overlaps."""
    desk.put("theirs", TEN, TEN + HOUR)
    with pytest.raises(staid.NotDone, match="taken at that time"):
        book(opened(), TEN + timedelta(minutes=minutes))
    assert desk.events() == ["theirs"]


def test_a_repeating_event_takes_each_of_its_times(desk: Desk, opened: Opened) -> None:
    """A weekly meeting is in the way in its third week."""
    desk.put("weekly", TEN, TEN + HOUR, rrule={"FREQ": "WEEKLY"})
    with pytest.raises(staid.NotDone, match="taken"):
        book(opened(), TEN + timedelta(days=14))
    book(opened(), TEN + timedelta(days=15))


def test_what_takes_no_time_is_not_in_the_way(desk: Desk, opened: Opened) -> None:
    """Back to back, another calendar, a cancelled event and one that is marked as free."""
    desk.put("before", TEN - HOUR, TEN)
    desk.put("after", TEN + HOUR, TEN + 2 * HOUR)
    desk.put("off", TEN, TEN + HOUR, status="CANCELLED")
    desk.put("note", TEN, TEN + HOUR, transp="TRANSPARENT")
    project = opened()
    book(project, TEN)
    book(project, TEN, "key-2", "training")
    assert desk.events() == ["after", "before", "key-1", "note", "off"]
    assert desk.events("training") == ["key-2"]


def test_the_same_key_gives_one_event(desk: Desk, opened: Opened) -> None:
    """A repetition is answered the same and writes nothing."""
    project = opened()
    assert book(project, TEN) == book(project, TEN)
    assert desk.events() == ["key-1"]


def test_somebody_who_writes_at_the_same_moment_wins(
    desk: Desk, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An event that appears between the look and the write: ours is taken back, and said so."""
    project = opened()
    tools: Any = importlib.import_module("calendar_caldav")
    look, looks = tools._busy, 0

    def busy(*arguments: Any) -> set[str]:
        nonlocal looks
        looks += 1
        seen = look(*arguments)
        if looks == 1:
            desk.put("theirs", TEN, TEN + HOUR)
        return seen

    monkeypatch.setattr(tools, "_busy", busy)
    with pytest.raises(staid.NotDone, match="at that moment"):
        book(project, TEN)
    assert desk.events() == ["theirs"]


def test_two_at_once_never_both(desk: Desk, opened: Opened) -> None:
    """Eight bookings of one hour at once leave at most one event, and say so truthfully."""
    project = opened()

    def attempt(number: int) -> str | None:
        try:
            book(project, TEN, f"key-{number}")
        except staid.NotDone:
            return None
        return f"key-{number}"

    with ThreadPoolExecutor(8) as pool:
        done = [key for key in pool.map(attempt, range(8)) if key]
    assert len(done) <= 1
    assert desk.events() == done


def test_reconcile_and_undo(desk: Desk, opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server knows what happened; undo deletes this event alone, and twice is fine."""
    project = opened()
    assert happened(project) is False
    book(project, TEN)
    book(project, TEN + HOUR, "key-2")
    assert (happened(project), happened(project, "key-3")) == (True, False)
    tools: Any = importlib.import_module("calendar_caldav")
    calendars = tools.CalDavCalendars(desk.url)
    assert calendars.slot("onboarding", TEN, TEN + HOUR) == "key-1"
    calendars.undo("onboarding", CALL)
    calendars.undo("onboarding", CALL)
    assert calendars.slot("onboarding", TEN, TEN + HOUR) == "free"
    assert desk.events() == ["key-2"]
    assert happened(project) is False
    monkeypatch.setenv("CALDAV_URL", "http://127.0.0.1:1/")
    away = opened()
    assert happened(away) is None
    with pytest.raises(staid.NotDone, match="cannot be read"):
        book(away, TEN)


def test_a_booking_whose_record_was_lost_is_found(desk: Desk, opened: Opened) -> None:
    """SIGKILL after the write: the sweep asks the server, hears yes, and one event exists."""
    folder = opened().settings.directory_path
    command = [sys.executable, "-c", KILLED_AFTER_THE_EFFECT, str(folder), QUESTION]
    assert subprocess.run(command, check=False, timeout=120).returncode == -signal.SIGKILL
    later = opened()
    later.wiring.clock = StepClock(datetime.now(UTC) + timedelta(hours=2))
    (found,) = asyncio.run(later.wiring.gate.sweep()).in_doubt
    assert found.state == "done"
    assert len(desk.events()) == 1


def test_a_booked_call_is_undone_through_the_gate(desk: Desk, opened: Opened) -> None:
    """A lead takes the booking back on the server, once; what others wrote stays."""
    project = opened()
    desk.put("theirs", TEN + 2 * HOUR, TEN + 3 * HOUR)
    outcome = project.agent_named("desk").ask_sync(QUESTION, asker="user:ada")
    (record,) = project.calls(outcome.run)
    assert len(desk.events()) == 2
    done = asyncio.run(take_back(project, record.call.id, "user:lead", reason="wrong day"))
    assert (done.state, desk.events()) == (UndoState.UNDONE, ["theirs"])
    with pytest.raises(staid.StaidError, match="ST-427"):
        asyncio.run(take_back(project, record.call.id, "user:lead"))
