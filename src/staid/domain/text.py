"""Plain text analysis that retrieval, confidence and support share: words, terms, sentences."""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Callable, Iterator
from functools import lru_cache
from importlib import import_module
from typing import cast

_WORD = re.compile(r"\d+(?:[.,]\d+){1,6}(?![^\W_])|[^\W_]+(?:['’][^\W_]+)*", re.UNICODE)

STOPWORDS = frozenset(
    """a an and are as at be been but by can could did do does for from had has have he her his how
    i if in into is it its me my of on or our she should so some than that the their them then
    there these they this to up us was we were what when where which who whom why will with would
    you your""".split()  # noqa: SIM905 - a list of words reads as words
)
"""English words that say nothing about what a text is about."""

_ABBREVIATIONS = frozenset(
    """mr mrs ms dr prof sr jr st rev capt lt sgt gov sen e.g i.e vs cf eds al ca approx est inc ltd
    co corp bros dept univ assn ave blvd rd u.s u.k u.n a.m p.m b.c a.d ph.d incl
    excl""".split()  # noqa: SIM905 - a list of words reads as words
)
"""Words whose full stop does not end a sentence."""
_BEFORE_NUMBERS = frozenset(
    """no nos vol vols fig figs p pp ch sec art ed tel ext min max jan feb mar apr jun jul aug sep
    sept oct nov dec""".split()  # noqa: SIM905 - a list of words reads as words
)
"""Words whose full stop does not end a sentence before a number: `No. 5`, `Jan. 5`."""
_STOP = re.compile(r"(?<![.!?…])[.!?…]+[\"'”’)\]*_]*(?=\s)")
_BEFORE = re.compile(r"[^\s(\[\"'“‘]+$")
_LINE = re.compile(r"[^\n]+")
_OWN_LINE = re.compile(r"[ \t]*(?:[-*•+–][ \t]|\(?(?:\d{1,3}|[A-Za-z])[.)][ \t]|#{1,6}[ \t]|\||>)")
_ANY_WORD = re.compile(r"[^\W_]")
WRAPPED = 50
"""A line at least this long may go on in the next one: text is wrapped, headings are short."""


def words(text: str) -> list[str]:
    """Return the words of a text, lower-cased, in order; `1,000.50` is one word."""
    return [word.replace("’", "'") for word in _WORD.findall(text.lower())]


@lru_cache(maxsize=131072)
def stem(word: str) -> str:
    """Return the stem of an English word (Snowball); numbers lose separators, letters accents."""
    if word[0].isdigit():
        whole, point, rest = word.replace(",", "").partition(".")
        return (
            f"{whole}.{rest.rstrip('0')}".rstrip(".")
            if point and "." not in rest
            else whole + point + rest
        )
    if not word.isascii():
        word = _without_accents(word)
    return _stemmer()(word)


def terms(text: str) -> list[str]:
    """Return the index terms of a text: stems of its words without stopwords, in order."""
    return [stem(word) for word in words(text) if word not in STOPWORDS]


def sentences(text: str) -> Iterator[tuple[int, int]]:
    """Yield the spans of the sentences of a text, outer white space left out.

    A heading, a list item and a table row each stand alone; a wrapped line goes on in the next.
    Every letter and digit of the text lies in exactly one span; spans ascend.
    """
    for start, end in _blocks(text):
        begin = start
        for match in _STOP.finditer(text, start, end):
            if _ends(text, begin, match, end):
                yield from _trimmed(text, begin, match.end())
                begin = match.end()
        yield from _trimmed(text, begin, end)


def _blocks(text: str) -> Iterator[tuple[int, int]]:
    start, last, end = -1, -1, -1
    for match in _LINE.finditer(text):
        if start >= 0 and match.start() == end + 1 and _goes_on(text, start, last, match):
            last, end = match.span()
            continue
        if start >= 0:
            yield start, end
        start, end = match.span()
        last = start
    if start >= 0:
        yield start, end


def _goes_on(text: str, start: int, last: int, following: re.Match[str]) -> bool:
    """Tell whether the block from `start`, its last line from `last`, goes on in `following`."""
    line = text[last : following.start() - 1].rstrip()
    if len(line) < WRAPPED or text[start] in "#|" or _OWN_LINE.match(following.group()):
        return False
    return not line.endswith((".", "!", "?", ":", "|"))


def _ends(text: str, begin: int, match: re.Match[str], end: int) -> bool:
    """Tell whether this punctuation ends a sentence rather than an abbreviation or an initial."""
    rest = text[match.end() : min(end, match.end() + 40)].lstrip()
    if not rest:
        return True
    if rest[0].islower():
        return False
    if match.group()[0] != ".":
        return True
    before = _BEFORE.search(text, max(begin, match.start() - 20), match.start())
    word = before.group() if before else ""
    if len(word) == 1 and (word.isupper() or (word.isdigit() and match.start() - begin <= 2)):
        return False
    short = _ABBREVIATIONS | _BEFORE_NUMBERS if rest[0].isdigit() else _ABBREVIATIONS
    return word.lower() not in short


def _trimmed(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    body = text[start:end]
    if _ANY_WORD.search(body):
        yield start + len(body) - len(body.lstrip()), start + len(body.rstrip())


def _without_accents(word: str) -> str:
    decomposed = unicodedata.normalize("NFKD", word)
    return "".join(c for c in decomposed if not unicodedata.combining(c)) or word


_local = threading.local()


def _stemmer() -> Callable[[str], str]:
    """Return this thread's stemmer: one object must not be used by two threads at once."""
    found = getattr(_local, "stem", None)
    if found is None:
        made = import_module("Stemmer").Stemmer("english", 0)
        found = _local.stem = cast("Callable[[str], str]", made.stemWord)
    return found
