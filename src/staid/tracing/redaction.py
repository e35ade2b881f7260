"""Redaction: what leaves for a destination keeps its shape and loses what identifies a person.

Rules belong to a destination. Structured personal data is found by pattern and, where a number
carries a check digit, by that; names only where the caller passes a finder, because no pattern
knows a name. A marker says what stood there and how long it was: `[email:17]`. Redacting twice
changes nothing more.

Checks: cards Luhn (ISO/IEC 7812-1), IBAN mod 97 with the length of its country (ISO 13616).
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import Literal, TypeAlias, cast

from staid.domain.canonical import Json, canonical
from staid.tracing import patterns
from staid.tracing.patterns import KINDS, MARKER, Kind, Span

Level: TypeAlias = Literal["full", "masked", "structure"]
"""Everything; personal data by marker; no text at all, only where it stood and how long it was."""
NameFinder: TypeAlias = Callable[[str], Iterable[tuple[int, int]]]
"""Gives the places of names in a text as start and end: the port for a recogniser of names."""

_ROUNDS = 10
"""A marker can lay a pattern bare that ran into its neighbour; few rounds always settle it."""
_DEEPEST = 60
"""Levels of JSON inside JSON that are followed; what lies deeper is replaced as a whole."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What one destination may get."""

    level: Level = "masked"
    kinds: frozenset[Kind] = frozenset(KINDS)
    """Which structured data is looked for at the level `masked`."""
    names: NameFinder | None = None
    """Finds names, which no pattern can; None leaves them."""


def redact(value: Json, rules: Rules) -> Json:
    """Return the value as this destination may get it; idempotent, shape and types of keys kept."""
    if rules.level == "full":
        return value
    return _redacted(value, rules, 0)


def known_names(names: Iterable[str]) -> NameFinder:
    """Return a finder of exactly these names, whole words, in any case: from a directory, say."""
    wanted = sorted({name for name in names if name.strip()}, key=len, reverse=True)
    if not wanted:
        return lambda _text: ()
    pattern = re.compile(
        rf"(?<!\w)(?:{'|'.join(re.escape(name) for name in wanted)})(?!\w)", re.IGNORECASE
    )
    return lambda text: [found.span() for found in pattern.finditer(text)]


def _redacted(value: Json, rules: Rules, depth: int) -> Json:
    if depth > _DEEPEST:
        return _marker("deep", 0)
    match value:
        case None | bool():
            return value
        case str():
            return _text(value, rules, depth)
        case int() | float():
            return _number(value, rules)
        case Mapping():
            return _mapping(value, rules, depth)
        case _:
            return [_redacted(item, rules, depth + 1) for item in cast("Sequence[Json]", value)]


def _mapping(value: Mapping[str, Json], rules: Rules, depth: int) -> Json:
    found: dict[str, Json] = {}
    masked = replace(rules, level="masked")
    for key, item in value.items():
        name = _masked(key, masked)
        while name in found:  # two keys that look alike now are still two
            name += "'"
        found[name] = _redacted(item, rules, depth + 1)
    return found


def _number(value: float, rules: Rules) -> Json:
    if rules.level == "structure":
        return _marker("number", len(str(value)))
    digits = str(int(value)) if isinstance(value, int) or value == value // 1 else ""
    if "card" in rules.kinds and patterns.is_card(digits):
        return _marker("card", len(digits))
    return value


def _text(value: str, rules: Rules, depth: int) -> str:
    inner = _inside(value)
    if inner is not None:
        changed = _redacted(inner, rules, depth + 1)
        # Untouched JSON keeps its very text: spacing and number forms are not ours to change.
        if changed == inner and rules.level == "masked":
            return value
        # An escaped half of a pair can be JSON, but not UTF-8.
        return canonical(changed).encode("utf-8", "replace").decode("utf-8")
    if rules.level == "structure":
        return value if MARKER.fullmatch(value) else _marker("text", len(value))
    return _masked(value, rules)


def _inside(text: str) -> Json:
    """Return the JSON object or array that a text holds; None for any other text."""
    trimmed = text.strip()
    if not trimmed.startswith(("{", "[")):
        return None
    try:
        found: object = json.loads(
            trimmed, object_pairs_hook=_once, parse_constant=_refuse, parse_float=_finite
        )
    except (ValueError, RecursionError):
        return None
    return cast("Json", found)


def _once(pairs: Sequence[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) != len(pairs):
        message = "of two equal keys one would be lost, and with it what it hides"
        raise ValueError(message)
    return found


def _refuse(name: str) -> Json:
    message = f"{name} is not JSON"
    raise ValueError(message)


def _finite(text: str) -> float:
    value = float(text)
    if not isfinite(value):
        _refuse(text)
    return value


def _masked(text: str, rules: Rules) -> str:
    for _ in range(_ROUNDS):
        changed = _once_masked(text, rules)
        if changed == text:
            break
        text = changed
    return text


def _once_masked(text: str, rules: Rules) -> str:
    for kind in KINDS:
        if kind in rules.kinds:
            text = _replaced(text, kind, patterns.find(kind, text))
    if rules.names is not None:
        text = _replaced(text, "name", rules.names(text))
    return text


def _replaced(text: str, kind: str, spans: Iterable[Span]) -> str:
    """Return the text with markers for these places, outside the markers that stand there."""
    taken = [found.span() for found in MARKER.finditer(text)]
    ends = [end for _, end in taken]
    parts: list[str] = []
    last = 0
    for start, end in sorted(spans):
        place = bisect_right(ends, start)
        overlaps = place < len(taken) and taken[place][0] < end
        if start < last or end <= start or overlaps:
            continue
        parts += [text[last:start], _marker(kind, end - start)]
        last = end
    return "".join([*parts, text[last:]])


def _marker(kind: str, length: int) -> str:
    return f"[{kind}:{length}]"
