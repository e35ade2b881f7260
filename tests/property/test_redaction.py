"""Redaction under anything: no digit of a card survives, twice is once, shapes stay."""

from __future__ import annotations

import json
import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from staid.domain.canonical import canonical
from staid.tracing.patterns import MARKER
from staid.tracing.redaction import Rules, known_names, redact

MASKED, STRUCTURE = Rules(), Rules("structure")
TEXTS = st.text(max_size=60) | st.sampled_from(
    ["ada@example.com", "DE89 3704 0044 0532 0130 00", "4111 1111 1111 1111", "192.168.0.1",
     "078-05-1120", "+49 30 1234567", "sk-abcdefghijklmnop1234", "[card:16]", "::1", '{"a":1}']
)  # fmt: skip


def as_json(value: Any) -> Any:
    """Return JSON for what has parts, anything else as it is."""
    return canonical(value) if isinstance(value, dict | list) else value  # pyright: ignore[reportUnknownArgumentType]  # anything


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS | st.lists(TEXTS, max_size=4).map("".join),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(TEXTS, inner, max_size=4)
    | inner.map(as_json),
    max_leaves=12,
)  # fmt: skip


def completed(digits: str) -> str:
    """Return the digits with the check digit of ISO/IEC 7812-1 behind them."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 - place % 2)
        total += value - 9 if value > 9 else value
    return digits + str(-total % 10)


@st.composite
def cards(draw: st.DrawFn) -> str:
    """Draw a card number of any length, with separators anywhere."""
    body = draw(st.text("0123456789", min_size=12, max_size=18).filter(lambda d: d.strip("0")))
    separators = draw(st.lists(st.sampled_from(["", "", " ", "-", "."]), min_size=19, max_size=19))
    return "".join(f"{digit}{s}" for digit, s in zip(completed(body), separators, strict=False))


def digits_in(value: Any) -> str:
    """Return every digit in a value that stands in no marker."""
    return re.sub(r"\D", "", MARKER.sub("", canonical(value)))


@given(cards(), st.sampled_from(["{}", "card {}!", "<{}>", "no.{} x"]))
def test_no_digit_of_a_card_survives(card: str, around: str) -> None:
    """A valid card number, however it is written and nested, leaves none of its digits."""
    text = around.format(card)
    nested = {"a": [text, {"b": json.dumps({"c": text, "d": [json.dumps([text])]})}]}
    for value in (text, nested):
        assert digits_in(redact(value, MASKED)) == ""
        assert digits_in(redact(value, STRUCTURE)) == ""


@given(st.integers(10**11, 10**17).map(lambda n: int(completed(str(n)))))
def test_a_card_as_a_number_goes_too(card: int) -> None:
    """A card that travels as a number, also as one in JSON in a string, is a marker afterwards."""
    assert digits_in(redact([card, json.dumps({"n": card})], MASKED)) == ""


@given(VALUES)
def test_twice_is_once(value: Any) -> None:
    """What was redacted is not changed by the same rules again, at either level."""
    names = Rules(names=known_names(["ada", "example"]))
    for rules in (MASKED, STRUCTURE, names):
        once = redact(value, rules)
        assert redact(once, rules) == once


@given(VALUES)
def test_shape_stays(value: Any) -> None:
    """Objects and lists keep their number of entries; at `structure` no text of the value stays."""
    for rules in (MASKED, STRUCTURE):
        assert shape(redact(value, rules)) == shape(value)
    for text in leaves(redact(value, STRUCTURE)):
        assert MARKER.fullmatch(text) or text.startswith(("{", "["))


def shape(value: Any) -> Any:
    """Return how a value is built, without what is in it."""
    if isinstance(value, dict):
        return [shape(item) for item in value.values()]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, list):
        return [shape(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    return None


def leaves(value: Any) -> list[str]:
    """Return every text in a value."""
    if isinstance(value, dict):
        return [text for item in value.values() for text in leaves(item)]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, list):
        return [text for item in value for text in leaves(item)]  # pyright: ignore[reportUnknownVariableType]
    return [value] if isinstance(value, str) else []


@given(VALUES)
def test_full_is_untouched(value: Any) -> None:
    """A destination that may have everything gets the very value."""
    assert redact(value, Rules("full")) is value
