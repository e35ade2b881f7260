"""A run plays again from its record, fact by fact; nothing that was carried out is carried out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import delete, update

from staid.domain.errors import ModelUnavailable
from staid.domain.errors.replay import RecordErased, RecordIncomplete, ReplayImpossible
from staid.domain.events import EventKind
from staid.domain.label import Label
from staid.domain.outcome import Outcome
from staid.gates.tool import Constraint
from staid.grounding import floor
from staid.project.project import Project
from staid.project.replaying import Replayed, Replays, Wanted
from staid.store import tables

KNOWN = "Are annual plans refunded within 30 days of the purchase?"
POLICY = "Annual plans are refunded within 30 days of the purchase."
UNKNOWN = "Do whales sing at night?"


def played(desk: Any, outcome: Outcome, **wanted: Any) -> Replayed:
    """Play a run again with handlers that fail the test when they are called."""

    def forbidden(*_: object) -> None:
        pytest.fail("a replay called a handler")

    tools = desk.project.tools
    kept = dict(tools)
    tools.update({n: replace(t, handler=forbidden, preview=forbidden) for n, t in kept.items()})
    try:
        return asyncio.run(Replays(desk.project, Wanted(**wanted)).one(outcome.run))
    finally:
        tools.update(kept)


def answered(desk: Any) -> Outcome:
    """Give an answer from a passage."""
    return desk.ask(KNOWN, "Annual plans are refunded within 30 days of the purchase.")


def revised(desk: Any) -> Outcome:
    """Give an answer whose first draft was not backed."""
    draft = "Annual plans are refunded within 900 days of the purchase."
    return desk.ask(KNOWN, draft, "Annual plans are refunded within 30 days of the purchase.")


def unsupported(desk: Any) -> Outcome:
    """Give an abstention after two drafts that nothing backs."""
    return desk.ask(KNOWN, "Whales are blue.", "Whales are green.")


def weak(desk: Any) -> Outcome:
    """Give an abstention below the floor, by an agent without tools."""
    return desk.ask(UNKNOWN, agent="support")


def canned(desk: Any) -> Outcome:
    """Small talk."""
    return desk.ask("hello")


def written(desk: Any) -> Outcome:
    """Give a write that the bounds allow."""
    return desk.ask("Refund order 7", [desk.refund("7", 50)], "")


def looked_up(desk: Any) -> Outcome:
    """Give a read whose result is the evidence, then the answer."""
    draft = "The order has left the warehouse in Hamburg."
    return desk.ask("Where is order 7?", [desk.look("7")], draft)


def refused(desk: Any) -> Outcome:
    """Give a call outside its bounds."""
    return desk.ask("Refund order 7", [desk.refund("7", 900)], "")


def in_doubt(desk: Any) -> Outcome:
    """Give a write of which nobody knows whether it took place."""
    return desk.ask("Send order 7", [desk.send("7")], "")


def pending(desk: Any) -> Outcome:
    """Give a write that waits for a person."""
    return desk.ask("Refund order 7", [desk.refund("7", 200)], "")


def approved(desk: Any) -> Outcome:
    """Give a write that a person approved, beside one that needed nobody."""
    calls = [desk.refund("7", 200), desk.refund("8", 20, "c2")]
    asked = desk.ask("Refund orders 7 and 8", calls, "")
    return desk.decide(asked.approvals[0], "approve", "")


def said_no(desk: Any) -> Outcome:
    """Give a write that a person decided against."""
    return desk.decide(pending(desk).approvals[0], "deny", "")


def twice_parked(desk: Any) -> Outcome:
    """Give a run that waits, goes on, waits again and goes on."""
    first = pending(desk)
    second = desk.decide(first.approvals[0], "approve", [desk.refund("9", 300, "c3")])
    return desk.decide(second.approvals[0], "approve", "")


def followed_up(desk: Any) -> Outcome:
    """Give a short question that was searched together with the one before it."""
    first = answered(desk)
    draft = "Annual plans are refunded within 30 days of the purchase."
    return desk.ask("Annual plans?", draft, conversation=first.conversation)


def rated(desk: Any) -> Outcome:
    """Give an answer with facts that came after it."""
    outcome = answered(desk)
    wiring = desk.project.wiring
    row = wiring.records.rows(outcome.run)[0]
    from staid.domain.events import Event

    given = Event(EventKind.FEEDBACK_GIVEN, wiring.clock.now(), row.actor, {"vote": "up"})
    wiring.records.note(outcome.run, [given])
    return outcome


RUNS = [
    answered,
    revised,
    unsupported,
    weak,
    canned,
    written,
    looked_up,
    refused,
    in_doubt,
    pending,
    approved,
    said_no,
    twice_parked,
    followed_up,
    rated,
]


@pytest.mark.parametrize("make", RUNS, ids=lambda make: make.__name__)
def test_every_kind_of_run_plays_back_identical(desk: Any, make: Callable[[Any], Outcome]) -> None:
    """Each outcome, with its resumes, is made again to the byte; the world stays as it was."""
    outcome = make(desk)
    effects, facts = list(desk.effects), len(desk.rows(outcome))
    replayed = played(desk, outcome)
    assert replayed.divergence is None
    assert replayed.facts > 0
    assert replayed.now == replayed.then
    assert replayed.then.outcome == outcome.outcome
    assert desk.effects == effects
    assert len(desk.rows(outcome)) == facts


def test_a_model_that_did_not_answer_does_not_answer_again(desk: Any) -> None:
    """A run that failed plays back to the fact where it ended."""
    with pytest.raises(ModelUnavailable):
        desk.ask(KNOWN, ModelUnavailable(detail="away"))
    (run,) = desk.project.wiring.records.runs(limit=1)
    replayed = asyncio.run(Replays(desk.project, Wanted()).one(run.run))
    assert replayed.identical
    assert replayed.unknown is not None


# --- what shows that the comparison can fail ------------------------------------------------


def test_other_code_is_named_by_the_fact_it_changes(
    desk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With another number of passages kept, the first fact that differs is the one that says so."""
    outcome = answered(desk)
    compare = floor.compare

    def otherwise(*given: Any, **named: Any) -> floor.Decision:
        return replace(compare(*given, **named), message="somebody changed the words")

    monkeypatch.setattr(floor, "compare", otherwise)
    found = played(desk, outcome).divergence
    assert found is not None
    assert (found.kind, found.part, found.cause) == ("floor.compared", "message", "code")
    assert found.now == "somebody changed the words"


def test_tighter_bounds_are_named(desk: Any) -> None:
    """A call that the bounds of today rule otherwise is where the replay stops being identical."""
    outcome = written(desk)
    tools = desk.project.tools
    never = Constraint("never", lambda _: False)
    tools["refund.issue"] = replace(tools["refund.issue"], constraints=(never,))
    found = played(desk, outcome).divergence
    assert found is not None
    assert (found.kind, found.cause, found.part) == ("call.ruled", "policy", "rule")


def test_a_tool_that_is_gone_is_named(desk: Any) -> None:
    """Without the tool the model would not have been offered it."""
    outcome = written(desk)
    del desk.project.tools["order.look"]
    found = played(desk, outcome).divergence
    assert found is not None
    assert (found.kind, found.cause) == ("prompt.rendered", "tools")
    assert "tool/order.look" in str(found.then)
    assert "tool/order.look" not in str(found.now)


def test_another_template_is_named(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A release whose templates are others sends other requests, and the replay says which."""
    outcome = answered(desk)
    monkeypatch.setattr("staid.project.replaying.packaged", lambda: {"answer": "x", "act": "y"})
    found = played(desk, outcome).divergence
    assert found is not None
    assert (found.kind, found.cause) == ("prompt.rendered", "prompt")


def test_an_altered_draft_shows(desk: Any) -> None:
    """What somebody wrote into the stored draft comes out as another answer than the recorded."""
    outcome = answered(desk)
    body = _body(desk, outcome, EventKind.MODEL_RETURNED)
    body["text"] = "Annual plans are refunded within 30 days of the purchase!"
    _store_body(desk, outcome, EventKind.MODEL_RETURNED, body)
    assert not played(desk, outcome).identical


def test_an_erased_run_cannot_be_played(desk: Any) -> None:
    """Where content was erased the replay says which, and does not invent any."""
    outcome = answered(desk)
    row = next(r for r in desk.rows(outcome) if r.kind is EventKind.MODEL_RETURNED)
    content = tables.content
    with desk.project.wiring.store.write() as connection:
        connection.execute(delete(content).where(content.c.id == row.content))
    with pytest.raises(RecordErased, match=r"model\.returned") as raised:
        played(desk, outcome)
    assert raised.value.exit_code == 3


def test_a_run_of_an_earlier_release_cannot_be_played(desk: Any) -> None:
    """Where too little was recorded the replay says so, with the exit code of `cannot tell`."""
    outcome = answered(desk)
    _store_body(desk, outcome, EventKind.FLOOR_COMPARED, {})
    with pytest.raises(RecordIncomplete) as raised:
        played(desk, outcome)
    assert raised.value.exit_code == 3


# --- counterfactual -------------------------------------------------------------------------


def test_a_higher_floor_abstains(desk: Any) -> None:
    """Above the recorded similarity the run would have ended with a hand-off, and why is told."""
    outcome = desk.ask("When are annual plans refunded, and by whom?", POLICY)
    assert outcome.outcome == "answer"
    replayed = played(desk, outcome, floor=outcome.similarity + 0.01)
    assert replayed.changed
    assert replayed.now is not None
    assert (replayed.then.outcome, replayed.now.outcome) == ("answer", "abstention")
    assert replayed.now.reason == "weak"
    assert "too weak" in str(replayed.now.decided)


def test_a_lower_floor_asks_what_was_never_asked(desk: Any) -> None:
    """Where the model was not asked then, nobody knows what it would say; a named one does."""
    outcome = weak(desk)
    lower = outcome.similarity - 0.01
    assert played(desk, outcome, floor=lower).unknown is not None
    replayed = played(desk, outcome, floor=lower, model="quote")
    assert replayed.unknown is None
    assert replayed.now is not None
    assert replayed.now.outcome in {"answer", "abstention"}


@pytest.mark.parametrize("named", ["refunds.md", "chunk"])
def test_without_its_document_the_draft_is_not_backed(desk: Any, named: str) -> None:
    """The answer depended on the document: without it the same draft is no answer."""
    outcome = answered(desk)
    what = outcome.evidence[0].chunk if named == "chunk" else named
    replayed = played(desk, outcome, without=frozenset({what}))
    assert replayed.changed
    assert replayed.now is not None
    assert replayed.now.outcome == "abstention"
    assert replayed.now.evidence == ()


def test_without_a_document_that_did_not_matter_the_answer_stays(desk: Any) -> None:
    """Leaving out what the answer does not rest on changes nothing."""
    desk.write("whales.md", "Whales are grey and annual in their plans.", [["group:customers"]])
    outcome = answered(desk)
    assert "whales.md" in {e.document for e in outcome.evidence}
    replayed = played(desk, outcome, without=frozenset({"whales.md"}))
    assert replayed.now is not None
    assert replayed.now.text == replayed.then.text
    assert replayed.assumed


def test_a_stopped_tool_flips_its_calls_alone(desk: Any) -> None:
    """With a tool stopped its call is denied, and nothing else is ruled otherwise."""
    outcome = desk.ask("Both", [desk.look("7"), desk.refund("7", 50, "c2")], "")
    replayed = played(desk, outcome, deny=frozenset({"refund.issue"}))
    assert [flip.tool for flip in replayed.flips] == ["refund.issue"]
    assert replayed.flips[0].now.rule == "kill_switch"
    assert replayed.now is not None
    assert replayed.now.outcome == "refusal"


def test_a_looser_policy_has_no_result_to_show(desk: Any) -> None:
    """A call that was denied and would be allowed now has no recorded result: unknown."""
    outcome = refused(desk)
    tools = desk.project.tools

    class Refund(tools["refund.issue"].params):  # type: ignore[misc, name-defined]
        """A refund of any amount."""

        amount: Decimal

    loose = replace(tools["refund.issue"], params=Refund, requires_approval=False)
    tools["refund.issue"] = loose
    replayed = played(desk, outcome, policy=True)
    assert [(f.then and f.then.severity.word, f.now.severity.word) for f in replayed.flips] == [
        ("deny", "allow")
    ]
    assert replayed.unknown is not None
    assert "not recorded" in replayed.unknown


def test_a_live_model_gets_no_result_of_another_call(desk: Any) -> None:
    """A live model may propose another call; it does not get the recorded result of this one."""
    outcome = looked_up(desk)
    folder = desk.project.settings.directory_path
    for order in ("7", "8"):
        calls = [{"tool": "order.look", "arguments": {"order_id": order}}]
        said = {"text": "The order has left the warehouse in Hamburg."}
        script = [{"steps": [{"calls": calls}, said]}]
        (folder / f"look-{order}.yaml").write_text(json.dumps(script), "utf-8")
    assert played(desk, outcome, model="scripted:look-8.yaml").unknown is not None
    replayed = played(desk, outcome, model="scripted:look-7.yaml")
    assert replayed.now is not None
    assert replayed.now.outcome == "answer"


def test_another_prompt_needs_a_model(desk: Any) -> None:
    """A recorded response is no answer to another prompt; with a live model it is asked."""
    outcome = answered(desk)
    with pytest.raises(ReplayImpossible):
        played(desk, outcome, prompt=("other.md", "Be brief."))
    assert played(desk, outcome, prompt=("other.md", "Be brief."), model="quote").now is not None


def test_the_index_of_now_is_asked_only_when_named(desk: Any) -> None:
    """What was removed since is still in the record, and gone from a search of today."""
    outcome = answered(desk)
    corpus = desk.project.wiring.corpus
    (stored,) = corpus.documents()
    corpus.relabel(stored.source, stored.id, Label.of([["group:board"]]))
    assert played(desk, outcome).identical
    replayed = played(desk, outcome, index=True)
    assert replayed.now is not None
    assert replayed.now.outcome == "abstention"


def test_many_runs_are_told_in_one_summary(desk: Any) -> None:
    """All runs at once: how many are the same, and which are not."""
    kept, flipped = looked_up(desk), written(desk)
    wanted = Wanted(deny=frozenset({"refund.issue"}))
    summary = asyncio.run(Replays(desk.project, wanted).every(None))
    assert (summary.runs, summary.same) == (2, 1)
    assert [r.run for r in summary.changed] == [flipped.run]
    assert kept.run not in {r.run for r in summary.changed}
    later = desk.project.wiring.clock.now()
    assert asyncio.run(Replays(desk.project, wanted).every(later)).runs == 0


def _body(desk: Any, outcome: Outcome, kind: EventKind) -> dict[str, Any]:
    row = next(r for r in desk.rows(outcome) if r.kind is kind)
    return dict(row.body or {})


def _store_body(desk: Any, outcome: Outcome, kind: EventKind, body: dict[str, Any]) -> None:
    row = next(r for r in desk.rows(outcome) if r.kind is kind)
    project: Project = desk.project
    content = tables.content
    with project.wiring.store.write() as connection:
        changed = update(content).where(content.c.id == row.content)
        connection.execute(changed.values(body=json.dumps(body)))
