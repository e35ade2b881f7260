"""One turn, step by step, in the order of the promises: read it from top to bottom.

Identify and scope, retrieve, compare with the floor, generate, rule on calls, check support,
record, release. Every step leaves its facts; nothing leaves the turn before they are durable.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from staid.domain.call import CallRecord, CallState
from staid.domain.canonical import Json
from staid.domain.errors import ModelTooDear, ModelUnavailable
from staid.domain.events import EventKind
from staid.domain.ids import ConversationId, HandoffId, RunId
from staid.domain.label import Label, conjunction
from staid.domain.message import Message, ModelRequest, ModelResponse, ProposedCall
from staid.domain.outcome import (
    Abstention,
    AbstentionReason,
    Answer,
    Citation,
    Evidence,
    Outcome,
    Pending,
    Refusal,
)
from staid.domain.passage import Passage, Retrieval, Signals
from staid.domain.ports import ModelClient, Query
from staid.domain.principal import Principal
from staid.domain.records import Ending, Handoff
from staid.domain.text import terms
from staid.grounding import abstention, entity, floor, support
from staid.runtime import facts, prompt, released
from staid.runtime.gate import Proposer
from staid.runtime.parked import ParkedTurn
from staid.runtime.parts import WAITING, AgentSpec, Parts
from staid.runtime.recorder import Recorder
from staid.runtime.seen import seen

SEARCHED = 10
"""Passages that retrieval looks at."""
ROUNDS = 8
"""Model requests in one turn, at most."""
FOLLOW_UP_TERMS = 4
"""A question of fewer terms is searched together with the question before it."""

_SAID_NO = frozenset({CallState.DENIED, CallState.REVOKED})

NOTHING = Retrieval((), Signals((), 0.0, 0.0, (), (), 0), 0)


@dataclass(slots=True)
class Turn:
    """One question on its way to exactly one outcome."""

    parts: Parts
    agent: AgentSpec
    run: RunId
    conversation: ConversationId
    question: str
    principal: Principal
    upstream: frozenset[str]
    """Tokens of everybody in the causal chain of what this turn proposes."""
    messages: list[Message]
    recorder: Recorder
    asserted: frozenset[str] | None = None
    """The groups that were asserted for the asker, for the resume; None: the directory's."""
    retrieval: Retrieval = NOTHING
    decision: floor.Decision | None = None
    calls: list[CallRecord] = field(default_factory=list[CallRecord])
    rounds: int = 0
    cut: tuple[str, ...] | None = None
    """The calls known when the run was parked, where a later resume was cut off: then what was
    done is told, and the model is not asked again."""

    async def ask(self) -> Outcome:
        """Run the whole turn and return its one outcome, recorded before it is returned."""
        canned = self._canned()
        if canned is not None:
            return await self._release(self._answer("canned", canned))
        await self._retrieve()
        self._compare()
        if not self._sufficient and not self.agent.tools:
            return await self._abstain(self._shortfall)
        return await self._converse()

    async def carry_on(self, parked: ParkedTurn) -> Outcome:
        """Continue a parked turn: run what was approved, then let the model go on or wait on."""
        await self._retrieve()
        self._compare()
        self.rounds = parked.rounds
        await self._flush()
        recorded = await self.parts.off_loop(self.parts.gate.records, self.run)
        parked = parked.edited(recorded)
        self.calls = [record for record in recorded if record.replaced_by is None]
        self._find_cut(parked)
        await self._settle([r for r in self.calls if r.call.id in parked.waiting])
        if self._waits:
            return await self._park()
        if self.cut is not None:
            return await self._without_draft(None)
        return await self._converse()

    def _find_cut(self, parked: ParkedTurn) -> None:
        """Notice calls of a resume that was cut off: asked again, a model would do them again."""
        known = parked.known
        if known is not None and any(
            r.call.id not in known and r.state is not CallState.DENIED for r in self.calls
        ):
            self.cut = known

    # --- retrieve and compare ---------------------------------------------------------------

    async def _retrieve(self) -> None:
        """Search inside the asker's and the agent's rights, and record what was found."""
        asserted = self.asserted is not None
        facts.scope_resolved(self.recorder, self.agent, self.principal, asserted=asserted)
        self.retrieval = await self.parts.off_loop(self._search)
        text = self._query_text()
        facts.retrieval_done(
            self.recorder,
            self.retrieval,
            self.parts.embedder.id,
            k=SEARCHED,
            query=text if text != self.question else None,
            label=Label.of([[self.principal.token]]),
        )

    def _search(self) -> Retrieval:
        text = self._query_text()
        query = Query(
            text=text,
            vector=self.parts.embedder.embed(text),
            tokens=self.principal.tokens,
            agent_tokens=self.agent.may_read,
            k=SEARCHED,
            vetted=True,
        )
        return self.parts.index.search(query)

    def _query_text(self) -> str:
        asked = [message.text for message in self.messages if message.role == "user"]
        if len(asked) > 1 and len(terms(self.question)) < FOLLOW_UP_TERMS:
            return f"{asked[-2]} {self.question}"
        return self.question

    def _compare(self) -> None:
        """Turn what was found into a confidence and hold it against the floor."""
        decision = floor.compare(
            self._query_text(),
            self.retrieval,
            self.parts.calibration(),
            floor=self.parts.floor.value,
            signal=self.parts.floor.signal,
        )
        self.decision = decision
        mine = Label.of([[self.principal.token]])
        facts.floor_compared(
            self.recorder,
            decision,
            kept=self._kept,
            evidence=self._evidence,
            searched=self.retrieval,
            label=conjunction([mine, *(p.label for p in self.retrieval.passages)]),
        )

    @property
    def _compared(self) -> floor.Decision:
        if self.decision is None:
            message = "the floor is compared before anything rests on it"
            raise RuntimeError(message)
        return self.decision

    @property
    def _sufficient(self) -> bool:
        return isinstance(self.decision, floor.Sufficient)

    @property
    def _evidence(self) -> tuple[Passage, ...]:
        """What a model may see: nothing below the floor."""
        return self.decision.evidence if isinstance(self.decision, floor.Sufficient) else ()

    @property
    def _kept(self) -> tuple[Passage, ...]:
        """What was found, best first: the evidence, or what fell short of being evidence."""
        vetted = tuple(p for p in self.retrieval.passages if p.vetted)
        return self._evidence or vetted[: floor.KEPT]

    @property
    def _shortfall(self) -> AbstentionReason:
        return "empty" if isinstance(self.decision, floor.Empty) else "weak"

    # --- generate and act -------------------------------------------------------------------

    async def _converse(self) -> Outcome:
        """Let the model draft or call until it drafts; park when a human has to decide."""
        try:
            return await self._talk()
        except (ModelUnavailable, ModelTooDear):
            if not self._statements:
                raise
            return await self._without_draft(None)  # what was done is told, whatever fails later

    async def _talk(self) -> Outcome:
        client = self.agent.model()
        while self.rounds < ROUNDS:
            response = await self._generate(client)
            if not response.calls:
                return await self._conclude(client, response)
            await self._act(response)
            if self._waits:
                return await self._park()
        return await self._conclude(client, None)

    async def _generate(self, client: ModelClient, revise: str | None = None) -> ModelResponse:
        self.rounds += 1
        request = ModelRequest(
            instructions=self.agent.instructions,
            messages=tuple(self.messages),
            evidence=self._evidence,
            tools=await self.parts.off_loop(self.parts.gate.specs, self.agent.tools),
            question=self.question,
            revise=revise,
        )
        await self.parts.off_loop(self._note_request, client, request)
        response = await client.generate(request)
        prompt.note_response(self.recorder, response, self._label)
        return response

    def _note_request(self, client: ModelClient, request: ModelRequest) -> None:
        """Record what is about to be sent, and which versions it is made of."""
        pins = prompt.pinned(self.parts.prompts, self.agent, request)
        prompt.note_request(self.recorder, self.agent, client, request, self._label, pins)
        self.parts.records.append(self.run, self.recorder.drain())

    async def _act(self, response: ModelResponse) -> None:
        """Rule on every proposed call; run the allowed ones, leave the rest to a human."""
        self.messages.append(Message("assistant", response.text, response.calls))
        proposer = Proposer(
            self.run,
            self.agent.name,
            self.agent.tools,
            self.principal,
            self.upstream,
            self._label,
            seen(self.messages, self._evidence, self.calls, self.parts.gate.trusts),
        )
        for proposal in response.calls:
            record = await self._one_call(proposal, proposer)
            self.calls.append(record)
            self._tell_result(record)

    async def _one_call(self, proposal: ProposedCall, proposer: Proposer) -> CallRecord:
        """Act on one call; an allowed read is written with what the turn writes next anyway."""
        looked = await self.parts.gate.look(proposal, proposer)
        if looked is None:
            earlier = self.recorder.drain()
            return await self.parts.gate.act(proposal, proposer, earlier=earlier)
        record, read = looked
        self.recorder.take(read)
        return record

    async def _settle(self, waiting: Sequence[CallRecord]) -> None:
        """Execute what was approved meanwhile, and tell the model how each call ended."""
        for record in waiting:
            settled = await self.parts.gate.execute(record.call.id)
            self._replace(settled)
            self._tell_result(settled)

    def _replace(self, record: CallRecord) -> None:
        self.calls = [record if r.call.id == record.call.id else r for r in self.calls]

    def _tell_result(self, record: CallRecord) -> None:
        """Hand the result of a call that is over to the model, as the result of its tool."""
        if record.state in WAITING:
            return
        gate = self.parts.gate
        text = gate.statement_of(record) or gate.evidence_of(record)
        if text is None:
            text = f"{record.state.value}: {denial(record)}"
        self.messages.append(
            Message("tool", text, call_id=record.call.provider_id, tool=record.call.tool)
        )

    @property
    def _waits(self) -> bool:
        return any(record.state in WAITING for record in self.calls)

    # --- conclude ---------------------------------------------------------------------------

    async def _conclude(self, client: ModelClient, response: ModelResponse | None) -> Outcome:
        """Answer with what is supported; else with what was done; else refuse or abstain."""
        draft = response.text.strip() if response else ""
        labelled = response.labelled if response else None
        if draft and self._grounds:
            checked = self._check(draft)
            if not checked.supported() and self.rounds < ROUNDS:
                draft = await self._revise(client, draft, checked)
                checked = self._check(draft) if draft else checked
            if draft and checked.supported():
                return await self._release(self._answer(None, draft, labelled, checked.citations))
        return await self._without_draft(labelled)

    async def _revise(self, client: ModelClient, draft: str, checked: support.Support) -> str:
        """Let the model mend its draft once, told what the check found."""
        found = [finding.message for finding in checked.findings]
        self.messages.append(Message("assistant", draft))
        complaint = " ".join(found) or "The evidence does not back what you wrote."
        response = await self._generate(client, revise=complaint)
        self.recorder.note(
            EventKind.ANSWER_REVISED, {"findings": [f.name for f in checked.findings]}
        )
        return "" if response.calls else response.text.strip()

    async def _without_draft(self, labelled: str | None) -> Outcome:
        if self._statements:
            told = " ".join(self._statements)
            return await self._release(self._answer("tool_result", told, labelled))
        denied = [r for r in self.calls if r.state in _SAID_NO]
        if denied:
            return await self._refuse(denied, labelled)
        reason = "unsupported" if self._grounds else self._shortfall
        return await self._abstain(reason)

    @property
    def _statements(self) -> list[str]:
        """What was done in this turn, in the words of the tools' result templates."""
        return [s for s in map(self.parts.gate.statement_of, self.calls) if s is not None]

    @property
    def _grounds(self) -> tuple[str, ...]:
        """Ids of everything an answer may rest on in this turn."""
        return (*(p.chunk for p in self._evidence), *(r.call.id for r in self._results))

    @property
    def _results(self) -> list[CallRecord]:
        return [r for r in self.calls if self.parts.gate.evidence_of(r) is not None]

    def _check(self, draft: str) -> support.Support:
        """Hold the draft against the evidence, statement by statement."""
        texts = [self.parts.gate.evidence_of(record) or "" for record in self._results]
        asked = entity.named(self.question, self.retrieval.signals)
        checked = support.check(draft, self._evidence, texts, asked)
        facts.statements_checked(self.recorder, checked, self._label)
        return checked

    def _answer(
        self,
        reason: str | None,
        text: str,
        labelled: str | None = None,
        citations: tuple[Citation, ...] = (),
    ) -> Answer:
        return Answer(
            reason=reason,
            text=f"[{labelled}] {text}" if labelled else text,
            confidence=self.decision.confidence if self.decision else 0.0,
            similarity=self.decision.similarity if self.decision else 0.0,
            floor=self.parts.floor.value,
            evidence=self._ranked if reason is None else (),
            citations=citations,
            run=self.run,
            conversation=self.conversation,
        )

    @property
    def _ranked(self) -> tuple[Evidence, ...]:
        return tuple(Evidence(p.document, p.chunk, n) for n, p in enumerate(self._kept, 1))

    async def _abstain(self, reason: AbstentionReason) -> Abstention:
        """Say so, and put the question into a teammate's queue in the same transaction."""
        handoff = HandoffId(self.parts.ids.new("hof"))
        outcome = Abstention(
            reason=reason,
            text=abstention.MESSAGE,
            confidence=self._compared.confidence,
            similarity=self._compared.similarity,
            floor=self.parts.floor.value,
            evidence=self._ranked,
            run=self.run,
            conversation=self.conversation,
            handoff=handoff,
        )
        opened = Handoff(
            id=handoff,
            run=self.run,
            asker=self.principal.token,
            reason=reason,
            question=self.question,
            opened_at=self.parts.clock.now(),
        )
        self.recorder.note(EventKind.HANDOFF_OPENED, {"handoff": handoff, "reason": reason})
        await self._release(outcome, opened)
        return outcome

    async def _refuse(self, denied: Sequence[CallRecord], labelled: str | None) -> Refusal:
        worst = denied[0]
        text = f"I can't do that: {denial(worst)}"
        outcome = Refusal(
            reason=worst.ruling.rule,
            text=f"[{labelled}] {text}" if labelled else text,
            confidence=self._compared.confidence,
            similarity=self._compared.similarity,
            floor=self.parts.floor.value,
            run=self.run,
            conversation=self.conversation,
        )
        await self._release(outcome)
        return outcome

    # --- park, record, release --------------------------------------------------------------

    async def _park(self) -> Pending:
        """Store everything the turn needs to go on, and say who has to decide what."""
        records = [r for r in self.calls if r.state in WAITING]
        names = ", ".join(f"{r.call.tool} ({r.ruling.message})" for r in records)
        outcome = Pending(
            reason="in_doubt"
            if all(r.state is CallState.IN_DOUBT for r in records)
            else "approval",
            text=f"This needs a person's decision first: {names}",
            confidence=self._compared.confidence,
            similarity=self._compared.similarity,
            floor=self.parts.floor.value,
            run=self.run,
            conversation=self.conversation,
            approvals=tuple(dict.fromkeys(r.request for r in records if r.request)),
        )
        parked = ParkedTurn(
            agent=self.agent.name,
            asker=self.principal.token,
            asserted=self.asserted,
            upstream=self.upstream,
            conversation=self.conversation,
            question=self.question,
            messages=tuple(self.messages),
            waiting=tuple(r.call.id for r in records),
            rounds=self.rounds,
            known=tuple(r.call.id for r in self.calls) if self.cut is None else self.cut,
        )
        self._note_outcome(outcome)
        self.recorder.note(EventKind.OUTCOME_RELEASED, {"outcome": outcome.outcome})
        await self.parts.off_loop(
            self.parts.records.park,
            self.run,
            parked.to_json(),
            self._ending("parked", outcome),
            self.recorder.drain(),
        )
        return outcome

    async def _release(self, outcome: Outcome, handoff: Handoff | None = None) -> Outcome:
        """Make outcome and record durable in one transaction; only then does anybody see it."""
        self._note_outcome(outcome)
        self.recorder.note(EventKind.OUTCOME_RELEASED, {"outcome": outcome.outcome})
        await self.parts.off_loop(
            self.parts.records.release,
            self.run,
            self._ending("released", outcome),
            self.recorder.drain(),
            handoff,
        )
        return outcome

    def _note_outcome(self, outcome: Outcome) -> None:
        self.recorder.note(
            EventKind.OUTCOME_DECIDED,
            {**released.fact_of(outcome), "calls": self._told(outcome)},
            body=released.body_of(outcome),
            label=self._label,
        )

    def _told(self, outcome: Outcome) -> list[Json]:
        """Return the calls whose result templates the outcome's text is made of."""
        if outcome.reason != "tool_result":
            return []
        return [r.call.id for r in self.calls if self.parts.gate.statement_of(r) is not None]

    def _ending(self, state: str, outcome: Outcome) -> Ending:
        return Ending(
            state=state,
            outcome=outcome.outcome,
            reason=outcome.reason,
            confidence=outcome.confidence,
            at=self.parts.clock.now(),
        )

    @property
    def _label(self) -> Label:
        """Who may read what this turn produced: the asker, and only with every source's rights."""
        mine = Label.of([[self.principal.token]])
        return conjunction([mine, *(p.label for p in self._kept)])

    def _canned(self) -> str | None:
        said = " ".join(terms(self.question)) or self.question.strip().lower()
        return dict(self.agent.canned).get(said)

    async def _flush(self) -> None:
        await self.parts.off_loop(self.parts.records.append, self.run, self.recorder.drain())


def denial(record: CallRecord) -> str:
    """Return why a call did not take place, in words for the model and the asker."""
    if record.error:
        return record.error
    if record.state is CallState.DENIED and record.approval is not None:
        return "A person decided against it."
    return record.ruling.message
