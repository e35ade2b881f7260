"""Keys and conversations: one key one outcome, one conversation one asker."""

from __future__ import annotations

from typing import Any

import pytest

from staid.domain.errors import ConversationNotFound, KeyReused
from staid.domain.label import Label
from staid.domain.message import Message

POLICY = "Annual plans are refunded within 30 days of the purchase."
ASKED = "Are annual plans refunded within 30 days of the purchase?"


def test_one_key_one_outcome(desk: Any) -> None:
    """The same key returns the same outcome, parked and later; another question is refused."""
    parked = desk.ask("refund 200", [desk.refund("A1", 200)], key="k")
    assert desk.ask("refund 200", [desk.refund("A1", 200)], key="k") == parked
    with pytest.raises(KeyReused):
        desk.ask("refund 300", key="k")
    done = desk.decide(parked.approvals[0], "approve", "")
    assert desk.ask("refund 200", [desk.refund("A1", 200)], key="k") == done
    assert desk.effects == ["refund A1"]
    hers = desk.ask("refund 200", [desk.refund("A1", 900)], key="k", asker="user:lead")
    assert hers.outcome == "refusal"


def test_a_conversation_belongs_to_its_asker(desk: Any) -> None:
    """Somebody else's conversation is not found, before anything of it is read or recorded."""
    first = desk.ask(ASKED, agent="support")
    with pytest.raises(ConversationNotFound):
        desk.ask("And then?", agent="support", asker="user:lead", conversation=first.conversation)
    assert len(desk.project.wiring.records.runs()) == 1


def test_an_earlier_turn_is_shown_until_its_document_is_taken_away(desk: Any) -> None:
    """A request carries an earlier turn until its document is relabelled or removed."""
    first = desk.ask(ASKED, agent="support")
    assert first.text == POLICY
    desk.ask("Do whales sing?", "", conversation=first.conversation)
    assert POLICY in desk.said()
    corpus = desk.project.wiring.corpus
    corpus.relabel("help", "refunds.md", Label.of([["group:board"]]))
    desk.ask("Do whales sing?", "", conversation=first.conversation)
    assert POLICY not in desk.said()
    assert ASKED not in desk.said()
    corpus.relabel("help", "refunds.md", Label.of([["group:customers"]]))
    desk.ask("Do whales sing?", "", conversation=first.conversation)
    assert POLICY in desk.said()
    corpus.remove("help", ["refunds.md"])
    desk.ask("Do whales sing?", "", conversation=first.conversation)
    assert POLICY not in desk.said()


def test_a_parked_run_forgets_what_was_taken_away_meanwhile(desk: Any) -> None:
    """Earlier turns are authorised again when a parked run goes on."""
    first = desk.ask(ASKED, agent="support")
    parked = desk.ask("refund it", [desk.refund("A1", 200)], conversation=first.conversation)
    assert POLICY in desk.said()
    desk.ask("Do cats sing?", agent="support", conversation=first.conversation)
    desk.project.wiring.corpus.relabel("help", "refunds.md", Label.of([["group:board"]]))
    done = desk.decide(parked.approvals[0], "approve", "")
    assert done is not None
    assert done.text == "Refunded 200 for order A1."
    assert POLICY not in desk.said()
    assert "cats" not in desk.said()
    roles = [message.role for message in desk.play.seen[0].messages]
    assert roles == ["user", "assistant", "tool"]


def test_an_agent_sees_no_history_it_may_not_read(make_desk: Any) -> None:
    """An agent that may read less is not shown what another told in the conversation."""
    narrow = '[agents.desk]\nmay_read = ["group:other"]'

    def change(settings: str) -> str:
        return settings.replace("[agents.desk]", narrow)

    desk = make_desk(change)
    first = desk.ask(ASKED, agent="support")
    desk.ask("Do whales sing?", "", conversation=first.conversation)
    assert POLICY not in desk.said()


def test_a_removed_member_loses_at_the_next_question(desk: Any) -> None:
    """A long-lived project reads the directory anew: what ada had a moment ago is gone."""
    assert desk.ask(ASKED, agent="support").outcome == "answer"
    file = desk.project.settings.path("directory.yaml")
    file.write_text(file.read_text().replace("groups: [group:customers]}", "groups: []}"))
    gone = desk.ask(ASKED, agent="support")
    assert (gone.outcome, gone.reason, gone.evidence) == ("abstention", "empty", ())


def test_the_history_of_a_request_begins_with_a_question(desk: Any) -> None:
    """Earlier turns come first and in pairs, and the present question is the last user message."""
    first = desk.ask(ASKED, agent="support")
    desk.ask("Do whales sing?", "", conversation=first.conversation)
    roles = [message.role for message in desk.play.seen[0].messages]
    assert roles == ["user", "assistant", "user"]
    assert desk.play.seen[0].messages[-1] == Message("user", "Do whales sing?")
