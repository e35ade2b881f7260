"""Where the arguments of a call come from, told to a reader: words only where they may be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

from staid.access.evaluate import permits
from staid.domain.call import ToolCall
from staid.domain.canonical import Json
from staid.domain.errors import DocumentAmbiguous, DocumentNotFound
from staid.domain.events import EventKind, JournalRow
from staid.domain.principal import PUBLIC
from staid.gates.provenance import Span, Traced
from staid.gates.sources import Origin

if TYPE_CHECKING:
    from staid.project.project import Project


WORDS: Mapping[Origin, str] = MappingProxyType(
    {
        Origin.USER: "said by the asker",
        Origin.RECORD: "from a record",
        Origin.APPROVER: "typed by an approver who changed the call",
        Origin.DOCUMENT: "from a document that anybody may have written",
        Origin.MODEL: "found nowhere: the model's own",
        Origin.UNKNOWN: "not known",
    }
)
"""What each origin is called for an approver."""


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

    @property
    def words(self) -> str:
        """What its origin is called."""
        return WORDS[self.origin]

    def as_json(self) -> dict[str, Json]:
        """Return it as plain values."""
        places: list[Json] = [place.as_json() for place in self.places]
        return {"path": self.path, "origin": self.origin.value, "places": places}


def provenance_of(
    project: Project,
    call: ToolCall,
    tokens: frozenset[str] = frozenset(),
    rows: Sequence[JournalRow] | None = None,
) -> tuple[Provenance, ...]:
    """Return where every argument of a call comes from, for a reader who holds these tokens.

    Words of a passage are shown while both the recorded and the present label of its document
    permit; where one passage of the run is not readable, neither is what a tool returned after it.
    Empty where it was not recorded (guarded code without texts, an earlier release) or is erased.
    `rows` are the facts of the call's run, where they are at hand.
    """
    facts = project.wiring.records.rows(call.run) if rows is None else rows
    held, traced = tokens | {PUBLIC}, traced_in(facts, call)
    lost = _lost(project, facts, held) if any(t.spans for t in traced) else frozenset[str]()
    return tuple(_shown(each, held, lost) for each in traced)


def traced_in(rows: Sequence[JournalRow], call: ToolCall) -> tuple[Traced, ...]:
    """Return where every argument of a call comes from, whoever may read the words; or nothing."""
    for row in rows:
        if row.kind is EventKind.CALL_PROPOSED and row.fact.get("call") == call.id:
            told = cast("Mapping[str, Any]", row.body or {}).get("provenance", ())
            return tuple(Traced.from_json(each) for each in told)
    return ()


def may_know(project: Project, source: str, document: str, tokens: frozenset[str]) -> bool:
    """Return whether who holds these tokens may read a document as of now; one that is gone: no."""
    try:
        present = project.wiring.corpus.find(f"{source}/{document}")
    except (DocumentNotFound, DocumentAmbiguous):
        return False
    return permits(present.label, tokens)


def _lost(project: Project, rows: Sequence[JournalRow], tokens: frozenset[str]) -> frozenset[str]:
    """Return the chunks of a run that may not be read as of now."""
    return frozenset(
        str(row.fact["chunk"])
        for row in rows
        if row.kind is EventKind.PASSAGE_KEPT
        and not may_know(project, str(row.fact["source"]), str(row.fact["document"]), tokens)
    )


def _shown(traced: Traced, tokens: frozenset[str], lost: frozenset[str]) -> Provenance:
    places = tuple(_place(span, tokens, lost) for span in traced.spans)
    return Provenance(traced.path, traced.origin, places)


def _place(span: Span, tokens: frozenset[str], lost: frozenset[str]) -> Place:
    returned = span.source.startswith("cal_")  # by a tool, which may have read what is lost
    if not permits(span.label, tokens) or span.source in lost or (returned and lost):
        return Place("", withheld=True)
    return Place(span.name, span.before, span.words, span.after)
