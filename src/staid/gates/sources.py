"""The texts that a model has seen, and how far each is trusted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import cast

from staid.domain.canonical import Json
from staid.domain.label import EVERYONE, Label
from staid.gates.matching import Reading

DEPTH = 32
"""Levels of a result or an argument that are looked into."""


class Origin(StrEnum):
    """Where a value comes from, the most trusted first."""

    USER = "user"
    RECORD = "record"
    APPROVER = "approver"
    MODEL = "model"
    DOCUMENT = "document"
    UNKNOWN = "unknown"


_TRUST = {origin: place for place, origin in enumerate(Origin)}


def least(origins: Iterable[Origin]) -> Origin:
    """Return the least trusted of some origins; of none `model`."""
    return max(origins, key=_TRUST.__getitem__, default=Origin.MODEL)


@dataclass(frozen=True, slots=True)
class Source:
    """A text a model has seen, and how far it is trusted."""

    id: str
    """Of a message, a passage's chunk or a call."""
    origin: Origin
    """`user`, `record` or `document`."""
    text: str
    name: str = ""
    """Words for the reader: a document's id, or a tool and the path of a field."""
    field: bool = False
    """One whole value of a structured result: it counts whole or not at all."""
    label: Label = EVERYONE
    """Who may read its words."""


class Texts:
    """Texts that a model has seen in a conversation, each read once."""

    def __init__(self, sources: Iterable[Source], *, whole: bool = True) -> None:
        """Read the texts; the last one of the asker's own is what they wrote last.

        `whole` says that the model has seen nothing else. Where it may have, a value that is found
        nowhere is `unknown`, and not the model's own.
        """
        self._read = [(s, Reading(s.text, s.name, field=s.field)) for s in sources]
        self.whole = whole

    def plus(self, *others: Texts) -> Texts:
        """Return these texts and others; what is there twice in the same words counts once."""
        both = Texts((), whole=self.whole or any(other.whole for other in others))
        every = [one for texts in (self, *others) for one in texts._read]  # noqa: SLF001 - its own class
        known = {(s.origin, s.name, s.text, s.field): (s, read) for s, read in reversed(every)}
        both._read = list(reversed(known.values()))
        return both

    def second_hand(self) -> Texts:
        """Return the same texts as those of an agent whose task another agent has written.

        What it was told is a document then: the asker has not said it.
        """
        told = Texts((), whole=False)
        told._read = [
            (replace(s, origin=Origin.DOCUMENT) if s.origin is Origin.USER else s, read)
            for s, read in self._read
        ]
        return told

    @property
    def said(self) -> str | None:
        """What the asker wrote last, or None where nothing is theirs."""
        own = self.of(Origin.USER)
        return own[-1][0].text if own else None

    def of(self, origin: Origin) -> list[tuple[Source, Reading]]:
        """Return the texts of one origin."""
        return [one for one in self._read if one[0].origin is origin]


def result_sources(
    call: str,
    tool: str,
    result: Json,
    trusted: bool | frozenset[str],  # noqa: FBT001 - the tool's own property
    label: Label = EVERYONE,
) -> tuple[Source, ...]:
    """Return every value of a tool's result as a source of its own.

    `trusted` is True where the tool returns records, or the names of the fields that are records;
    everything else is a document, since somebody else may have written it.
    """
    return tuple(
        Source(
            f"{call}#{path}" if path else call,
            Origin.RECORD if _is_record(path, trusted, key=key) else Origin.DOCUMENT,
            text,
            f"{tool}.{path}" if path else tool,
            field=True,
            label=label,
        )
        for path, text, key in _leaves(result, "", 0)
    )


def _is_record(path: str, trusted: bool | frozenset[str], *, key: bool) -> bool:  # noqa: FBT001
    if isinstance(trusted, bool):
        return trusted
    names = [part for part in path.split(".") if not part.isdigit()]
    return not key and bool(names) and names[-1] in trusted


def _leaves(value: Json, path: str, depth: int) -> Iterator[tuple[str, str, bool]]:
    """Yield path, text and whether it is a key, of every value inside a value."""
    if depth > DEPTH or value is None or isinstance(value, bool):
        return
    if isinstance(value, Mapping):
        for key, item in cast("Mapping[str, Json]", value).items():
            inner = f"{path}.{key}" if path else key
            yield inner, key, True
            yield from _leaves(item, inner, depth + 1)
    elif isinstance(value, str):
        yield path, value, False
    elif isinstance(value, Sequence):
        for place, item in enumerate(value):
            yield from _leaves(item, f"{path}.{place}" if path else str(place), depth + 1)
    else:
        yield path, str(value), False
