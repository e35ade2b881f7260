"""Passages and retrievals made by hand, for rooms that are pure functions of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest

from staid.domain.ids import ChunkId, DocumentId
from staid.domain.label import EVERYONE
from staid.domain.passage import Passage, Retrieval, Signals
from staid.domain.text import terms
from staid.grounding.calibration import Calibration
from staid.grounding.confidence import NAMES


def make_passage(text: str, number: int = 1, *, title: str = "", vetted: bool = True) -> Passage:
    """Return a passage that only text, title and rank tell apart."""
    return Passage(
        source="help",
        document=DocumentId(f"doc-{number}"),
        version="v1",
        chunk=ChunkId(f"chunk-{number}"),
        title=title,
        section="",
        text=text,
        label=EVERYONE,
        vetted=vetted,
        rank=number,
        similarity=0.7 - number / 100,
        vector_rank=number,
        lexical_rank=number,
        bm25=1.0 / number,
    )


@dataclass(frozen=True, slots=True)
class Found:
    """How a retrieval by hand differs from a good one."""

    view: int = 50
    cosines: tuple[float, ...] = (0.69, 0.4, 0.3)
    bm25: tuple[float, ...] = (3.0, 1.0)


def make_retrieval(
    question: str, passages: Sequence[Passage], found: Found | None = None
) -> Retrieval:
    """Return a retrieval whose idf is that of a view where these passages are all that matters."""
    found = found or Found()
    said = [set(terms(f"{p.title} {p.text}")) for p in passages]
    frequency = {term: sum(term in each for each in said) for term in terms(question)}
    idf = tuple(
        (term, math.log(1 + (found.view - n + 0.5) / (n + 0.5))) for term, n in frequency.items()
    )
    signals = Signals(found.cosines, 0.1, 0.1, found.bm25, idf, found.view)
    return Retrieval(tuple(passages), signals, position=1)


def make_calibration(intercept: float = 0.0, **weights: float) -> Calibration:
    """Return a calibration over unscaled features."""
    return Calibration(
        id="cal_test",
        embedder="test",
        index_version="fusion-1",
        fitted_on="nothing",
        at="1970-01-01T00:00:00Z",
        intercept=intercept,
        coefficients={name: weights.get(name, 0.0) for name in NAMES},
        means=dict.fromkeys(NAMES, 0.0),
        scales=dict.fromkeys(NAMES, 1.0),
    )


@pytest.fixture
def passage() -> Callable[..., Passage]:
    """Make a passage."""
    return make_passage


@pytest.fixture
def retrieval() -> Callable[..., Retrieval]:
    """Make a retrieval."""
    return make_retrieval


@pytest.fixture
def calibration() -> Callable[..., Calibration]:
    """Make a calibration."""
    return make_calibration


@pytest.fixture
def found() -> type[Found]:
    """Say how a retrieval differs from a good one."""
    return Found
