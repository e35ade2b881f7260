"""How values become attributes, in every vocabulary alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from staid.domain.canonical import Json, canonical
from staid.domain.exports import Attribute

MOST_MESSAGES = 64
"""Messages that are spelled out one attribute each; all of them are in the value beside."""


def text_of(value: Json) -> str:
    """Return a value as text: strings as they are, anything else as canonical JSON."""
    return value if isinstance(value, str) else canonical(value)


def mime_of(value: Json) -> str:
    """Return the media type of `text_of`."""
    return "text/plain" if isinstance(value, str) else "application/json"


def flat(prefix: str, values: Mapping[str, Json]) -> Iterator[tuple[str, Attribute]]:
    """Yield one attribute for each value that there is; what is nested becomes JSON."""
    for name, value in values.items():
        if value is None:
            continue
        plain = isinstance(value, str | int | float)
        yield f"{prefix}{name}", value if plain else canonical(value)
