"""Runs traffic through the product's own parts, and the statistics over what comes out."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sqlite3
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from staid.adapters.models.quote import QuoteModel
from staid.domain.document import Source
from staid.domain.label import EVERYONE
from staid.domain.message import ModelRequest
from staid.domain.passage import Passage, Retrieval
from staid.domain.ports import Query
from staid.domain.principal import PUBLIC
from staid.grounding import entity, floor, support
from staid.grounding.calibration import Calibration
from staid.grounding.confidence import NAMES, features
from staid.knowledge.connectors import rows
from staid.knowledge.embed.minilm import MiniLM
from staid.knowledge.index.embedded import EmbeddedIndex
from staid.knowledge.ingest import Ingestor
from staid.store.corpus import SqlCorpus
from staid.store.engine import Store
from staid.store.schema import prepare
from traffic import Question, World

Floats = NDArray[np.float64]
TOP = 3
"""Passages among which the right one has to be (product.md, "Risk")."""
SEARCHED = 10


class RememberingEmbedder:
    """The packaged embedder with its vectors kept in a file, so that a second run is fast."""

    def __init__(self) -> None:
        """Open or make the file below XDG_CACHE_HOME."""
        self._model = MiniLM(remembered=0)
        self.id, self.dimension = self._model.id, self._model.dimension
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "staid"
        folder.mkdir(parents=True, exist_ok=True)
        self._file = sqlite3.connect(folder / f"vectors-{self.id}.db", check_same_thread=False)
        self._file.execute("CREATE TABLE IF NOT EXISTS vector (hash TEXT PRIMARY KEY, value BLOB)")
        self._known: dict[str, bytes] = dict(self._file.execute("SELECT hash, value FROM vector"))

    def embed(self, text: str) -> bytes:
        """Return the vector, from the file where it is known."""
        key = hashlib.sha256(text.encode()).hexdigest()
        if key not in self._known:
            self._known[key] = self._model.embed(text)
        return self._known[key]

    def keep(self) -> None:
        """Write what is new to the file."""
        with self._file:
            self._file.executemany(
                "INSERT OR IGNORE INTO vector VALUES (?, ?)", self._known.items()
            )


@dataclass(frozen=True, slots=True)
class Measured:
    """A question with what the product's index found for it."""

    question: Question
    retrieval: Retrieval
    values: tuple[float, ...]
    """The features, in the order of `confidence.NAMES`."""

    @property
    def found(self) -> bool:
        """Whether an answerable question has a right passage among the first three."""
        return self.question.kind == "answerable" and self.right(self.retrieval.passages)

    def right(self, passages: Sequence[Passage]) -> bool:
        """Tell whether a right passage is among the first three of these."""
        return any(passage.document in self.question.gold for passage in passages[:TOP])


def measure(world: World, embedder: RememberingEmbedder) -> list[Measured]:
    """Ingest the corpus into a store of its own and search every question in it."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(f"sqlite:///{folder}/staid.db")
        prepare(store)
        file = Path(folder) / "corpus.jsonl"
        write_rows(world, file)
        source = Source("corpus")
        Ingestor(SqlCorpus(store), embedder).ingest(source, rows.read(file, source), full=True)
        index = EmbeddedIndex(store, embedder.id, embedder.dimension)
        result = [_one(question, index, embedder) for question in world.questions]
        store.close()
    embedder.keep()
    return result


def write_rows(world: World, file: Path) -> None:
    """Write the corpus as `staid ingest` reads it: JSON lines, everybody may see them."""
    label = [sorted(clause) for clause in EVERYONE.allow]
    with file.open("w", encoding="utf-8") as out:
        for name, title, text in world.rows:
            row = {"id": name, "title": title, "text": text, "acl": label}
            out.write(json.dumps({k: v for k, v in row.items() if v}) + "\n")


def _one(question: Question, index: EmbeddedIndex, embedder: RememberingEmbedder) -> Measured:
    vector = embedder.embed(question.text)
    query = Query(question.text, vector, frozenset({PUBLIC}), k=SEARCHED, vetted=True)
    retrieval = index.search(query)
    named = features(question.text, retrieval).by_name()
    return Measured(question, retrieval, tuple(named[name] for name in NAMES))


@dataclass(frozen=True, slots=True)
class Decided:
    """What a turn would do, and whether a right passage stands among its first three."""

    question: Question
    confidence: float
    similarity: float
    answered: bool
    right: bool


def decide(measured: Measured, calibration: Calibration) -> Decided:
    """Take the steps of a turn without tools: floor, entity rule, `quote`, support check."""
    text, retrieval = measured.question.text, measured.retrieval
    decision = floor.compare(text, retrieval, calibration)
    evidence = decision.evidence if isinstance(decision, floor.Sufficient) else ()
    answered = False
    if evidence:
        request = ModelRequest("", (), evidence, (), text)
        draft = asyncio.run(QuoteModel().generate(request)).text
        names = entity.named(text, retrieval.signals)
        answered = support.check(draft, evidence, (), names).supported()
    kept = evidence or retrieval.passages
    right = measured.question.kind == "answerable" and measured.right(kept)
    return Decided(measured.question, decision.confidence, decision.similarity, answered, right)


# --- statistics ----------------------------------------------------------------------------


def auroc(good: Floats, bad: Floats) -> float:
    """Return the chance that a good one scores above a bad one, ties counting half."""
    if not len(good) or not len(bad):
        return float("nan")
    _, places, counts = np.unique(
        np.concatenate([good, bad]), return_inverse=True, return_counts=True
    )
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]
    total = float(ranks[: len(good)].sum()) - len(good) * (len(good) + 1) / 2
    return total / (len(good) * len(bad))


def coverage_at_risk(score: Floats, right: Floats, share: Floats, target: float) -> float:
    """Return the largest coverage whose risk is at most `target`; the threshold is free.

    Risk: share of given answers without a right passage among the first three. Coverage: share of
    answerable traffic (half of all) answered with one there.
    """
    order = np.argsort(-score, kind="stable")
    given, good = np.cumsum(share[order]), np.cumsum((share * right)[order])
    holds = (given > 0) & (1 - good / np.maximum(given, 1e-12) <= target)
    return float(good[holds].max()) / (0.5 * float(share.sum())) if holds.any() else 0.0


@dataclass(frozen=True, slots=True)
class Fit:
    """A logistic model over standardised features."""

    intercept: float
    weights: Floats
    means: Floats
    scales: Floats

    def predict(self, values: Floats) -> Floats:
        """Return probabilities."""
        score = (values - self.means) / self.scales @ self.weights + self.intercept
        return 1 / (1 + np.exp(-np.clip(score, -30, 30)))


def fit(values: Floats, right: Floats, share: Floats, ridge: float = 1e-3) -> Fit:
    """Return the weighted maximum-likelihood fit with an L2 penalty, by Newton's method."""
    share = share / share.sum()
    means: Floats = share @ values
    scales: Floats = np.sqrt(share @ (values - means) ** 2) + 1e-9
    design: Floats = np.column_stack([np.ones(len(values)), (values - means) / scales])
    penalty = np.asarray(np.eye(design.shape[1]) * ridge, dtype=np.float64)
    penalty[0, 0] = 0.0
    beta = np.zeros(design.shape[1], dtype=np.float64)
    for _ in range(100):
        step = _newton_step(design, right, share, penalty, beta)
        beta = np.asarray(beta - step, dtype=np.float64)
        if float(np.abs(step).max()) < 1e-10:
            break
    return Fit(float(beta[0]), beta[1:], means, scales)


def _newton_step(
    design: Floats, right: Floats, share: Floats, penalty: Floats, beta: Floats
) -> Floats:
    chance: Floats = 1 / (1 + np.exp(-(design @ beta)))
    gradient: Floats = design.T @ (share * (chance - right)) + penalty @ beta
    spread: Floats = share * chance * (1 - chance)
    curvature: Floats = (design * spread[:, None]).T @ design + penalty
    return np.asarray(np.linalg.solve(curvature, gradient), dtype=np.float64)
