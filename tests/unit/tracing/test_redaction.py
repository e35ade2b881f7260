"""Redaction by example: what is found, what is left alone, what a marker says."""

from __future__ import annotations

import json

import pytest

from staid.tracing.redaction import Rules, known_names, redact

MASKED = Rules()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("write to ada.l+x@mail.example.co.uk now", "write to [email:26] now"),
        ("IBAN DE89 3704 0044 0532 0130 00 AND MORE", "IBAN [iban:27] AND MORE"),
        ("gb82west12345698765432", "[iban:22]"),
        ("paid 12 4111 1111 1111 1111 times", "paid 12 [card:19] times"),
        ("3782-822463-10005", "[card:17]"),
        ("SSN 219-09-9999.", "SSN [national:11]."),
        ("NINO AB 12 34 56 C", "NINO [national:13]"),
        ("from 192.168.17.4:8080", "from [ip:12]:8080"),
        ("from 2001:db8::ff00:42:8329, at 12:30:45", "from [ip:22], at 12:30:45"),
        ("call +49 (0)30 123456-78 today", "call [phone:19] today"),
        ("call (415) 555-0132", "call [phone:14]"),
        ("call 030 1234567", "call [phone:11]"),
        ("key sk-proj-abcdefghijklmnop123", "key [secret:27]"),
        ("aws AKIAIOSFODNN7EXAMPLE", "aws [secret:20]"),
        ("Authorization: Bearer abcdef0123456789xyz", "Authorization: Bearer [secret:19]"),
        ("jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", "jwt [secret:49]"),
    ],
)
def test_what_is_found(text: str, expected: str) -> None:
    """Each kind is replaced by a marker with its kind and length; what is around it stays."""
    assert redact(text, MASKED) == expected


@pytest.mark.parametrize(
    "text",
    [
        "order 4711 of 2026-05-01 costs 1,234.56 EUR",
        "01/02/2026 to 03.04.2026, 12:30:45",
        "run_01K9ZTB5X8Q0V1",
        "DE89 3704 1144 1532 1130 03",  # the check digits are wrong
        "4111 1111 1111 1112",  # the check digit is wrong
        "999.1.1.300 and version 1.2.3",
        "666-12-3456",
        "call me @ noon",
        "[email:17]",
        "Annual plans are refunded within 30 days.",
    ],
)
def test_what_is_left_alone(text: str) -> None:
    """Numbers, dates, ids and what fails its check digits are no personal data."""
    assert redact(text, MASKED) == text


def test_json_in_a_string_is_looked_into() -> None:
    """Personal data that JSON in a string hides behind escapes is found; clean JSON stays as is."""
    hidden = json.dumps({"note": "ada\u0040example.com"}).replace("@", "\\u0040")
    assert redact(hidden, MASKED) == '{"note":"[email:15]"}'
    clean = '{ "a" : 1.50, "b": [1,  2] }'
    assert redact(clean, MASKED) == clean


def test_of_two_equal_keys_neither_hides() -> None:
    """JSON with a key twice is treated as text: the first value is not lost sight of."""
    assert redact('{"a":"ada@example.com","a":"x"}', MASKED) == '{"a":"[email:15]","a":"x"}'


@pytest.mark.parametrize("odd", ['{"a":NaN,"b":"x"}', '{"a":1e999}', "[" * 5000, '["\\ud800"]'])
def test_odd_json_is_survived(odd: str) -> None:
    """What is nearly JSON, too deep or half a character neither fails nor stops UTF-8."""
    told = redact(f"{odd}", Rules("structure"))
    assert isinstance(told, str)
    told.encode("utf-8")


def test_keys_are_masked_and_stay_apart() -> None:
    """Personal data in keys goes, and two keys that look alike afterwards stay two."""
    found = redact({"ada@example.com": 1, "bob@example.com": 2}, MASKED)
    assert found == {"[email:15]": 1, "[email:15]'": 2}


def test_structure_keeps_keys_and_lengths() -> None:
    """At `structure` keys stay, texts and numbers say only how long they were."""
    given = {"question": "What of my plan?", "n": 12.5, "on": True, "off": None, "l": ["ab"]}
    assert redact(given, Rules("structure")) == {
        "question": "[text:16]", "n": "[number:4]", "on": True, "off": None, "l": ["[text:2]"],
    }  # fmt: skip


def test_kinds_are_the_destinations_choice() -> None:
    """A destination that may have telephone numbers but no cards gets exactly that."""
    rules = Rules(kinds=frozenset({"card"}))
    text = "4111111111111111 or +49 30 1234567"
    assert redact(text, rules) == "[card:16] or +49 30 1234567"


def test_names_come_through_a_port() -> None:
    """A finder of names marks them as whole words in any case; without one they stay."""
    rules = Rules(names=known_names(["Ada Lovelace", "ada", " "]))
    assert redact("ADA LOVELACE met Adam and ada", rules) == "[name:12] met Adam and [name:3]"
    assert redact("Ada", MASKED) == "Ada"
    assert redact("Ada", Rules(names=known_names([]))) == "Ada"


def test_a_marker_lays_its_neighbour_bare() -> None:
    """What only a number before it hid is found in the same call: a second one adds nothing."""
    assert redact("4111111111111111sk-abcdefghijklmnop1234", MASKED) == "[card:16][secret:23]"


def test_a_name_inside_a_marker_is_none() -> None:
    """A finder of names that knows the word of a marker does not touch the marker."""
    rules = Rules(names=known_names(["email"]))
    assert redact("ada@example.com", rules) == "[email:15]"


def test_two_cards_in_a_row_both_go() -> None:
    """Of two card numbers with nothing but a space between them neither stays."""
    assert redact("4111111111111111 5500005555555559", MASKED) == "[card:16] [card:16]"


def test_what_is_too_deep_is_replaced() -> None:
    """A value nested deeper than anybody reads leaves as a marker, not as an error."""
    deep: object = "ada@example.com"
    for _ in range(200):
        deep = [deep]
    assert "ada" not in str(redact(deep, MASKED))  # type: ignore[arg-type]
    assert "[deep:0]" in str(redact(deep, MASKED))  # type: ignore[arg-type]
