"""What a question asks for: a date, a number, a person, a place; and whether a sentence has one."""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

from staid.domain.text import STOPWORDS, terms, words

Asks: TypeAlias = Literal["date", "number", "who", "where", "how", "other"]

_PATTERNS: tuple[tuple[Asks, re.Pattern[str]], ...] = (
    (
        "date",
        re.compile(r"\b(?:when|(?:what|which) (?:year|date|century|decade|month|day|time))\b"),
    ),
    (
        "number",
        re.compile(
            r"\bhow (?:many|much|long|old|far|often|large|big|tall|high|fast|soon)\b"
            r"|\bpercent(?:age)?\b|\bwhat (?:number|amount|is the (?:fee|price|cost|rate|limit))\b"
            r"|\bhow\b.*\bcosts?\b"
        ),
    ),
    ("who", re.compile(r"\bwho(?:se|m)?\b")),
    ("where", re.compile(r"\bwhere\b|\b(?:what|which) (?:city|country|state|place|town)\b")),
    (
        "how",
        re.compile(
            r"\bhow (?:do|can|does|should|would|to)\b|\bwh(?:at|ich) are\b|\bsteps?\b|\blist\b"
        ),
    ),
)
_DATE = re.compile(
    r"\b1\d{3}\b|\b20\d\d\b|\b(?:january|february|march|april|may|june|july|august|september|october"
    r"|november|december|monday|tuesday|wednesday|thursday|friday|saturday|sunday|century|centuries"
    r"|today|years?|months?|weeks?|days?|hours?|minutes?)\b",
    re.IGNORECASE,
)
_NUMBER = re.compile(
    r"\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|dozen|hundred|thousand"
    r"|million|billion|half|percent|first|second|third|once|twice|free)\b",
    re.IGNORECASE,
)
_CAPITALISED = re.compile(r"\b[A-Z][\w’']+")
_TOKEN = re.compile(r"[\w’']+")


def asks(question: str) -> Asks:
    """Return what kind of answer the question asks for; `other` where nothing tells."""
    lowered = question.lower()
    for kind, pattern in _PATTERNS:
        if pattern.search(lowered):
            return kind
    return "other"


def offers(sentence: str, kind: Asks, question: str) -> bool | None:
    """Tell whether a sentence holds what is asked for; None where anything would do."""
    if kind == "date":
        return bool(_DATE.search(sentence))
    if kind == "number":
        return bool(_NUMBER.search(sentence))
    if kind in {"who", "where"}:
        said = STOPWORDS | set(words(question))
        return any(name.lower() not in said for name in _CAPITALISED.findall(sentence))
    return None


def proper(question: str) -> frozenset[str]:
    """Return the index terms of the names and numbers in a question."""
    tokens = _TOKEN.findall(question)
    marked = [t for i, t in enumerate(tokens) if t[:1].isdigit() or (i and t[:1].isupper())]
    return frozenset(term for token in marked for term in terms(token))
