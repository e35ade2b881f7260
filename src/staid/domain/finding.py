"""What is asked of the record, and what is found in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from staid.domain.moment import check_order
from staid.domain.records import RunRecord

FAILED = "failed"
"""Stands for the outcome of a run that ended without one; its reason is the error's code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSearch:
    """Which runs are wanted; what is None narrows nothing. Newest first. Raises `TimesReversed`."""

    asker: str | None = None
    agent: str | None = None
    outcome: str | None = None
    reason: str | None = None
    state: str | None = None
    rule: str | None = None
    tool: str | None = None
    document: str | None = None
    """`id`, `source/id`, either with `@version`."""
    since: datetime | None = None
    until: datetime | None = None
    """The first moment that is too late."""
    confidence_below: float | None = None
    text: str | None = None
    """Words in a row that were asked or said, the last one perhaps only begun."""
    after: str | None = None
    """Id of the run after which the list goes on."""
    limit: int = 20

    def __post_init__(self) -> None:
        """Refuse times between which nothing can lie."""
        check_order(self.since, self.until)


@dataclass(frozen=True, slots=True)
class Said:
    """A place in a run where the words that were looked for were said."""

    run: str
    seq: int
    """Number of the fact."""
    role: str
    """`asker`, `agent`, `teammate` or `feedback`."""
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """What a blast radius is asked about. Raises `TimesReversed`."""

    kind: str
    """`document`, `prompt`, `tool`, `rule`, `model` or `calibration`."""
    name: str
    """As it was written: `name`, `name@version`; of a document also `source/id`."""
    since: datetime | None = None
    until: datetime | None = None

    def __post_init__(self) -> None:
        """Refuse times between which nothing can lie."""
        check_order(self.since, self.until)


@dataclass(frozen=True, slots=True)
class Touched:
    """A run that used the suspect."""

    run: RunRecord
    versions: tuple[str, ...]
    at: datetime
    """When the run used it first."""


@dataclass(frozen=True, slots=True)
class Impact:
    """Everything a suspect touched."""

    runs: int
    principals: Mapping[str, int]
    """Principal -> runs, the most first."""
    outcomes: Mapping[str, int]
    """Outcome, or the state of a run without one -> runs."""
    newest: tuple[Touched, ...]
    """The runs, newest first, as many as were asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """Runs that ended alike on one day, counted; those without an outcome, too, as `failed`."""

    day: str
    """`2026-05-01`, in UTC."""
    agent: str
    outcome: str
    reason: str
    band: int
    """Tenth of the confidence, 0 to 9."""
    runs: int
    confidence: float
    """Sum over the runs."""
    latency: float
    """Sum of the seconds until the asker was told anything."""
    requests: int
    """Requests to models."""
    input_tokens: int
    output_tokens: int
    cost: Decimal
