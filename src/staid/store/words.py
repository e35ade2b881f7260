"""Words as they are compared, alike on every engine, and the phrase that a search asks for."""

from __future__ import annotations

import re
import unicodedata

LONGEST = 200_000
"""Characters of one text that are searchable; a question has far fewer."""

# Scripts that set no space between words: every character is a word of its own.
_ALONE = "\u0e00-\u0fff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3"
_WORD = re.compile(rf"[{_ALONE}]|[^\W_{_ALONE}]+")
_PLAIN = re.compile(r"[a-z0-9]+")


def searchable(text: str) -> str:
    """Return the words of a text, one space between: case, accents and punctuation do not count."""
    return " ".join(words(text))


def words(text: str) -> list[str]:
    """Return the words of a text in order, each of letters and digits alone."""
    given = text[:LONGEST]
    if given.isascii():
        return _PLAIN.findall(given.lower())
    folded = unicodedata.normalize("NFKD", given.casefold())
    bare = "".join(c for c in folded if not unicodedata.combining(c))
    return _WORD.findall(unicodedata.normalize("NFC", bare))


def sqlite_phrase(asked: list[str]) -> str:
    """Return the FTS5 query for these words in a row, the last one perhaps only begun."""
    return f'"{" ".join(asked)}" *'


def postgres_phrase(asked: list[str]) -> str:
    """Return the `tsquery` for these words in a row, the last one perhaps only begun."""
    return " <-> ".join(f"'{word}'" for word in asked) + ":*"
