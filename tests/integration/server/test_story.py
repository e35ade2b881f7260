"""The story's page: evidence and waterfall with a table twin, and nothing a reader may not read."""

from __future__ import annotations

from typing import Any

from staid.domain.label import Label

QUESTION = "What is the refund policy on annual plans?"
NOTE = "withheld: you may not read its source"


def crowd(office: Any, label: Label) -> None:
    """Write ten documents that compete with the policy, so that some are found and cut."""
    for number in range(10):
        office.write(f"other-{number}", f"refund policy plans number {number}", label)


def test_the_page_shows_chain_picture_and_table(office: Any) -> None:
    """Statement, quotation, version, source and times, all without a script."""
    ada = office.signed_in("user:ada")
    run = office.ask(ada, QUESTION)
    page = ada.get(f"/runs/{run}/story").text
    for told in ("What it rests on", "help/policy", "version", "<svg", "support check", "ms"):
        assert told in page, told
    assert "<script" not in page
    story = ada.get(f"/api/runs/{run}/story").json()
    for span in story["waterfall"]:
        assert page.count(f"<title>{span['name']}:") == 1
        assert f'">{span["name"]}</td>' in page


def test_after_a_revoke_chain_and_waterfall_tell_nothing(office: Any) -> None:
    """No id, version, number or word of a lost source is left in evidence, passages or spans."""
    ada = office.signed_in("user:ada")
    run = office.ask(ada, QUESTION)
    before = ada.get(f"/api/runs/{run}/story").json()
    office.project.wiring.corpus.relabel("help", "policy", Label.of([["group:leads"]]))
    after = ada.get(f"/api/runs/{run}/story").json()
    assert [e["text"] for e in after["evidence"]] == [None]
    assert [p["document"] for p in after["passages"]] == [None]
    secrets = {before["passages"][0][name] for name in ("document", "version", "chunk")}
    secrets |= {str(before["passages"][0]["similarity"]), before["evidence"][0]["quote"]}
    for text in (str(after), ada.get(f"/runs/{run}/story").text):
        assert not [secret for secret in secrets if secret in text]
        assert NOTE in text
    details = {s["name"]: s["detail"] for s in after["waterfall"]}
    assert (details["search"], details["floor"], details["support check"]) == ("", "", "")


def test_a_cut_document_is_not_named_to_who_may_not_read_it_now(office: Any) -> None:
    """What was found and cut is withheld by the label of now; the rest of the run is not."""
    crowd(office, Label.of([["group:customers"]]))
    ada = office.signed_in("user:ada")
    run = office.ask(ada, QUESTION)
    story = ada.get(f"/api/runs/{run}/story").json()
    cut = [p for p in story["passages"] if p["fate"] == "below k"]
    lost = cut[0]["document"].removeprefix("help/")
    office.project.wiring.corpus.relabel("help", lost, Label.of([["group:leads"]]))
    for path in (f"/runs/{run}/story", f"/api/runs/{run}/story"):
        text = ada.get(path).text
        assert lost not in text
        assert cut[1]["document"] in text
    again = ada.get(f"/api/runs/{run}/story").json()
    assert again["evidence"] == story["evidence"]
    assert [p["rank"] for p in again["passages"]] == [p["rank"] for p in story["passages"]]
    assert ada.get(f"/api/runs/{run}").json()["withheld"] is True


def test_who_else_may_read_a_passage_is_not_told(office: Any) -> None:
    """A reader sees its own right in a label, not the names of others."""
    label = Label.of([["group:customers", "user:chief-of-secrets"]])
    office.write("policy", "The refund policy on annual plans: annual plans are refunded.", label)
    ada = office.signed_in("user:ada")
    run = office.ask(ada, QUESTION)
    for path in (f"/runs/{run}/story", f"/api/runs/{run}/story"):
        text = ada.get(path).text
        assert "group:customers or another right" in text
        assert "chief-of-secrets" not in text


def test_a_pending_run_is_drawn_with_its_wait(office: Any) -> None:
    """The picture shows who waits; after the decision it shows for how long it waited."""
    request = office.pending("user:ada")
    ada = office.signed_in("user:ada")
    page = ada.get(f"/runs/{request['run']}/story").text
    assert 'class="bar-wait open"' in page
    office.clock.forward(days=2)  # longer than a session lasts
    lead, ada = office.signed_in("user:lead"), office.signed_in("user:ada")
    lead.post(
        f"/approvals/{request['id']}",
        data={"decision": "approve", "seen": request["digest"]},
    )
    spans = ada.get(f"/api/runs/{request['run']}/story").json()["waterfall"]
    wait = next(span for span in spans if span["kind"] == "wait")
    assert (wait["duration_ms"], wait["detail"], wait["open"]) == (172_800_000, "user:lead", False)
    assert "2.0 d" in ada.get(f"/runs/{request['run']}/story").text
