"""Canonical JSON: the one byte form behind every digest and hash (seams.md, "Canonical JSON")."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import TypeAlias, cast

import orjson

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"
"""A JSON value; numbers that mean money never travel as float."""


_DIGITS = 1000


def decimal_text(value: Decimal) -> str:
    """Return the one normalised text of a decimal: no exponent, no trailing zeros, no `-0`."""
    if not value.is_finite():
        message = f"{value} is not a finite number"
        raise ValueError(message)
    if abs(value.adjusted()) > _DIGITS:  # written out, 1e999999999 would fill the memory
        message = "a number of more than 1000 digits has no canonical form"
        raise ValueError(message)
    text = format(value.normalize(), "f")
    return "0" if text == "-0" else text


def timestamp(value: datetime) -> str:
    """Return an aware time as RFC 3339 in UTC with microseconds; naive times raise `ValueError`."""
    if value.tzinfo is None:
        message = "a time without a zone has no canonical form"
        raise ValueError(message)
    # Not strftime: it costs three times as much, and the journal writes a time with every fact.
    return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def plain(value: object) -> Json:
    """Turn a value into JSON types by the canonical rules; raise `TypeError` for anything else."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case Decimal():
            return decimal_text(value)
        case datetime():
            return timestamp(value)
        case Mapping():
            items = cast("Mapping[object, object]", value).items()
            return {str(key): plain(item) for key, item in items}
        case list() | tuple():
            return [plain(item) for item in cast("Sequence[object]", value)]
        case set() | frozenset():
            return sorted((plain(item) for item in cast("Iterable[object]", value)), key=str)
        case _:
            message = f"{type(value).__name__} has no canonical JSON form"
            raise TypeError(message)


_LONE = re.compile("[\ud800-\udfff]")
_SMALLEST, _LARGEST = -(2**63), 2**64 - 1


def canonical(value: object) -> str:
    """Return canonical JSON: sorted keys, no insignificant space, normalised decimals.

    Half a surrogate pair (a byte that was no UTF-8) has no UTF-8 form; it is written as its escape.
    """
    if _native(value):
        try:
            return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
        except orjson.JSONEncodeError:
            pass  # half a surrogate pair, or nested deeper than the fast encoder goes
    text = json.dumps(
        plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return _LONE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _native(value: object) -> bool:
    """Whether the fast encoder writes a value in the very bytes of the slow one.

    Not floats: the two differ in exponents and in what is no number.
    """
    kind = type(value)
    if kind is dict:
        for key, item in cast("dict[object, object]", value).items():
            if type(key) is not str or (type(item) is not str and not _native(item)):
                return False
        return True
    if kind is list or kind is tuple:
        for item in cast("Sequence[object]", value):
            if type(item) is not str and not _native(item):
                return False
        return True
    if kind is int:
        return _SMALLEST <= cast("int", value) <= _LARGEST
    return kind is str or kind is bool or value is None


def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Return an object whose names stand once; raise `ValueError`: the second would silently win.

    For `json.loads(…, object_pairs_hook=once)`.
    """
    found = dict(pairs)
    if len(found) != len(pairs):
        message = "a name stands twice in one object"
        raise ValueError(message)
    return found


def digest(value: object) -> str:
    """Return the SHA-256 of the canonical form, as 64 hex digits."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()
