"""The page of the gates: what it shows, who sees it, and its two forms."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel
from sqlalchemy import update
from starlette.testclient import TestClient

import staid
from staid.project.gate_status import AGES, gate_status
from staid.project.project import Project
from staid.server.app import create_app
from staid.server.auth.sessions import Sessions
from staid.store import tables


class Parcel(BaseModel):
    """What is sent."""

    order_id: str


MINUTE = timedelta(minutes=1)
REASON = "the carrier loses parcels"


def stop(client: TestClient, tool: str = "refund.issue", reason: str = REASON) -> Any:
    """Send the form that stops a tool."""
    return client.post("/gates/stop", data={"tool": tool, "reason": reason})


def start(client: TestClient, tool: str = "refund.issue") -> Any:
    """Send the form that lets a tool go on."""
    return client.post("/gates/start", data={"tool": tool, "reason": "mended"})


def told(page: str) -> str:
    """Return a page without its markup, in one line."""
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def test_stop_and_start_by_form(bank: Any) -> None:
    """A stopped tool runs for nobody, the page says who stopped it and why; a start ends it."""
    lead = bank.signed_in("user:lead")
    assert "Stop it" in lead.get("/gates").text
    page = stop(lead)
    assert page.url.path == "/gates"
    assert f"by user:lead: “{REASON}”" in told(page.text)
    ada = bank.signed_in("user:ada")
    bank.ask(ada, "Please refund 60 EUR for order A-1", "desk")
    assert bank.refunds == []
    assert "Let it run again" not in start(lead).text
    bank.ask(ada, "Please refund 60 EUR for order A-2", "desk")
    assert bank.refunds == ["A-2"]


def test_everything_is_stopped_and_said_on_top(bank: Any) -> None:
    """One form stops every tool; the page is headed by it and its title says so."""
    lead = bank.signed_in("user:lead")
    page = stop(lead, "*").text
    assert "<h1>Every tool is stopped</h1>" in page
    assert "everything is stopped" in page
    bank.ask(bank.signed_in("user:ada"), "Please refund 60 EUR for order A-1", "desk")
    assert bank.refunds == []
    assert "<h1>Gates</h1>" in start(lead, "*").text


def test_a_second_click_changes_nothing(bank: Any) -> None:
    """Stopping twice keeps the first reason and its author; starting twice is a coded conflict."""
    stop(bank.signed_in("user:lead"))
    page = told(stop(bank.signed_in("user:second"), reason="me too").text)
    assert f"by user:lead: “{REASON}”" in page
    assert "me too" not in page
    start(bank.signed_in("user:lead"))
    again = start(bank.signed_in("user:second"))
    assert (again.status_code, "ST-426" in again.text) == (409, True)


@pytest.mark.parametrize(
    ("tool", "reason", "code"),
    [("refund.isue", "x", "ST-402"), ("refund.issue", "  ", "ST-601"), ("", "x", "ST-601")],
)
def test_what_cannot_be_meant(bank: Any, tool: str, reason: str, code: str) -> None:
    """A name with a slip in it, no reason, no name: a coded page, and nothing is stopped."""
    answer = stop(bank.signed_in("user:lead"), tool, reason)
    assert code in answer.text
    assert answer.status_code in {400, 404}
    assert bank.project.wiring.stops.names() == frozenset()


# --- who sees and stops ----------------------------------------------------------------------


def test_only_operators_see_and_stop(bank: Any) -> None:
    """An asker has neither link nor page nor forms, also by JSON; nothing is stopped."""
    ada = bank.signed_in("user:ada")
    assert 'href="/gates"' not in ada.get("/").text
    assert 'href="/gates"' in bank.signed_in("user:lead").get("/").text
    answers = [ada.get("/gates"), ada.get("/api/gates"), stop(ada), stop(ada, "*"), start(ada)]
    body = {"tool": "*", "reason": "x"}
    answers += [ada.post(f"/api/gates/{verb}", json=body) for verb in ("stop", "start")]
    assert [(each.status_code, "ST-425" in each.text) for each in answers] == [(403, True)] * 7
    assert bank.project.wiring.stops.names() == frozenset()


def test_where_nobody_is_named_nobody_sees(office: Any) -> None:
    """A project that names neither operators nor approvers shows and stops nothing over HTTP."""
    lead = office.signed_in("user:lead")
    assert 'href="/gates"' not in lead.get("/").text
    assert lead.get("/gates").status_code == 403
    assert stop(lead).status_code == 403
    assert office.project.wiring.stops.names() == frozenset()


@pytest.mark.parametrize("verb", ["stop", "start"])
def test_a_foreign_page_stops_nothing(bank: Any, verb: str) -> None:
    """A form of another site, one that names no origin, and one of nobody change nothing."""
    lead = bank.signed_in("user:lead")
    data = {"tool": "refund.issue", "reason": "x"}
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "same-site"}):
        assert lead.post(f"/gates/{verb}", data=data, headers=headers).status_code == 403
    del lead.headers["Origin"]
    assert lead.post(f"/gates/{verb}", data=data).status_code == 403
    assert bank.visitor().post(f"/gates/{verb}", data=data).status_code == 401
    assert bank.visitor().get("/gates").status_code == 401
    assert bank.project.wiring.stops.names() == frozenset()


# --- what it shows ---------------------------------------------------------------------------


def test_what_waits_by_age(bank: Any) -> None:
    """Each request is counted once, in the column of its age: the bounds belong to the older."""
    bank.pending(order="A")
    for forward in (AGES[2] - AGES[1], AGES[1] - AGES[0], AGES[0]):
        bank.clock.at += forward
        bank.pending(order=f"at {bank.clock.at:%d %H:%M}")
    (refund,) = [t for t in gate_status(bank.project).tools if t.name == "refund.issue"]
    assert refund.waiting == (1, 1, 1, 1)
    page = told(bank.signed_in("user:lead").get("/gates").text)
    assert "refund.issue 1 1 1 1 1 day" in page


def test_budgets_doubts_and_the_twin(bank: Any) -> None:
    """Totals against their limits, calls in doubt with a link, all of it also as JSON."""
    ada, lead = bank.signed_in("user:ada"), bank.signed_in("user:lead")
    bank.ask(ada, "Please refund 60 EUR for order A-1", "desk")
    bank.ask(ada, "post P-1", "desk")
    page = lead.get("/gates").text
    assert "60 of 100 in 1 day" in told(page)
    assert 'width="120.0"' in page
    twin = lead.get("/api/gates").json()
    assert twin == gate_status(bank.project).as_json()
    assert [(each["key"], each["drawn"], each["limit"]) for each in twin["budgets"]] == [
        ("user:ada", "60", "100")
    ]
    (lost,) = twin["in_doubt"]
    assert f'href="/calls/{lost["call"]}"' in page
    (post,) = [each for each in twin["tools"] if each["tool"] == "post.send"]
    assert (post["in_doubt"], post["stopped"]) == (1, False)


def test_the_twin_stops_and_starts(bank: Any) -> None:
    """Over JSON a stop and a start answer as `staid gates stop` and `start` do."""
    lead = bank.signed_in("user:lead")
    done = lead.post("/api/gates/stop", json={"tool": "post.send", "reason": REASON}).json()
    assert (done["tool"], done["stopped_by"], done["running"]) == ("post.send", "user:lead", [])
    assert lead.get("/api/gates").json()["stops"][0]["id"] == done["id"]
    ended = lead.post("/api/gates/start", json={"tool": "post.send"}).json()
    assert (ended["ended"]["id"], ended["stopped"]) == (done["id"], [])


def test_hostile_reasons_stay_text(bank: Any) -> None:
    """Markup and turned text in a reason are shown, never followed."""
    page = stop(bank.signed_in("user:lead"), reason="<script>x</script>\u202etrap").text
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "[U+202E]" in page
    assert "\u202e" not in page


RESTING = """
[project]
name = "resting"
[agents.desk]
model = "scripted:script.yaml"
allow_tools = ["post.send"]
[directory]
file = "directory.yaml"
[grounding]
signal = "similarity"
floor = 0.35
floor_reason = "the hashing embedder of the tests knows no meaning"
[gates]
operators = ["user:lead"]
"""


def test_a_tool_that_rests(make_project: Callable[..., Project]) -> None:
    """A tool whose breaker is open says until when; an operator ends its rest by form."""
    script = "- steps:\n    - calls: [{tool: post.send, arguments: {order_id: P-1}}]\n"
    project = make_project("resting", RESTING, **{"script.yaml": script})

    @project.tool("post.send", effect="write", breaker=staid.Breaker(failures=1, rest="5m"))
    def send(parcel: Parcel) -> None:  # pyright: ignore[reportUnusedFunction]  # registered
        """Send a parcel."""
        raise ConnectionError

    sessions = Sessions(project.wiring.clock)
    base = "http://127.0.0.1:8420"
    lead = TestClient(create_app(project, sessions=sessions), base_url=base)
    lead.headers["Origin"] = base
    lead.get(f"/sign-in?token={sessions.invite('user:lead')}")
    project.agent_named("desk").ask_sync("post it", asker="user:ada")
    page = lead.get("/gates").text
    assert "rests until" in told(page)
    assert "1 failures in a row" in page
    assert "End its rest" in page
    assert "may run" in told(start(lead, "post.send").text)


def test_a_call_whose_process_died_is_in_doubt_before_a_sweep(bank: Any) -> None:
    """While its lease lasts it runs; afterwards it is counted among the doubts, and only there."""
    bank.ask(bank.signed_in("user:ada"), "post P-1", "desk")
    now = bank.clock.at
    for lease, running, doubts in ((now + MINUTE, 1, 0), (now - MINUTE, 0, 1)):
        executing = {"state": "executing", "lease_until": lease}
        with bank.project.wiring.store.write() as connection:
            connection.execute(update(tables.call).values(executing))
        found = gate_status(bank.project)
        assert (len(found.running), len(found.in_doubt)) == (running, doubts)
        tools = [(t.running, t.in_doubt) for t in found.tools if t.running or t.in_doubt]
        assert tools == [(running, doubts)]
