"""The same gate before tools of Pydantic AI, LangGraph and OpenAI Agents."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from staid.domain.call import CallState
from staid.domain.canonical import Json
from staid.domain.errors import NotDone
from staid.project.deciding import record_decision
from staid.project.project import Project
from staid.testing.frameworks import DRIVERS, Driver

Bounds = dict[str, dict[str, Any]]


@pytest.fixture(params=sorted(DRIVERS))
def drive(request: pytest.FixtureRequest) -> Driver:
    """Give each framework in turn."""
    return DRIVERS[request.param]


def tool(effects: Path, error: Exception | None = None) -> Callable[..., Any]:
    """Return a function that leaves a line, as its framework would register it."""

    async def refund(order_id: str, amount: float) -> str:
        """Refund an order."""
        with effects.open("a") as file:
            file.write(f"{order_id} {amount:g}\n")
        if error is not None:
            raise error
        return f"refunded {amount:g}"

    return refund


def call(amount: float, order: str = "R-1") -> Mapping[str, Json]:
    """Return the arguments of one call."""
    return {"order_id": order, "amount": amount}


def fresh(project: Project) -> Project:
    """Return the project as another process would have it: its tools not registered yet."""
    project.tools.clear()
    return project


def ask(
    drive: Driver, project: Project, function: Callable[..., Any], bounds: Bounds, *asked: Any
) -> str:
    """Let the agent make the calls for Ada, under one key."""
    with fresh(project).acting("user:ada", agent="crew", key="ticket-1"):
        return drive(project.guard, function, asked, bounds)


def approve(project: Project) -> None:
    """Let the lead approve whatever waits."""
    for each in project.wiring.ledger.approvals(CallState.PENDING):
        record_decision(project, each.id, "approve", approver="user:lead")


def test_an_allowed_call_runs_once_whatever_is_repeated(
    drive: Driver, project: Project, effects: Path, bounds: Bounds
) -> None:
    """The tool's own result reaches the model; run again, the recorded result does."""
    for _ in range(3):
        assert ask(drive, project, tool(effects), bounds, call(50)) == "refunded 50"
    assert effects.read_text() == "R-1 50\n"


def test_above_the_threshold_it_waits_then_runs_once(
    drive: Driver, project: Project, effects: Path, bounds: Bounds
) -> None:
    """The model is told that a person decides; after the decision the same call runs once."""
    function = tool(effects)
    told = ask(drive, project, function, bounds, call(240))
    assert "waits for a person's decision (apr_" in told
    assert effects.read_text() == ""
    approve(project)
    for _ in range(2):
        assert ask(drive, project, function, bounds, call(240)) == "refunded 240"
    assert effects.read_text() == "R-1 240\n"


def test_nobody_can_approve_past_a_constraint(
    drive: Driver, project: Project, effects: Path, bounds: Bounds
) -> None:
    """Above the hard bound the model is told no, and nothing waits."""
    told = ask(drive, project, tool(effects), bounds, call(501))
    assert "do not satisfy amount" in told
    assert project.wiring.ledger.approvals(CallState.PENDING) == []
    assert effects.read_text() == ""


def test_a_denied_request_reaches_the_model(
    drive: Driver, project: Project, effects: Path, bounds: Bounds
) -> None:
    """A person's no is the tool's result, and it stays a no when the call is repeated."""
    function = tool(effects)
    ask(drive, project, function, bounds, call(240))
    (waiting,) = project.wiring.ledger.approvals(CallState.PENDING)
    record_decision(project, waiting.id, "deny", approver="user:lead")
    for _ in range(2):
        assert "decided against" in ask(drive, project, function, bounds, call(240))
    assert effects.read_text() == ""


def test_a_tool_without_bounds_waits_for_a_person(
    drive: Driver, project: Project, effects: Path
) -> None:
    """What nobody bounded is irreversible, and so waits."""
    assert "waits for a person" in ask(drive, project, tool(effects), {}, call(1))
    assert effects.read_text() == ""


def test_parallel_calls_are_ruled_on_one_by_one(
    drive: Driver, project: Project, effects: Path, bounds: Bounds
) -> None:
    """Of four calls in one message one runs, one waits, one is denied, one is a second order."""
    asked = [call(50), call(240), call(900), call(60, "R-2")]
    told = ask(drive, project, tool(effects), bounds, *asked)
    assert told.count("waits for a person") == told.count("do not satisfy") == 1
    assert sorted(effects.read_text().splitlines()) == ["R-1 50", "R-2 60"]


def test_an_error_leaves_a_write_in_doubt_and_is_not_retried(
    drive: Driver, project: Project, effects: Path, bounds: Bounds
) -> None:
    """A tool that raises after its effect is not run again by the framework's retry or ours."""
    function = tool(effects, ConnectionError("the line dropped"))
    for _ in range(3):
        assert "Nobody knows" in ask(drive, project, function, bounds, call(50))
    assert effects.read_text() == "R-1 50\n"


def test_a_handler_that_knows_that_nothing_happened_says_so(
    drive: Driver, project: Project, effects: Path, bounds: Bounds
) -> None:
    """`NotDone` fails the call and tells the model why."""
    function = tool(effects, NotDone("the till is closed"))
    assert "the till is closed" in ask(drive, project, function, bounds, call(50))


def test_nobody_acts_and_nothing_happens(
    drive: Driver, project: Project, effects: Path, bounds: Bounds
) -> None:
    """Outside `acting` a gated tool does nothing, whatever the framework makes of the error."""
    with pytest.raises(Exception, match=r"nobody acts here|refund"):
        drive(project.guard, tool(effects), [call(50)], bounds)
    assert effects.read_text() == ""
