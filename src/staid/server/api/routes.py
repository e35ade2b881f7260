"""Routes of the JSON API."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from staid.domain.call import ApprovalRecord
from staid.server.api import forms
from staid.server.decision import decide, edit
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
async def list_approvals(visit: SignedIn, state: str = "pending") -> forms.ApprovalList:
    """Return what waits for a decision; with `state=all` also what was decided."""
    found = await visit.read(visit.reader.approvals, everything=state == "all")
    return forms.ApprovalList(approvals=[forms.approval_form(each) for each in found])


@router.get("/approvals/{approval}")
async def show_approval(visit: SignedIn, approval: str) -> forms.ApprovalForm:
    """Return one request with the digest that a decision has to name."""
    return forms.approval_form((await visit.read(visit.reader.approval, approval)).approval)


@router.post("/approvals/{approval}/decide")
async def decide_approval(
    visit: SignedIn, approval: str, verdict: forms.Verdict
) -> forms.DecidedForm:
    """Approve or deny as the one who is signed in, and carry the run on."""
    result = await decide(
        visit, approval, verdict.decision, seen=verdict.seen, reason=verdict.reason
    )
    told = problem(result.stuck) if result.stuck else None
    stuck = forms.ErrorBody(code=told.code, message=told.message, hint=told.hint) if told else None
    return forms.decided_form(result.approval, result.outcome, stuck)


@router.post("/approvals/{approval}/edit")
async def edit_approval(
    visit: SignedIn, approval: str, change: forms.ChangeWanted
) -> forms.ApprovalForm:
    """Put a changed call in the place of one that waits; return the request it became, or it."""
    decided = await edit(visit, approval, change.set, seen=change.seen, reason=change.reason)
    if isinstance(decided.approval, ApprovalRecord):
        return forms.approval_form(decided.approval)
    return forms.approval_form((await visit.read(visit.reader.approval, approval)).approval)


@router.get("/handoffs")
async def list_handoffs(visit: SignedIn) -> forms.HandoffList:
    """Return the hand-offs of own questions, oldest first."""
    found = await visit.read(visit.reader.handoffs)
    return forms.HandoffList(handoffs=[forms.handoff_form(each) for each in found])
