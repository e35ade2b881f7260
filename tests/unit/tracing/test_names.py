"""Names in texts: which are found, which are not, and what the lists of the extra bring."""

from __future__ import annotations

import sys
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staid.adapters.names import LANGUAGES, listed_names
from staid.domain.errors.adapters import ExtraMissing
from staid.tracing.names import ListedNames
from staid.tracing.redaction import Rules, redact

KNOWN = ListedNames(["Mia", "Noah", "Anne-Marie", "May", "Jean Luc"])


def masked(text: str) -> object:
    """Return a text as a sink gets it."""
    return redact(text, Rules(names=KNOWN))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Thank you, Mia.", "Thank you, [name:3]."),
        ("Mia Li wants it", "[name:6] wants it"),
        ("Noah P. Muller's order", "[name:14]'s order"),
        ("ask Anne-Marie O'Neill, please", "ask [name:18], please"),
        ("Luc and Jean", "[name:3] and [name:4]"),
        ("My name is Xochitl Quispe and", "My name is [name:14] and"),
        ("for Mrs. Zuckerkandl, room 4", "for Mrs. [name:11], room 4"),
        ("May I ask", "May I ask"),
        ("Yes. May Chen asked May.", "Yes. [name:8] asked [name:3]."),
        ("in May", "in [name:3]"),  # too much rather than too little
        ("i am mia li", "i am mia li"),  # written small: not found
        ("Zuckerkandl asked", "Zuckerkandl asked"),  # nothing says that it is a name
        ("Mia", "[name:3]"),
        ("", ""),
    ],
)
def test_which_names_are_found(text: str, told: str) -> None:
    """Listed given names with what follows them, and whatever is announced as a name."""
    assert masked(text) == told


@given(st.text())
def test_places_are_in_order_and_inside(text: str) -> None:
    """Of any text every place is within it, none overlaps another, and masking twice is once."""
    places = KNOWN(text)
    assert all(0 <= start < end <= len(text) for start, end in places)
    assert all(before[1] <= after[0] for before, after in pairwise(places))
    assert masked(str(masked(text))) == masked(text)


def test_the_lists_of_the_extra() -> None:
    """Every language has a list, and common names of several are in them."""
    pytest.importorskip("faker")
    for language in LANGUAGES:
        assert len(listed_names([language]).given) > 20, language
    find = listed_names()
    for name in ("John", "José", "Jürgen", "Giulia", "Łukasz", "Emre", "Olga", "Дмитрий", "Priya"):
        assert find(f"Ask {name} about it.") == [(4, 4 + len(name))]


def test_without_the_extra_the_way_out_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Faker is not installed the error says what to install."""
    monkeypatch.setitem(sys.modules, "faker", None)
    with pytest.raises(ExtraMissing, match="names"):
        listed_names()
