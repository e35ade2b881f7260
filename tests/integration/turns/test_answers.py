"""What reaches the asker, and what does not."""

from __future__ import annotations

from typing import Any

import pytest

from staid.domain.events import EventKind

POLICY = "Annual plans are refunded within 30 days of the purchase."
ASKED = "Are annual plans refunded within 30 days of the purchase?"


def test_a_follow_up_reaches_its_tool_without_any_passage(desk: Any) -> None:
    """A refund asked for in a conversation that no document matches is carried out and told."""
    first = desk.ask("I bought the wrong thing.", "")
    outcome = desk.ask("Yes, do it.", [desk.refund("A1", 40)], "", conversation=first.conversation)
    assert (outcome.outcome, outcome.reason) == ("answer", "tool_result")
    assert outcome.text == "Refunded 40 for order A1."
    assert desk.effects == ["refund A1"]
    assert all(request.evidence == () for request in desk.play.seen)
    assert desk.deciding(outcome).kind is EventKind.CALL_SETTLED


def test_an_invented_policy_does_not_reach_the_asker(desk: Any) -> None:
    """Below the floor prose is discarded: the asker abstention, a teammate the question."""
    outcome = desk.ask("Do whales sing at night?", "Our policy is to refund everybody for ever.")
    assert (outcome.outcome, outcome.reason) == ("abstention", "weak")
    assert "policy" not in outcome.text
    assert outcome.handoff is not None
    assert desk.deciding(outcome).kind is EventKind.FLOOR_COMPARED


@pytest.mark.parametrize(
    "draft",
    [
        "Annual plans are refunded within 90 days of the purchase.",
        "Annual plans are not refunded within 30 days of the purchase.",
        "Write to refunds@example.com about it.",
    ],
)
def test_an_unsupported_draft_is_not_released(desk: Any, draft: str) -> None:
    """Another number, a flipped negation or an invented address ends in abstention."""
    outcome = desk.ask(ASKED, draft, draft)
    assert (outcome.outcome, outcome.reason) == ("abstention", "unsupported")
    assert draft not in outcome.text
    assert len(desk.play.seen) == 2
    assert desk.play.seen[1].revise
    deciding = desk.deciding(outcome)
    assert deciding.kind is EventKind.STATEMENT_CHECKED
    last = [r for r in desk.rows(outcome) if r.kind is EventKind.STATEMENT_CHECKED][-1]
    assert deciding.seq == last.seq


def test_a_revised_draft_may_be_released(desk: Any) -> None:
    """One revision is allowed, and the check of the revised draft is what decided."""
    outcome = desk.ask(ASKED, "Refunds take 90 days.", POLICY)
    assert (outcome.outcome, outcome.text) == ("answer", POLICY)
    assert [c.quote for c in outcome.citations] == [POLICY]
    deciding = desk.deciding(outcome)
    assert deciding.kind is EventKind.STATEMENT_CHECKED
    assert deciding.fact["draft_supported"] is True


def test_below_the_floor_the_model_gets_no_passage(desk: Any) -> None:
    """What was found and fell short never leaves for the model."""
    outcome = desk.ask("purchase of a whale?", "")
    assert outcome.outcome == "abstention"
    assert outcome.evidence  # something was found
    requested = [r for r in desk.rows(outcome) if r.kind is EventKind.MODEL_REQUESTED]
    assert [r.fact["evidence"] for r in requested] == [[]]
    assert POLICY not in str(requested[0].body)
    assert [request.evidence for request in desk.play.seen] == [()]


def test_above_the_floor_only_kept_passages_are_sent(desk: Any) -> None:
    """The evidence of the request is the evidence of the outcome."""
    outcome = desk.ask(ASKED, POLICY)
    sent = [passage.chunk for passage in desk.play.seen[0].evidence]
    assert sent == [e.chunk for e in outcome.evidence] != []


def test_a_result_is_evidence_and_an_embellished_one_is_not(desk: Any) -> None:
    """What a read returned may be told; a number it did not return may not."""
    told = desk.ask(
        "Where is order A1?", [desk.look("A1")], "The order has left the warehouse in Hamburg."
    )
    assert (told.outcome, told.reason) == ("answer", None)
    draft = "The order has left the warehouse in Hamburg on 12 May."
    invented = desk.ask("Where is order A1?", [desk.look("A1")], draft, draft)
    assert (invented.outcome, invented.reason) == ("abstention", "unsupported")


def test_an_agent_without_tools_never_calls_the_model_below_the_floor(desk: Any) -> None:
    """Without tools an insufficient search ends the turn: no request is recorded."""
    outcome = desk.ask("Do whales sing at night?", agent="support")
    assert outcome.outcome == "abstention"
    assert EventKind.MODEL_REQUESTED not in desk.kinds(outcome)
