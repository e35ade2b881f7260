"""The pages: ask, runs, a story; what a reader may not read; text that means harm."""

from __future__ import annotations

import re
from typing import Any

import pytest

from staid.domain.label import Label

QUESTION = "What is the refund policy on annual plans?"
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&amp;"
NOTE = "withheld: you may not read its source"
ADA_ALONE = Label.of([["user:ada"]])


def test_ask_and_see_the_answer_with_its_source(office: Any) -> None:
    """The form answers with a page that shows outcome, quotation, source, numbers and a story."""
    ada = office.signed_in("user:ada")
    page = ada.post("/ask", data={"text": QUESTION}).text
    for told in (QUESTION, "answer", "annual plans are refunded in full", "policy", "Floor"):
        assert told in page
    run = re.search(r"run_\w+", page)
    assert run is not None
    story = ada.get(f"/runs/{run[0]}/story").text
    assert "this decided" in story
    assert "user:ada asked the agent support" in story


def test_the_same_form_sent_twice_asks_once(office: Any) -> None:
    """A double click shows the same run; another question from the same page is another run."""
    ada = office.signed_in("user:ada")
    nonce = re.search(r'name="nonce" value="([^"]+)"', ada.get("/").text)
    assert nonce is not None
    form = {"text": QUESTION, "agent": "support", "nonce": nonce[1]}
    places = [ada.post("/ask", data=form, follow_redirects=False).headers["location"] for _ in "ab"]
    assert places[0] == places[1]
    assert len(ada.get("/api/runs").json()["runs"]) == 1
    other = ada.post("/ask", data={**form, "text": "hello there"}, follow_redirects=False)
    assert other.headers["location"] != places[0]


def test_asking_further_stays_in_the_conversation(office: Any) -> None:
    """The second form of a run's page carries its conversation, and only its asker may."""
    ada = office.signed_in("user:ada")
    first = office.ask(ada, QUESTION)
    conversation = ada.get(f"/api/runs/{first}").json()["conversation"]
    assert f'name="conversation" value="{conversation}"' in ada.get(f"/runs/{first}").text
    form = {"text": QUESTION, "conversation": conversation}
    assert ada.post("/ask", data=form).status_code == 200
    refused = office.signed_in("user:bob").post("/ask", data=form)
    assert (refused.status_code, "ST-303" in refused.text) == (404, True)


@pytest.mark.parametrize(
    ("text", "code"), [("", "ST-301"), ("   ", "ST-301"), ("x" * 20_001, "ST-302")]
)
def test_what_cannot_be_asked_is_told(office: Any, text: str, code: str) -> None:
    """An empty or endless question is a page with a code and the next step."""
    answer = office.signed_in("user:ada").post("/ask", data={"text": text})
    assert (answer.status_code, code in answer.text) == (400, True)


def test_an_abstention_shows_its_hand_off(office: Any) -> None:
    """What is not known is said so, and the question is on its asker's page of hand-offs alone."""
    ada = office.signed_in("user:ada")
    run = office.ask(ada, "How tall are giraffes near Nairobi")
    assert "hof_" in ada.get(f"/runs/{run}").text
    assert "giraffes" in ada.get("/handoffs").text
    assert "giraffes" not in office.signed_in("user:bob").get("/handoffs").text
    assert "giraffes" not in office.signed_in("user:lead").get("/handoffs").text


def test_empty_pages_teach_the_next_command(office: Any) -> None:
    """A page without rows says how to get one."""
    client = office.signed_in("user:bob")
    for path in ("/", "/runs", "/approvals", "/handoffs"):
        assert "<code>staid " in client.get(path).text


def test_somebody_elses_run_does_not_exist(office: Any) -> None:
    """A run of another asker answers exactly as one that was never there, on page and twin."""
    run = office.ask(office.signed_in("user:ada"), QUESTION)
    made_up = run[:-4] + "0000"
    bob = office.signed_in("user:bob")
    for path in ("/runs/{}", "/runs/{}/story", "/api/runs/{}", "/api/runs/{}/story"):
        real, none = bob.get(path.format(run)), bob.get(path.format(made_up))
        assert real.status_code == none.status_code == 404
        assert real.text.replace(run, "X") == none.text.replace(made_up, "X")
    assert run not in bob.get("/runs").text


def test_an_approver_reads_the_run_without_what_it_may_not_read(office: Any) -> None:
    """Who decides a request sees the run behind it; question and foreign passages are withheld."""
    office.write("secret", "refund order R-1002 goldfinch", ADA_ALONE)
    request = office.pending("user:ada")
    lead = office.signed_in("user:lead")
    for path in (
        f"/approvals/{request['id']}",
        f"/runs/{request['run']}",
        f"/runs/{request['run']}/story",
        f"/api/runs/{request['run']}",
        f"/api/runs/{request['run']}/story",
    ):
        text = lead.get(path).text
        assert NOTE in text, path
        assert "goldfinch" not in text, path
        assert "secret" not in text, path
        assert "Please refund" not in text, path
    told = lead.get(f"/api/runs/{request['run']}").json()
    assert (told["withheld"], told["evidence"], told["confidence"]) == (True, [], None)
    story = lead.get(f"/api/runs/{request['run']}/story").json()
    assert "The search looked at" not in story["story"]
    assert "held for a human by rule approval" in story["story"]


def test_a_revoked_document_is_withheld_from_its_old_readers(office: Any) -> None:
    """After a revoke the asker's own old run shows neither the passage nor the answer."""
    ada = office.signed_in("user:ada")
    run = office.ask(ada, QUESTION)
    assert "refunded in full" in ada.get(f"/runs/{run}").text
    office.project.wiring.corpus.relabel("help", "policy", Label.of([["group:leads"]]))
    for path in (
        f"/runs/{run}",
        f"/runs/{run}/story",
        f"/api/runs/{run}",
        f"/api/runs/{run}/story",
    ):
        text = ada.get(path).text
        assert "refunded in full" not in text, path
        assert NOTE in text, path
    assert QUESTION in ada.get(f"/runs/{run}").text  # one's own words stay readable


def test_hostile_text_stays_text(office: Any) -> None:
    """Markup in a question, a document, a tool argument or a reason is shown, never executed."""
    office.write(HOSTILE, f"zebra stripes {HOSTILE} zebra stripes")
    ada, lead = office.signed_in("user:ada"), office.signed_in("user:lead")
    asked = office.ask(ada, f"zebra stripes {HOSTILE}")
    request = office.pending("user:ada", HOSTILE)
    form = {"decision": "deny", "seen": request["digest"], "reason": HOSTILE}
    pages = [
        *(ada.get(path).text for path in ("/", "/runs", f"/runs/{asked}", f"/runs/{asked}/story")),
        ada.get(f"/runs/{request['run']}").text,
        *(lead.get(path).text for path in ("/approvals", f"/approvals/{request['id']}")),
        lead.post(f"/approvals/{request['id']}", data=form).text,
        lead.get(f"/runs/{request['run']}/story").text,
        ada.get(f"/runs/{request['run']}/story").text,
        ada.get(f"/runs/{HOSTILE}").text,
        ada.get(f"/approvals/{HOSTILE}").text,
    ]
    assert sum("&lt;script&gt;" in page for page in pages) >= 8
    for page in pages:
        assert "<script" not in page
        assert "<img src=x" not in page
        # A value inside quotes is text, as long as none of its own quotes ends it.
        assert not re.search(r"<[^>]+\son\w+=", re.sub(r'="[^"]*"', "", page))


def test_no_page_loads_or_runs_anything_of_its_own(office: Any) -> None:
    """No script, no inline style, nothing from another origin: the templates keep the policy."""
    office.pending("user:ada")
    client = office.signed_in("user:lead")
    for path in ("/", "/runs", "/approvals", "/handoffs", "/none"):
        page = client.get(path).text
        assert "<script" not in page
        assert "style=" not in page
        assert not re.findall(r'(?:src|href|action)="(?:[^/#"]|//)', page)
