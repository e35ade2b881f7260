"""Texts as typed tokens with their places: `$98.70` is the number 98.7, `May 3rd` a date.

Two spellings have one form only where they mean the same to a tool: amounts, dates, IBANs, e-mail
addresses, web addresses, and words without regard to case. A code keeps its exact letters.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from staid.domain.canonical import decimal_text


class Kind(StrEnum):
    """What a token is."""

    EMAIL = "email"
    LINK = "link"
    DATE = "date"
    TIME = "time"
    IBAN = "iban"
    NUMBER = "number"
    CODE = "code"
    WORD = "word"


@dataclass(frozen=True, slots=True)
class Token:
    """A token of a text: what it is, its normal form, and the characters it covers."""

    kind: Kind
    form: str
    start: int
    end: int
    money: bool = False
    """A number written as an amount: with a currency, or with two decimals."""
    counted: bool = True
    """A number that says how much or how many: neither a percentage nor an ordinal."""


_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "january jan",
            "february feb",
            "march mar",
            "april apr",
            "may",
            "june jun",
            "july jul",
            "august aug",
            "september sept sep",
            "october oct",
            "november nov",
            "december dec",
        ),
        1,
    )
    for name in names.split()
}
_MONTH = "|".join(_MONTHS)
_CURRENCY = r"[$€£¥₹]|(?:USD|EUR|GBP|CHF|JPY)\b"
_AFTER = r"[€$£]|(?:euros?|eur|dollars?|usd|pounds?|gbp|chf|francs?|cents?)\b"

_TOKEN = re.compile(
    rf"""
    (?P<email>(?<![\w.+\-@])[\w.+\-]{{1,64}}@[\w\-]{{1,63}}(?:\.[\w\-]{{1,63}}){{1,8}})
  | (?P<link>(?<![\w.\-/@])(?:https?://[^\s<>"'`()\[\]{{}}]+
        |(?:[\w\-]{{1,63}}\.(?![A-Z][a-z])){{1,8}}[^\W\d_]{{2,24}}(?![\w@])(?:[:/?\#][^\s<>"'`()\[\]{{}}]*)?))
  | (?P<date>(?<![\w.])(?:(?P<iy>\d{{4}})-(?P<im>\d{{1,2}})-(?P<id>\d{{1,2}})(?:T(?=\d\d:)|\b)
        |(?P<ny>\d{{4}})/(?P<nm>\d{{1,2}})/(?P<nd>\d{{1,2}})\b
        |(?P<a>\d{{1,2}})(?P<sep>[./])(?P<b>\d{{1,2}})(?P=sep)(?P<py>\d{{4}})\b
        |(?P<dd>\d{{1,2}})(?:st|nd|rd|th)?\.?\s+(?:of\s+)?(?P<dm>(?i:{_MONTH}))\b
            (?:[.,]?\s+(?P<dy>\d{{4}})\b)?
        |(?P<mm>(?i:{_MONTH}))\.?\s+(?:the\s+)?(?P<md>\d{{1,2}})(?:st|nd|rd|th)?\b(?![:.]\d)
            (?:,?\s+(?P<my>\d{{4}})\b(?!:))?))
  | (?P<time>(?:(?<![\w:.])|(?<=\dT))(?P<h>\d{{1,2}}):(?P<mi>[0-5]\d)(?::(?P<s>[0-5]\d)(?:\.\d+)?)?
        (?:Z\b|(?P<offset>[+\-]\d\d:?\d\d\b))?(?:\s?(?P<half>(?i:[ap])\.?m\b\.?))?(?![\w:])
        |(?<![\w:.])(?P<h12>\d{{1,2}})\s?(?P<half12>(?i:[ap])\.?m\b\.?))
  | (?P<iban>(?<!\w)[A-Z]{{2}}\d{{2}}(?:[A-Z0-9]{{10,30}}
        |(?:\ [A-Z0-9]{{4}}){{2,7}}(?:\ [A-Z0-9]{{1,3}})?)(?!\w))
  | (?P<number>(?:(?P<cur>{_CURRENCY})\s?)?(?<![\w.,])(?P<sign>(?<![\w\d])-)?
        (?P<digits>\d{{1,3}}(?P<group>[,'’])\d{{3}}(?:(?P=group)\d{{3}})*(?:\.\d+)?(?!\d)
            |\d{{1,3}}(?:\.\d{{3}})+,\d+|\d+[.,]\d+|\d+)
        (?!\w)(?:(?P<pct>\s?%)|\s?(?P<unit>(?i:{_AFTER})))?)
  | (?P<ordinal>(?<!\w)\d{{1,4}}(?:st|nd|rd|th)\b)
  | (?P<code>(?=[\w\-]*\d)[^\W_]+(?:[\-_./#][^\W_]+)*)
  | (?P<word>[^\W_]+(?:['’][^\W_]+)*)
    """,
    re.VERBOSE,
)


def tokens(text: str) -> tuple[Token, ...]:
    """Return the typed tokens of a text, in order; punctuation alone is none."""
    return tuple(_tokens(text))


def _tokens(text: str) -> Iterator[Token]:
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or "word"
        # `lastgroup` is the outermost group that closed last, which is the alternative itself.
        start, end = match.span()
        said = match.group()
        match kind:
            case "email":
                yield Token(Kind.EMAIL, said.rstrip(".-").lower(), start, start + len(said))
            case "link":
                trimmed = said.rstrip(".,;:!?")
                yield Token(Kind.LINK, link(trimmed), start, start + len(trimmed))
            case "date":
                form = _date(match)
                yield Token(Kind.DATE if form else Kind.CODE, form or said, start, end)
            case "time":
                yield Token(Kind.TIME, _time(match), start, end)
            case "iban":
                yield Token(Kind.IBAN, said.replace(" ", ""), start, end)
            case "number":
                yield _number(match)
            case "ordinal":
                yield Token(Kind.NUMBER, said[:-2], start, end, counted=False)
            case "code":
                yield Token(Kind.CODE, said, start, end)
            case _:
                form = said.lower().replace("’", "'").removesuffix("'s")
                yield Token(Kind.WORD, form, start, end)


def link(text: str) -> str:
    """Return the form of a web address: host without case, path as it is, no scheme."""
    bare = re.sub(r"(?i)^https?://", "", text)
    host, slash, path = bare.partition("/")
    return (host.lower() + slash + path).rstrip("/")


def _date(match: re.Match[str]) -> str | None:
    """Return `YYYY-MM-DD`, or `--MM-DD` where no year is said; None for what is no date."""
    groups = match.groupdict()
    if groups["a"]:
        first, second = int(groups["a"]), int(groups["b"])
        if groups["sep"] == "." or first > 12:
            return _form(groups["py"], second, first)
        if second > 12 or first == second:
            return _form(groups["py"], first, second)
        return None  # 03/04/2024 is two dates: nobody can say which one is meant
    for year, month, day in (("iy", "im", "id"), ("ny", "nm", "nd")):
        if groups[year]:
            return _form(groups[year], int(groups[month]), int(groups[day]))
    name, day, year = (
        (groups["dm"], groups["dd"], groups["dy"])
        if groups["dm"]
        else (groups["mm"], groups["md"], groups["my"])
    )
    return _form(year, _MONTHS[name.lower()], int(day))


def _form(year: str | None, month: int, day: int) -> str | None:
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return None
    return f"{year or '-'}-{month:02d}-{day:02d}"


def _time(match: re.Match[str]) -> str:
    hour = int(match["h"] or match["h12"])
    half = (match["half"] or match["half12"] or "").lower()[:1]
    if half == "p" and hour < 12:
        hour += 12
    elif half == "a" and hour == 12:
        hour = 0
    return f"{hour:02d}:{match['mi'] or '00'}:{match['s'] or '00'}{match['offset'] or ''}"


def _number(match: re.Match[str]) -> Token:
    digits = re.sub(r"['’]", "", match["digits"])
    if re.fullmatch(r"\d{1,3}(?:\.\d{3})+,\d+", digits):
        digits = digits.replace(".", "").replace(",", ".")
    elif re.fullmatch(r"\d+,\d{1,2}|\d+,\d{4,}", digits):
        digits = digits.replace(",", ".")
    plain = digits.replace(",", "")
    money = bool(match["cur"] or match["unit"]) or bool(re.search(r"[.,]\d\d$", digits))
    return Token(
        Kind.NUMBER,
        number(f"{match['sign'] or ''}{plain}"),
        *match.span(),
        money=money,
        counted=not match["pct"],
    )


def number(text: str) -> str:
    """Return the form of a number: `98.70` and `98.7` have the same."""
    value = Decimal(text)
    try:
        return decimal_text(value)
    except ValueError:  # too long to be written out
        return str(value)


def deceptive(text: str) -> bool:
    """Whether a text may read differently from what it is.

    Invisible characters, letters that only look like others (compatibility forms), and one word
    with letters of several scripts (Unicode Technical Standard 39, mixed-script confusables).
    """
    if text.isascii():
        return any((ord(c) < 32 and c not in "\t\n\r") or ord(c) == 127 for c in text)
    if any(unicodedata.category(c) in {"Cf", "Cc", "Co", "Cn"} and c not in "\t\n\r" for c in text):
        return True
    if unicodedata.normalize("NFC", text) != text:
        return True
    return any(_odd(word) for word in re.findall(r"[^\W_]+", text) if not word.isascii())


def _odd(word: str) -> bool:
    scripts = {unicodedata.name(c, "?").partition(" ")[0] for c in word if c.isalpha()}
    if unicodedata.normalize("NFKC", word) != word:
        return True
    return len(scripts & {"LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE"}) > 1
