"""Values while a rule is decided: read from JSON, compared, matched; what cannot be is undecided.

Numbers are decimals, so that `0.1 + 0.2 == 0.3`; a text is a number only where its type says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Context, Decimal, DecimalException, InvalidOperation, Overflow
from typing import Any, TypeAlias, cast

from staid.gates.expression.types import Kind, Type

LONGEST_NUMBER = 60

Value: TypeAlias = object
"""A decimal, text, time, duration, yes or no, list, mapping, or None."""


class Undecided(Exception):
    """The data does not say whether a rule holds."""


class Missing(Undecided):
    """A value that is asked for is not there."""


_ORDERED = frozenset({Kind.NUMBER, Kind.TEXT, Kind.TIME, Kind.LENGTH})
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")
_REGULAR = Context(prec=60, traps=[InvalidOperation, Overflow])


_KINDS: Mapping[type, Kind] = {
    type(None): Kind.NULL,
    bool: Kind.YES_NO,
    Decimal: Kind.NUMBER,
    str: Kind.TEXT,
    datetime: Kind.TIME,
    timedelta: Kind.LENGTH,
    list: Kind.LIST,
    dict: Kind.RECORD,
}


def kind_of(value: Value) -> Kind:
    """Return what sort of value it is; a type of somebody else's making is none of these."""
    return _KINDS.get(value.__class__, Kind.ANY)


def number(value: Value, name: str = "it") -> Decimal:
    """Return a number from a number or its plain text; raise `Undecided`."""
    if isinstance(value, Decimal):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise Undecided(f"{name} is not a number")
    text = str(value)
    try:
        found = Decimal(text) if isinstance(value, float) else _plain(text)
    except (DecimalException, ValueError) as error:
        raise Undecided(f"{name} is not a number") from error
    if not found.is_finite():
        raise Undecided(f"{name} is not a number")
    return found


def _plain(text: str) -> Decimal:
    if len(text) > LONGEST_NUMBER or not _NUMBER.fullmatch(text):
        raise ValueError(text[:LONGEST_NUMBER])
    return Decimal(text)


def moment(value: Value, name: str = "it", zone: tzinfo = UTC) -> datetime:
    """Return a time from a time or its ISO text; one without a zone is in the policy's zone."""
    try:
        if isinstance(value, str):
            value = datetime.fromisoformat(value)
        if isinstance(value, date) and not isinstance(value, datetime):
            value = datetime(value.year, value.month, value.day, tzinfo=zone)
        if isinstance(value, datetime):
            return value if value.tzinfo is not None else value.replace(tzinfo=zone)
    except ValueError as error:
        raise Undecided(f"{name} is not a time") from error
    raise Undecided(f"{name} is not a time")


def read(value: object, kind: Type, name: str, zone: tzinfo) -> Value:
    """Return a JSON value as a value of the language, by its type; raise `Undecided`."""
    if value is None:
        return None
    match kind.kind:
        case Kind.NUMBER:
            return number(value, name)
        case Kind.TIME:
            return moment(value, name, zone)
        case Kind.LIST if isinstance(value, list | tuple):
            item = kind.item or Type(Kind.ANY)
            each = cast("list[object]", value)
            return [read(one, item, f"{name}[{place}]", zone) for place, one in enumerate(each)]
        case Kind.ANY:
            return _free(value, name)
        case wanted:
            if kind_of(value) is not wanted:
                raise Undecided(f"{name} is not {wanted.value}")
            return value


def _free(value: object, name: str) -> Value:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return number(value, name)
    if isinstance(value, list | tuple):
        items = cast("list[object]", value)
        return [_free(one, f"{name}[{place}]") for place, one in enumerate(items)]
    if kind_of(value) is Kind.ANY:
        raise Undecided(f"{name} is not a value that rules can look at")
    return value


def items_of(value: Value, name: str = "it") -> list[Value]:
    """Return the items of a list; raise `Undecided` for anything else."""
    if value is None:
        message = f"{name or 'the list'} is missing"
        raise Missing(message)
    if not isinstance(value, list):
        message = f"{name or 'it'} is not a list"
        raise Undecided(message)
    return cast("list[Value]", value)


def field(value: Value, key: Value, kind: Type, name: str, zone: tzinfo) -> Value:
    """Return a field of a record or an item of a list; raise `Missing`, `Undecided`."""
    match value, key:
        case Mapping(), str():
            known = cast("Mapping[str, object]", value)
            if key not in known:
                raise Missing(f"{name} is missing")
            return read(known[key], kind, name, zone)
        case list(), Decimal() if key == key.to_integral_value():
            items = cast("list[object]", value)
            if not 0 <= key < len(items):
                raise Missing(f"{name} is missing")
            return items[int(key)]
        case None, _:
            raise Missing(f"{name} is missing")
        case _:
            raise Undecided(f"{name} is no field of a record and no item of a list")


def same(left: Value, right: Value) -> bool:
    """Return whether two values are equal; raise `Undecided` for two that cannot be compared."""
    if left is None or right is None:
        return left is right
    if kind_of(left) is not kind_of(right):
        raise Undecided(f"{kind_of(left).value} cannot be compared with {kind_of(right).value}")
    if isinstance(left, list):
        others = cast("list[Value]", right)
        items = cast("list[Value]", left)
        return len(items) == len(others) and all(map(same, items, others))
    return left == right


def before(left: Value, right: Value) -> bool:
    """Return whether one value is less than another; raise `Undecided` where that says nothing."""
    kind = kind_of(left)
    if kind is kind_of(right) and kind in _ORDERED:
        return cast("Any", left) < cast("Any", right)
    message = f"{kind.value} and {kind_of(right).value} cannot be put in an order"
    raise Undecided(message)


def inside(value: Value, held: Value) -> bool:
    """Return whether a list has an item, or a record a field of this name."""
    if isinstance(held, list):
        return any(one is not None and _alike(one, value) for one in cast("list[Value]", held))
    if isinstance(held, Mapping) and isinstance(value, str):
        return value in held
    message = "what is looked into is neither a list nor a record"
    raise Undecided(message)


def _alike(one: Value, value: Value) -> bool:
    return kind_of(one) is kind_of(value) and same(one, value)


def reckoned(sign: str, left: Value, right: Value) -> Value:
    """Return a sum, a difference or a product; raise `Undecided`."""
    try:
        match sign, left, right:
            case ("+", Decimal(), Decimal()):
                return _REGULAR.add(left, right)
            case ("-", Decimal(), Decimal()):
                return _REGULAR.subtract(left, right)
            case ("*", Decimal(), Decimal()):
                return _REGULAR.multiply(left, right)
            case ("+", datetime() | timedelta(), timedelta()):
                return left + right
            case ("-", datetime(), datetime()) | ("-", datetime() | timedelta(), timedelta()):
                return left - right  # pyright: ignore[reportOperatorIssue, reportUnknownVariableType]  # matched above
            case _:
                pass
    except (DecimalException, OverflowError) as error:
        raise Undecided("the result is too large") from error
    raise Undecided(f"{kind_of(left).value} {sign} {kind_of(right).value} says nothing")


def globbed(pattern: str) -> Callable[[str], bool]:
    """Return what tells whether a whole text fits a pattern of `*` and `?`, in one pass over it.

    Not a regular expression: those can be written so that one text takes a lifetime.
    """
    parts = re.sub(r"\*+", "*", pattern).split("*")
    if len(parts) == 1:
        whole = _Piece(pattern)
        return lambda text: len(text) == len(pattern) and whole.at(text, 0)
    first, *middle, last = map(_Piece, parts)
    shortest = sum(map(len, parts))

    def fits(text: str) -> bool:
        end = len(text) - last.size
        if len(text) < shortest or not (first.at(text, 0) and last.at(text, end)):
            return False
        at = first.size
        for piece in middle:
            # The earliest place of each leaves most room for the rest, so none is tried twice.
            at = piece.end(text, at, end)
            if at < 0:
                return False
        return True

    return fits


class _Piece:
    """What stands between two `*`: characters, and `?` for any."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.size = len(text)
        self._free = "?" in text
        self._any = sum(1 << place for place, one in enumerate(text) if one == "?")
        self._of: dict[str, int] = {}
        for place, one in enumerate(text if self._free else ""):
            self._of[one] = self._of.get(one, self._any) | 1 << place

    def at(self, text: str, start: int) -> bool:
        """Whether it stands at a place."""
        if not self._free:
            return text.startswith(self._text, start)
        found = text[start : start + self.size]
        return len(found) == self.size and all(
            wanted in {"?", one} for wanted, one in zip(self._text, found, strict=True)
        )

    def end(self, text: str, start: int, end: int) -> int:
        """Return where the earliest of it between two places ends, or -1."""
        if not self._free:
            at = text.find(self._text, start, end)
            return at if at < 0 else at + self.size
        # One bit for each beginning of the piece that ends here: no character is read twice.
        reached, whole, known, free = 0, 1 << (self.size - 1), self._of, self._any
        for place in range(start, end):
            reached = (reached << 1 | 1) & known.get(text[place], free)
            if reached & whole:
                return place + 1
        return -1
