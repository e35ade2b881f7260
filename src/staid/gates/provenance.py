"""Where each argument of a call comes from: the user's words, a record, a document, or nowhere.

Trusted words are matched strictly (typed, whole, in the role the argument plays); untrusted ones
loosely. So adding untrusted text never raises the trust of an argument. What is found nowhere is
`model`, or `unknown` where the model may have seen more: a rule that asks for `user` or `record`
does not hold for either.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from staid.domain.canonical import Json
from staid.domain.label import EVERYONE, Label
from staid.gates.matching import Sought, loosely, pieces, strictly, taken
from staid.gates.notation import deceptive
from staid.gates.sources import DEPTH, Origin, Source, Texts, least

SPANS = 3
"""Places kept per argument."""
AROUND = 60
"""Characters kept before and after the words of a place."""
LONGEST = 400
"""Characters kept of the words themselves."""


@dataclass(frozen=True, slots=True)
class Span:
    """A place in a source, with the words there."""

    source: str
    name: str
    start: int
    end: int
    words: str = ""
    before: str = ""
    after: str = ""
    label: Label = EVERYONE
    """Who may read the words."""

    def as_json(self) -> dict[str, Json]:
        """Return the place as plain values, words included."""
        return {
            "source": self.source,
            "name": self.name,
            "start": self.start,
            "end": self.end,
            "words": self.words,
            "before": self.before,
            "after": self.after,
            "label": {
                "allow": [sorted(clause) for clause in self.label.allow],
                "deny": sorted(self.label.deny),
            },
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Span:
        """Read what `as_json` returned."""
        return cls(
            value["source"],
            value["name"],
            value["start"],
            value["end"],
            value["words"],
            value["before"],
            value["after"],
            Label.parse(value["label"]),
        )


@dataclass(frozen=True, slots=True)
class Traced:
    """One value of the arguments and where it comes from."""

    path: str
    """Dotted: `recipients.0`, `order.id`."""
    origin: Origin
    spans: tuple[Span, ...] = ()

    def as_fact(self) -> list[Json]:
        """Return path, origin and places without a word that anybody wrote."""
        first, *rest = self.path.split(".")
        # Names inside an object may be data; the first one is the tool's own.
        path = ".".join([first, *(part if part.isdigit() else "*" for part in rest)])
        places: list[Json] = [[s.source.partition("#")[0], s.start, s.end] for s in self.spans]
        return [path, self.origin.value, places]

    def as_json(self) -> dict[str, Json]:
        """Return all of it as plain values, for the content of a fact."""
        spans = [span.as_json() for span in self.spans]
        return {"path": self.path, "origin": self.origin.value, "spans": spans}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Traced:
        """Read what `as_json` returned."""
        spans = tuple(Span.from_json(span) for span in value["spans"])
        return cls(value["path"], Origin(value["origin"]), spans)


def trace(
    tool: str, arguments: Mapping[str, Json], texts: Texts, schema: Mapping[str, Json] | None = None
) -> tuple[Traced, ...]:
    """Return where every value of the arguments comes from, lists and objects included.

    A list or an object has the least trusted origin of what is in it. Flags and nothing at all are
    the model's choice and have no origin. `schema` is the JSON Schema of the arguments.
    """
    walk = _Walk(tool, texts, schema or {})
    # Sorted: how a model ordered its arguments is not kept, and a replay has to find the same.
    items = sorted(arguments.items())
    return tuple(found for name, value in items for found in walk.at(name, name, value))


def origins(traced: Iterable[Traced]) -> dict[str, str]:
    """Return the word for every path, as a snapshot keeps it."""
    return {found.path: found.origin.value for found in traced}


@dataclass(slots=True)
class _Walk:
    tool: str
    texts: Texts
    schema: Mapping[str, Json]

    def at(self, path: str, name: str, value: Json, depth: int = 0) -> list[Traced]:
        """Return what is found at a path and below it, the path itself first."""
        if value is None or isinstance(value, bool):
            return []
        if depth > DEPTH:
            return [Traced(path, Origin.UNKNOWN)]
        if isinstance(value, Mapping):
            items = sorted(cast("Mapping[str, Json]", value).items())
            keys = [self._leaf(f"{path}.{k}", name, k) for k, _ in items if not k.isidentifier()]
            values = [self.at(f"{path}.{k}", k, v, depth + 1) for k, v in items]
            return self._whole(path, [*keys, *values])
        if not isinstance(value, str) and isinstance(value, Sequence):
            parts = [self.at(f"{path}.{n}", name, v, depth + 1) for n, v in enumerate(value)]
            return self._whole(path, parts)
        return self._leaf(path, name, value)

    @staticmethod
    def _whole(path: str, parts: list[list[Traced]]) -> list[Traced]:
        inside = [found for part in parts for found in part]
        if not inside:
            return []
        worst = least(found.origin for found in inside)
        spans = next((f.spans for f in inside if f.origin is worst and f.spans), ())
        return [Traced(path, worst, spans), *inside]

    def _leaf(self, path: str, name: str, value: Json) -> list[Traced]:
        text = str(value)
        if not text.strip():
            return []
        sought = Sought(self.tool, name, text, numeric=self._is_number(name, value))
        parts = sought.moment
        if parts is None:
            return [self._one(path, sought)]
        return self._whole(path, [[self._one(f"{path}.{k}", one)] for k, one in parts.items()])

    def _is_number(self, name: str, value: Json) -> bool:
        if not isinstance(value, str):
            return True
        properties = self.schema.get("properties")
        told = properties.get(name) if isinstance(properties, Mapping) else None
        return '"number"' in _told(told) or '"integer"' in _told(told)

    def _one(self, path: str, sought: Sought) -> Traced:
        if not deceptive(sought.text):
            for origin in (Origin.USER, Origin.RECORD):
                found = [(s, at) for s, r in self.texts.of(origin) for at in strictly(sought, r)]
                if found:
                    return Traced(path, origin, _spans(found))
        documents = self.texts.of(Origin.DOCUMENT)
        found = [(source, at) for source, read in documents for at in loosely(sought, read)]
        if found:
            return Traced(path, Origin.DOCUMENT, _spans(found))
        return self._composed(path, sought) if sought.prose else Traced(path, self._nowhere)

    @property
    def _nowhere(self) -> Origin:
        """What a value is that stands in no text."""
        return Origin.MODEL if self.texts.whole else Origin.UNKNOWN

    def _composed(self, path: str, sought: Sought) -> Traced:
        """Return the origin of a text that is nowhere whole: the least trusted of its pieces."""
        covered = [False] * len(sought.tokens)
        for origin in (Origin.USER, Origin.RECORD):
            for _, read in self.texts.of(origin):
                for start, end in pieces(sought, read):
                    covered[start:end] = [True] * (end - start)
        documents = self.texts.of(Origin.DOCUMENT)
        found = [(source, at) for source, read in documents for at in taken(sought, covered, read)]
        if found:
            return Traced(path, Origin.DOCUMENT, _spans(found))
        # Words of the user in another order say something else: at best this is a record.
        whole = all(covered) and not deceptive(sought.text)
        return Traced(path, Origin.RECORD if whole else self._nowhere)


def _spans(found: Sequence[tuple[Source, tuple[int, int]]]) -> tuple[Span, ...]:
    distinct = {(source.id, *at): (source, at) for source, at in found}
    return tuple(_span(*one) for one in list(distinct.values())[:SPANS])


def _span(source: Source, at: tuple[int, int]) -> Span:
    start, end = at
    words = source.text[start:end]
    if source.origin is Origin.USER:  # the value is told anyway; what else was said is the asker's
        return Span(source.id, source.name, start, end, words, label=source.label)
    return Span(
        source.id,
        source.name,
        start,
        end,
        words[:LONGEST],
        source.text[max(0, start - AROUND) : start],
        source.text[end : end + AROUND],
        source.label,
    )


def _told(schema: object) -> str:
    return repr(schema).replace("'", '"')


def edited(
    before: Mapping[str, Json],
    after: Mapping[str, Json],
    known: Iterable[Traced],
    approval: str,
    editor: str,
) -> tuple[Traced, ...]:
    """Return where the arguments of a call come from that a person made of another one.

    `known` says it of the call `before`, in canonical arguments like `after`. What they left alone
    comes from where it came; every other argument is theirs, whole.
    """
    left = {name for name in before.keys() & after.keys() if before[name] == after[name]}
    found = {one.path: one for one in known if _root(one.path) in left}
    for one in unknown(after):
        name = _root(one.path)
        if name not in left:
            words = str(after[name])[:LONGEST]
            typed = Span(approval, editor, 0, len(words), words)
            found[one.path] = Traced(one.path, Origin.APPROVER, (typed,))
        else:
            found.setdefault(one.path, one)
    return tuple(found[path] for path in sorted(found))


def _root(path: str) -> str:
    return path.partition(".")[0]


def unknown(arguments: Mapping[str, Json]) -> tuple[Traced, ...]:
    """Return `unknown` for every value: nobody handed over what the model has seen."""
    return tuple(
        Traced(found.path, Origin.UNKNOWN) for found in trace("", arguments, Texts(()), None)
    )
