"""Types of the language, and those of a tool's arguments as told by its JSON Schema.

A schema may be anybody's (an MCP server's): what it does not say clearly is `any`, whose values are
looked at when a rule is decided.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import cast

DEEPEST = 8
"""Levels of a schema that are read; below is `any`."""


class Kind(StrEnum):
    """What sort of value it is, in the words of messages."""

    ANY = "any value"
    YES_NO = "yes or no"
    NUMBER = "a number"
    TEXT = "a text"
    TIME = "a time"
    LENGTH = "a duration"
    LIST = "a list"
    RECORD = "a record"
    NULL = "null"


@dataclass(frozen=True, slots=True)
class Type:
    """What is known about a value before it is there."""

    kind: Kind
    item: Type | None = None
    """Of a list: what its items are."""
    fields: Mapping[str, Type] = field(default_factory=dict[str, "Type"])
    """Of a record: what is known about its fields."""
    rest: Type | None = None
    """Of a record: what any other field is; None: there is no other."""
    words: tuple[str, ...] = ()
    """Of a text: the only ones it may be; empty: any."""


ANY = Type(Kind.ANY)
YES_NO = Type(Kind.YES_NO)
NUMBER = Type(Kind.NUMBER)
TEXT = Type(Kind.TEXT)
TIME = Type(Kind.TIME)
LENGTH = Type(Kind.LENGTH)
NULL = Type(Kind.NULL)
OPEN = Type(Kind.RECORD, rest=ANY)
"""A record of which nothing is known."""

_SIMPLE = {"boolean": YES_NO, "number": NUMBER, "integer": NUMBER, "null": NULL}
_FORMATS = {"date-time": TIME, "date": TIME}


def listed(item: Type) -> Type:
    """Return the type of a list of such items."""
    return Type(Kind.LIST, item=item)


def of_schema(schema: Mapping[str, object]) -> Type:
    """Return the type that a JSON Schema describes; never raises, and trusts no depth."""
    return _type(schema, schema, 0)


def _type(schema: object, root: Mapping[str, object], level: int) -> Type:
    if not isinstance(schema, Mapping) or level > DEEPEST:
        return ANY
    known = cast("Mapping[str, object]", schema)
    reference = known.get("$ref")
    if isinstance(reference, str):
        return _type(_target(reference, root), root, level + 1)
    options = known.get("anyOf") or known.get("oneOf")
    if isinstance(options, list):
        return _union([_type(one, root, level + 1) for one in cast("list[object]", options)])
    every = known.get("allOf")
    if isinstance(every, list) and len(cast("list[object]", every)) == 1:
        return _type(cast("list[object]", every)[0], root, level + 1)
    return _plain(known, root, level)


def _plain(schema: Mapping[str, object], root: Mapping[str, object], level: int) -> Type:
    kind = schema.get("type")
    if isinstance(kind, list):
        names = cast("list[object]", kind)
        return _union([_plain({**schema, "type": name}, root, level) for name in names])
    match kind:
        case "string":
            return _text(schema)
        case "array":
            return listed(_type(schema.get("items"), root, level + 1))
        case "object":
            return _record(schema, root, level)
        case str():
            return _SIMPLE.get(kind, ANY)
        case _:
            return _text(schema) if _words(schema) else ANY


def _text(schema: Mapping[str, object]) -> Type:
    form = schema.get("format")
    if isinstance(form, str) and form in _FORMATS:
        return _FORMATS[form]
    return replace(TEXT, words=_words(schema))


def _words(schema: Mapping[str, object]) -> tuple[str, ...]:
    allowed = schema.get("enum", [schema["const"]] if "const" in schema else [])
    words = cast("list[object]", allowed) if isinstance(allowed, list) else []
    if all(isinstance(word, str) for word in words):
        return tuple(cast("Sequence[str]", words))
    return ()


def _record(schema: Mapping[str, object], root: Mapping[str, object], level: int) -> Type:
    known = schema.get("properties")
    if not isinstance(known, Mapping):
        known = dict[str, object]()
    fields = {
        name: _type(one, root, level + 1)
        for name, one in cast("Mapping[str, object]", known).items()
    }
    rest = schema.get("additionalProperties", not fields)
    if rest is False or (rest is True and level == 0 and fields):
        return Type(Kind.RECORD, fields=fields)
    return Type(Kind.RECORD, fields=fields, rest=_type(rest, root, level + 1))


def _union(options: Sequence[Type]) -> Type:
    """Return the one type of several; null beside another does not count.

    A number that may also be written as text is a number: so is a decimal described.
    """
    kinds = [one for one in options if one.kind is not Kind.NULL]
    if not kinds:
        return NULL
    if all(one == kinds[0] for one in kinds):
        return kinds[0]
    if {one.kind for one in kinds} == {Kind.NUMBER, Kind.TEXT}:
        return NUMBER
    if {one.kind for one in kinds} == {Kind.TEXT} and all(one.words for one in kinds):
        return replace(TEXT, words=tuple(word for one in kinds for word in one.words))
    return TEXT if {one.kind for one in kinds} == {Kind.TEXT} else ANY


def _target(reference: str, root: Mapping[str, object]) -> object:
    at = root
    for part in reference.removeprefix("#/").split("/"):
        found = at.get(part)
        if not isinstance(found, Mapping):
            return None
        at = cast("Mapping[str, object]", found)
    return at
