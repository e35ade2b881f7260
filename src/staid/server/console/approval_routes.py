"""Routes of the pages about requests for a decision, and about calls that ran or may have run."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from staid.domain.call import ApprovalRecord, CallRecord
from staid.domain.canonical import Json
from staid.domain.errors import StaidError
from staid.project.deciding import FOUND
from staid.server.console.pages import argument, page
from staid.server.decision import decide, edit, settle, take_back
from staid.server.desk import SignedIn, Visit
from staid.server.problem import problem

router = APIRouter(include_in_schema=False)

_SEE_OTHER = 303

Text = Annotated[str, Form()]


@router.get("/approvals")
async def approvals(request: Request, visit: SignedIn, state: str = "pending") -> Response:
    """Show the inbox; with `state=all` also what was decided."""
    everything = state == "all"
    found = await visit.read(visit.inbox.approvals, everything=everything)
    doubts = await visit.read(visit.inbox.doubts)
    return page(
        request,
        "approvals.html",
        visit=visit,
        approvals=found,
        doubts=doubts,
        everything=everything,
    )


@router.get("/approvals/{approval}")
async def approval(request: Request, visit: SignedIn, approval: str) -> Response:
    """Show one request, and the form to decide it."""
    return await _shown(request, visit, approval)


@router.post("/approvals/{approval}")
async def decide_approval(
    request: Request,
    visit: SignedIn,
    approval: str,
    decision: Annotated[Literal["approve", "deny"], Form()],
    seen: Annotated[str, Form(min_length=1)],
    reason: Text = "",
) -> Response:
    """Decide, carry the run on, and show what became of it."""
    result = await decide(visit, approval, decision, seen=seen, reason=reason)
    if result.stuck is None:
        return RedirectResponse(f"/approvals/{approval}", _SEE_OTHER)
    return await _shown(request, visit, approval, result.stuck)


async def _shown(
    request: Request, visit: Visit, approval: str, stuck: StaidError | None = None
) -> Response:
    view = await visit.read(visit.inbox.approval, approval)
    return page(
        request,
        "approval.html",
        visit=visit,
        view=view,
        card=view.card,
        item=view.approval,
        stuck=problem(stuck, page=True) if stuck else None,
    )


@router.post("/approvals/{approval}/edit")
async def edit_approval(request: Request, visit: SignedIn, approval: str) -> Response:
    """Put a changed call in the place of one that waits, and show the request it became."""
    form = await request.form()
    shown = (await visit.read(visit.inbox.request, approval)).call.arguments
    sent = {name: str(form[f"set.{name}"]) for name in shown if f"set.{name}" in form}
    changes: dict[str, Json] = {
        name: text
        for name, text in ((name, _lines(text)) for name, text in sent.items())
        if text != _lines(argument(shown[name]))
    }
    reason, seen = str(form.get("reason", "")), str(form.get("seen", ""))
    decided = await edit(visit, approval, changes, seen=seen, reason=reason)
    now = decided.approval
    found = now.id if isinstance(now, ApprovalRecord) else approval
    return RedirectResponse(f"/approvals/{found}", _SEE_OTHER)


def _lines(text: str) -> str:
    """Return a text with the line ends of a form's fields made one: browsers send CR LF."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


@router.get("/calls/{call}")
async def show_call(request: Request, visit: SignedIn, call: str) -> Response:
    """Show one call that nobody was asked about; any other is shown with its request."""
    return await _called(request, visit, call)


@router.post("/calls/{call}/settle")
async def settle_call(
    request: Request,
    visit: SignedIn,
    call: str,
    happened: Annotated[Literal["yes", "no", "ask-again"], Form()],
) -> Response:
    """Say what became of a call in doubt, or of its undoing, and show it."""
    result = await settle(visit, call, happened=FOUND[happened])
    if result.stuck is not None and result.record.approval is not None:
        return await _shown(request, visit, result.record.approval, result.stuck)
    if result.stuck is not None:
        return await _called(request, visit, call, result.stuck)
    return RedirectResponse(_place(result.record), _SEE_OTHER)


@router.post("/calls/{call}/undo")
async def undo_call(visit: SignedIn, call: str, reason: Text = "") -> Response:
    """Take a done call back, and show what became of it."""
    await take_back(visit, call, reason=reason)
    return RedirectResponse(_place(await visit.read(visit.inbox.record, call)), _SEE_OTHER)


def _place(record: CallRecord) -> str:
    return f"/approvals/{record.approval}" if record.approval else f"/calls/{record.call.id}"


async def _called(
    request: Request, visit: Visit, call: str, stuck: StaidError | None = None
) -> Response:
    record = await visit.read(visit.inbox.record, call)
    if record.approval is not None:
        return RedirectResponse(_place(record), _SEE_OTHER)
    view = await visit.read(visit.inbox.call, call)
    told = problem(stuck, page=True) if stuck else None
    return page(request, "call.html", visit=visit, view=view, item=view.record, stuck=told)
