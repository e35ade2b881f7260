"""What the steps of a turn leave in the journal: ids and numbers apart from texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import cast

from staid.domain.canonical import Json
from staid.domain.events import EventKind
from staid.domain.label import Label
from staid.domain.passage import Passage, Retrieval
from staid.domain.principal import Principal
from staid.grounding.floor import KEPT, Decision
from staid.grounding.support import Statement, Support
from staid.runtime.parts import AgentSpec
from staid.runtime.recorder import Recorder
from staid.runtime.searched import searched_json


def scope_resolved(
    recorder: Recorder, agent: AgentSpec, principal: Principal, *, asserted: bool
) -> None:
    """Record whose rights the turn runs with, and who said so."""
    recorder.note(
        EventKind.SCOPE_RESOLVED,
        {
            "asker": principal.token,
            "groups": sorted(principal.groups),
            "asserted": asserted,
            "agent": agent.name,
            "tools": sorted(agent.tools),
            "may_read": sorted(agent.may_read) if agent.may_read is not None else None,
        },
    )


def retrieval_done(
    recorder: Recorder,
    found: Retrieval,
    embedder: str,
    *,
    k: int,
    query: str | None,
    label: Label,
) -> None:
    """Record how much of the view was searched and found; `query` where it is not the question."""
    recorder.note(
        EventKind.RETRIEVAL_DONE,
        {
            "found": len(found.passages),
            "view": found.signals.view,
            "position": found.position,
            "withheld": found.withheld,
            "embedder": embedder,
            "k": k,
            "vetted": True,
        },
        body={"query": query} if query is not None else None,
        label=label,
    )


def floor_compared(
    recorder: Recorder,
    decision: Decision,
    *,
    kept: Sequence[Passage],
    evidence: Sequence[Passage],
    searched: Retrieval,
    label: Label,
) -> None:
    """Record the passages that were kept, then what was held against the floor and what was cut."""
    for passage in kept:
        _passage_kept(recorder, passage)
    recorder.note(
        EventKind.FLOOR_COMPARED,
        {
            "decision": type(decision).__name__.lower(),
            "rule": decision.rule,
            "message": decision.message,
            "confidence": decision.confidence,
            "similarity": decision.similarity,
            "floor": decision.floor,
            "signal": decision.signal,
            "calibration": decision.calibration,
            "features": cast("dict[str, Json]", asdict(decision.features)),
            "evidence": [passage.chunk for passage in evidence],
            "cut": _cut(searched.passages, kept, evidence),
        },
        body=searched_json(searched, kept),
        label=label,
    )


def _cut(
    found: Sequence[Passage], kept: Sequence[Passage], evidence: Sequence[Passage]
) -> list[Json]:
    """Return ids and ranks of what was found and not kept, each with the reason; never a text."""
    staying = {passage.chunk for passage in kept}
    last = max((passage.rank for passage in evidence), default=0)
    return [
        {**_placed(passage), "why": _why_cut(passage, last, full=len(evidence) >= KEPT)}
        for passage in found
        if passage.chunk not in staying
    ]


def _why_cut(passage: Passage, last: int, *, full: bool) -> str:
    if not passage.vetted:
        return "unvetted"
    # The evidence keeps the order of the ranking: what it skipped does not carry the name asked.
    if last and (passage.rank < last or not full):
        return "named"
    return "below k"


def _placed(passage: Passage) -> dict[str, Json]:
    return {
        "source": passage.source,
        "document": passage.document,
        "version": passage.version,
        "chunk": passage.chunk,
        "rank": passage.rank,
        "similarity": passage.similarity,
        "vector_rank": passage.vector_rank,
        "lexical_rank": passage.lexical_rank,
        "fused": round(passage.fused, 6),
    }


def _passage_kept(recorder: Recorder, passage: Passage) -> None:
    recorder.note(
        EventKind.PASSAGE_KEPT,
        _placed(passage),
        body={"title": passage.title, "section": passage.section, "text": passage.text},
        label=passage.label,
        shared=True,
    )


def statements_checked(recorder: Recorder, checked: Support, label: Label) -> None:
    """Record each statement of a draft with what backs it, or what does not."""
    for number, statement in enumerate(checked.statements, 1):
        _statement_checked(recorder, number, statement, label, supported=checked.supported())


def _statement_checked(
    recorder: Recorder, number: int, statement: Statement, label: Label, *, supported: bool
) -> None:
    cited = statement.citation
    recorder.note(
        EventKind.STATEMENT_CHECKED,
        {
            "statement": number,
            "support": statement.support,
            "findings": [finding.name for finding in statement.findings],
            "blocked": any(finding.hard for finding in statement.findings),
            "draft_supported": supported,
            "document": cited.document if cited else None,
            "chunk": cited.chunk if cited else None,
            "version": cited.version if cited else None,
            "start": cited.start if cited else None,
            "end": cited.end if cited else None,
        },
        body={
            "text": statement.text,
            "quote": cited.quote if cited else None,
            "messages": [finding.message for finding in statement.findings],
        },
        label=label,
    )
