"""Where the arguments of a call come from, in lines for an approver."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from staid.cli import output
from staid.domain.call import ToolCall
from staid.domain.canonical import Json
from staid.gates.provenance import Origin
from staid.project.provenance import Place, Provenance, provenance_of

_WORDS = {
    Origin.USER: "said by the asker",
    Origin.RECORD: "from a record",
    Origin.DOCUMENT: "from a document that anybody may have written",
    Origin.MODEL: "found nowhere: the model's own",
    Origin.UNKNOWN: "not known",
}


def provenance(call: ToolCall, reader: str = "") -> Sequence[Provenance]:
    """Return where the arguments come from as `reader` may see it; without one, as anybody may."""
    project = output.project()
    tokens = project.wiring.identify(reader, None).principal.tokens if reader else frozenset[str]()
    return provenance_of(project, call, tokens)


def provenance_json(found: Sequence[Provenance]) -> list[dict[str, Json]]:
    """Return it for a program."""
    return [one.as_json() for one in found]


def provenance_lines(found: Sequence[Provenance]) -> list[str]:
    """Return a line for each argument, with its words marked in the text they stand in."""
    return [line for one in found for line in _lines(one)]


def _lines(one: Provenance) -> Iterator[str]:
    yield f"  {one.path}: {_WORDS[one.origin]}"
    for place in one.places:
        yield from output.paragraph(_quoted(place), "      ")


def _quoted(place: Place) -> str:
    if place.withheld:
        return "in a text that you may not read (--as says who reads)"
    before, words, after = (" ".join(p.split()) for p in (place.before, place.words, place.after))
    around = f"…{before} [{words}] {after}…" if before or after else f"[{words}]"
    return f"{place.source}: {around}"
