"""What a turn does: evidence, calls, approvals, conversations, keys, and what is recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel, Field

from staid.domain.call import CallState
from staid.domain.errors import (
    ConversationNotFound,
    KeyReused,
    ModelUnavailable,
    RunBusy,
    RunInterrupted,
)
from staid.domain.events import EventKind, JournalRow
from staid.domain.label import Label
from staid.domain.message import Message, ModelRequest, ModelResponse, ProposedCall
from staid.domain.outcome import Answer, Outcome, Pending, Refusal
from staid.project.deciding import decide, settle_doubt
from staid.project.project import Project
from staid.project.working import work_once
from staid.runtime.turn import ROUNDS
from staid.testing.documents import written
from staid.tracing.story import tell

POLICY = "Annual plans are refunded within 30 days of the purchase."
ASKED = "Are annual plans refunded within 30 days of the purchase?"
SETTINGS = """
[project]
name = "turns"
[agents.support]
model = "quote"
[agents.desk]
model = "quote"
allow_tools = ["refund.issue", "order.look", "parcel.send"]
[directory]
file = "directory.yaml"
[grounding]
signal = "similarity"
floor = 0.35
floor_reason = "the hashing embedder of the tests knows no meaning"
"""


class Refund(BaseModel):
    """A refund of at most 500."""

    order_id: str
    amount: Decimal = Field(gt=0, le=500)


def needs_a_person(p: Refund) -> bool:
    """Ask above 100."""
    return p.amount > 100


class Order(BaseModel):
    """An order."""

    order_id: str


class PowerCut(BaseException):
    """Ends the process, as far as everything below a test is concerned."""


@dataclass
class Play:
    """A model that plays its steps, one for each request, and keeps what it was sent."""

    steps: list[str | list[ProposedCall] | Exception] = field(default_factory=list[Any])
    seen: list[ModelRequest] = field(default_factory=list[ModelRequest])
    name: str = "play"

    async def generate(self, request: ModelRequest) -> ModelResponse:
        """Return the next step; an empty draft when there is none left."""
        self.seen.append(request)
        step = self.steps.pop(0) if self.steps else ""
        if isinstance(step, Exception):
            raise step
        if isinstance(step, str):
            return ModelResponse(step, (), self.name)
        return ModelResponse("", tuple(step), self.name)


class Desk:
    """A project with three tools, one document, and a model that plays what a test says."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.effects: list[str] = []
        self.play = Play()
        self.write("refunds.md", POLICY, [["group:customers"]])
        project.tool(
            "refund.issue",
            effect="write",
            result="Refunded {amount} for order {order_id}.",
            requires_approval=needs_a_person,
        )(self._refund)
        project.tool("order.look", effect="read")(self._look)
        project.tool("parcel.send", effect="write", result="Sent {order_id}.")(self._send)
        spec = project.wiring.agent_spec
        project.wiring.agent_spec = lambda name: _playing(spec(name), self.play)  # type: ignore[method-assign]

    def _refund(self, p: Refund) -> dict[str, str]:
        """Refund an order."""
        self.effects.append(f"refund {p.order_id}")
        return {"id": "r"}

    def _look(self, p: Order) -> dict[str, str]:
        """Look an order up."""
        return {"order": p.order_id, "state": "The order has left the warehouse in Hamburg."}

    def _send(self, p: Order) -> dict[str, str]:
        """Send a parcel over a line that breaks."""
        self.effects.append(f"parcel {p.order_id}")
        raise ConnectionError("the line broke")

    def write(self, name: str, text: str, allow: list[list[str]]) -> None:
        """Put a document into the knowledge base."""
        wiring = self.project.wiring
        change = written(wiring.embedder, name, text, Label.of(allow))
        wiring.corpus.apply([change], wiring.embedder.id)

    def ask(self, question: str, *steps: Any, agent: str = "desk", **options: Any) -> Outcome:
        """Ask with a model that plays these steps."""
        self.play.steps = list(steps)
        self.play.seen.clear()
        options.setdefault("asker", "user:ada")
        return self.project.agent_named(agent).ask_sync(question, **options)

    def decide(self, approval: str, decision: str, *steps: Any) -> Outcome | None:
        """Decide as the lead, and let the run go on with these steps."""
        self.play.steps = list(steps)
        self.play.seen.clear()
        decided = decide(self.project, approval, decision, approver="user:lead")
        return asyncio.run(decided).outcome

    def rows(self, outcome: Outcome) -> Sequence[JournalRow]:
        """Return the journal of a run."""
        return self.project.wiring.records.rows(outcome.run)

    def deciding(self, outcome: Outcome) -> JournalRow:
        """Return the fact that the story says decided."""
        rows = self.rows(outcome)
        told = tell(outcome.run, rows)
        assert told.outcome == outcome.outcome
        assert told.deciding is not None
        return rows[told.deciding.facts[-1] - 1]


def _playing(spec: Any, play: Play) -> Any:
    from dataclasses import replace

    return spec if spec.name == "support" else replace(spec, model=lambda: play)


def refund(order: str, amount: object, call: str = "c1") -> ProposedCall:
    """Propose a refund."""
    return ProposedCall(call, "refund.issue", {"order_id": order, "amount": str(amount)})


def look(order: str, call: str = "c1") -> ProposedCall:
    """Propose to look an order up."""
    return ProposedCall(call, "order.look", {"order_id": order})


def send(order: str, call: str = "c1") -> ProposedCall:
    """Propose to send a parcel."""
    return ProposedCall(call, "parcel.send", {"order_id": order})


@pytest.fixture
def desk(make_project: Callable[..., Project]) -> Desk:
    """Give a desk with a fresh store."""
    return Desk(make_project(settings=SETTINGS))


def kinds(rows: Sequence[JournalRow]) -> list[EventKind]:
    """Return the kinds of facts in order."""
    return [row.kind for row in rows]


# --- what reaches the asker ----------------------------------------------------------------


def test_a_follow_up_reaches_its_tool_without_any_passage(desk: Desk) -> None:
    """A refund asked for in a conversation that no document matches is carried out and told."""
    first = desk.ask("I bought the wrong thing.", "")
    outcome = desk.ask("Yes, do it.", [refund("A1", 40)], "", conversation=first.conversation)
    assert (outcome.outcome, outcome.reason) == ("answer", "tool_result")
    assert outcome.text == "Refunded 40 for order A1."
    assert desk.effects == ["refund A1"]
    assert all(request.evidence == () for request in desk.play.seen)
    assert desk.deciding(outcome).kind is EventKind.CALL_SETTLED


def test_an_invented_policy_does_not_reach_the_asker(desk: Desk) -> None:
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
def test_an_unsupported_draft_is_not_released(desk: Desk, draft: str) -> None:
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


def test_a_revised_draft_may_be_released(desk: Desk) -> None:
    """One revision is allowed, and the check of the revised draft is what decided."""
    outcome = desk.ask(ASKED, "Refunds take 90 days.", POLICY)
    assert (outcome.outcome, outcome.text) == ("answer", POLICY)
    assert [c.quote for c in outcome.citations] == [POLICY]
    deciding = desk.deciding(outcome)
    assert deciding.kind is EventKind.STATEMENT_CHECKED
    assert deciding.fact["draft_supported"] is True


def test_below_the_floor_the_model_gets_no_passage(desk: Desk) -> None:
    """What was found and fell short never leaves for the model."""
    outcome = desk.ask("purchase of a whale?", "")
    assert outcome.outcome == "abstention"
    assert outcome.evidence  # something was found
    requested = [r for r in desk.rows(outcome) if r.kind is EventKind.MODEL_REQUESTED]
    assert [r.fact["evidence"] for r in requested] == [[]]
    assert POLICY not in str(requested[0].body)
    assert [request.evidence for request in desk.play.seen] == [()]


def test_above_the_floor_only_kept_passages_are_sent(desk: Desk) -> None:
    """The evidence of the request is the evidence of the outcome."""
    outcome = desk.ask(ASKED, POLICY)
    sent = [passage.chunk for passage in desk.play.seen[0].evidence]
    assert sent == [e.chunk for e in outcome.evidence] != []


def test_a_result_is_evidence_and_an_embellished_one_is_not(desk: Desk) -> None:
    """What a read returned may be told; a number it did not return may not."""
    told = desk.ask(
        "Where is order A1?", [look("A1")], "The order has left the warehouse in Hamburg."
    )
    assert (told.outcome, told.reason) == ("answer", None)
    draft = "The order has left the warehouse in Hamburg on 12 May."
    invented = desk.ask("Where is order A1?", [look("A1")], draft, draft)
    assert (invented.outcome, invented.reason) == ("abstention", "unsupported")


def test_an_agent_without_tools_never_calls_the_model_below_the_floor(desk: Desk) -> None:
    """Without tools an insufficient search ends the turn: no request is recorded."""
    outcome = desk.ask("Do whales sing at night?", agent="support")
    assert outcome.outcome == "abstention"
    assert EventKind.MODEL_REQUESTED not in kinds(desk.rows(outcome))


# --- calls and approvals -------------------------------------------------------------------


def test_refused_only_when_nothing_else_is_grounded(desk: Desk) -> None:
    """A denied call refuses; beside a done one, or a supported draft, the turn answers."""
    alone = desk.ask("refund 900 for A1", [refund("A1", 900)], "I refunded 900.")
    assert isinstance(alone, Refusal)
    assert desk.deciding(alone).fact["ruling"] == "deny"
    both = desk.ask("refund", [refund("A1", 900), refund("A2", 40, "c2")], "")
    assert both.text == "Refunded 40 for order A2."
    drafted = desk.ask(ASKED, [refund("A3", 900)], POLICY)
    assert (drafted.outcome, drafted.text) == ("answer", POLICY)
    unknown = desk.ask("launch", [ProposedCall("c", "rocket.launch", {})], "")
    assert (unknown.outcome, unknown.reason) == ("refusal", "allowlist")
    assert desk.effects == ["refund A2"]


def test_the_model_is_told_the_rule_that_denied(desk: Desk) -> None:
    """A policy's no goes back as the tool's result, so that the model may do better."""
    outcome = desk.ask("refund 900", [refund("A1", 900)], [refund("A1", 90)], "")
    assert outcome.text == "Refunded 90 for order A1."
    told = desk.play.seen[1].messages[-1]
    assert (told.role, told.call_id) == ("tool", "c1")
    assert told.text.startswith("denied: ")
    assert "500" in told.text


def test_parallel_calls_run_park_and_go_on(desk: Desk) -> None:
    """Of two calls the allowed one runs once now, the other when it was approved."""
    parked = desk.ask("refund both", [refund("A1", 40), refund("A2", 200, "c2")])
    assert isinstance(parked, Pending)
    assert (parked.reason, len(parked.approvals)) == ("approval", 1)
    assert desk.effects == ["refund A1"]
    done = desk.decide(parked.approvals[0], "approve", "")
    assert done is not None
    assert done.text == "Refunded 40 for order A1. Refunded 200 for order A2."
    assert desk.effects == ["refund A1", "refund A2"]
    results = [m.call_id for m in desk.play.seen[0].messages if m.role == "tool"]
    assert results == ["c1", "c2"]
    assert done.run == parked.run


@pytest.mark.parametrize("first", [0, 1])
def test_two_pending_are_decided_one_by_one(desk: Desk, first: int) -> None:
    """After the first decision the run waits on, and the story names what it waits for."""
    parked = desk.ask("refund both", [refund("A1", 200), refund("A2", 300, "c2")])
    assert len(parked.approvals) == 2
    other = parked.approvals[1 - first]
    waiting = desk.decide(parked.approvals[first], "approve")
    assert isinstance(waiting, Pending)
    assert waiting.approvals == (other,)
    assert desk.play.seen == []
    deciding = desk.deciding(waiting)
    assert (deciding.kind, deciding.fact["approval"]) == (EventKind.APPROVAL_REQUESTED, other)
    done = desk.decide(other, "deny", "")
    assert done is not None
    assert (done.outcome, len(desk.effects)) == ("answer", 1)
    assert desk.deciding(done).fact["call"] == desk.project.calls(done.run)[first].call.id


def test_a_humans_no_goes_back_to_the_model(desk: Desk) -> None:
    """A human's no is told to the model as a result; it may then propose something smaller."""
    parked = desk.ask("refund 200", [refund("A1", 200)])
    done = desk.decide(parked.approvals[0], "deny", [refund("A1", 50)], "")
    assert done is not None
    assert desk.play.seen[0].messages[-1].text == "denied: A person decided against it."
    assert done.text == "Refunded 50 for order A1."
    assert desk.effects == ["refund A1"]


def test_the_first_no_is_the_one_that_is_told_and_named(desk: Desk) -> None:
    """A human's no to the first call, a rule's to the second: text and story name the first."""
    parked = desk.ask("refund", [refund("A1", 200), refund("A2", 900, "c2")])
    done = desk.decide(parked.approvals[0], "deny", "")
    assert isinstance(done, Refusal)
    assert done.text == "I can't do that: A person decided against it."
    deciding = desk.deciding(done)
    assert (deciding.kind, deciding.actor.name) == (EventKind.APPROVAL_DECIDED, "user:lead")


def test_a_bound_tightened_after_the_approval_refuses(desk: Desk) -> None:
    """What was approved and may no longer run is refused by the rule that says so."""
    from dataclasses import replace

    from staid.gates.tool import Constraint

    parked = desk.ask("refund 200", [refund("A1", 200)])
    tool = desk.project.tools["refund.issue"]
    bound = Constraint("frozen", lambda _p: False, "Refunds are frozen this week.")
    desk.project.tools["refund.issue"] = replace(tool, constraints=(bound,))
    done = desk.decide(parked.approvals[0], "approve", "")
    assert isinstance(done, Refusal)
    assert "frozen" in done.text
    assert desk.effects == []
    assert desk.deciding(done).fact["ruling"] == "deny"


def test_an_unknown_effect_is_pending_until_somebody_looked(desk: Desk) -> None:
    """A handler that breaks off leaves `in_doubt`; settled as done it is told, never repeated."""
    parked = desk.ask("send B1", [send("B1")])
    assert (parked.outcome, parked.reason, parked.approvals) == ("pending", "in_doubt", ())
    assert desk.deciding(parked).kind is EventKind.CALL_IN_DOUBT
    asyncio.run(work_once(desk.project))
    assert desk.effects == ["parcel B1"]
    call = desk.project.calls(parked.run)[0].call.id
    settled = settle_doubt(desk.project, call, "user:lead", None, happened=True)
    done = asyncio.run(settled).outcome
    assert done is not None
    assert (done.text, desk.effects) == ("Sent B1.", ["parcel B1"])


def test_a_failed_call_beside_a_done_one_does_not_decide(desk: Desk) -> None:
    """The answer rests on the call that was done; the story does not name the one that failed."""
    parked = desk.ask("both", [refund("A1", 40), send("B1", "c2")])
    call = desk.project.calls(parked.run)[1].call.id
    done = asyncio.run(settle_doubt(desk.project, call, "user:lead", None, happened=False)).outcome
    assert done is not None
    assert done.text == "Refunded 40 for order A1."
    assert desk.deciding(done).fact["state"] == "done"


def test_a_model_that_never_stops_is_stopped(desk: Desk) -> None:
    """A model that proposes for ever is asked a bounded number of times, then the turn ends."""
    steps = [[refund("A1", 900, f"c{n}")] for n in range(50)]
    outcome = desk.ask("refund", *steps)
    assert len(desk.play.seen) == ROUNDS
    assert isinstance(outcome, Refusal)


# --- when something fails ------------------------------------------------------------------


def test_a_model_that_fails_after_an_effect_does_not_hide_it(desk: Desk) -> None:
    """What was done is told although the model is gone; the same key repeats nothing."""
    step = [refund("A1", 40)]
    outcome = desk.ask("refund 40", step, ModelUnavailable(detail="gone"), key="k")
    assert isinstance(outcome, Answer)
    assert outcome.text == "Refunded 40 for order A1."
    again = desk.ask("refund 40", step, "", key="k")
    assert (again, desk.effects) == (outcome, ["refund A1"])


def test_a_failed_run_frees_its_key_only_if_it_did_nothing(desk: Desk) -> None:
    """A retry under the same key runs after a harmless failure, and is refused after an effect."""
    with pytest.raises(ModelUnavailable):
        desk.ask("refund 40", ModelUnavailable(detail="gone"), key="k")
    assert desk.ask("refund 40", [refund("A1", 40)], "", key="k").outcome == "answer"
    with pytest.raises(ZeroDivisionError):
        desk.ask("refund 41", [refund("A2", 41)], ZeroDivisionError(), key="other")
    with pytest.raises(RunInterrupted):
        desk.ask("refund 41", [refund("A2", 41)], "", key="other")
    assert desk.effects == ["refund A1", "refund A2"]
    states = [run.state for run in desk.project.wiring.records.runs()]
    assert states == ["failed", "released", "failed"]


class Later:
    """A clock some time ahead."""

    def __init__(self, ahead: timedelta) -> None:
        self.ahead = ahead

    def now(self) -> datetime:
        """Return the time ahead of now."""
        return datetime.now(UTC) + self.ahead


def crash(desk: Desk, monkeypatch: pytest.MonkeyPatch, *steps: Any) -> None:
    """Let the process die when the outcome is about to be released."""

    def die(*_: object) -> None:
        raise PowerCut

    with monkeypatch.context() as patch:
        patch.setattr(desk.project.wiring.records, "release", die)
        patch.setattr(desk.project.wiring.records, "fail", die)
        with pytest.raises(PowerCut):
            desk.ask("refund 40", *steps, key="k")


@pytest.mark.parametrize("acted", [False, True])
def test_the_key_of_a_crashed_run(desk: Desk, monkeypatch: pytest.MonkeyPatch, acted: bool) -> None:
    """It is busy first; later a run that did nothing makes room, one that acted says so for good."""
    crash(desk, monkeypatch, *([[refund("A1", 40)]] if acted else []), "")
    assert [r.state for r in desk.project.wiring.records.runs(state="running")] == ["running"]
    with pytest.raises(RunBusy):
        desk.ask("refund 40", [refund("A1", 40)], "", key="k")
    later = _moved(desk, timedelta(hours=1))
    if acted:
        with pytest.raises(RunInterrupted):
            later.ask("refund 40", [refund("A1", 40)], "", key="k")
    else:
        assert later.ask("refund 40", [refund("A1", 40)], "", key="k").outcome == "answer"
    assert desk.effects == ["refund A1"]


def _moved(desk: Desk, ahead: timedelta) -> Desk:
    from dataclasses import replace

    parts = replace(desk.project.wiring.parts, clock=Later(ahead))
    desk.project.wiring.__dict__["parts"] = parts
    return desk


def test_a_resume_that_was_cut_off_repeats_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls that a resume made before it died are told by the next one, and not made again."""
    parked = desk.ask("refund", [refund("A1", 200)])

    def die(*_: object) -> None:
        raise PowerCut

    with monkeypatch.context() as patch:
        patch.setattr(desk.project.wiring.records, "release", die)
        with pytest.raises(PowerCut):
            desk.decide(parked.approvals[0], "approve", [refund("A2", 40, "c2")], "")
    assert desk.effects == ["refund A1", "refund A2"]
    assert asyncio.run(work_once(desk.project)).resumed == ()  # the dead one's claim still holds
    desk.play.steps = [[refund("A2", 40, "c2")], ""]
    later = _moved(desk, timedelta(hours=1))
    assert asyncio.run(work_once(later.project)).resumed == (parked.run,)
    assert desk.effects == ["refund A1", "refund A2"]
    record = desk.project.wiring.records.run(parked.run)
    assert (record.state, record.outcome) == ("released", "answer")


def test_a_resume_that_fails_can_be_tried_again_at_once(desk: Desk) -> None:
    """A resume that fails gives its claim back, so that nobody waits for it to lapse."""
    parked = desk.ask("refund", [refund("A1", 200)])
    with pytest.raises(ModelUnavailable):
        desk.decide(parked.approvals[0], "deny", ModelUnavailable(detail="gone"))
    desk.play.steps = [""]
    assert asyncio.run(work_once(desk.project)).resumed == (parked.run,)


def test_two_resumes_at_once_in_one_process(desk: Desk) -> None:
    """Only one of two carries the run on; the other is told, so nothing new is proposed twice."""
    parked = desk.ask("refund", [refund("A1", 200)])
    approval = parked.approvals[0]
    decided = decide(desk.project, approval, "approve", approver="user:lead", resume=False)
    asyncio.run(decided)
    desk.play.steps = [[refund("A2", 40, "c2")], "", [refund("A2", 40, "c3")], ""]

    async def both() -> Sequence[Any]:
        agent = desk.project.agent_named("desk")
        resumes = (agent.resume(parked.run), agent.resume(parked.run))
        return await asyncio.gather(*resumes, return_exceptions=True)

    ended = asyncio.run(both())
    assert sorted(type(e).__name__ for e in ended) in (["Answer", "RunBusy"], ["Answer", "Answer"])
    assert desk.effects == ["refund A1", "refund A2"]


def test_an_asker_disabled_meanwhile_gets_nothing_done(desk: Desk) -> None:
    """Who asks is asked again on resume: a disabled asker's approved call is not executed."""
    from staid.domain.errors import AskerDisabled

    parked = desk.ask("refund", [refund("A1", 200)])
    file = desk.project.settings.path("directory.yaml")
    file.write_text(file.read_text().replace("user:ada: {", "user:ada: {disabled: true, "))
    with pytest.raises(AskerDisabled):
        desk.decide(parked.approvals[0], "approve", "")
    assert desk.effects == []


# --- keys and conversations ----------------------------------------------------------------


def test_one_key_one_outcome(desk: Desk) -> None:
    """The same key returns the same outcome, parked and later; another question is refused."""
    parked = desk.ask("refund 200", [refund("A1", 200)], key="k")
    assert desk.ask("refund 200", [refund("A1", 200)], key="k") == parked
    with pytest.raises(KeyReused):
        desk.ask("refund 300", key="k")
    done = desk.decide(parked.approvals[0], "approve", "")
    assert desk.ask("refund 200", [refund("A1", 200)], key="k") == done
    assert desk.effects == ["refund A1"]
    hers = desk.ask("refund 200", [refund("A1", 900)], key="k", asker="user:lead")
    assert hers.outcome == "refusal"


def test_a_conversation_belongs_to_its_asker(desk: Desk) -> None:
    """Somebody else's conversation is not found, before anything of it is read or recorded."""
    first = desk.ask(ASKED, agent="support")
    with pytest.raises(ConversationNotFound):
        desk.ask("And then?", agent="support", asker="user:lead", conversation=first.conversation)
    assert len(desk.project.wiring.records.runs()) == 1


def said(request: ModelRequest) -> str:
    """Return everything that one request says."""
    return " ".join(message.text for message in request.messages)


def test_an_earlier_turn_is_shown_until_its_document_is_taken_away(desk: Desk) -> None:
    """A request carries an earlier turn until its document is relabelled or removed."""
    first = desk.ask(ASKED, agent="support")
    assert first.text == POLICY
    desk.ask("Do whales sing?", "", conversation=first.conversation)
    assert POLICY in said(desk.play.seen[0])
    corpus = desk.project.wiring.corpus
    corpus.relabel("help", "refunds.md", Label.of([["group:board"]]))
    desk.ask("Do whales sing?", "", conversation=first.conversation)
    assert POLICY not in said(desk.play.seen[0])
    assert ASKED not in said(desk.play.seen[0])
    corpus.relabel("help", "refunds.md", Label.of([["group:customers"]]))
    desk.ask("Do whales sing?", "", conversation=first.conversation)
    assert POLICY in said(desk.play.seen[0])
    corpus.remove("help", ["refunds.md"])
    desk.ask("Do whales sing?", "", conversation=first.conversation)
    assert POLICY not in said(desk.play.seen[0])


def test_a_parked_run_forgets_what_was_taken_away_meanwhile(desk: Desk) -> None:
    """Earlier turns are authorised again when a parked run goes on."""
    first = desk.ask(ASKED, agent="support")
    parked = desk.ask("refund it", [refund("A1", 200)], conversation=first.conversation)
    assert POLICY in said(desk.play.seen[0])
    desk.ask("Do cats sing?", agent="support", conversation=first.conversation)
    desk.project.wiring.corpus.relabel("help", "refunds.md", Label.of([["group:board"]]))
    done = desk.decide(parked.approvals[0], "approve", "")
    assert done is not None
    assert done.text == "Refunded 200 for order A1."
    assert POLICY not in said(desk.play.seen[0])
    assert "cats" not in said(desk.play.seen[0])
    roles = [message.role for message in desk.play.seen[0].messages]
    assert roles == ["user", "assistant", "tool"]


def test_an_agent_sees_no_history_it_may_not_read(make_project: Callable[..., Project]) -> None:
    """An agent that may read less is not shown what another told in the conversation."""
    narrow = SETTINGS.replace("[agents.desk]", '[agents.desk]\nmay_read = ["group:other"]')
    desk = Desk(make_project(settings=narrow))
    first = desk.ask(ASKED, agent="support")
    desk.ask("Do whales sing?", "", conversation=first.conversation)
    assert POLICY not in said(desk.play.seen[0])


def test_a_removed_member_loses_at_the_next_question(desk: Desk) -> None:
    """A long-lived project reads the directory anew: what ada had a moment ago is gone."""
    assert desk.ask(ASKED, agent="support").outcome == "answer"
    file = desk.project.settings.path("directory.yaml")
    file.write_text(file.read_text().replace("groups: [group:customers]}", "groups: []}"))
    gone = desk.ask(ASKED, agent="support")
    assert (gone.outcome, gone.reason, gone.evidence) == ("abstention", "empty", ())


# --- what is recorded ----------------------------------------------------------------------


def test_every_outcome_is_recorded_before_it_is_returned(desk: Desk) -> None:
    """Each turn ends in the journal with decision and release, and the journal verifies."""
    outcomes: list[Outcome | None] = [
        desk.ask(ASKED, agent="support"),
        desk.ask("Do whales sing?", agent="support"),
        desk.ask("refund 900", [refund("A1", 900)], ""),
        desk.ask("refund 40", [refund("A1", 40)], ""),
        parked := desk.ask("refund 200", [refund("A1", 200)]),
        desk.ask("send B1", [send("B1")]),
    ]
    ends = [EventKind.OUTCOME_DECIDED, EventKind.OUTCOME_RELEASED]
    for outcome in outcomes:
        assert outcome is not None
        rows = desk.rows(outcome)
        assert kinds(rows)[-2:] == ends
        assert rows[-2].fact["outcome"] == outcome.outcome
        assert rows[-2].body is not None
        assert rows[-2].body["text"] == outcome.text
    done = desk.decide(parked.approvals[0], "approve", "")
    assert done is not None
    assert kinds(desk.rows(done))[-2:] == ends
    assert desk.project.wiring.journal.verify() == []


def test_a_store_that_cannot_record_gives_nobody_an_answer(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the release cannot be written the caller gets the error, not the outcome."""
    from staid.domain.errors import StoreFull

    def full(*_: object) -> None:
        raise StoreFull

    with monkeypatch.context() as patch:
        patch.setattr(desk.project.wiring.records, "release", full)
        with pytest.raises(StoreFull):
            desk.ask(ASKED, agent="support")
    assert [run.state for run in desk.project.wiring.records.runs()] == ["failed"]
    assert desk.ask(ASKED, agent="support").outcome == "answer"


def test_a_cancelled_turn_is_recorded_as_failed(desk: Desk) -> None:
    """Whoever hangs up leaves a failed run, not one that seems to go on for ever."""

    class Slow(Play):
        def __init__(self) -> None:
            super().__init__()
            self.started = asyncio.Event()

        async def generate(self, request: ModelRequest) -> ModelResponse:
            self.started.set()
            await asyncio.sleep(3600)
            return await super().generate(request)

    async def hang_up() -> None:
        desk.play = slow = Slow()
        task = asyncio.create_task(desk.project.agent_named("desk").ask(ASKED, asker="user:ada"))
        await slow.started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(hang_up())
    assert [run.state for run in desk.project.wiring.records.runs()] == ["failed"]


def test_facts_hold_no_words_of_anybody(desk: Desk) -> None:
    """Question, arguments, answer and reasons are in erasable content, never in a fact."""
    secret = "Zebracorn77"
    outcomes = [
        desk.ask(f"{ASKED} {secret}", POLICY),
        desk.ask(f"refund {secret}", [refund(secret, 40)], f"I refunded {secret}"),
        parked := desk.ask("refund", [refund(secret, 200)]),
        desk.ask("send", [send(secret)]),
    ]
    decided = decide(desk.project, parked.approvals[0], "deny", approver="user:lead", reason=secret)
    asyncio.run(decided)
    facts: list[Mapping[str, Any]] = [row.fact for o in outcomes for row in desk.rows(o)]
    assert secret not in str(facts)
    assert POLICY not in str(facts)
    bodies = [row.body for o in outcomes for row in desk.rows(o)]
    assert secret in str(bodies)


def test_the_calls_of_a_turn_are_in_the_ledger(desk: Desk) -> None:
    """Each proposal is one call of the run, in order, in the state it reached."""
    outcome = desk.ask("refund", [refund("A1", 900), refund("A2", 40, "c2")], [look("A3")], "")
    states = [record.state for record in desk.project.calls(outcome.run)]
    assert states == [CallState.DENIED, CallState.DONE, CallState.DONE]


def test_the_history_of_a_request_begins_with_a_question(desk: Desk) -> None:
    """Earlier turns come first and in pairs, and the present question is the last user message."""
    first = desk.ask(ASKED, agent="support")
    desk.ask("Do whales sing?", "", conversation=first.conversation)
    roles = [message.role for message in desk.play.seen[0].messages]
    assert roles == ["user", "assistant", "user"]
    assert desk.play.seen[0].messages[-1] == Message("user", "Do whales sing?")
