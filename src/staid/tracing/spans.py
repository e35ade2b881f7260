"""Spans in no vocabulary yet, and the ids under which they are known outside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from uuid import UUID

from staid.domain.canonical import Json
from staid.domain.events import JournalRow

ROOT = 1
"""Number of a run's first fact: what names the span of the whole run."""


class SpanKind(StrEnum):
    """What kind of step a span is."""

    RUN = "run"
    MODEL = "model"
    TOOL = "tool"
    RETRIEVAL = "retrieval"
    GATE = "gate"


@dataclass(frozen=True, slots=True)
class Document:
    """A passage that was kept."""

    id: str
    rank: int
    similarity: float
    metadata: Mapping[str, Json]
    text: Json = None
    """None where the sink does not hold its label."""


@dataclass(frozen=True, slots=True)
class Said:
    """One message to or from a model."""

    role: str
    text: Json
    calls: tuple[Mapping[str, Json], ...] = ()
    """`id`, `tool` and `arguments` of each call that it proposes."""
    call_id: str | None = None
    tool: str | None = None


@dataclass(frozen=True, slots=True)
class ModelPart:
    """What one request to a model was and what came back."""

    requested: str
    returned: str
    sent: tuple[Said, ...]
    received: tuple[Said, ...]
    input_tokens: int = 0
    output_tokens: int = 0
    cost: str = "0"
    """US dollars, a normalised decimal."""
    prompt: str = ""
    prompt_version: str = ""


@dataclass(frozen=True, slots=True)
class ToolPart:
    """A tool call with what it was given."""

    name: str
    call: str
    arguments: Json
    result: Json


@dataclass(frozen=True, slots=True)
class Span:
    """One step of a run."""

    seq: int
    """Number of its first fact; names the span within the run."""
    parent: int | None
    kind: SpanKind
    name: str
    start: datetime
    end: datetime
    input: Json
    output: Json
    error: str | None = None
    metadata: Mapping[str, Json] = field(default_factory=dict[str, Json])
    model: ModelPart | None = None
    tool: ToolPart | None = None
    documents: tuple[Document, ...] = ()


@dataclass(frozen=True, slots=True)
class Trace:
    """A run with what belongs to all of its spans."""

    run: str
    conversation: str
    person: str
    agent: str
    tags: tuple[str, ...]
    spans: tuple[Span, ...]
    """The root first; every parent before its children."""
    by_seq: Mapping[int, Span]
    """The same, by the number that names each."""

    @property
    def root(self) -> Span:
        """The span of the whole run."""
        return self.spans[0]


def trace_id(run: str) -> str:
    """Return the 32 hex digits that name a run outside; the same on every repeat."""
    return sha256(f"staid run {run}".encode()).hexdigest()[:32]


def span_id(run: str, seq: int) -> str:
    """Return the 16 hex digits that name a span outside; the same on every repeat."""
    return sha256(f"staid span {run} {seq}".encode()).hexdigest()[:16]


def span_uuid(run: str, seq: int) -> UUID:
    """Return the same identity for a receiver that counts in UUIDs, random in form."""
    return UUID(bytes=sha256(f"staid uuid {run} {seq}".encode()).digest()[:16], version=4)


def score_id(run: str, seq: int) -> str:
    """Return the 32 hex digits that name a score outside; the same on every repeat."""
    return sha256(f"staid score {run} {seq}".encode()).hexdigest()[:32]


def at(row: JournalRow) -> datetime:
    """Return when a fact happened."""
    return datetime.fromisoformat(row.at)


def body(row: JournalRow | None) -> Mapping[str, Json]:
    """Return a fact's content, empty where there is none any more."""
    return (row.body if row is not None else None) or {}


def fact(row: JournalRow | None) -> Mapping[str, Json]:
    """Return a fact's ids and numbers, empty where there is no such fact."""
    return row.fact if row is not None else {}


def step(
    kind: SpanKind,
    name: str,
    first: JournalRow,
    last: JournalRow,
    *,
    parent: int,
    **more: object,
) -> Span:
    """Return the span from one fact to another; never of negative length."""
    given: dict[str, object] = {"seq": first.seq, "input": None, "output": None, **more}
    end = max(at(first), at(last))  # a clock that was set back must not give a negative length
    return Span(kind=kind, name=name, parent=parent, start=at(first), end=end, **given)  # pyright: ignore[reportArgumentType]  # the named fields of Span
