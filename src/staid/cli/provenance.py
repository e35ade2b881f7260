"""Where the arguments of a call come from, in lines for an approver."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from staid.cli import output
from staid.project.provenance import Place, Provenance


def tokens_of(reader: str) -> frozenset[str]:
    """Return what `reader` holds; without one nothing, so that only what is public is shown."""
    if not reader:
        return frozenset()
    return output.project().wiring.identify(reader, None).principal.tokens


def provenance_lines(found: Sequence[Provenance]) -> list[str]:
    """Return a line for each argument, with its words marked in the text they stand in."""
    return [line for one in found for line in _lines(one)]


def _lines(one: Provenance) -> Iterator[str]:
    yield f"  {one.path}: {one.words}"
    for place in one.places:
        yield from output.paragraph(_quoted(place), "      ")


def _quoted(place: Place) -> str:
    if place.withheld:
        return "in a text that you may not read (--as says who reads)"
    before, words, after = (" ".join(p.split()) for p in (place.before, place.words, place.after))
    around = f"…{before} [{words}] {after}…" if before or after else f"[{words}]"
    return f"{place.source}: {around}"
