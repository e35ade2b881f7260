"""Numbers, amounts, dates, addresses in a text, as values that can be compared."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, TypeAlias

from staid.domain.text import sentences

Kind: TypeAlias = Literal["number", "amount", "date", "url", "email"]

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
    r"|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?"
)
_DAY = r"(?:\d{1,2})(?:st|nd|rd|th)?"
_UNITS = {
    "$": "$", "us$": "$", "usd": "$", "dollar": "$", "dollars": "$",
    "€": "€", "eur": "€", "euro": "€", "euros": "€",
    "£": "£", "gbp": "£", "pound": "£", "pounds": "£",
    "¥": "¥", "jpy": "¥", "yen": "¥", "₹": "₹", "inr": "₹", "chf": "chf", "francs": "chf",
    "%": "%", "percent": "%", "per cent": "%", "percentage points": "%", "percentage point": "%",
}  # fmt: skip
_SCALES = {
    "hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12,
    "k": 10**3, "m": 10**6, "mn": 10**6, "b": 10**9, "bn": 10**9,
}  # fmt: skip
_COUNTED = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen
fifteen sixteen seventeen eighteen nineteen twenty"""
_ORDERED = "first second third fourth fifth sixth seventh eighth ninth tenth"
_TENS = "thirty forty fifty sixty seventy eighty ninety"
_WORDS = (
    {word: value for value, word in enumerate(_COUNTED.split())}
    | {word: value for value, word in enumerate(_ORDERED.split(), 1)}
    | {word: 10 * value for value, word in enumerate(_TENS.split(), 3)}
    | {"dozen": 12, "half": 50, "twice": 2, "once": 1, "hundred": 100, "thousand": 1000}
    | {"single": 1, "both": 2, "double": 2, "triple": 3, "quarter": 25, "free": 0}
)
_TAIL = r"[^\s<>()\[\]\"'`|]"
_URL = re.compile(
    rf"(?:https?://|www\.){_TAIL}+"
    r"|\b(?:[a-z0-9-]+\.)+(?:com|org|net|io|dev|gov|edu|co|app|ai|info|uk|de|eu)\b"
    rf"(?:/{_TAIL}*)?",
    re.IGNORECASE,
)
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_ADDRESSES: tuple[tuple[Kind, re.Pattern[str]], ...] = (("email", _EMAIL), ("url", _URL))
_DATE = re.compile(
    rf"\b(?P<iso>\d{{4}}-\d{{2}}-\d{{2}})\b"
    rf"|\b(?P<slash>\d{{1,2}}[/.]\d{{1,2}}[/.]\d{{4}})\b"
    rf"|\b(?P<dmy>{_DAY}\s+(?:of\s+)?{_MONTH}(?:,?\s+\d{{4}})?)\b"
    rf"|\b(?P<mdy>{_MONTH}\s+{_DAY}(?:,?\s+\d{{4}})?)(?!\w)"
    rf"|\b(?P<my>{_MONTH},?\s+(?:of\s+)?\d{{4}})\b",
    re.IGNORECASE,
)
_NUMBER = re.compile(
    r"(?P<before>us\$|[$€£¥₹]|\b(?:usd|eur|gbp|chf)\s)?\s?"
    r"(?P<digits>(?<![\w.])(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)*)"
    r"(?:(?P<scale>\s?(?:k|m|mn|b|bn)(?!\w)|\s(?:hundred|thousand|million|billion|trillion)\b))?"
    r"(?P<after>\s?%|\s(?:percent(?:age points?)?|per cent|dollars?|euros?|pounds?|usd|eur|gbp|chf"
    r"|yen|francs)\b)?",
    re.IGNORECASE,
)
_CODE = re.compile(r"\b(?=[a-z_]*\d)(?=\w*[a-z])[a-z]\w+\b", re.IGNORECASE)
_LETTERS = re.compile(r"[a-z]+", re.IGNORECASE)
_MARKER = re.compile(
    r"^[ \t]*(?:[-*•>#|]+[ \t]+)*(?:\*\*)?(?:step[ \t]+)?\(?\d{1,2}(?:[.):]|[ \t]+[-–])[ \t*]+"
    r"|(?<=[.:;!?)])[ \t]+(?:\*\*)?\(?\d{1,2}[.)][ \t]+(?=[A-Z*\"])|\[\d{1,2}\]",
    re.IGNORECASE | re.MULTILINE,
)
_INLINE = re.compile(r"(?:(?<=\s)|^)\(?(\d{1,2})[.)]\s", re.MULTILINE)
LEAST_ITEMS = 3
"""Numbers that count up from 1 are a list from so many on."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One checkable thing a text says, with its words and its value."""

    kind: Kind
    text: str
    value: str
    """Normalised: digits without separators, an address in lower case without its scheme."""
    unit: str = ""
    month: int = 0
    numbers: frozenset[str] = frozenset()
    """Of a date: its day and year, as normalised numbers."""


@dataclass(frozen=True, slots=True)
class Known:
    """Every fact of the evidence, ready to be asked."""

    addresses: frozenset[str]
    numbers: frozenset[tuple[str, str]]
    values: frozenset[str]
    dates: tuple[tuple[frozenset[int], frozenset[str]], ...]
    """Sentence by sentence: its months and its numbers."""

    def backs(self, fact: Fact) -> bool:
        """Tell whether the evidence contains this fact, whatever its spelling."""
        if fact.kind in {"url", "email"}:
            return fact.value in self.addresses
        if fact.kind == "date":
            return any(fact.month in m and fact.numbers <= n for m, n in self.dates)
        if fact.unit:
            return bool({(fact.value, fact.unit), (fact.value, "")} & self.numbers)
        return fact.value in self.values


def unmarked(text: str) -> str:
    """Return the text without list markers, step numbers and `[1]` citation marks."""
    return _MARKER.sub(" ", text)


def unnumbered(text: str) -> str:
    """Return the text, as long as before, with the numbers of a list in running text blanked.

    `1. Log in 2. Tap Refund 3. Confirm` counts up; `it costs 3.` does not.
    """
    numbered: list[re.Match[str]] = []
    list_so_far: list[re.Match[str]] = []
    for mark in _INLINE.finditer(text):
        number = int(mark.group(1))
        if number == 1:
            list_so_far = []
        if number == len(list_so_far) + 1:
            list_so_far.append(mark)
            numbered += list_so_far if number == LEAST_ITEMS else []
            numbered += [mark] if number > LEAST_ITEMS else []
    if not numbered:
        return text
    characters = list(text)
    for mark in numbered:
        characters[mark.start(1) : mark.end(1)] = " " * len(mark.group(1))
    return "".join(characters)


def facts(text: str) -> tuple[Fact, ...]:
    """Return what a text says in numbers, amounts, dates and addresses, list markers left out."""
    return tuple(_facts(unmarked(text)))


def known(texts: Iterable[str]) -> Known:
    """Return every fact of the evidence; number words count (`ten days` backs `10 days`)."""
    addresses: set[str] = set()
    numbers: set[tuple[str, str]] = set()
    dates: list[tuple[frozenset[int], frozenset[str]]] = []
    for text in texts:
        for start, end in sentences(text):
            months: set[int] = set()
            said: set[tuple[str, str]] = set(_spelled(text[start:end]))
            for fact in _facts(text[start:end]):
                if fact.kind in {"url", "email"}:
                    addresses.add(fact.value)
                elif fact.kind == "date":
                    months.add(fact.month)
                    said |= {(number, "") for number in fact.numbers}
                else:
                    said |= {(fact.value, fact.unit)} | {(n, fact.unit) for n in fact.numbers}
            months |= _bare_months(text[start:end])
            numbers |= said
            dates.append((frozenset(months), frozenset(value for value, _ in said)))
    values = frozenset(value for value, _ in numbers)
    return Known(frozenset(addresses), frozenset(numbers), values, tuple(dates))


def _facts(text: str) -> Iterator[Fact]:
    for kind, pattern in _ADDRESSES:
        for match in pattern.finditer(text):
            yield Fact(kind, match.group().rstrip(".,;:!?"), _address(match.group()))
        text = pattern.sub(lambda m: " " * len(m.group()), text)
    for match in _DATE.finditer(text):
        yield from _date(match)
    text = _DATE.sub(lambda m: " " * len(m.group()), text)
    for match in _CODE.finditer(text):
        yield Fact("number", match.group(), match.group().lower())
    text = _CODE.sub(lambda m: " " * len(m.group()), text)
    for match in _NUMBER.finditer(text):
        yield _number(match)


def _address(text: str) -> str:
    bare = text.rstrip(".,;:!?/*_").lower()
    return re.sub(r"^(?:https?://)?(?:www\.)?", "", bare)


def _date(match: re.Match[str]) -> Iterator[Fact]:
    text = match.group()
    parts = [plain_number(digits) for digits in re.findall(r"\d+", text)]
    if match["iso"]:
        yield Fact("date", text, text, "", int(parts[1]), frozenset({parts[0], parts[2]}))
    elif match["slash"]:
        # Which of the two is the month is the writer's secret; the smaller reading that fits.
        day, month = (0, 1) if int(parts[1]) <= 12 else (1, 0)
        yield Fact("date", text, text, "", int(parts[month]), frozenset({parts[day], parts[2]}))
    else:
        word = next(w for w in _LETTERS.findall(text) if w[:3].lower() in _MONTHS)
        yield Fact("date", text, text, "", _MONTHS.index(word[:3].lower()) + 1, frozenset(parts))


def _number(match: re.Match[str]) -> Fact:
    digits = plain_number(match["digits"])
    unit = _UNITS.get((match["before"] or match["after"] or "").strip().lower(), "")
    scale = (match["scale"] or "").strip().lower()
    raw = digits
    if len(scale) > 2 or (scale and unit in {"$", "€", "£", "¥", "₹", "chf"}):
        digits = (
            plain_number(str(Decimal(digits) * _SCALES[scale])) if digits.count(".") < 2 else digits
        )
    kind: Kind = "amount" if unit and unit != "%" else "number"
    return Fact(kind, match.group().strip(), digits, unit, 0, frozenset({raw}) - {digits})


def plain_number(digits: str) -> str:
    """Return one spelling per value: no separators, no leading or trailing zeros."""
    bare = digits.replace(",", "")
    if bare.count(".") > 1:
        return bare
    whole, _, rest = bare.partition(".")
    rest = rest.rstrip("0")
    return (whole.lstrip("0") or "0") + (f".{rest}" if rest else "")


def _spelled(text: str) -> Iterator[tuple[str, str]]:
    for word in _LETTERS.findall(text):
        value = _WORDS.get(word.lower())
        if value is not None:
            yield str(value), ""


def _bare_months(text: str) -> set[int]:
    found: set[int] = set()
    for word in re.findall(rf"\b{_MONTH}(?!\w)", text, re.IGNORECASE):
        found.add(_MONTHS.index(word[:3].lower()) + 1)
    return found
