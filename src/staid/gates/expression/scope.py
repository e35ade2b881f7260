"""What the names of an expression mean for one tool, and where their values come from."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import TypeAlias, cast

from staid.domain.canonical import Json
from staid.gates.expression.types import (
    NUMBER,
    TEXT,
    TIME,
    Kind,
    Type,
    listed,
)
from staid.gates.expression.values import Missing, Undecided, Value, read

ORIGINS = ("user", "record", "approver", "document", "model", "unknown")
"""Where a value may come from; without a trace of it: `unknown`."""
EFFECTS = ("read", "write", "irreversible")
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

CONTEXT: Mapping[str, Type] = {
    "principal": TEXT,
    "groups": listed(TEXT),
    "agent": TEXT,
    "said": TEXT,
    "tool": TEXT,
    "effect": Type(Kind.TEXT, words=EFFECTS),
    "now": TIME,
}
"""Words that mean the same in every rule; an argument of the same name is `args.NAME`."""
CLOCK: Mapping[str, Type] = {
    "weekday": Type(Kind.TEXT, words=DAYS),
    **dict.fromkeys(("hour", "minute", "day", "month", "year"), NUMBER),
}
"""Fields of a time, as the clock on the wall of the policy's zone shows it."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything one call is ruled from."""

    arguments: Mapping[str, Json]
    tool: str
    effect: str
    principal: str = ""
    groups: frozenset[str] = frozenset()
    agent: str = ""
    now: datetime | None = None
    origins: Mapping[str, str] = field(default_factory=dict[str, str])
    records: Mapping[str, Json] = field(default_factory=dict[str, "Json"])
    said: str = ""
    """What the asker wrote last; empty: not known."""


Path: TypeAlias = tuple[str, ...]
"""Names from the arguments down to a value; through a list without a number: every item."""

Load: TypeAlias = Callable[[Facts], Value]
"""Reads one value out of the facts; raises `Undecided`."""

Pair: TypeAlias = tuple[Value, str]
"""A value and the dotted path of the argument it stands in."""


@dataclass(frozen=True, slots=True)
class Scope:
    """The types of one tool's arguments, records and roles."""

    arguments: Type
    records: Mapping[str, Type] = field(default_factory=dict[str, Type])
    roles: Mapping[str, tuple[Path, ...]] = field(default_factory=dict[str, tuple[Path, ...]])
    """Role -> the arguments of this tool that play it."""
    zone: tzinfo = UTC


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean …?`, or what there is, or nothing."""
    names = sorted(set(known))
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; there is {', '.join(names[:8])}" if names else ""


def type_at(root: Type, path: Sequence[str]) -> Type | None:
    """Return the type at a path, through lists without a number; None where nothing can be."""
    at = root
    for name in path:
        while at.kind is Kind.LIST and not name.isdigit():
            at = at.item or Type(Kind.ANY)
        if at.kind is Kind.ANY:
            return at
        if at.kind is Kind.LIST:
            at = at.item or Type(Kind.ANY)
            continue
        inner = at.fields.get(name, at.rest) if at.kind is Kind.RECORD else None
        if inner is None:
            return None
        at = inner
    return at


def load_context(name: str, zone: tzinfo) -> Load:
    """Return what reads one word of the context."""

    def now(facts: Facts) -> Value:
        if facts.now is None:
            message = "the time of the call is not known"
            raise Missing(message)
        return facts.now.astimezone(zone)

    def groups(facts: Facts) -> Value:
        return sorted(facts.groups)

    def word(facts: Facts) -> Value:
        value = getattr(facts, name)
        if not value:
            message = f"{name} is not known"
            raise Missing(message)
        return value

    return {"now": now, "groups": groups}.get(name, word)


def load_argument(path: Path, kind: Type, zone: tzinfo) -> Load:
    """Return what reads one argument, or what is inside it."""
    name = ".".join(path)
    return lambda facts: read(_at(facts.arguments, path, name), kind, name, zone)


def load_record(record: str, path: Path, kind: Type, zone: tzinfo) -> Load:
    """Return what reads a looked-up record, or what is inside it."""
    name = ".".join((record, *path))

    def load(facts: Facts) -> Value:
        if record not in facts.records:
            message = f"the record {record} could not be looked up"
            raise Missing(message)
        return read(_at(facts.records[record], path, name), kind, name, zone)

    return load


def load_role(paths: Sequence[Path], kind: Type, zone: tzinfo) -> Load:
    """Return what reads every value that plays a role, with its path; lists item by item."""

    def load(facts: Facts) -> Value:
        found: list[Pair] = []
        for path in paths:
            for at, value in _every(facts.arguments, path, ()):
                name = ".".join(at)
                found.append((read(value, kind, name, zone), name))
        return found

    return load


def _at(value: object, path: Path, name: str) -> object:
    for key in path:
        if isinstance(value, Mapping) and key in value:
            value = cast("Mapping[str, object]", value)[key]
        elif isinstance(value, list | tuple) and key.isdigit() and len(key) < 8:
            items = cast("Sequence[object]", value)
            if int(key) >= len(items):
                message = f"{name} is missing"
                raise Missing(message)
            value = items[int(key)]
        elif value is None or isinstance(value, Mapping):
            message = f"{name} is missing"
            raise Missing(message)
        else:
            message = f"{name} is inside what is no record and no list"
            raise Undecided(message)
    return value


def _every(value: object, path: Path, at: Path) -> Iterator[tuple[Path, object]]:
    """Yield every value at a path; what is absent or null plays no role."""
    if value is None:
        return
    if isinstance(value, list | tuple):
        for place, item in enumerate(cast("Sequence[object]", value)):
            yield from _every(item, path, (*at, str(place)))
    elif not path:
        yield at, value
    elif isinstance(value, Mapping):
        known = cast("Mapping[str, object]", value)
        if path[0] in known:
            yield from _every(known[path[0]], path[1:], (*at, path[0]))
    else:
        message = f"{'.'.join((*at, *path))} is inside what is no record"
        raise Undecided(message)
