"""What is kept of runs and conversations, and the port through which the turn keeps it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from staid.domain.canonical import Json
from staid.domain.events import Event, JournalRow
from staid.domain.ids import ConversationId, HandoffId, RunId


@dataclass(frozen=True, slots=True)
class RunStart:
    """A run about to begin."""

    run: RunId
    conversation: ConversationId
    agent: str
    asker: str
    """Token of the principal."""
    at: datetime
    key: str | None = None
    """The caller's idempotency key, where it gave one."""
    question_digest: str = ""
    state: str = "running"
    """`running`, or `external` for the calls of an agent that runs elsewhere."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run as it stands."""

    run: RunId
    conversation: ConversationId
    agent: str
    asker: str
    state: str
    """`running`, `parked`, `released`, `failed`, `external` or `imported`."""
    outcome: str | None
    reason: str | None
    confidence: float | None
    started_at: datetime
    ended_at: datetime | None
    question_digest: str = ""


@dataclass(frozen=True, slots=True)
class Handoff:
    """A question on its way to a teammate."""

    id: HandoffId
    run: RunId
    asker: str
    reason: str
    question: str
    """Empty where it was erased."""
    opened_at: datetime
    state: str = "open"
    answered_by: str | None = None
    answered_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ends, or pauses: written in one transaction with its last facts."""

    state: str
    outcome: str
    reason: str | None
    confidence: float
    at: datetime


class Records(Protocol):
    """The durable record of runs. What it acknowledged survives the death of the process."""

    def begin(self, start: RunStart, events: Sequence[Event]) -> RunRecord | None:
        """Record a new run with its first facts; return the earlier run when the key was used."""
        ...

    def append(self, run: RunId, events: Sequence[Event], *, durable: bool = False) -> None:
        """Append facts of a run; `durable` before anything outside may rely on them."""
        ...

    def park(
        self, run: RunId, state: Mapping[str, Json], ending: Ending, events: Sequence[Event]
    ) -> None:
        """Park a run with everything needed to carry it on, in one transaction."""
        ...

    def unpark(self, run: RunId, worker: str, at: datetime, until: datetime) -> Mapping[str, Json]:
        """Claim a parked run and return its state; raise `RunBusy` while another holds it."""
        ...

    def release(
        self, run: RunId, ending: Ending, events: Sequence[Event], handoff: Handoff | None
    ) -> None:
        """Record outcome, hand-off and last facts, seal the run: durable when this returns."""
        ...

    def set_down(self, run: RunId, worker: str) -> None:
        """Give a claim on a parked run back, so that the next one need not wait for it to lapse."""
        ...

    def fail(self, run: RunId, at: datetime, events: Sequence[Event], error: str) -> None:
        """Record that a run ended without an outcome; frees its key unless it had begun to act.

        `error` is a code or the name of an exception, never its words: it is a fact, for good.
        """
        ...

    def acted(self, run: RunId) -> bool:
        """Return whether a call of the run may have changed the world."""
        ...

    def run(self, run: str) -> RunRecord:
        """Return a run; raise `RunNotFound`."""
        ...

    def rows(self, run: str) -> Sequence[JournalRow]:
        """Return the facts of a run in order."""
        ...

    def conversation(self, conversation: str, asker: str) -> Sequence[RunRecord]:
        """Return the released runs of a conversation, oldest first.

        None for a conversation that is about to begin; raises `ConversationNotFound` for one that
        belongs to somebody else.
        """
        ...
