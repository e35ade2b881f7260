"""Confidence: the probability that the evidence answers the question, from the asker's view."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import pairwise

from staid.domain.passage import Passage, Retrieval, Signals
from staid.domain.text import sentences, terms
from staid.grounding.asked import asks, offers, proper
from staid.grounding.calibration import Calibration

TOP = 3
"""Fused passages that the words of the question are looked for in."""
PREFIX = 5
"""Terms that share so many first letters count as one word family (`invade`, `invasion`)."""
FAR = 30
"""The rank of a passage that one of the two legs did not find."""
LEAST_SPREAD = 0.02
"""A view whose cosines hardly differ says nothing about how far one stands out."""


@dataclass(frozen=True, slots=True)
class Features:
    """What confidence is a function of; each over the asker's view, 0 without passages."""

    cosine: float
    """Best raw cosine."""
    margin: float
    """Best minus second best cosine."""
    cosine_top5: float
    """Mean of the five best cosines."""
    z: float
    """How many standard deviations the best cosine stands above the view's mean."""
    bm25: float
    """Best BM25 over the sum of the question's idf: 0..1."""
    bm25_margin: float
    """Best minus second best, over the same sum."""
    coverage: float
    """Share of the question's idf whose word families occur in the best of the top passages."""
    sentence: float
    """Share of the question's idf that occurs in one sentence of the top passages, the best."""
    pairs: float
    """Share of the question's neighbouring words that are neighbours in a top passage."""
    uncovered: float
    """idf of the heaviest word in none of the top passages, over that of a word found nowhere."""
    unnamed: float
    """Share of the question's idf that is names and numbers absent from the best passage."""
    kind: float
    """1 where the best sentence holds the kind of thing asked for, -1 where not, 0 unknown."""
    agreement: float
    """Mean of the reciprocal ranks of the first passage in both legs."""

    def by_name(self) -> dict[str, float]:
        """Return name -> value, as recorded with every decision."""
        return asdict(self)


NAMES = tuple(field.name for field in fields(Features))


@dataclass(frozen=True, slots=True)
class _Read:
    """A passage cut into what features look at."""

    terms: frozenset[str]
    pairs: frozenset[tuple[str, str]]
    sentences: tuple[tuple[str, frozenset[str]], ...]


def features(question: str, retrieval: Retrieval) -> Features:
    """Measure one retrieval; a pure function of the question and the asker's view."""
    signals = retrieval.signals
    read = [_read(passage) for passage in retrieval.passages[:TOP]]
    idf = _idf(question, signals)
    total = sum(idf.values()) or 1.0
    best = max(read, key=lambda each: _weight(idf, each.terms), default=_EMPTY)
    sentence, answer = _best_sentence(idf, read)
    holds = offers(answer, asks(question), question) if answer else None
    cosines = _padded(signals.similarities)
    bm25 = _padded(signals.bm25)
    return Features(
        cosine=cosines[0],
        margin=cosines[0] - cosines[1] if len(signals.similarities) > 1 else 0.0,
        cosine_top5=sum(signals.similarities[:5]) / max(1, len(signals.similarities[:5])),
        z=(cosines[0] - signals.similarity_mean) / max(signals.similarity_std, LEAST_SPREAD),
        bm25=bm25[0] / total,
        bm25_margin=(bm25[0] - bm25[1]) / total,
        coverage=_family_coverage(idf, read),
        sentence=sentence / total,
        pairs=_pair_coverage(question, idf, read),
        uncovered=_heaviest_missing(idf, read) / _heaviest(signals.view),
        unnamed=_weight(idf, proper(question) - best.terms) / total,
        kind=0.0 if holds is None else 1.0 if holds else -1.0,
        agreement=_agreement(retrieval.passages),
    )


def confidence(measured: Features, calibration: Calibration) -> float:
    """Return the calibrated probability, 0..1."""
    values = measured.by_name()
    score = calibration.intercept
    for name, weight in calibration.coefficients.items():
        score += weight * (values[name] - calibration.means[name]) / calibration.scales[name]
    return 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, score))))


_EMPTY = _Read(frozenset(), frozenset(), ())


def _read(passage: Passage) -> _Read:
    said = terms(f"{passage.title}\n{passage.section}\n{passage.text}")
    cut = (passage.text[start:end] for start, end in sentences(passage.text))
    return _Read(
        terms=frozenset(said),
        pairs=frozenset(pairwise(said)),
        sentences=tuple((text, frozenset(terms(text))) for text in cut),
    )


def _idf(question: str, signals: Signals) -> dict[str, float]:
    known = dict(signals.idf)
    nowhere = _heaviest(signals.view)
    return {term: known.get(term, nowhere) for term in terms(question)}


def _heaviest(view: int) -> float:
    """Return the idf of a word that occurs nowhere in the view."""
    return math.log(1.0 + (view + 0.5) / 0.5)


def _weight(idf: Mapping[str, float], found: Iterable[str]) -> float:
    # In the order of the question: a sum of floats must not depend on the order of a set.
    among = frozenset(found)
    return sum(weight for term, weight in idf.items() if term in among)


def _padded(values: tuple[float, ...]) -> list[float]:
    return [*values, 0.0, 0.0]


def _best_sentence(idf: Mapping[str, float], read: Sequence[_Read]) -> tuple[float, str]:
    every = ((_weight(idf, found), text) for each in read for text, found in each.sentences)
    return max(every, key=lambda pair: pair[0], default=(0.0, ""))


def _family_coverage(idf: Mapping[str, float], read: Sequence[_Read]) -> float:
    families: dict[str, float] = {}
    for term, weight in idf.items():
        families[term[:PREFIX]] = max(weight, families.get(term[:PREFIX], 0.0))
    total = sum(families.values()) or 1.0
    shares = [_weight(families, (term[:PREFIX] for term in each.terms)) for each in read]
    return max(shares, default=0.0) / total


def _pair_coverage(question: str, idf: Mapping[str, float], read: Sequence[_Read]) -> float:
    asked = list(pairwise(terms(question)))
    if not asked:
        return max((_weight(idf, each.terms) for each in read), default=0.0) / (
            sum(idf.values()) or 1.0
        )
    found = frozenset[tuple[str, str]]().union(*(each.pairs for each in read))
    total = sum(idf[a] + idf[b] for a, b in asked) or 1.0
    return sum(idf[a] + idf[b] for a, b in asked if (a, b) in found) / total


def _heaviest_missing(idf: Mapping[str, float], read: Sequence[_Read]) -> float:
    found = frozenset[str]().union(*(each.terms for each in read))
    return max((weight for term, weight in idf.items() if term not in found), default=0.0)


def _agreement(passages: Sequence[Passage]) -> float:
    if not passages:
        return 0.0
    ranks = (passages[0].vector_rank or FAR, passages[0].lexical_rank or FAR)
    return sum(1.0 / rank for rank in ranks) / len(ranks)
