"""Where the arguments of a call come from, told to a reader: words only where they may be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from staid.access.evaluate import permits
from staid.domain.call import ToolCall
from staid.domain.canonical import Json
from staid.domain.events import EventKind
from staid.domain.principal import PUBLIC
from staid.gates.provenance import Origin, Span, Traced

if TYPE_CHECKING:
    from staid.project.project import Project


@dataclass(frozen=True, slots=True)
class Place:
    """A place an argument comes from, as one reader may see it."""

    source: str
    """What it is called: `the asker's words`, a document, or a tool and a field of its result."""
    before: str = ""
    words: str = ""
    after: str = ""
    withheld: bool = False
    """Whether there is a place that this reader may not read: then nothing else is said of it."""

    def as_json(self) -> dict[str, Json]:
        """Return the place as plain values."""
        if self.withheld:
            return {"withheld": True}
        told = {"before": self.before, "words": self.words, "after": self.after}
        return {"source": self.source, **told}


@dataclass(frozen=True, slots=True)
class Provenance:
    """One argument and where it comes from, as one reader may see it."""

    path: str
    origin: Origin
    places: tuple[Place, ...] = ()

    def as_json(self) -> dict[str, Json]:
        """Return it as plain values."""
        places: list[Json] = [place.as_json() for place in self.places]
        return {"path": self.path, "origin": self.origin.value, "places": places}


def provenance_of(
    project: Project, call: ToolCall, tokens: frozenset[str] = frozenset()
) -> tuple[Provenance, ...]:
    """Return where every argument of a call comes from, for a reader who holds these tokens.

    Empty where it was not recorded (guarded code without texts, an earlier release) or is erased.
    """
    for row in project.wiring.records.rows(call.run):
        if row.kind is EventKind.CALL_PROPOSED and row.fact.get("call") == call.id:
            told = cast("Mapping[str, Any]", row.body or {}).get("provenance", ())
            return tuple(_shown(Traced.from_json(each), tokens | {PUBLIC}) for each in told)
    return ()


def _shown(traced: Traced, tokens: frozenset[str]) -> Provenance:
    places = tuple(_place(span, tokens) for span in traced.spans)
    return Provenance(traced.path, traced.origin, places)


def _place(span: Span, tokens: frozenset[str]) -> Place:
    if not permits(span.label, tokens):
        return Place("", withheld=True)
    return Place(span.name, span.before, span.words, span.after)
