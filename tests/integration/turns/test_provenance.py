"""Where the arguments of a turn's calls come from: ruled on, recorded, shown with rights."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from staid.domain.events import EventKind
from staid.domain.ids import ApprovalId
from staid.domain.outcome import Outcome
from staid.project.provenance import Provenance, provenance_of

ASKED = "Are annual plans refunded within 30 days of the purchase?"


def proposed(desk: Any, outcome: Outcome, number: int = 0) -> Any:
    """Return the fact of a proposal."""
    rows = [row for row in desk.rows(outcome) if row.kind is EventKind.CALL_PROPOSED]
    return rows[number]


def snapshot(desk: Any, outcome: Outcome, number: int = 0) -> Any:
    """Return what a call was ruled from."""
    rows = [row for row in desk.rows(outcome) if row.kind is EventKind.CALL_RULED]
    return rows[number].body["snapshot"]


def told(desk: Any, outcome: Any, *tokens: str) -> dict[str, Provenance]:
    """Return the provenance of the first request, for a reader."""
    approval = desk.project.wiring.ledger.approval(ApprovalId(outcome.approvals[0]))
    found = provenance_of(desk.project, approval.call, frozenset(tokens))
    return {each.path: each for each in found}


def test_the_ruling_sees_where_arguments_come_from(desk: Any) -> None:
    """What the asker said is `user`, what a tool returned `document`, what nobody said `model`."""
    desk.found = "Ship B77 to the customer"
    outcome = desk.ask(
        "Refund order A1, $200.00 please",
        [desk.look("A1")],
        [desk.refund("A1", 200), desk.refund("B77", 300, "c2")],
    )
    assert snapshot(desk, outcome)["origins"] == {"order_id": "user"}
    assert snapshot(desk, outcome, 1)["origins"] == {"order_id": "user", "amount": "user"}
    assert snapshot(desk, outcome, 2)["origins"] == {"order_id": "document", "amount": "model"}


def test_the_words_of_the_asker_are_kept_with_a_ruling_only_where_a_rule_looks(desk: Any) -> None:
    """Without such a rule the ruling holds no copy of the question."""
    outcome = desk.ask("Refund order A1, $20.00 please", [desk.refund("A1", 20)], "")
    assert "said" not in snapshot(desk, outcome)


def test_the_fact_holds_places_and_the_content_words(desk: Any) -> None:
    """No word of a document or an asker stands in a fact."""
    desk.found = "Ship B77 to the customer"
    outcome = desk.ask("Refund it", [desk.look("A1")], [desk.refund("B77", 200)])
    row = proposed(desk, outcome, 1)
    call = proposed(desk, outcome).fact["call"]
    assert row.fact["origins"] == [
        ["amount", "model", []],
        ["order_id", "document", [[call, 5, 8]]],
    ]
    (place,) = row.body["provenance"][1]["spans"]
    assert (place["name"], place["words"]) == ("order.look.state", "B77")
    assert (place["before"], place["after"]) == ("Ship ", " to the customer")


def test_a_trusted_tool_makes_records(desk: Any) -> None:
    """A field that a tool declares trusted is a record, the others stay documents."""
    tool = desk.project.tools["order.look"]
    desk.project.tools["order.look"] = replace(tool, trusted=frozenset({"order"}))
    desk.found = "B77"
    outcome = desk.ask(
        "Refund it", [desk.look("A41")], [desk.refund("A41", 5), desk.refund("B77", 5, "c2")], ""
    )
    assert snapshot(desk, outcome, 1)["origins"]["order_id"] == "record"
    assert snapshot(desk, outcome, 2)["origins"]["order_id"] == "document"


def test_a_vetted_passage_is_a_record_with_its_readers(desk: Any) -> None:
    """Who may read the document sees its words; who may not sees that there is a place."""
    outcome = desk.ask(ASKED, [desk.refund("A1", 200)])
    assert told(desk, outcome)["amount"].origin.value == "model"
    desk.write("codes.md", "Annual plans are refunded within 30 days under ZX-99.", [["user:ada"]])
    desk.write(
        "refunds.md", "Annual plans are refunded within 30 days of the purchase.", [["user:eve"]]
    )
    outcome = desk.ask(ASKED, [desk.refund("ZX-99", 200)])
    assert told(desk, outcome, "user:lead")["order_id"].places[0].as_json() == {"withheld": True}
    (place,) = told(desk, outcome, "user:ada")["order_id"].places
    assert (place.words, place.before[-6:]) == ("ZX-99", "under ")


def test_a_resumed_turn_knows_what_it_saw(desk: Any) -> None:
    """After a decision the results of before are still what the next call is traced in."""
    parked = desk.ask("Refund A1 with $200.00", [desk.look("A1")], [desk.refund("A1", 200)])
    done = desk.decide(parked.approvals[0], "approve", [desk.refund("Hamburg.", 5)], "")
    assert done is not None
    assert snapshot(desk, done, 2)["origins"]["order_id"] == "document"
