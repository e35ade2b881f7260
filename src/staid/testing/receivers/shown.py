"""What a receiver shows of a span."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from staid.domain.exports import Attribute


@dataclass(frozen=True, slots=True)
class ShownDocument:
    """One retrieved document, as shown."""

    id: str | None = None
    score: float | None = None
    content: str | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """One span, as shown."""

    name: str
    type: str
    input: Any = None
    output: Any = None
    session: str | None = None
    user: str | None = None
    tags: tuple[str, ...] = ()
    documents: tuple[ShownDocument, ...] = ()
    tokens: tuple[int, int] | None = None
    cost: float | None = None
    prompt: tuple[str, str] | None = None
    parameters: Any = None
    project: str | None = None


def first(attributes: Mapping[str, Attribute], *names: str) -> Any:  # noqa: ANN401 - attributes of any type
    """Return the first of these attributes that there is."""
    return next((attributes[name] for name in names if name in attributes), None)


def text(attributes: Mapping[str, Attribute], *names: str) -> str | None:
    """Return the first of these attributes that there is, as text."""
    found = first(attributes, *names)
    return None if found is None else str(found)


def parsed(value: Any) -> Any:  # noqa: ANN401 - JSON of any shape
    """Return the JSON behind a text that looks like it, else the text."""
    if isinstance(value, str) and value[:1] in {"{", "["}:
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def beginning(attributes: Mapping[str, Attribute], prefix: str) -> dict[str, Attribute]:
    """Return every attribute whose name begins like this, by the rest of its name."""
    return {
        name.removeprefix(prefix).lstrip("."): value
        for name, value in attributes.items()
        if name.startswith(prefix)
    }


def numbered(attributes: Mapping[str, Attribute], prefix: str) -> list[dict[str, Attribute]]:
    """Return the groups `prefix.0.…`, `prefix.1.…` in order."""
    groups: dict[int, dict[str, Attribute]] = {}
    for name, value in beginning(attributes, f"{prefix}.").items():
        number, _, rest = name.partition(".")
        if number.isdigit():
            groups.setdefault(int(number), {})[rest] = value
    return [groups[number] for number in sorted(groups)]


def tokens_of(attributes: Mapping[str, Attribute], *pairs: tuple[str, str]) -> Any:  # noqa: ANN401 - a pair or nothing
    """Return input and output tokens from the first pair of names that there is."""
    for incoming, outgoing in pairs:
        if incoming in attributes:
            return (attributes[incoming], attributes.get(outgoing, 0))
    return None


def documents_in(value: Any) -> tuple[ShownDocument, ...]:  # noqa: ANN401 - JSON of any shape
    """Return the documents of a JSON list of objects with `id` and `score`."""
    found = parsed(value)
    if not isinstance(found, list):
        return ()
    items = [cast("dict[str, Any]", i) for i in cast("Sequence[Any]", found) if isinstance(i, dict)]
    return tuple(
        ShownDocument(i.get("id"), i.get("score"), i.get("content")) for i in items if "id" in i
    )
