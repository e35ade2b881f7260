"""The inbox: who sees a request, who decides it, and how often it is carried out."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from starlette.testclient import TestClient

from staid.project.approval_card import card_json, card_of


def decide(client: TestClient, request: dict[str, Any], decision: str, **form: str) -> Any:
    """Send the form of a request's page."""
    data = {"decision": decision, "seen": request["digest"], **form}
    return client.post(f"/approvals/{request['id']}", data=data)


def test_approving_by_form_carries_it_out_once(office: Any) -> None:
    """One click executes the refund exactly once, and the asker's run ends with its result."""
    request = office.pending("user:ada")
    lead = office.signed_in("user:lead")
    page = decide(lead, request, "approve", reason="Checked the order")
    assert page.status_code == 200
    assert "approved by user:lead" in page.text
    assert "Checked the order" in page.text
    assert office.refunds == ["R-1002"]
    run = office.signed_in("user:ada").get(f"/api/runs/{request['run']}").json()
    assert (run["outcome"], run["reason"]) == ("answer", "tool_result")
    assert "Refunded 240 EUR for order R-1002." in run["text"]


@pytest.mark.parametrize("second", ["approve", "deny"])
def test_a_second_click_is_told_and_does_nothing(office: Any, second: str) -> None:
    """Deciding what is decided says so, names who did, and executes nothing."""
    request = office.pending("user:ada")
    lead = office.signed_in("user:lead")
    decide(lead, request, "approve")
    again = decide(lead, request, second, reason="again")
    assert again.status_code == 409
    assert "already decided: approve by user:lead" in again.text
    assert "Nothing was executed by this second decision." in again.text
    assert office.refunds == ["R-1002"]


def test_ten_clicks_at_once_carry_it_out_once(office: Any) -> None:
    """Of ten simultaneous approvals one decides; the effect takes place once."""
    request = office.pending("user:ada")
    clients = [office.signed_in("user:lead") for _ in range(10)]
    with ThreadPoolExecutor(10) as pool:
        sent = [pool.submit(decide, client, request, "approve") for client in clients]
    assert sorted(each.result().status_code for each in sent) == [200] + [409] * 9
    assert office.refunds == ["R-1002"]


def test_denying_takes_a_reason(office: Any) -> None:
    """Without a reason nothing is decided; with one the call is denied and the run refused."""
    request = office.pending("user:ada")
    lead = office.signed_in("user:lead")
    refused = decide(lead, request, "deny", reason="  ")
    assert (refused.status_code, "a denial needs a reason" in refused.text) == (400, True)
    assert lead.get(f"/api/approvals/{request['id']}").json()["state"] == "pending"
    assert decide(lead, request, "deny", reason="Not our order").status_code == 200
    assert office.refunds == []
    found = office.signed_in("user:ada").get(f"/api/runs/{request['run']}").json()
    assert found["outcome"] == "refusal"


def test_the_asker_cannot_decide(office: Any) -> None:
    """Who asked sees the request, gets no form, and is refused by page and by JSON."""
    request = office.pending("user:ada")
    ada = office.signed_in("user:ada")
    page = ada.get(f"/approvals/{request['id']}").text
    assert "You may not decide this" in page
    assert 'value="approve"' not in page
    assert decide(ada, request, "approve").status_code == 403
    twin = ada.post(
        f"/api/approvals/{request['id']}/decide",
        json={"decision": "approve", "seen": request["digest"]},
    )
    assert (twin.status_code, twin.json()["error"]["code"]) == (403, "ST-414")
    assert office.refunds == []


def test_an_approver_cannot_decide_its_own_request(office: Any) -> None:
    """Holding the approver's role does not help for what one asked for oneself."""
    request = office.pending("user:lead")
    assert decide(office.signed_in("user:lead"), request, "approve").status_code == 403
    assert office.refunds == []


def test_nobody_else_finds_it(office: Any) -> None:
    """For anybody else a request does not exist: not in lists, not by id, not to decide."""
    request = office.pending("user:ada")
    bob = office.signed_in("user:bob")
    made_up = request["id"][:-4] + "0000"
    for path in ("/approvals", "/api/approvals"):
        real, none = bob.get(f"{path}/{request['id']}"), bob.get(f"{path}/{made_up}")
        assert real.status_code == none.status_code == 404
        assert real.text.replace(request["id"], "X") == none.text.replace(made_up, "X")
    assert decide(bob, request, "approve").status_code == 404
    assert bob.get("/api/approvals?state=all").json() == {"approvals": [], "doubts": []}
    assert request["id"] not in bob.get("/approvals?state=all").text
    assert office.refunds == []


def test_what_was_seen_is_what_is_decided(office: Any) -> None:
    """A form that shows another digest, or none, is refused; nothing is executed."""
    request = office.pending("user:ada")
    lead = office.signed_in("user:lead")
    other = decide(lead, {**request, "digest": "0" * 64}, "approve")
    assert (other.status_code, "ST-413" in other.text) == (409, True)
    assert decide(lead, {**request, "digest": ""}, "approve").status_code == 400
    assert "Open the request again" in other.text  # a page has no commands
    body = {"decision": "approve", "seen": "0" * 64}
    twin = lead.post(f"/api/approvals/{request['id']}/decide", json=body).json()["error"]
    assert f"staid approvals show {request['id']}" in twin["hint"]
    assert office.refunds == []


def test_the_form_carries_the_digest_and_denies_by_default(office: Any) -> None:
    """The page binds the decision to what it shows; its first button denies."""
    request = office.pending("user:ada")
    page = office.signed_in("user:lead").get(f"/approvals/{request['id']}").text
    assert f'name="seen" value="{request["digest"]}"' in page
    assert 0 < page.index('value="deny"') < page.index('value="approve"')
    assert "autofocus" not in page
    for told in ("amount", "240", "order_id", "R-1002", "rule approval", "user:ada", "Expires"):
        assert told in page


def test_an_expired_request_is_refused(office: Any) -> None:
    """After its time a request can be seen but not decided, and nothing is executed."""
    request = office.pending("user:ada")
    office.clock.forward(days=8)
    lead = office.signed_in("user:lead")
    answer = decide(lead, request, "approve")
    assert (answer.status_code, "ST-412" in answer.text) == (409, True)
    assert lead.get(f"/api/approvals/{request['id']}").json()["state"] == "expired"
    assert office.refunds == []


def test_the_inbox_shows_what_waits_and_then_what_was_decided(office: Any) -> None:
    """The inbox names call, asker and rule; a decided one leaves it and is in the full list."""
    request = office.pending("user:ada")
    lead = office.signed_in("user:lead")
    inbox = lead.get("/approvals").text
    for told in ("refund.issue", "R-1002", "user:ada", f"/approvals/{request['id']}"):
        assert told in inbox
    decide(lead, request, "deny", reason="no")
    assert "Nothing waits for you" in lead.get("/approvals").text
    assert request["id"] in lead.get("/approvals?state=all").text


def test_a_run_that_cannot_go_on_is_told_beside_the_decision(
    office: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the model is gone after an approval, the page says that the decision stands."""
    request = office.pending("user:ada")
    office.project.settings.path("script.yaml").unlink()
    answer = decide(office.signed_in("user:lead"), request, "approve")
    assert answer.status_code == 200
    assert "The decision is recorded, but the run could not go on" in answer.text
    assert "approved by user:lead" in answer.text


def test_changing_the_arguments_by_form(office: Any) -> None:
    """A lead lowers the amount: that is carried out once, and the old page decides nothing."""
    request = office.pending("user:ada")
    lead = office.signed_in("user:lead")
    page = lead.get(f"/approvals/{request['id']}").text
    assert 'name="set.amount"' in page
    form = {"set.amount": "60", "set.order_id": "R-1002", "seen": request["digest"]}
    answer = lead.post(f"/approvals/{request['id']}/edit", data=form)
    assert answer.status_code == 200
    assert office.refunds == ["R-1002"]
    assert decide(lead, request, "approve").status_code == 409
    run = office.signed_in("user:ada").get(f"/api/runs/{request['run']}").json()
    assert "Refunded 60 EUR for order R-1002." in run["text"]


def test_the_api_says_what_the_command_line_says(office: Any) -> None:
    """A request is the same JSON over HTTP as from `staid approvals show --json`, changed too."""
    lead_holds = office.project.wiring.identify("user:lead", None).principal.tokens
    request = office.pending("user:ada")
    lead = office.signed_in("user:lead")
    found = office.project.wiring.ledger.approval(request["id"])
    assert lead.get(f"/api/approvals/{request['id']}").json() == card_json(
        card_of(office.project, found, lead_holds)
    )
    change = {"set": {"amount": "200"}, "seen": request["digest"], "reason": "as agreed"}
    changed = lead.post(f"/api/approvals/{request['id']}/edit", json=change).json()
    assert (changed["state"], changed["edited_by"]) == ("pending", "user:lead")
    assert "who cannot approve it" in lead.get(f"/approvals/{changed['id']}").text
    assert office.refunds == []
