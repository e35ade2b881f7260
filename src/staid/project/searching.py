"""The permission-aware search alone, with a confidence for every passage."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from staid.domain.passage import Passage, Retrieval
from staid.domain.ports import Query
from staid.runtime.agent import checked_question

if TYPE_CHECKING:
    from collections.abc import Sequence

    from staid.project.project import Project


@dataclass(frozen=True, slots=True)
class Hit:
    """One passage with the probability that it alone answers the question."""

    passage: Passage
    confidence: float


@dataclass(frozen=True, slots=True)
class Found:
    """What one search found, best first."""

    hits: tuple[Hit, ...]
    position: int


def search(project: Project, text: str, asker: str, groups: Sequence[str] | None, k: int) -> Found:
    """Return the best passages inside the asker's rights, as of now."""
    wiring = project.wiring
    question = checked_question(text)
    who = wiring.identify(asker, groups)
    vector = wiring.embedder.embed(question)
    retrieval = wiring.index.search(Query(question, vector, who.principal.tokens, k=k))
    hits = tuple(Hit(p, _confidence(project, question, retrieval, p)) for p in retrieval.passages)
    return Found(hits, retrieval.position)


def _confidence(project: Project, question: str, retrieval: Retrieval, passage: Passage) -> float:
    from staid.grounding.confidence import confidence, features

    calibration = project.wiring.calibration()
    if calibration is None:
        return 0.0
    alone = replace(retrieval, passages=(passage,))
    return round(confidence(features(question, alone), calibration), 6)
