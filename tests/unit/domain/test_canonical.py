"""Canonical JSON: one byte form, whichever encoder writes it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import StrEnum

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from staid.domain.canonical import canonical, digest, plain, timestamp

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=20,
)


class Colour(StrEnum):
    """A text that is a member of an enumeration."""

    RED = "red"


def slow(value: object) -> str:
    """Return the form as the standard library writes it."""
    return json.dumps(
        plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


@given(VALUES)
@example({"é": 1, "z": 2, "𝄞": 3, "\uffff": 4})
@example([2**63, 2**64, -(2**63), -(2**64), 1e16, 1e-5, -0.0, "\x00\x1f\x7f\u2028"])
@example({"a": (), "b": {}, "c": [[], ["x"]]})
@example([True, 1, {"k": False}])
def test_the_fast_encoder_writes_the_same_bytes(value: object) -> None:
    """A hash does not depend on which encoder made its text: both write the very same."""
    try:
        expected = slow(value)
        expected.encode()
    except UnicodeEncodeError:
        return  # a key with half a surrogate pair has no older form to agree with
    assert canonical(value) == expected


@given(st.text(st.characters(categories=["Cs", "Lu"]), min_size=1))
def test_a_text_that_is_no_utf8_has_a_form(text: str) -> None:
    """Half a surrogate pair is written as its escape: it can be hashed and stored."""
    written = canonical({"said": text})
    assert written.encode().decode() == written
    assert len(digest({"said": text})) == 64


def test_half_a_pair_reads_back() -> None:
    """What a tool returned is read back as it was, byte that is no UTF-8 included."""
    value = {"name": "caf\udce9", "list": ["\ud83d", "fine"]}
    assert json.loads(canonical(value)) == value


def test_deep_values_are_written() -> None:
    """Nesting beyond what the fast encoder takes is written by the other one."""
    value: object = "deep"
    for _ in range(300):
        value = [value]
    assert canonical(value) == "[" * 300 + '"deep"' + "]" * 300


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"b": 1, "a": Decimal("5.00")}, '{"a":"5","b":1}'),
        ({Colour.RED: Colour.RED}, '{"red":"red"}'),
        ({2, 1}, "[1,2]"),
        ({1: "x"}, '{"1":"x"}'),
        (datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC), '"2026-01-02T03:04:05.000006Z"'),
    ],
)
def test_what_is_not_json_has_one_form(value: object, expected: str) -> None:
    """Decimals, sets, times and enumerations are normalised before anything is written."""
    assert canonical(value) == expected


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [float("-inf")]])
def test_no_number_has_no_form(value: object) -> None:
    """What is no number is refused; it must not become `null` in a hash."""
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical(value)


@given(
    st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30)),  # noqa: DTZ001 - the zone is drawn apart
    st.integers(-14 * 60, 14 * 60),
)
def test_times_are_utc_with_microseconds(local: datetime, minutes: int) -> None:
    """Every time has 27 characters in UTC, so that texts sort as times do, and it reads back."""
    zoned = local.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    written = timestamp(zoned)
    assert len(written) == 27
    assert written.endswith("Z")
    assert datetime.fromisoformat(written) == zoned
