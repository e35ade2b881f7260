"""What leaves the project: spans as they go out, scores, and the port to a sink."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol, TypeAlias

Attribute: TypeAlias = str | int | float | bool | tuple[str, ...]
"""A value of a span's attribute, as OpenTelemetry allows it."""

Kind: TypeAlias = Literal["run", "score", "forget"]
State: TypeAlias = Literal["waiting", "sent", "confirmed", "rejected", "skipped"]


@dataclass(frozen=True, slots=True)
class WireSpan:
    """One span in the words of its destination; equal facts give equal ids on every repeat."""

    trace: str
    """32 hex digits, derived from the run's id alone."""
    span: str
    """16 hex digits, derived from the run's id and the number of the span's first fact."""
    parent: str | None
    """The span it belongs to, always said, never taken from where the code happens to run."""
    name: str
    start: datetime
    end: datetime
    attributes: Mapping[str, Attribute]
    error: str | None = None
    """Why the step failed, where it did."""


@dataclass(frozen=True, slots=True)
class Score:
    """What somebody thought of a run, or how it was graded."""

    id: str
    """32 hex digits: a repeat replaces, it does not add."""
    run: str
    name: str
    value: float
    comment: str
    human: bool
    """Whether a person gave it; otherwise code or a model did."""
    at: datetime


@dataclass(frozen=True, slots=True)
class Rejected:
    """One span that the receiver will never take."""

    span: str
    name: str
    error: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a sink did with what it was given."""

    accepted: int
    rejected: tuple[Rejected, ...] = ()


@dataclass(frozen=True, slots=True)
class Seen:
    """What a receiver shows of a run when it is read back."""

    spans: tuple[str, ...]
    """Ids of the spans it holds."""
    inputs: int = 0
    """How many of them show an input."""


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """One thing that has to reach one sink."""

    id: int
    sink: str
    run: str
    kind: Kind
    seq: int
    state: State
    attempts: int
    next_at: datetime | None
    error: str | None
    at: datetime
    sent_at: datetime | None
    receipt: Mapping[str, object] = field(default_factory=dict[str, object])


class Sink(Protocol):
    """One destination. A call that returns was accepted; one that raises may be repeated.

    Raises `SinkUnreachable` when trying later helps, `SinkRefused` when an operator has to act,
    `SinkCannot` when the receiver has no such operation.
    """

    @property
    def name(self) -> str:
        """The sink's name in `staid.toml`."""
        ...

    @property
    def reads_back(self) -> bool:
        """Whether the receiver can be asked what it holds."""
        ...

    def send(self, spans: Sequence[WireSpan]) -> Delivery:
        """Hand spans over; what the receiver will never take is named, the rest arrives."""
        ...

    def score(self, score: Score) -> None:
        """Hand a score over, for a run that was sent before."""
        ...

    def forget(self, run: str) -> None:
        """Ask the receiver to delete a run."""
        ...

    def seen(self, run: str) -> Seen:
        """Read a run back."""
        ...

    def close(self) -> None:
        """Close what is open."""
        ...
