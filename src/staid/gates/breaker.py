"""The circuit breaker: a tool that fails again and again rests, then one call tries it.

Three states. Closed: calls run, failures in a row are counted. Resting: calls are denied until the
rest is over. On trial: one call runs, and how it ends closes the circuit or begins another rest.
Pure: the ledger keeps the circuit, and changes it in the transaction that settles a call.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from staid.domain.canonical import Json, timestamp
from staid.domain.errors import ToolInvalid
from staid.gates.budget import duration


class Ended(StrEnum):
    """What an execution says about the health of its tool."""

    ANSWERED = "answered"
    """The handler returned."""
    REFUSED = "refused"
    """The handler knows that nothing happened: `NotDone`."""
    FAILED = "failed"
    """It raised anything else, did not return in time, or its process died."""


@dataclass(frozen=True, slots=True)
class Breaker:
    """When a tool rests: after this many failures in a row within the window."""

    failures: int = 5
    window: str | timedelta = "10m"
    rest: str | timedelta = "5m"
    """How long it rests before one call tries it; also how long that call has to end."""
    refusals: bool = False
    """Whether `NotDone` counts as a failure: it says that nothing happened, not that it is ill."""

    def check(self, tool: str) -> None:
        """Raise `ToolInvalid` unless it can ever let a call through and stop one."""
        try:
            for length in (self.window, self.rest):
                duration(length)
        except ValueError as error:
            raise ToolInvalid(tool=tool, detail=f"of its breaker {error}") from error
        if not 1 <= self.failures <= 1000:
            raise ToolInvalid(tool=tool, detail="its breaker takes 1 to 1000 failures")

    def as_json(self) -> dict[str, Json]:
        """Return the breaker as plain values, for whoever settles without knowing the tool."""
        return {
            "failures": self.failures,
            "window": str(int(duration(self.window).total_seconds())),
            "rest": str(int(duration(self.rest).total_seconds())),
            "refusals": self.refusals,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Json]) -> Breaker:
        """Read what `as_json` returned."""
        return cls(
            int(str(value["failures"])),
            timedelta(seconds=int(str(value["window"]))),
            timedelta(seconds=int(str(value["rest"]))),
            refusals=bool(value["refusals"]),
        )


@dataclass(frozen=True, slots=True)
class Circuit:
    """What is remembered of one tool."""

    failures: tuple[datetime, ...] = ()
    """When it failed, in a row and within the window; oldest first."""
    opened_at: datetime | None = None
    """Since when it rests; None: the circuit is closed."""
    trial: str | None = None
    """The call that tries it."""
    trial_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """What a circuit says at one moment."""

    until: datetime | None = None
    """Until when no call may begin; None: one may."""
    trial: bool = False
    """Whether a call that begins now is the one that tries the tool."""
    failures: int = 0
    """How often it failed in a row before it rested."""

    def told(self, tool: str) -> str:
        """Return why no call may begin, until when, and how a person ends that."""
        until = f"{self.until:%Y-%m-%d %H:%M:%S} UTC" if self.until else "now"
        return (
            f"{tool} failed {self.failures} times in a row and rests until {until}."
            f" An operator can end that: staid gates start {tool}"
        )

    def as_json(self) -> dict[str, Json]:
        """Return it as plain values, as the journal keeps it."""
        until = timestamp(self.until) if self.until else None
        return {"until": until, "trial": self.trial, "failures": self.failures}

    @classmethod
    def from_json(cls, value: Mapping[str, Json]) -> Standing:
        """Read what `as_json` returned."""
        until = value["until"]
        return cls(
            datetime.fromisoformat(str(until)) if until else None,
            bool(value["trial"]),
            int(str(value["failures"])),
        )


def standing(circuit: Circuit, breaker: Breaker, now: datetime) -> Standing:
    """Return what the circuit says now."""
    if circuit.opened_at is None:
        return Standing()
    rest, count = duration(breaker.rest), len(circuit.failures)
    if now < circuit.opened_at + rest:
        return Standing(circuit.opened_at + rest, failures=count)
    if circuit.trial_at is not None and now < circuit.trial_at + rest:
        return Standing(circuit.trial_at + rest, failures=count)
    # A trial that never ended (its process died, nobody swept yet) makes way for another.
    return Standing(trial=True, failures=count)


def tried(circuit: Circuit, call: str, now: datetime) -> Circuit:
    """Return the circuit once this call is the one that tries the tool."""
    return replace(circuit, trial=call, trial_at=now)


def after(circuit: Circuit, breaker: Breaker, ended: Ended, call: str, now: datetime) -> Circuit:
    """Return the circuit after a call ended.

    While the tool rests only the call that tries it counts: what was begun before says nothing new.
    """
    failed = ended is Ended.FAILED or (ended is Ended.REFUSED and breaker.refusals)
    if circuit.opened_at is not None:
        if call != circuit.trial:
            return circuit
        return replace(circuit, opened_at=now, trial=None, trial_at=None) if failed else Circuit()
    if not failed:
        return Circuit()
    since = now - duration(breaker.window)
    recent = tuple(at for at in (*circuit.failures, now) if at > since)[-breaker.failures :]
    return Circuit(recent, now if len(recent) >= breaker.failures else None)
