"""The floor: whether there is enough evidence to let a model speak."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from staid.domain.passage import Passage, Retrieval
from staid.grounding.calibration import Calibration
from staid.grounding.confidence import Features, confidence, features
from staid.grounding.entity import named, nearest

FLOOR = 0.55
"""Least value to answer (product.md)."""
KEPT = 5
"""Passages handed to a model, best first."""

Signal: TypeAlias = Literal["confidence", "similarity"]


@dataclass(frozen=True, slots=True)
class Ruled:
    """What was compared with the floor; the numbers are the same whatever the decision."""

    confidence: float
    similarity: float
    floor: float
    signal: Signal
    features: Features
    calibration: str
    """Id of the calibration, `none` where confidence was not computed from one."""
    rule: str
    """Stable name of what decided: `floor`, `named`, `vetted`, `found`."""
    message: str
    """Plain words for the story."""


@dataclass(frozen=True, slots=True)
class Sufficient(Ruled):
    """At or above the floor: these passages may ground an answer."""

    evidence: tuple[Passage, ...] = ()


@dataclass(frozen=True, slots=True)
class Weak(Ruled):
    """Something was found, but not enough to answer."""


@dataclass(frozen=True, slots=True)
class Empty(Ruled):
    """Nothing vetted was found in the asker's view."""


Decision: TypeAlias = Sufficient | Weak | Empty


def vetted_only(retrieval: Retrieval) -> Retrieval:
    """Return the retrieval as if unvetted passages had not been found, so they lend no confidence.

    Where there are some, the legs' best values are taken from the vetted passages that remain.
    """
    vetted = [passage for passage in retrieval.passages if passage.vetted]
    if len(vetted) == len(retrieval.passages):
        return retrieval
    near = sorted(vetted, key=lambda p: -p.similarity)
    literal = sorted(
        (p for p in vetted if p.lexical_rank is not None), key=lambda p: p.lexical_rank or 0
    )
    vector_ranks = {p.chunk: rank for rank, p in enumerate(near, 1)}
    lexical_ranks = {p.chunk: rank for rank, p in enumerate(literal, 1)}
    signals = replace(
        retrieval.signals,
        similarities=tuple(sorted((p.similarity for p in vetted), reverse=True)),
        bm25=tuple(p.bm25 for p in literal),
    )
    ranked = tuple(
        replace(
            p,
            rank=rank,
            vector_rank=vector_ranks[p.chunk],
            lexical_rank=lexical_ranks.get(p.chunk),
        )
        for rank, p in enumerate(vetted, 1)
    )
    return replace(retrieval, passages=ranked, signals=signals)


def compare(
    question: str,
    retrieval: Retrieval,
    calibration: Calibration | None,
    *,
    floor: float = FLOOR,
    signal: Signal = "confidence",
    kept: int = KEPT,
) -> Decision:
    """Decide from the asker's view alone whether the evidence is enough.

    Only vetted passages count, and only those that name the product or plan that the question
    names. `calibration` may be None with `signal="similarity"`: then confidence is 0 and unused.
    """
    found = vetted_only(retrieval)
    vetted = found.passages
    measured = features(question, found)
    probability = confidence(measured, calibration) if calibration and vetted else 0.0
    similarity = max((p.similarity for p in vetted), default=0.0)
    numbers = (
        round(probability, 6),
        round(similarity, 6),
        floor,
        signal,
        measured,
        calibration.id if calibration else "none",
    )
    if not vetted:
        rule = "vetted" if retrieval.passages else "found"
        return Empty(*numbers, rule, "no vetted passage was found in what the asker may read")
    value = probability if signal == "confidence" else similarity
    if value < floor:
        return Weak(*numbers, "floor", f"{signal} {value:.2f} is below the floor {floor:.2f}")
    entities = named(question, retrieval.signals)
    evidence = nearest(vetted, entities)[:kept]
    if not evidence:
        told = ", ".join(entity.text for entity in entities)
        return Weak(*numbers, "named", f"no passage names what the question names: {told}")
    message = f"{signal} {value:.2f} is at or above the floor {floor:.2f}"
    return Sufficient(*numbers, "floor", message, evidence)
