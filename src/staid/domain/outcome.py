"""The four ways a turn may end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

from staid.domain.ids import ApprovalId, ChunkId, ConversationId, DocumentId, HandoffId, RunId


@dataclass(frozen=True, slots=True)
class Evidence:
    """One thing the answer may rest on, best first."""

    document: DocumentId
    chunk: ChunkId
    rank: int


@dataclass(frozen=True, slots=True)
class Citation:
    """A statement bound to the words of a passage version that back it."""

    document: DocumentId
    chunk: ChunkId
    quote: str
    """Verbatim from the passage (or the result), never the model's own words."""
    statement: str = ""
    version: str = ""
    start: int = 0
    end: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What the asker receives, with what it rests on. Released only after its record is durable."""

    outcome: ClassVar[str] = ""
    reason: str | None
    text: str
    confidence: float
    """Calibrated probability that the evidence answers the question, 0..1."""
    similarity: float
    """Raw cosine of the best passage, printed beside confidence; never the same thing."""
    floor: float
    evidence: tuple[Evidence, ...] = ()
    citations: tuple[Citation, ...] = ()
    run: RunId
    conversation: ConversationId
    approvals: tuple[ApprovalId, ...] = ()
    handoff: HandoffId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(Outcome):
    """Text that rests on evidence; `reason` is None, `canned` or `tool_result`."""

    outcome: ClassVar[str] = "answer"


AbstentionReason: TypeAlias = Literal["empty", "weak", "unsupported"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Abstention(Outcome):
    """No answer, with a typed reason and always a hand-off to a teammate."""

    outcome: ClassVar[str] = "abstention"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal(Outcome):
    """Policy said no, and nothing else in the turn is grounded."""

    outcome: ClassVar[str] = "refusal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending(Outcome):
    """Waiting for a human; survives restarts and upgrades."""

    outcome: ClassVar[str] = "pending"
