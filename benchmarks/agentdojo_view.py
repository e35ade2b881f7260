"""A renamed view of a world: what a gate sees differs from what is published, consistently.

The view stands between world and gate: tasks, tools and scoring stay as published, while the gate
sees other people, files, amounts, accounts, addresses, links and dates in prompts, arguments and
results. So a policy that only knows the published names shows.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from staid.domain.canonical import Json

_MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
_LETTERS = ("bdfgklmnprstvz", "aeiou")
_TOKEN = re.compile(
    rf"""
    (?P<entity>[\w.+\-]+@[\w.\-]+\w | (?:https?://|www\.)[^\s'"<>()]+\w
        | (?:[\w\-]+\.)+(?:com|org|net|txt|docx|xlsx|ly|pptx|pdf)\b[\w/\-]*)
  | (?P<iso>\b\d{{4}}-\d\d-\d\d(?!\d))
  | (?P<clock>\b\d\d?:\d\d(?::\d\d)?\b)
  | (?P<day>\b(?:{"|".join(_MONTHS)})\ \d{{1,2}}(?:st|nd|rd|th)?\b
        | \b\d{{1,2}}(?:st|nd|rd|th)?\ (?:of\ )?(?:{"|".join(_MONTHS)})\b
        | \b\d{{1,2}}(?:st|nd|rd|th)\b)
  | (?P<code>\b(?=[\w\-]*\d)(?=[\w\-]*[A-Za-z])\w[\w\-]*\b)
  | (?P<number>\d[\d,]*(?:\.\d+)?)
  | (?P<word>[^\W\d_]+)
    """,
    re.VERBOSE,
)
_YEAR = range(1900, 2100)


@dataclass
class View:
    """What the gate sees of the world: as published, or consistently renamed by a seed."""

    seed: int
    names: frozenset[str] = frozenset()
    """Words that are somebody's or something's name, lower-cased."""
    _words: dict[str, str] = field(default_factory=dict)

    def text(self, text: str) -> str:
        """Return a text as the gate sees it."""
        return _TOKEN.sub(self._token, text) if self.seed else text

    def value(self, value: Json) -> Json:
        """Return a result or an argument as the gate sees it."""
        if not self.seed or value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.text(k): self.value(v) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(item) for item in value]
        return self._shifted(value)

    def arguments(self, arguments: Mapping[str, Json]) -> dict[str, Json]:
        """Return the arguments of a call: their names are the tool's and stay."""
        return {name: self._argument(value) for name, value in arguments.items()}

    def _argument(self, value: Json) -> Json:
        if isinstance(value, Mapping):
            return {name: self._argument(item) for name, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._argument(item) for item in value]
        return self.value(value)

    @cached_property
    def _draw(self) -> dict[str, int]:
        source = random.Random(self.seed)
        return {
            "number": source.randrange(3, 9),
            "day": source.randrange(1, 28),
            "month": source.randrange(1, 12),
            "hour": source.randrange(1, 24),
            "year": source.randrange(1, 9),
            "digit": source.randrange(1, 10),
        }

    def _shifted(self, number: float) -> float:
        shifted = number + self._draw["number"]
        return round(shifted, 4) if isinstance(number, float) else shifted

    def _token(self, match: re.Match[str]) -> str:
        said = match.group()
        change: Mapping[str, Callable[[str], str]] = {
            "entity": self._entity,
            "iso": self._iso,
            "clock": self._clock,
            "day": self._day,
            "code": self._code,
            "number": self._number,
            "word": self._word,
        }
        return change[match.lastgroup or "word"](said)

    def _entity(self, said: str) -> str:
        keep = {"www", "com", "org", "net", "http", "https", "txt", "docx", "xlsx", "ly", "pptx"}
        return re.sub(
            r"[^\W\d_]+|\d+",
            lambda m: m[0] if m[0].lower() in keep else self._renamed(m[0]),
            said,
        )

    def _renamed(self, word: str) -> str:
        if word.isdigit():
            return self._digits(word)
        key = word.lower()
        if key not in self._words:
            source = random.Random(f"{self.seed}/{key}")
            while True:
                new = "".join(
                    source.choice(_LETTERS[n % 2]) for n in range(max(4, min(len(key), 9)))
                )
                if new not in self._words.values() and new not in self.names:
                    break
            self._words[key] = new
        new = self._words[key]
        return new.upper() if word.isupper() else new.title() if word[0].isupper() else new

    def _digits(self, digits: str) -> str:
        return "".join(str((int(d) + self._draw["digit"]) % 10) for d in digits)

    def _iso(self, said: str) -> str:
        year, month, day = (int(part) for part in said.split("-"))
        return f"{self._in_year(year)}-{self._in_month(month):02d}-{self._in_day(day):02d}"

    def _in_year(self, year: int) -> int:
        return year + self._draw["year"]

    def _in_month(self, month: int) -> int:
        return (month - 1 + self._draw["month"]) % 12 + 1

    def _in_day(self, day: int) -> int:
        return day if day > 28 else (day - 1 + self._draw["day"]) % 28 + 1

    def _clock(self, said: str) -> str:
        hour, rest = said.split(":", 1)
        return f"{(int(hour) + self._draw['hour']) % 24:02d}:{rest}"

    def _day(self, said: str) -> str:
        def number(match: re.Match[str]) -> str:
            day = self._in_day(int(match[1]))
            suffix = {1: "st", 2: "nd", 3: "rd", 21: "st", 22: "nd", 23: "rd", 31: "st"}
            return f"{day}{suffix.get(day, 'th') if match[2] else ''}"

        def month(match: re.Match[str]) -> str:
            return _MONTHS[self._in_month(_MONTHS.index(match[0]) + 1) - 1]

        told = re.sub(r"(\d+)(st|nd|rd|th)?", number, said)
        return re.sub("|".join(_MONTHS), month, told)

    def _code(self, said: str) -> str:
        if len(said) > 14 and said[:2].isupper():  # an account: its country stays
            return said[:2] + self._digits_in(said[2:])
        return self._digits_in(said)

    def _digits_in(self, said: str) -> str:
        return re.sub(r"\d", lambda m: self._digits(m[0]), said)

    def _number(self, said: str) -> str:
        whole, point, rest = said.replace(",", "").partition(".")
        if not point and len(whole) == 4 and int(whole) in _YEAR:
            return str(self._in_year(int(whole)))
        shifted = int(whole) + self._draw["number"]
        return f"{shifted:,}{point}{rest}" if "," in said else f"{shifted}{point}{rest}"

    def _word(self, said: str) -> str:
        return self._renamed(said) if said[0].isupper() and said.lower() in self.names else said


def names_in(texts: Iterable[str]) -> frozenset[str]:
    """Return the words that are names: written with a capital, and never without one."""
    capital: set[str] = set()
    small: set[str] = set()
    for text in texts:
        for match in _TOKEN.finditer(text):
            if match.lastgroup == "word" and len(match[0]) > 2:
                (small if match[0][0].islower() else capital).add(match[0].lower())
    return frozenset(capital - small - {month.lower() for month in _MONTHS})
