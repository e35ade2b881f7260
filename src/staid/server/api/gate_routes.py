"""The gates as JSON, in the form of `staid gates status --json`."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from staid.gates.policy import EVERY_TOOL
from staid.project.gate_status import running_json, stop_json
from staid.server.api.forms import ErrorAnswer
from staid.server.desk import SignedIn
from staid.server.operating import start, status, stop

_ERRORS: dict[int | str, dict[str, Any]] = {
    code: {"model": ErrorAnswer} for code in (400, 401, 403, 409, 503)
}

router = APIRouter(prefix="/api/gates", responses=_ERRORS)


class StopForm(BaseModel):
    """A tool, or `*` for all of them, stopped by a person."""

    id: str
    tool: str
    reason: str
    stopped_by: str
    stopped_at: str
    started_by: str | None
    started_at: str | None
    start_reason: str | None


class StoppedForm(StopForm):
    """A stop in force, and the calls that it came too late for."""

    running: list[dict[str, Any]]


class GatesForm(BaseModel):
    """What the gates do at this moment."""

    stops: list[StopForm]
    resting: list[dict[str, Any]]
    running: list[dict[str, Any]]
    in_doubt: list[dict[str, Any]]
    undo_in_doubt: list[dict[str, Any]]
    tools: list[dict[str, Any]]
    """`waiting` counts requests younger than an hour, four hours, a day, and older."""
    budgets: list[dict[str, Any]]


class Wanted(BaseModel):
    """What to stop or to start."""

    tool: str = Field(min_length=1, description=f"Its name; {EVERY_TOOL} is every tool.")
    reason: str = ""


class StartedForm(BaseModel):
    """The stop that ended, and what is still stopped."""

    tool: str
    ended: StopForm | None
    """Null where the tool only rested."""
    stopped: list[StopForm]


@router.get("")
async def show(visit: SignedIn) -> GatesForm:
    """Return what is stopped, rests, runs, waits, is in doubt and is drawn."""
    return GatesForm.model_validate((await status(visit)).as_json())


@router.post("/stop")
async def stop_gate(visit: SignedIn, wanted: Wanted) -> StoppedForm:
    """Stop a tool in every process; in force when this returns."""
    done = await stop(visit, wanted.tool, wanted.reason)
    running = [running_json(record) for record in done.running]
    return StoppedForm.model_validate({**stop_json(done.stop), "running": running})


@router.post("/start")
async def start_gate(visit: SignedIn, wanted: Wanted) -> StartedForm:
    """Let a tool go on that is stopped or rests."""
    ended = await start(visit, wanted.tool, wanted.reason)
    left = await visit.desk.off_loop(visit.desk.project.wiring.stops.stops)
    told = {
        "tool": wanted.tool,
        "ended": stop_json(ended) if ended else None,
        "stopped": [stop_json(each) for each in left],
    }
    return StartedForm.model_validate(told)
