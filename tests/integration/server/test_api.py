"""The JSON twins: the command line's forms, described, with coded errors."""

from __future__ import annotations

from typing import Any

import pytest

from staid.cli import handoffs as cli_handoffs
from staid.cli import output
from staid.cli import runs as cli_runs
from staid.domain import errors
from staid.domain.canonical import plain
from staid.domain.errors import StaidError
from staid.project.approval_json import approval_json
from staid.runtime.released import outcome_of
from staid.server.problem import problem, status_of
from staid.tracing.story import story_json, tell

QUESTION = "What is the refund policy on annual plans?"


@pytest.mark.parametrize("text", [QUESTION, "How tall are giraffes near Nairobi"])
def test_ask_answers_in_the_form_of_the_command_line(office: Any, text: str) -> None:
    """`POST /api/ask` answers exactly what `staid ask --json` prints."""
    ada = office.signed_in("user:ada")
    told = ada.post("/api/ask", json={"text": text, "agent": "support"}).json()
    rows = office.project.wiring.records.rows(told["run"])
    assert told == plain(output.outcome_json(outcome_of(told["run"], rows)))


def test_the_same_key_gives_the_same_outcome(office: Any) -> None:
    """A key that was used returns the first outcome; with another question it is a conflict."""
    ada = office.signed_in("user:ada")
    body = {"text": QUESTION, "key": "k-1"}
    assert ada.post("/api/ask", json=body).json() == ada.post("/api/ask", json=body).json()
    other = ada.post("/api/ask", json={**body, "text": "something else"})
    assert (other.status_code, other.json()["error"]["code"]) == (409, "ST-305")


def test_runs_and_stories_are_those_of_the_command_line(office: Any) -> None:
    """Lists, runs and stories carry the keys and values of `staid runs` and `staid why`."""
    ada = office.signed_in("user:ada")
    run = office.ask(ada, QUESTION)
    records = office.project.wiring.records
    record, rows = records.run(run), records.rows(run)
    shown = cli_runs.record_json(record)
    assert ada.get("/api/runs").json() == {"runs": [plain(shown)], "next": None}
    expected = {**shown, **output.outcome_json(outcome_of(run, rows)), "withheld": False}
    assert ada.get(f"/api/runs/{run}").json() == plain(expected)
    tokens = office.project.wiring.directory.resolve("user:ada").tokens
    told = story_json(tell(run, rows, tokens=tokens))
    assert ada.get(f"/api/runs/{run}/story").json() == plain(told)


def test_approvals_are_those_of_the_command_line(office: Any) -> None:
    """Lists, requests and decisions carry the keys and values of `staid approvals`."""
    request = office.pending("user:ada")
    lead = office.signed_in("user:lead")
    ledger = office.project.wiring.ledger
    found = ledger.approval(request["id"])
    assert lead.get("/api/approvals").json() == {
        "approvals": [plain(approval_json(found))],
        "doubts": [],
    }
    body = {"decision": "approve", "seen": request["digest"]}
    decided = lead.post(f"/api/approvals/{request['id']}/decide", json=body).json()
    outcome = decided.pop("outcome")
    assert decided.pop("problem") is None
    assert decided == plain(approval_json(ledger.approval(request["id"])))
    assert (outcome["outcome"], outcome["reason"]) == ("answer", "tool_result")
    assert office.refunds == ["R-1002"]


def test_handoffs_are_those_of_the_command_line(office: Any) -> None:
    """Hand-offs carry the keys and values of `staid handoffs list`."""
    ada = office.signed_in("user:ada")
    office.ask(ada, "How tall are giraffes near Nairobi")
    (found,) = office.project.wiring.records.handoffs()
    assert ada.get("/api/handoffs").json() == {"handoffs": [plain(cli_handoffs._json(found))]}


def test_every_twin_is_described(office: Any) -> None:
    """The OpenAPI document names every address below /api, and nothing else."""
    described = office.visitor().get("/api/openapi.json").json()
    assert set(described["paths"]) == {
        "/api/ask",
        "/api/runs",
        "/api/runs/{run}",
        "/api/runs/{run}/story",
        "/api/approvals",
        "/api/approvals/{approval}",
        "/api/approvals/{approval}/decide",
        "/api/approvals/{approval}/edit",
        "/api/calls/{call}",
        "/api/calls/{call}/settle",
        "/api/calls/{call}/undo",
        "/api/gates",
        "/api/gates/stop",
        "/api/gates/start",
        "/api/handoffs",
    }


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("POST", "/api/ask", {}, 400, "ST-601"),
        ("POST", "/api/ask", {"text": ""}, 400, "ST-301"),
        ("POST", "/api/ask", {"text": "hi", "agent": "nobody"}, 404, "ST-304"),
        ("POST", "/api/approvals/apr_x/decide", {"decision": "edit", "seen": "x"}, 400, "ST-601"),
        ("POST", "/api/approvals/apr_x/decide", {"decision": "deny", "seen": "x"}, 404, "ST-410"),
        ("GET", "/api/runs/run_x", None, 404, "ST-306"),
        ("GET", "/api/none", None, 404, "ST-601"),
        ("DELETE", "/api/runs", None, 405, "ST-601"),
    ],
)
def test_errors_are_coded(
    office: Any, method: str, path: str, body: object, status: int, code: str
) -> None:
    """Every refusal is JSON with code, message and next step, under the status it deserves."""
    answer = office.signed_in("user:ada").request(method, path, json=body)
    assert answer.status_code == status
    assert set(answer.json()["error"]) == {"code", "message", "hint"}
    assert answer.json()["error"]["code"] == code


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.RunNotFound(run="x"), 404),
        (errors.ApproverNotAllowed(approver="a", approval="b", detail="c"), 403),
        (errors.QuestionEmpty(), 400),
        (errors.ApprovalDecided(approval="a", decision="b", by="c"), 409),
        (errors.ApprovalMismatch(approval="a"), 409),
        (errors.CallMoved(call="a", found="b", expected="c"), 409),
        (errors.RunBusy(run="x"), 409),
        (errors.StoreReadOnly(), 503),
        (errors.ModelUnavailable(detail="x"), 503),
        (errors.SettingsInvalid(key="a", file="b", detail="c"), 503),
        (StaidError(), 503),
    ],
)
def test_each_kind_of_error_has_its_status(error: StaidError, status: int) -> None:
    """Unknown 404, not permitted 403, usage 400, conflict 409; the operator's affairs 503."""
    assert status_of(error) == status


def test_a_system_error_keeps_its_values_to_itself() -> None:
    """Paths and details of the operator's machine reach the log, never the reader."""
    told = problem(errors.StoreLocked(seconds=10, path="/srv/private/staid.db"))
    assert told.code == "ST-111"
    assert "locked" in told.message
    assert "private" not in told.message + told.hint
