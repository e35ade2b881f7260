"""What a turn leaves in the journal before anybody sees its outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from staid.domain.events import EventKind
from staid.domain.outcome import Outcome
from staid.project.deciding import decide

POLICY = "Annual plans are refunded within 30 days of the purchase."
ASKED = "Are annual plans refunded within 30 days of the purchase?"


def test_every_outcome_is_recorded_before_it_is_returned(desk: Any) -> None:
    """Each turn ends in the journal with decision and release, and the journal verifies."""
    outcomes: list[Outcome | None] = [
        desk.ask(ASKED, agent="support"),
        desk.ask("Do whales sing?", agent="support"),
        desk.ask("refund 900", [desk.refund("A1", 900)], ""),
        desk.ask("refund 40", [desk.refund("A1", 40)], ""),
        parked := desk.ask("refund 200", [desk.refund("A1", 200)]),
        desk.ask("send B1", [desk.send("B1")]),
    ]
    ends = [EventKind.OUTCOME_DECIDED, EventKind.OUTCOME_RELEASED]
    for outcome in outcomes:
        assert outcome is not None
        rows = desk.rows(outcome)
        assert desk.kinds(outcome)[-2:] == ends
        assert rows[-2].fact["outcome"] == outcome.outcome
        assert rows[-2].body is not None
        assert rows[-2].body["text"] == outcome.text
    done = desk.decide(parked.approvals[0], "approve", "")
    assert done is not None
    assert desk.kinds(done)[-2:] == ends
    assert desk.project.wiring.journal.verify() == []


def test_facts_hold_no_words_of_anybody(desk: Any) -> None:
    """Question, arguments, answer and reasons are in erasable content, never in a fact."""
    secret = "Zebracorn77"
    outcomes = [
        desk.ask(f"{ASKED} {secret}", POLICY),
        desk.ask(f"refund {secret}", [desk.refund(secret, 40)], f"I refunded {secret}"),
        parked := desk.ask("refund", [desk.refund(secret, 200)]),
        desk.ask("send", [desk.send(secret)]),
    ]
    decided = decide(desk.project, parked.approvals[0], "deny", approver="user:lead", reason=secret)
    asyncio.run(decided)
    facts: list[Mapping[str, Any]] = [row.fact for o in outcomes for row in desk.rows(o)]
    assert secret not in str(facts)
    assert POLICY not in str(facts)
    bodies = [row.body for o in outcomes for row in desk.rows(o)]
    assert secret in str(bodies)
