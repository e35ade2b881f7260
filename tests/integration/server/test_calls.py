"""Calls that nobody knows the end of, and calls that are taken back, over HTTP."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient


def lost(bank: Any, order: str = "P-1") -> str:
    """Let a parcel be sent whose carrier hangs up; return the call: nobody was asked about it."""
    bank.ask(bank.signed_in("user:ada"), f"post {order}", "desk")
    doubts = bank.signed_in("user:lead").get("/api/approvals").json()["doubts"]
    return next(each["id"] for each in doubts if each["arguments"]["order_id"] == order)


def refunded(bank: Any, order: str = "R-1") -> dict[str, Any]:
    """Let two people approve a refund; return the request, done."""
    request = bank.pending(order=order)
    for who in ("user:lead", "user:second"):
        body = {"decision": "approve", "seen": request["digest"]}
        bank.signed_in(who).post(f"/api/approvals/{request['id']}/decide", json=body)
    return bank.signed_in("user:lead").get(f"/api/approvals/{request['id']}").json()


def settle(client: TestClient, call: str, happened: str) -> Any:
    """Send the form that says what became of a call."""
    return client.post(f"/calls/{call}/settle", data={"happened": happened})


def undo(client: TestClient, call: str, reason: str = "wrong customer") -> Any:
    """Send the form that takes a call back."""
    return client.post(f"/calls/{call}/undo", data={"reason": reason})


def state(bank: Any, call: str) -> str:
    """Return the state of a call."""
    return bank.project.wiring.ledger.get(call).state.value


# --- in doubt --------------------------------------------------------------------------------


@pytest.mark.parametrize(("happened", "after"), [("yes", "done"), ("no", "failed")])
def test_a_doubt_is_settled_by_form_once(bank: Any, happened: str, after: str) -> None:
    """The inbox leads to the call; an answer settles it, ends the run, and executes nothing."""
    call = lost(bank)
    lead = bank.signed_in("user:lead")
    assert f'href="/calls/{call}"' in lead.get("/approvals").text
    page = lead.get(f"/calls/{call}").text
    assert "Did it take effect?" in page
    assert "order_id" in page
    assert settle(lead, call, happened).status_code == 200
    assert state(bank, call) == after
    assert bank.refunds == ["P-1"]
    run = bank.project.wiring.ledger.get(call).call.run
    assert bank.signed_in("user:ada").get(f"/api/runs/{run}").json()["state"] == "released"
    again = settle(lead, call, "yes")
    assert (again.status_code, "ST-416" in again.text) == (409, True)
    assert "Nobody knows how these ended" not in lead.get("/approvals").text


def test_the_system_behind_is_asked_again(bank: Any) -> None:
    """While the carrier cannot tell, the call stays in doubt; once it can, its word counts."""
    call = lost(bank)
    lead = bank.signed_in("user:lead")
    assert 'value="ask-again"' in lead.get(f"/calls/{call}").text
    assert "Did it take effect?" in settle(lead, call, "ask-again").text
    bank.arrived["P-1"] = True
    settle(lead, call, "ask-again")
    assert state(bank, call) == "done"
    assert bank.refunds == ["P-1"]


def test_only_an_approver_who_is_not_upstream_settles(bank: Any) -> None:
    """The asker gets no form and is refused; for a colleague the call does not exist."""
    call = lost(bank)
    ada, bob = bank.signed_in("user:ada"), bank.signed_in("user:bob")
    page = ada.get(f"/calls/{call}").text
    assert "You may not settle it" in page
    assert "<form class" not in page.replace('<form class="who"', "")
    refused = settle(ada, call, "yes")
    assert (refused.status_code, "ST-414" in refused.text) == (403, True)
    for answer in (
        bob.get(f"/calls/{call}"),
        settle(bob, call, "yes"),
        undo(bob, call),
        bob.get(f"/api/calls/{call}"),
    ):
        assert answer.status_code == 404
    assert bob.get("/api/approvals").json()["doubts"] == []
    assert state(bank, call) == "in_doubt"


def test_a_doubt_of_a_request_is_settled_on_its_page(bank: Any) -> None:
    """A call that was approved has its form on the page of its request, also by the call's id."""
    bank.letters["m1"] = "hello"
    project = bank.project
    broken = project.tools["pay.send"]
    project.tools["pay.send"] = type(broken)(
        **{n: getattr(broken, n) for n in broken.__dataclass_fields__ if n != "handler"},
        handler=project.tools["post.send"].handler,
    )
    request = bank.waiting("pay 120 for mail m1 to GB29")
    lead = bank.signed_in("user:lead")
    body = {"decision": "approve", "seen": request["digest"]}
    lead.post(f"/api/approvals/{request['id']}/decide", json=body)
    call = request["calls"][0]["call"]
    page = lead.get(f"/calls/{call}")
    assert page.url.path == f"/approvals/{request['id']}"
    assert "Did it take effect?" in page.text
    done = settle(lead, call, "no")
    assert done.url.path == f"/approvals/{request['id']}"
    assert state(bank, call) == "failed"


# --- taken back ------------------------------------------------------------------------------


def test_a_refund_is_taken_back_by_form_once(bank: Any) -> None:
    """One click takes it back and says who did; a second one is told that it was done."""
    request = refunded(bank)
    call = request["calls"][0]["call"]
    lead = bank.signed_in("user:lead")
    assert "Take it back" in lead.get(f"/approvals/{request['id']}").text
    page = undo(lead, call)
    assert page.url.path == f"/approvals/{request['id']}"
    assert "Taken back by user:lead" in page.text
    assert bank.back == ["R-1"]
    again = undo(lead, call)
    assert (again.status_code, "ST-427" in again.text) == (409, True)
    assert bank.back == ["R-1"]


def test_an_undo_in_doubt_is_settled(bank: Any) -> None:
    """Where taking it back was lost, the inbox has it, and `no` lets it be tried again."""
    request = refunded(bank, "LOST")
    call = request["calls"][0]["call"]
    lead = bank.signed_in("user:lead")
    page = undo(lead, call).text
    assert "Nobody knows whether it was taken back" in page
    assert "Was it taken back?" in page
    assert 'value="ask-again"' not in page
    assert "whether it was taken back" in lead.get("/approvals").text
    settle(lead, call, "no")
    assert "could not be taken back" in lead.get(f"/approvals/{request['id']}").text
    undo(lead, call)
    settle(lead, call, "yes")
    assert state(bank, call) == "undone"
    assert bank.back == ["LOST", "LOST"]


def test_who_may_not_take_it_back(bank: Any) -> None:
    """The asker is refused with a code and has no form; nothing is taken back."""
    request = refunded(bank)
    call = request["calls"][0]["call"]
    ada = bank.signed_in("user:ada")
    assert "/undo" not in ada.get(f"/approvals/{request['id']}").text
    refused = undo(ada, call)
    assert (refused.status_code, "ST-414" in refused.text) == (403, True)
    assert bank.back == []


def test_what_has_no_undo_is_told(bank: Any) -> None:
    """A parcel cannot be taken back: no form, and a forged one gets a code."""
    call = lost(bank)
    lead = bank.signed_in("user:lead")
    settle(lead, call, "yes")
    assert "Take it back" not in lead.get(f"/calls/{call}").text
    refused = undo(lead, call)
    assert (refused.status_code, "ST-427" in refused.text) == (409, True)


# --- the same doors as everything else -------------------------------------------------------

FORMS = ("settle", "undo")


@pytest.mark.parametrize("form", FORMS)
def test_a_foreign_page_decides_nothing(bank: Any, form: str) -> None:
    """A form that another site sends, or that names no origin, changes nothing."""
    call = lost(bank)
    lead = bank.signed_in("user:lead")
    data = {"happened": "yes", "reason": "x"}
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        answer = lead.post(f"/calls/{call}/{form}", data=data, headers=headers)
        assert (answer.status_code, "ST-612" in answer.text) == (403, True)
    del lead.headers["Origin"]
    assert lead.post(f"/calls/{call}/{form}", data=data).status_code == 403
    assert state(bank, call) == "in_doubt"


@pytest.mark.parametrize("form", FORMS)
def test_nobody_signed_in_decides_nothing(bank: Any, form: str) -> None:
    """Without a session each form is refused, by page and by JSON."""
    call = lost(bank)
    stranger = bank.visitor()
    data = {"happened": "yes", "reason": "x"}
    assert stranger.post(f"/calls/{call}/{form}", data=data).status_code == 401
    assert stranger.post(f"/api/calls/{call}/{form}", json=data).status_code == 401
    assert state(bank, call) == "in_doubt"


def test_an_answer_that_is_none(bank: Any) -> None:
    """Anything but yes, no and ask-again is refused; nothing is settled."""
    call = lost(bank)
    assert settle(bank.signed_in("user:lead"), call, "perhaps").status_code == 400
    assert state(bank, call) == "in_doubt"


def test_the_twins(bank: Any) -> None:
    """Over JSON a doubt is settled and a refund taken back as by the forms."""
    call, lead = lost(bank), bank.signed_in("user:lead")
    shown = lead.get(f"/api/calls/{call}").json()
    assert (shown["id"], shown["state"], shown["undo"]) == (call, "in_doubt", None)
    assert [each["origin"] for each in shown["provenance"]] == ["user"]
    told = lead.post(f"/api/calls/{call}/settle", json={"happened": "yes"}).json()
    assert (told["state"], told["problem"]) == ("done", None)
    request = refunded(bank)
    back = request["calls"][0]["call"]
    undone = lead.post(f"/api/calls/{back}/undo", json={"reason": "wrong"}).json()
    assert (undone["call"], undone["state"], undone["by"]) == (back, "undone", "user:lead")
    assert lead.get(f"/api/approvals/{request['id']}").json()["undo"] == undone


def test_a_run_that_cannot_go_on_is_told_beside_it(bank: Any) -> None:
    """Where the model is gone, what was said about a doubt stands, and the page says so."""
    call = lost(bank)
    bank.project.settings.path("script.yaml").unlink()
    answer = settle(bank.signed_in("user:lead"), call, "yes")
    assert answer.status_code == 200
    assert "What you said is recorded, but the run could not go on" in answer.text
    assert state(bank, call) == "done"
