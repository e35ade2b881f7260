"""Canonical JSON: the one byte form behind every digest and hash (seams.md, "Canonical JSON")."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import TypeAlias, cast

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"
"""A JSON value; numbers that mean money never travel as float."""


def decimal_text(value: Decimal) -> str:
    """Return the one normalised text of a decimal: no exponent, no trailing zeros, no `-0`."""
    if not value.is_finite():
        message = f"{value} is not a finite number"
        raise ValueError(message)
    text = format(value.normalize(), "f")
    return "0" if text == "-0" else text


def timestamp(value: datetime) -> str:
    """Return an aware time as RFC 3339 in UTC with microseconds; naive times raise `ValueError`."""
    if value.tzinfo is None:
        message = "a time without a zone has no canonical form"
        raise ValueError(message)
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


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


def canonical(value: object) -> str:
    """Return canonical JSON: sorted keys, no insignificant space, normalised decimals."""
    return json.dumps(
        plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def digest(value: object) -> str:
    """Return the SHA-256 of the canonical form, as 64 hex digits."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()
