"""Outcomes as the journal keeps them: written with the run, read back for a repeated key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from staid.domain.canonical import Json
from staid.domain.errors import StaidError
from staid.domain.events import EventKind, JournalRow
from staid.domain.ids import ApprovalId, ChunkId, ConversationId, DocumentId, HandoffId, RunId
from staid.domain.outcome import Abstention, Answer, Citation, Evidence, Outcome, Pending, Refusal

_KINDS: Mapping[str, type[Outcome]] = {
    kind.outcome: kind for kind in (Answer, Abstention, Refusal, Pending)
}


def fact_of(outcome: Outcome) -> dict[str, Json]:
    """Return the ids and numbers of an outcome."""
    return {
        "outcome": outcome.outcome,
        "reason": outcome.reason,
        "confidence": outcome.confidence,
        "similarity": outcome.similarity,
        "floor": outcome.floor,
        "conversation": outcome.conversation,
        "approvals": list(outcome.approvals),
        "handoff": outcome.handoff,
        "evidence": [
            {"document": e.document, "chunk": e.chunk, "rank": e.rank} for e in outcome.evidence
        ],
    }


def body_of(outcome: Outcome) -> dict[str, Json]:
    """Return the text of an outcome with its citations."""
    return {
        "text": outcome.text,
        "citations": [
            {name: getattr(citation, name) for name in Citation.__slots__}
            for citation in outcome.citations
        ],
    }


def outcome_of(run: str, rows: Sequence[JournalRow]) -> Outcome:
    """Return the outcome that was last recorded for a run; raise when it has none."""
    decided = [row for row in rows if row.kind is EventKind.OUTCOME_DECIDED]
    if not decided:
        raise StaidError(hint=f"The run {run} ended without an outcome; ask again.")
    fact = cast("Mapping[str, Any]", decided[-1].fact)
    body = cast("Mapping[str, Any]", decided[-1].body or {"text": "(erased)", "citations": []})
    return _KINDS[fact["outcome"]](
        reason=fact["reason"],
        text=body["text"],
        confidence=fact["confidence"],
        similarity=fact["similarity"],
        floor=fact["floor"],
        evidence=tuple(
            Evidence(DocumentId(e["document"]), ChunkId(e["chunk"]), e["rank"])
            for e in fact["evidence"]
        ),
        citations=tuple(Citation(**citation) for citation in body["citations"]),
        run=RunId(run),
        conversation=ConversationId(fact["conversation"]),
        approvals=tuple(ApprovalId(a) for a in fact["approvals"]),
        handoff=HandoffId(fact["handoff"]) if fact["handoff"] else None,
    )
