"""The page of a request: what an approver has to see within ten seconds."""

from __future__ import annotations

import re
from typing import Any

import pytest
from starlette.testclient import TestClient

from staid.domain.label import Label
from staid.project.approval_card import card_json, card_of

IBAN = "GB29 NWBK 6016 1331 9268 19"
DANGER = "Somebody else may have planted"


def planted(bank: Any, words: str = IBAN) -> dict[str, Any]:
    """Let an account come from a letter; return the request to pay it."""
    bank.letters["m1"] = f"Dear desk, our account is now {words} as of today."
    bank.letters["m2"] = words
    return bank.waiting("look at mail m2")


def page_of(client: TestClient, request: dict[str, Any]) -> str:
    """Return the page of a request."""
    return client.get(f"/approvals/{request['id']}").text


def vote(client: TestClient, request: dict[str, Any], decision: str = "approve") -> Any:
    """Decide what the page shows now."""
    shown = re.search(r'name="seen" value="(\w+)"', page_of(client, request))
    seen = shown[1] if shown else request["digest"]
    data = {"decision": decision, "seen": seen, "reason": "looked"}
    return client.post(f"/approvals/{request['id']}", data=data)


def row_of(page: str, name: str) -> str:
    """Return the row of an argument."""
    found = re.search(rf'<tr[^>]*>\s*<th scope="row">{name}</th>.*?</tr>', page, re.DOTALL)
    assert found is not None, name
    return found[0]


# --- where each value comes from -------------------------------------------------------------


def test_what_anybody_may_have_written_cannot_be_overlooked(bank: Any) -> None:
    """An account out of a letter: named on top, marked in its row, and told again at the button."""
    request = planted(bank)
    page = page_of(bank.signed_in("user:chief"), request)
    assert f"{DANGER} iban" in page
    assert page.index(DANGER) < page.index("<table")
    row = row_of(page, "iban")
    assert 'class="untrusted"' in row
    assert "from a document that anybody may have written" in row
    assert f"<mark>{IBAN}</mark>" in row
    assert "mail.read" in row
    button = page.index('value="approve"')
    assert page.index("Approving lets it run with iban") < button
    assert 'aria-describedby="careful"' in page[button:]
    assert "Change the arguments" in page


def test_the_askers_words_raise_no_alarm(bank: Any) -> None:
    """What the asker said is told so; nothing is called planted."""
    bank.letters["m1"] = "please pay"
    page = page_of(bank.signed_in("user:lead"), bank.waiting(f"pay 120 for mail m1 to {IBAN}"))
    assert DANGER not in page
    assert "said by the asker" in row_of(page, "iban")
    assert f"<mark>{IBAN}</mark>" in row_of(page, "iban")
    assert "found nowhere: the model&#39;s own" in row_of(page, "note")
    assert 'class="invented"' in row_of(page, "note")


def test_page_json_and_terminal_read_the_same(bank: Any) -> None:
    """The JSON twin is what `staid approvals show --json` prints for the same reader."""
    request = planted(bank)
    project = bank.project
    found = project.wiring.ledger.approval(request["id"])
    tokens = project.wiring.identify("user:chief", None).principal.tokens
    twin = bank.signed_in("user:chief").get(f"/api/approvals/{request['id']}").json()
    assert twin == card_json(card_of(project, found, tokens))
    origins = {each["path"]: each["origin"] for each in twin["provenance"]}
    assert origins == {"amount": "model", "iban": "document", "note": "model"}
    assert twin["calls"][0]["provenance"] == twin["provenance"]
    assert (twin["effect"], twin["reversible"]) == ("irreversible", False)
    assert "irreversible" in page_of(bank.signed_in("user:chief"), request)


def test_a_rule_on_trial_says_what_it_would_have_ruled(bank: Any) -> None:
    """A shadow rule decides nothing; the approver reads its word on page and twin."""
    request = planted(bank)
    assert request["shadows"] == [{"rule": "shadow:no-strangers", "ruling": "deny"}]
    page = page_of(bank.signed_in("user:chief"), request)
    told = re.sub(r"<[^>]+>", "", page)
    assert "shadow:no-strangers would have said deny" in told


def test_words_of_a_revoked_document_are_withheld(bank: Any) -> None:
    """Once an approver may no longer read what a value came from, its words are not shown."""
    bank.write("accounts", f"Invoices of Mueller are paid to account {IBAN} goldfinch.")
    question = "Mueller invoices account goldfinch: look at mail m2"
    bank.letters["m2"] = "GB00 OTHER"
    lead = bank.signed_in("user:chief")
    request = bank.waiting(question)
    assert "<mark>GB00 OTHER</mark>" in page_of(lead, request)
    bank.project.wiring.corpus.relabel("help", "accounts", Label.of([["user:ada"]]))
    page = page_of(lead, request)
    assert "in a text that you may not read" in row_of(page, "iban")
    assert "<mark>GB00 OTHER" not in page
    assert "goldfinch" not in page


# --- who decides, until when, what was said --------------------------------------------------


def test_above_the_ceiling_only_no_is_offered(bank: Any) -> None:
    """A lead may deny 700, not approve it: the page says so, and a forged form gets a code."""
    request = planted(bank)
    lead = bank.signed_in("user:lead")
    page = page_of(lead, request)
    assert "the amount is 700, and they may approve 500" in page
    assert 'value="approve"' not in page
    assert 'value="deny"' in page
    refused = vote(lead, request)
    assert (refused.status_code, "ST-414" in refused.text) == (403, True)
    assert bank.refunds == []
    assert "group:leads up to 500" in re.sub(r"<[^>]+>", "", page)


def test_the_page_says_when_it_widens_and_when_it_ends(bank: Any) -> None:
    """Time left, and who else decides from when on; after that it says escalated."""
    request = planted(bank)
    chief = bank.signed_in("user:chief")
    page = page_of(chief, request)
    assert "7 days left" in page
    assert "from <time" in page
    assert "escalated" not in page
    bank.clock.forward(hours=5)
    chief = bank.signed_in("user:chief")
    assert "escalated" in page_of(chief, request)
    assert "since <time" in page_of(chief, request)
    assert "escalated" in chief.get("/approvals").text
    bank.clock.forward(days=6, hours=18, minutes=30)
    assert 'class="left soon"' in page_of(bank.signed_in("user:chief"), request)


def test_two_people_and_who_said_what(bank: Any) -> None:
    """One of two: who approved is named and cannot approve again; the second carries it out."""
    request = bank.pending()
    lead, second = bank.signed_in("user:lead"), bank.signed_in("user:second")
    assert "<b>0 of 2</b> approved" in page_of(lead, request)
    assert vote(lead, request).status_code == 200
    page = page_of(lead, request)
    assert "<b>1 of 2</b> approved" in page
    assert "user:lead approved" in page
    assert 'value="approve"' not in page
    assert vote(lead, request).status_code == 409
    assert "1 of 2 approved" in second.get("/approvals").text
    assert bank.refunds == []
    assert vote(second, request).status_code == 200
    assert bank.refunds == ["R-1002"]


# --- several calls, one decision -------------------------------------------------------------


def sixty(bank: Any, *orders: str) -> dict[str, Any]:
    """Let ada ask for refunds of 60 that are each below the threshold; return the request."""
    ada = bank.signed_in("user:ada")
    for order in orders:
        bank.ask(ada, f"Please refund 60 EUR for order {order}", "desk")
    return bank.signed_in("user:lead").get("/api/approvals").json()["approvals"][0]


def test_small_calls_are_shown_with_their_sum(bank: Any) -> None:
    """Three refunds of 60: all three with their sum, and which of them this decides."""
    request = sixty(bank, "A-1", "A-2", "A-3")
    lead = bank.signed_in("user:lead")
    page = page_of(lead, request)
    assert "3 calls add up to 180; this decides 2 of them" in page
    for order in ("A-1", "A-2", "A-3"):
        assert f"order_id</span> {order}" in page or f"order_id {order}" in page
    assert page.count("decided here") == 2
    assert "Approve all 2" in page
    assert "Change the arguments" not in page
    assert "Changed since it was last shown" in page
    assert "2 calls, one decision" in lead.get("/approvals").text
    ada = page_of(bank.signed_in("user:ada"), request)
    assert "add up to 180; this" not in ada


def test_one_decision_carries_every_run_on(bank: Any) -> None:
    """Approving a group by form ends the run of each of its calls, not only of the first."""
    request = sixty(bank, "A-1", "A-2", "A-3")
    vote(bank.signed_in("user:lead"), request)
    vote(bank.signed_in("user:second"), request)
    assert sorted(bank.refunds) == ["A-1", "A-2", "A-3"]
    runs = bank.signed_in("user:ada").get("/api/runs").json()["runs"]
    assert [each["state"] for each in runs] == ["released"] * 3


def test_what_joined_another_is_decided_there(bank: Any) -> None:
    """The page of a joined request has no form, and leads to the one that decides it."""
    request = sixty(bank, "A-1", "A-2", "A-3")
    lead = bank.signed_in("user:lead")
    joined = bank.project.wiring.ledger.get(request["calls"][1]["call"]).approval
    assert joined != request["id"]
    page = page_of(lead, {"id": joined})
    assert f'href="/approvals/{request["id"]}"' in page
    assert 'value="approve"' not in page


def test_a_void_yes_is_told_as_void(bank: Any) -> None:
    """When a third call joins, the yes before counts no more, and the page says that."""
    request = sixty(bank, "A-1", "A-2")
    lead = bank.signed_in("user:lead")
    vote(lead, request)
    sixty(bank, "A-3")
    page = page_of(lead, request)
    assert "void: it changed since" in page
    assert "<b>0 of 2</b> approved" in page
    assert "<del>1 call</del>" in page
    assert "<ins>2 calls</ins>" in page
    assert 'value="approve"' in page


# --- text that means harm --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hidden", "told"),
    [
        ("GB29\u200b NWBK", "[U+200B]"),
        ("\u202e91 8629\u202c", "[U+202E]"),
        ("GB29\u00a0NWBK", "[U+00A0]"),
        ("GB29\u3164NWBK", "[U+3164]"),
        ("GB29\U000e0041NWBK", "[U+E0041]"),
        ("GB29\u0007NWBK", "[U+0007]"),
    ],
)
def test_what_nobody_would_see_is_written_out(bank: Any, hidden: str, told: str) -> None:
    """Zero-width, turning, blank and control characters of a value stand there as code points."""
    request = planted(bank, hidden)
    chief = bank.signed_in("user:chief")
    for page in (page_of(chief, request), chief.get("/approvals").text):
        assert told in page
        readable = re.sub(r"<textarea.*?</textarea>", "", page, flags=re.DOTALL)
        assert not any(each in readable for each in hidden if ord(each) > 126 or ord(each) < 32)


def test_an_edit_sends_back_what_it_does_not_change(bank: Any) -> None:
    """Lines and unseen characters survive the form: what was not touched is no change."""
    request = planted(bank, "first\nGB29\u200b NWBK")
    chief = bank.signed_in("user:chief")
    form = {
        "set.iban": "first\r\nGB29\u200b NWBK",  # as a browser sends it
        "set.amount": "600",
        "set.note": "as agreed",
        "seen": request["digest"],
    }
    chief.post(f"/approvals/{request['id']}/edit", data=form)
    first, now = chief.get("/api/approvals?state=all").json()["approvals"]
    assert first["replaced_by"] == now["calls"][0]["call"]
    assert now["arguments"] == {**request["arguments"], "amount": "600"}
    assert ">\nfirst\nGB29\u200b NWBK</textarea>" in page_of(bank.signed_in("user:lead"), now)
    assert "[U+200B]" in row_of(page_of(chief, now), "iban")
