"""Routes of the JSON API."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from staid.domain.call import ApprovalRecord
from staid.domain.errors import StaidError
from staid.project.deciding import FOUND
from staid.server.api import approval_forms as approvals
from staid.server.api import forms
from staid.server.decision import decide, edit, settle, take_back
from staid.server.desk import SignedIn
from staid.server.problem import problem
from staid.server.wanted import RunQuery

_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": forms.ErrorAnswer} for status in (400, 401, 403, 404, 409, 503)
}

router = APIRouter(prefix="/api", responses=_ERRORS)


@router.post("/ask")
async def ask(visit: SignedIn, question: forms.Question) -> forms.OutcomeForm:
    """Ask one question as the one who is signed in; every outcome is a 200."""
    outcome = await visit.ask(question.text, question.agent, question.conversation, question.key)
    return forms.outcome_form(outcome)


@router.get("/runs")
async def list_runs(visit: SignedIn, wanted: Annotated[RunQuery, Query()]) -> forms.RunList:
    """Return own runs that fit, newest first; `next` is the `after` of the next page."""
    now = visit.desk.project.wiring.clock.now()
    found = await visit.read(visit.reader.runs, wanted.limit, wanted.search(now))
    more = found[-1].run if len(found) == wanted.limit else None
    return forms.RunList(runs=[forms.run_form(record) for record in found], next=more)


@router.get("/runs/{run}")
async def show_run(visit: SignedIn, run: str) -> forms.RunShown:
    """Return a run with its outcome, also after a resume."""
    return forms.run_shown(await visit.read(visit.reader.run, run))


@router.get("/runs/{run}/story")
async def show_story(visit: SignedIn, run: str) -> forms.StoryForm:
    """Return why a run ended as it did."""
    return forms.story_form((await visit.read(visit.reader.run, run)).story)


@router.get("/approvals")
async def list_approvals(visit: SignedIn, state: str = "pending") -> approvals.ApprovalList:
    """Return what waits for a decision; with `state=all` also what was decided."""
    found = await visit.read(visit.inbox.approvals, everything=state == "all")
    doubts = await visit.read(visit.inbox.doubts)
    return approvals.ApprovalList(
        approvals=[approvals.approval_form(each) for each in found],
        doubts=[approvals.call_form(each) for each in doubts],
    )


@router.get("/approvals/{approval}")
async def show_approval(visit: SignedIn, approval: str) -> approvals.ApprovalShown:
    """Return one request with the digest that a decision has to name, and where it comes from."""
    return approvals.approval_shown((await visit.read(visit.inbox.approval, approval)).card)


@router.post("/approvals/{approval}/decide")
async def decide_approval(
    visit: SignedIn, approval: str, verdict: approvals.Verdict
) -> approvals.DecidedForm:
    """Approve or deny as the one who is signed in, and carry the run on."""
    result = await decide(
        visit, approval, verdict.decision, seen=verdict.seen, reason=verdict.reason
    )
    return approvals.decided_form(result.approval, result.outcome, _stuck(result.stuck))


def _stuck(error: StaidError | None) -> forms.ErrorBody | None:
    told = problem(error) if error else None
    return forms.ErrorBody(code=told.code, message=told.message, hint=told.hint) if told else None


@router.post("/approvals/{approval}/edit")
async def edit_approval(
    visit: SignedIn, approval: str, change: approvals.ChangeWanted
) -> approvals.ApprovalForm:
    """Put a changed call in the place of one that waits; return the request it became, or it."""
    decided = await edit(visit, approval, change.set, seen=change.seen, reason=change.reason)
    if isinstance(decided.approval, ApprovalRecord):
        return approvals.approval_form(decided.approval)
    return approvals.approval_form(await visit.read(visit.inbox.request, approval))


@router.get("/calls/{call}")
async def show_call(visit: SignedIn, call: str) -> approvals.CallShown:
    """Return one call, where its arguments come from, and whether it was taken back."""
    view = await visit.read(visit.inbox.call, call)
    return approvals.call_shown(view.record, view.card)


@router.post("/calls/{call}/settle")
async def settle_call(
    visit: SignedIn, call: str, found: approvals.Finding
) -> approvals.SettledForm:
    """Say what became of a call in doubt, or of its undoing; its run goes on."""
    result = await settle(visit, call, happened=FOUND[found.happened])
    return approvals.settled_form(result.record, _stuck(result.stuck))


@router.post("/calls/{call}/undo")
async def undo_call(visit: SignedIn, call: str, wanted: approvals.UndoWanted) -> approvals.UndoForm:
    """Take a done call back by its tool's own undo, at most once; say how that ended."""
    return approvals.undo_form(await take_back(visit, call, reason=wanted.reason))


@router.get("/handoffs")
async def list_handoffs(visit: SignedIn) -> forms.HandoffList:
    """Return the hand-offs of own questions, oldest first."""
    found = await visit.read(visit.reader.handoffs)
    return forms.HandoffList(handoffs=[forms.handoff_form(each) for each in found])
