"""What a turn is made with: the agent as configured, and the ports it works through."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from typing import ParamSpec, TypeVar

from staid.domain.call import CallState
from staid.domain.ids import Ids
from staid.domain.ports import Clock, Corpus, Embedder, Index, ModelClient
from staid.domain.prompt import Prompts
from staid.domain.records import Records
from staid.grounding.calibration import Calibration
from staid.grounding.floor import Signal
from staid.runtime.gate import Gate

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Floor:
    """The least value to answer, and which signal it applies to."""

    value: float = 0.55
    signal: Signal = "confidence"
    """`confidence`, or `similarity`: the literal rule on raw cosine."""


@dataclass(frozen=True, slots=True)
class AgentSpec:
    """One agent as configured."""

    name: str
    model: Callable[[], ModelClient]
    """Makes the client of one run: a cost cap counts per run."""
    instructions: str = ""
    instructions_name: str = "none"
    tools: frozenset[str] = field(default_factory=frozenset[str])
    """The allowlist: names of tools this agent may propose."""
    may_read: frozenset[str] | None = None
    """Tokens; None leaves the asker's rights alone."""
    canned: tuple[tuple[str, str], ...] = ()
    """Vetted small talk: normalised question, reply."""

    @property
    def instructions_hash(self) -> str:
        """SHA-256 of the instructions, as 64 hex digits."""
        return sha256(self.instructions.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Parts:
    """The ports and settings that every turn of a project shares."""

    records: Records
    index: Index
    corpus: Corpus
    embedder: Embedder
    gate: Gate
    clock: Clock
    ids: Ids
    pool: ThreadPoolExecutor
    """Bounded: the store is synchronous, and async code calls it through here."""
    calibration: Callable[[], Calibration | None]
    floor: Floor
    prompts: Prompts | None = None
    """Where the versions of what a model is sent are kept; None keeps none."""
    worker: str = "local"
    """Names this process in claims."""

    def off_loop(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
        """Run a blocking function in the pool."""
        return asyncio.get_running_loop().run_in_executor(
            self.pool, partial(function, *args, **kwargs)
        )


WAITING = frozenset({CallState.PENDING, CallState.EXECUTING, CallState.IN_DOUBT})
"""States in which a run waits: for a human, or for the process that executes the call now."""
