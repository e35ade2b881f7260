"""Routes of the page about the gates: what is stopped, rests, waits and is drawn."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from staid.domain.call import CallRecord
from staid.gates.policy import EVERY_TOOL
from staid.server.console.pages import page
from staid.server.desk import SignedIn, Visit
from staid.server.operating import start, status, stop

router = APIRouter(include_in_schema=False)

_SEE_OTHER = 303

Text = Annotated[str, Form()]
Tool = Annotated[str, Form(min_length=1)]


@router.get("/gates")
async def gates(request: Request, visit: SignedIn) -> Response:
    """Show every tool as it stands, and the forms to stop and to start."""
    found = await status(visit)
    return page(
        request,
        "gates.html",
        visit=visit,
        gates=found,
        every=EVERY_TOOL,
        outside=sorted(visit.desk.project.settings.mcp),
        theirs=await visit.read(_theirs, visit, [*found.running, *found.in_doubt]),
    )


def _theirs(visit: Visit, records: list[CallRecord]) -> frozenset[str]:
    """Return which of these calls whoever looks may open."""
    return frozenset(r.call.id for r in records if visit.inbox.concerns(r))


@router.post("/gates/stop")
async def stop_gate(visit: SignedIn, tool: Tool, reason: Text = "") -> Response:
    """Stop a tool, or every one."""
    await stop(visit, tool.strip(), reason)
    return RedirectResponse("/gates", _SEE_OTHER)


@router.post("/gates/start")
async def start_gate(visit: SignedIn, tool: Tool, reason: Text = "") -> Response:
    """Let a tool go on, or end the stop of every one."""
    await start(visit, tool, reason)
    return RedirectResponse("/gates", _SEE_OTHER)
