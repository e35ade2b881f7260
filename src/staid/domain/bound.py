"""What an approval is bound to beside the arguments, and what people said about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Any

from staid.domain.canonical import Json, digest


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is not what it was when a request was shown."""

    part: str
    """`schema`, `handler`, `policy`, `preview`, `fingerprint` or `calls`."""
    before: str | None
    now: str | None

    @property
    def words(self) -> str:
        """The change in plain words."""
        return f"{self.part}: {self.before or 'nothing'} -> {self.now or 'nothing'}"

    def as_json(self) -> dict[str, Json]:
        """Return the change as plain values."""
        return {"part": self.part, "before": self.before, "now": self.now}


@dataclass(frozen=True, slots=True)
class Bound:
    """The named parts an approval is bound to; the arguments are bound by the call's own digest."""

    schema: str | None = None
    """Digest of the JSON Schema of the tool's parameters."""
    handler: str | None = None
    """Version of what carries the call out."""
    policy: str | None = None
    """Version of the policy that ruled."""
    preview: str | None = None
    """What the approver was shown."""
    fingerprint: str | None = None
    """The state of the world that the approval rests on, as canonical JSON."""
    calls: str | None = None
    """The calls that joined it and are decided with it; None: none did."""

    def digest(self, call: str) -> str:
        """Return the one digest over all parts and the digest of the call."""
        return digest({"call": call, **self.as_json()})

    def changes(self, now: Bound) -> tuple[Change, ...]:
        """Return every part that differs, in order; calls are joined, and never read anew."""
        names = (f.name for f in fields(self) if f.name != "calls")
        pairs = ((name, getattr(self, name), getattr(now, name)) for name in names)
        return tuple(Change(*each) for each in pairs if each[1] != each[2])

    def as_json(self) -> dict[str, Json]:
        """Return the parts as plain values, as the ledger keeps them."""
        found: dict[str, Json] = {each.name: getattr(self, each.name) for each in fields(self)}
        if self.calls is None:  # as before calls could join, so that no digest changes
            del found["calls"]
        return found

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Bound:
        """Read what `as_json` returned; parts that a later release added are left out."""
        return cls(**{each.name: value.get(each.name) for each in fields(cls)})


@dataclass(frozen=True, slots=True)
class Reading:
    """The parts as they are now, and what could not be read."""

    bound: Bound = field(default_factory=Bound)
    failed: tuple[tuple[str, str], ...] = ()
    """Part -> why it could not be read."""

    def against(self, before: Bound) -> tuple[Change, ...]:
        """Return what is not as it was before; what could not be read is not."""
        lost = tuple(
            Change(part, getattr(before, part), f"could not be read ({why})")
            for part, why in self.failed
        )
        return (*before.changes(self.known(before)), *lost)

    def known(self, before: Bound) -> Bound:
        """Return the parts as they are now; what could not be read stays what it was."""
        return replace(self.bound, **{part: getattr(before, part) for part, _ in self.failed})


@dataclass(frozen=True, slots=True)
class Vote:
    """What one person said to a request."""

    round: int
    """Every reconsideration begins a new round; votes of earlier ones are void."""
    by: str
    decision: str
    at: datetime
    reason: str
    binding: str
    """Digest of everything that was voted on."""
