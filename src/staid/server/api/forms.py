"""The JSON forms of the HTTP API: those of the command line's `--json`, described for OpenAPI."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, Field

from staid.domain import outcome as outcomes
from staid.domain.canonical import timestamp
from staid.domain.records import Handoff, RunRecord
from staid.server.reader import RunView
from staid.tracing.record import WITHHELD
from staid.tracing.story import Story, story_json


class ErrorBody(BaseModel):
    """A coded error."""

    code: str
    message: str
    hint: str


class ErrorAnswer(BaseModel):
    """What every refused or failed request answers."""

    error: ErrorBody


class EvidenceForm(BaseModel):
    """One thing the answer may rest on, best first."""

    document: str
    chunk: str
    rank: int


class CitationForm(BaseModel):
    """Verbatim words of a source that back a statement."""

    document: str
    chunk: str
    quote: str


class OutcomeForm(BaseModel):
    """How a turn ended."""

    outcome: str | None
    reason: str | None
    text: str | None
    confidence: float | None
    similarity: float | None
    floor: float | None
    evidence: list[EvidenceForm]
    citations: list[CitationForm]
    run: str
    approvals: list[str]
    handoff: str | None


class RunForm(BaseModel):
    """A run as it stands."""

    run: str
    conversation: str
    agent: str
    asker: str
    state: str
    outcome: str | None
    reason: str | None
    confidence: float | None
    started_at: str
    ended_at: str | None


class RunShown(RunForm, OutcomeForm):  # pyright: ignore[reportIncompatibleVariableOverride]  # shared fields agree
    """A run with its outcome; null and empty where there is none or it is withheld."""

    withheld: bool
    """Whether anything was left out for this reader."""


class RunList(BaseModel):
    """Own runs, newest first."""

    runs: list[RunForm]
    next: str | None
    """The `after` of the next page; null on the last one."""


class StepForm(BaseModel):
    """One sentence, and the numbers of the facts it rests on."""

    text: str
    facts: list[int]
    kind: str
    decided: bool


class DecidingForm(BaseModel):
    """The sentence that decided."""

    text: str
    facts: list[int]
    kind: str


class BackedForm(BaseModel):
    """A statement of the draft with what backs it; null where it is withheld or erased."""

    fact: int
    statement: int
    text: str | None
    support: float | None
    findings: list[str]
    document: str | None
    version: str | None
    chunk: str | None
    start: int | None
    end: int | None
    quote: str | None


class ResultForm(BaseModel):
    """A call that ended, as something an answer may rest on."""

    fact: int
    call: str
    tool: str
    state: str
    result: str | None


class UsedForm(BaseModel):
    """A passage that was found, and what became of it; without a document it is withheld."""

    fact: int
    rank: int
    document: str | None
    version: str
    chunk: str
    title: str
    similarity: float
    vector_rank: int | None
    lexical_rank: int | None
    fused: float | None
    fate: str
    owner: str | None
    vetted: bool | None
    readers: str


class SpanForm(BaseModel):
    """One stretch of a run; times in milliseconds."""

    id: int
    parent: int | None
    name: str
    kind: str
    start: str
    offset_ms: float
    duration_ms: float
    facts: list[int]
    detail: str
    open: bool


class StoryForm(BaseModel):
    """A run told for a reader: short, step by step, with its evidence and its times."""

    run: str
    outcome: str
    story: str
    sentences: list[StepForm]
    deciding: DecidingForm | None
    steps: list[StepForm]
    evidence: list[BackedForm]
    results: list[ResultForm]
    passages: list[UsedForm]
    waterfall: list[SpanForm]


class HandoffForm(BaseModel):
    """A question in a teammate's queue."""

    id: str
    run: str
    state: str
    reason: str
    asker: str
    question: str
    opened_at: str
    answered_by: str | None


class HandoffList(BaseModel):
    """Hand-offs of own questions, oldest first."""

    handoffs: list[HandoffForm]


class Question(BaseModel):
    """What to ask."""

    text: str
    agent: str | None = None
    conversation: str | None = None
    key: str | None = Field(default=None, description="The same key returns the same outcome.")


def outcome_form(outcome: outcomes.Outcome) -> OutcomeForm:
    """Return an outcome in the form of the contract."""
    return OutcomeForm(
        outcome=outcome.outcome,
        reason=outcome.reason,
        text=outcome.text,
        confidence=outcome.confidence,
        similarity=outcome.similarity,
        floor=outcome.floor,
        evidence=[
            EvidenceForm(document=e.document, chunk=e.chunk, rank=e.rank) for e in outcome.evidence
        ],
        citations=[
            CitationForm(document=c.document, chunk=c.chunk, quote=c.quote)
            for c in outcome.citations
        ],
        run=outcome.run,
        approvals=list(outcome.approvals),
        handoff=outcome.handoff,
    )


def run_form(record: RunRecord) -> RunForm:
    """Return a run in the form of the contract."""
    return RunForm(
        run=record.run,
        conversation=record.conversation,
        agent=record.agent,
        asker=record.asker,
        state=record.state,
        outcome=record.outcome,
        reason=record.reason,
        confidence=record.confidence,
        started_at=timestamp(record.started_at),
        ended_at=_time(record.ended_at),
    )


def run_shown(view: RunView) -> RunShown:
    """Return a run with its outcome, as this reader may see it."""
    run = run_form(view.record).model_dump()
    if view.outcome is not None:
        return RunShown(
            **{**run, **outcome_form(view.outcome).model_dump()}, withheld=view.withheld
        )
    left_out = view.withheld and view.record.outcome is not None
    if left_out:
        run["confidence"] = None
    return RunShown(
        **run,
        text=WITHHELD if left_out else None,
        similarity=None,
        floor=None,
        evidence=[],
        citations=[],
        approvals=[],
        handoff=None,
        withheld=view.withheld,
    )


def story_form(story: Story) -> StoryForm:
    """Return a story in the form of the contract."""
    return StoryForm.model_validate(story_json(story))


def handoff_form(handoff: Handoff) -> HandoffForm:
    """Return a hand-off in the form of the contract."""
    return HandoffForm(
        id=handoff.id,
        run=handoff.run,
        state=handoff.state,
        reason=handoff.reason,
        asker=handoff.asker,
        question=handoff.question,
        opened_at=timestamp(handoff.opened_at),
        answered_by=handoff.answered_by,
    )


def _time(value: datetime | None) -> str | None:
    return timestamp(value) if value is not None else None
