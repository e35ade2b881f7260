"""Text of strangers on a page: what a reader would not see is written out.

A zero-width space in an account number, or an override that turns a name around, makes an approver
say yes to something else than what runs. Pure.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from itertools import groupby

from markupsafe import Markup, escape

_UNSEEN = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
_BLANKS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")
"""Letters and marks that are drawn as nothing, by Unicode's Default_Ignorable_Code_Point."""
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_KEPT = frozenset("\t\n\r")

_MARKED = Markup('<span class="unseen" title="{}">{}</span>')


class Verbatim(str):
    """A text that goes to the browser as it is: what a form sends back."""

    __slots__ = ()


def unseen(character: str) -> bool:
    """Return whether a reader would not see a character, or not see that it is no plain space."""
    if character in _KEPT or (" " <= character <= "~"):
        return False
    category = unicodedata.category(character)
    selector = "\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef"
    return category in _UNSEEN or category == "Zs" or character in _BLANKS or selector


def named(character: str) -> str:
    """Return what is written in the place of a character: its code point in brackets."""
    return f"[U+{ord(character):04X}]"


def visible(text: str) -> Markup:
    """Return escaped text in which everything unseen is written out and marked.

    What may be written from right to left stands in an element of its own, so that its direction
    changes nothing around it.
    """
    if text.isascii() and text.isprintable():
        return escape(text)
    return Markup("<bdi>{}</bdi>").format(Markup().join(_parts(text)))


def _parts(text: str) -> Iterator[Markup]:
    for odd, group in groupby(text, unseen):
        if not odd:
            yield escape("".join(group))
            continue
        for character in group:
            name = unicodedata.name(character, "not a printed character")
            title = f"U+{ord(character):04X} {name.lower()}"
            yield Markup('<span class="unseen" title="{}">{}</span>').format(
                title, named(character)
            )


def harmless(value: object) -> object:
    """Return a value for a page; of a text, what turns or controls other text is written out.

    Asked about everything that a template prints. Joiners of emoji and of other scripts stay.
    """
    if isinstance(value, Verbatim | Markup) or not isinstance(value, str):
        return value
    if value.isascii() and value.isprintable():
        return value
    return "".join(named(c) if _turns(c) else c for c in value)


def _turns(character: str) -> bool:
    if character in _KEPT:
        return False
    tag = "\U000e0000" <= character <= "\U000e007f"  # words for a model that no person sees
    return tag or character in _TURNING or unicodedata.category(character) in {"Cc", "Cs"}
