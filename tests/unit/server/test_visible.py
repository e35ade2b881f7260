"""Text of strangers on a page: nothing unseen, nothing turned, nothing lost."""

from __future__ import annotations

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from staid.server.console.pages import _environment, field
from staid.server.console.visible import Verbatim, harmless, unseen, visible

HIDDEN = [
    "\u200b",  # zero-width space
    "\u200d",  # joiner
    "\u00ad",  # soft hyphen
    "\u202e",  # turns what follows around
    "\u2066",
    "\ufeff",
    "\u00a0",  # a space that is none
    "\u2003",
    "\u2028",
    "\u2800",  # drawn as nothing
    "\u3164",
    "\u034f",
    "\ufe0f",  # chooses a form
    "\U000e0041",  # a tag: words for a model alone
    "\ue000",  # of nobody's alphabet
    "\u0000",
    "\u0007",
    "\u007f",
    "\u009b",
]
PLAIN = ["a", "~", " ", "\t", "\n", "é", "ß", "я", "語", "ع", "€", "№", "😀", "e\u0301"]


@pytest.mark.parametrize("character", HIDDEN)
def test_what_is_not_seen_is_written_out(character: str) -> None:
    """The character is gone, and its code point stands there, marked."""
    shown = visible(f"GB29{character}NWBK")
    assert character not in shown
    assert f">[U+{ord(character):04X}]</span>" in shown


@pytest.mark.parametrize("character", PLAIN)
def test_what_is_seen_stays(character: str) -> None:
    """Letters of every script, accents, signs and line ends stay as they are."""
    assert "unseen" not in visible(f"x{character}x")
    assert character in visible(f"x{character}x")
    assert harmless(f"x{character}x") == f"x{character}x"


@pytest.mark.parametrize("character", ["\u202e", "\u2066", "\u202c", "\u0007", "\U000e0041"])
def test_every_expression_of_a_template_is_harmless(character: str) -> None:
    """What turns or controls text is written out although the template does not ask for it."""
    page = _environment().from_string("<p title='{{ it }}'>{{ it }}</p>").render(it=f"a{character}")
    written = f"a[U+{ord(character):04X}]"
    assert page == f"<p title='{written}'>{written}</p>"


def test_joiners_of_other_scripts_stay_in_prose() -> None:
    """An emoji of several, and Persian, read as they should outside of an approval's values."""
    for text in ("👩\u200d💻", "می\u200cخواهم"):
        assert harmless(text) == text


def test_a_form_sends_back_what_came() -> None:
    """A field's value is not touched, but escaped."""
    page = _environment().from_string('<input value="{{ it | field }}">').render(it='\u202e"<')
    assert page == '<input value="\u202e&#34;&lt;">'
    assert isinstance(field("x"), Verbatim)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_nothing_is_lost_and_nothing_is_markup(text: str) -> None:
    """Whatever the text, its seen characters are all there, and none of it becomes an element."""
    shown = visible(text)
    assert isinstance(shown, Markup)
    plain = html.unescape(re.sub(r"</?(?:bdi|span)[^<>]*>", "", shown))
    expected = "".join(f"[U+{ord(c):04X}]" if unseen(c) else c for c in text)
    assert plain == expected
    assert not re.search(r"<(?!/?(?:bdi|span)\b)", shown)
