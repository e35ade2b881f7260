"""Routes of the pages."""

from __future__ import annotations

import secrets
from hashlib import sha256
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Query, Request
from starlette.responses import RedirectResponse, Response

from staid.domain.errors import NotSignedIn, SignInLinkInvalid
from staid.server.auth.cookie import drop_session, session_of, set_session
from staid.server.console.pages import bars, page
from staid.server.desk import SignedIn, desk_of
from staid.server.insights import may_see
from staid.server.wanted import RunQuery

router = APIRouter(include_in_schema=False)

_SEE_OTHER = 303

Text = Annotated[str, Form()]


@router.get("/sign-in")
async def sign_in(request: Request, token: str = "") -> Response:
    """Exchange a sign-in link for a session, once."""
    sessions = desk_of(request).sessions
    try:
        session = sessions.exchange(token)
    except SignInLinkInvalid:
        if _signed_in(request):  # the link was opened twice by the same browser
            return RedirectResponse("/", _SEE_OTHER)
        raise
    sessions.end(session_of(request))
    answer = RedirectResponse("/", _SEE_OTHER)
    set_session(request, answer, session)
    return answer


def _signed_in(request: Request) -> bool:
    try:
        desk_of(request).sessions.principal(session_of(request))
    except NotSignedIn:
        return False
    return True


@router.post("/sign-out")
async def sign_out(request: Request) -> Response:
    """End the session."""
    desk_of(request).sessions.end(session_of(request))
    answer = page(request, "signed_out.html")
    drop_session(request, answer)
    return answer


@router.get("/")
async def ask_page(request: Request, visit: SignedIn) -> Response:
    """Show the form to ask, and the latest runs."""
    # The agent that is asked where none is named stands first: false sorts before true.
    agents = sorted(visit.desk.project.agent_names, key=lambda name: name != "support")
    found = await visit.read(visit.reader.runs, 5)
    nonce = secrets.token_urlsafe(16)
    return page(request, "ask.html", visit=visit, agents=agents, runs=found, nonce=nonce)


@router.post("/ask")
async def ask(
    visit: SignedIn, text: Text = "", agent: Text = "", conversation: Text = "", nonce: Text = ""
) -> Response:
    """Ask, then show the run; sending the same form twice asks once."""
    key = sha256(f"{nonce}\n{agent}\n{text}".encode()).hexdigest() if nonce else None
    outcome = await visit.ask(text, agent, conversation, key)
    return RedirectResponse(f"/runs/{outcome.run}", _SEE_OTHER)


@router.get("/runs")
async def runs(request: Request, visit: SignedIn, wanted: Annotated[RunQuery, Query()]) -> Response:
    """Show own runs that fit, and the form to narrow them."""
    now = visit.desk.project.wiring.clock.now()
    found = await visit.read(visit.reader.runs, wanted.limit, wanted.search(now))
    asked = wanted.model_dump(exclude_none=True, exclude={"after", "limit"})
    behind = {**asked, "after": found[-1].run} if len(found) == wanted.limit else None
    agents = sorted(visit.desk.project.agent_names)
    return page(
        request,
        "runs.html",
        visit=visit,
        insights=may_see(visit),
        runs=found,
        wanted=wanted,
        agents=agents,
        query=urlencode(asked),
        more=urlencode(behind) if behind else None,
    )


@router.get("/runs/{run}")
async def run(request: Request, visit: SignedIn, run: str) -> Response:
    """Show one run: its outcome and what it rests on."""
    view = await visit.read(visit.reader.run, run)
    mine = view.record.asker == visit.principal.token
    nonce = secrets.token_urlsafe(16)
    return page(request, "run.html", visit=visit, view=view, mine=mine, nonce=nonce)


@router.get("/runs/{run}/story")
async def story(request: Request, visit: SignedIn, run: str) -> Response:
    """Show why a run ended as it did."""
    view = await visit.read(visit.reader.run, run)
    drawn = bars(view.story.spans)
    return page(request, "story.html", visit=visit, view=view, drawn=drawn)


@router.get("/handoffs")
async def handoffs(request: Request, visit: SignedIn) -> Response:
    """Show the hand-offs of own questions."""
    found = await visit.read(visit.reader.handoffs)
    return page(request, "handoffs.html", visit=visit, handoffs=found)
