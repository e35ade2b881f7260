"""Structured personal data in a text, found by its form and by its check digits."""

from __future__ import annotations

import ipaddress
import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Literal, TypeAlias, get_args

Kind: TypeAlias = Literal["secret", "email", "iban", "card", "national", "ip", "phone"]
"""Keys, mail addresses, accounts, cards, social security numbers, machines, telephones."""
KINDS: tuple[Kind, ...] = get_args(Kind)
"""In the order they are looked for: what has the stricter form comes first."""
Span: TypeAlias = tuple[int, int]

# At most six digits of a length: a longer number in brackets is no marker but somebody's number.
MARKER = re.compile(
    r"\[(?:secret|email|iban|card|national|ip|phone|name|text|number|deep):\d{1,6}\]"
)
"""What redaction leaves in the place of something."""

_SHORTEST_CARD, _LONGEST_CARD = 13, 19
_PHONE_DIGITS = range(7, 16)
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)

_SECRET = re.compile(
    r"eyJ[\w-]{8,4096}\.[\w-]{4,}\.[\w-]*"  # JSON web token
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    r"|(?<![\w-])(?:sk|pk|rk)[-_][\w-]{16,}"
    r"|(?<!\w)gh[pousr]_\w{20,}|(?<!\w)github_pat_\w{20,}|(?<!\w)glpat-[\w-]{16,}"
    r"|(?<!\w)xox[abeprs]-[\w-]{10,}"
    r"|(?<!\w)(?:AKIA|ASIA)[A-Z0-9]{16}(?!\w)|(?<!\w)AIza[\w-]{35}"
    r"|(?<!\w)(?:lsv2|ls)_+(?:pt|sk)_\w{16,}"
    r"|(?<=[Bb]earer )[\w.~+/=-]{16,}",
    re.DOTALL,
)
_EMAIL = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+")
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?:[ -]?[A-Za-z0-9]){10,30}")
_DIGITS = re.compile(r"(?<!\d)\d(?:[ .\-\u00a0\u2009\u202f]?\d){12,}")
_NATIONAL = re.compile(
    r"(?<!\d)(?!000|666|9\d\d)\d{3}[- ](?!00)\d{2}[- ](?!0000)\d{4}(?!\d)"  # United States
    r"|(?<!\w)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D](?!\w)"  # Britain
    r"|(?<!\d)[12] ?\d{2} ?(?:0[1-9]|1[0-2]) ?(?:\d{2}|2[AB]) ?\d{3} ?\d{3} ?\d{2}(?!\d)"  # France
)
# Bounded: no text, however long or odd, takes more than a fixed number of steps at one place.
_IP4 = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w]|\.\d)")
_IP6 = re.compile(r"(?<![\w:])[0-9A-Fa-f:.]{2,45}(?![\w:])")
_PHONE = re.compile(
    r"(?<![\w.+])(?:\+|00)\(?\d(?:[ ()./\-\u00a0]{0,2}\d){6,14}(?!\d)"
    r"|(?<![\w.])\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}(?!\d)"
    r"|(?<![\w.])(?!\d\d([/.-])\d\d\1\d{2,4}(?!\d))\(?0\d{1,4}\)?[ /-](?:[ /-]?\d){5,10}(?!\d)"
)

# Length by country, ISO 13616 registry.
_IBAN_LENGTH: Mapping[str, int] = {
    country: int(length)
    for length, countries in (
        ("15", "NO"),
        ("16", "BE"),
        ("18", "DK FI FO GL NL SD"),
        ("19", "MK SI"),
        ("20", "AT BA EE KZ LT LU MN XK"),
        ("21", "CH HR LI LV"),
        ("22", "BG BH CR DE GB GE IE ME RS VA"),
        ("23", "AE GI IL IQ OM SO TL"),
        ("24", "AD CZ ES MD PK RO SA SE SK TN VG"),
        ("25", "LY PT ST"),
        ("26", "IS TR"),
        ("27", "BI DJ FR GR IT MC MR SM"),
        ("28", "AL AZ BY CY DO GT HU LB NI PL SV"),
        ("29", "BR EG PS QA UA"),
        ("30", "JO KW MU YE"),
        ("31", "MT SC"),
        ("32", "LC"),
        ("33", "RU"),
    )
    for country in countries.split()
}


def find(kind: Kind, text: str) -> Iterable[Span]:
    """Return the places of one kind of personal data in a text, in order."""
    return _FINDERS[kind](text)


def is_card(digits: str) -> bool:
    """Return whether these digits, without separators, are a card number by length and Luhn."""
    return digits.isdecimal() and _Sums(digits).card(0, len(digits))


class _Sums:
    """Luhn sums of every window of a row of digits, each in a constant number of steps."""

    def __init__(self, digits: str) -> None:
        values = [int(digit) for digit in digits]
        # Which digits count double depends on where a window ends: one running sum for each case.
        self._sums = [
            list(
                accumulate(
                    (_DOUBLED[v] if place % 2 == odd else v for place, v in enumerate(values)),
                    initial=0,
                )
            )
            for odd in (0, 1)
        ]

    def card(self, start: int, end: int) -> bool:
        """Return whether the digits from `start` before `end` are a card by length and Luhn."""
        if not _SHORTEST_CARD <= end - start <= _LONGEST_CARD:
            return False
        sums = self._sums[end % 2]
        total = sums[end] - sums[start]
        return total > 0 and total % 10 == 0


def _cards(text: str) -> Iterator[Span]:
    """Yield card numbers, also after or before other numbers with a separator between."""
    for found in _DIGITS.finditer(text):
        whole = found[0]
        groups = [(g.start(), g.end()) for g in re.finditer(r"\d+", whole)]
        counts = list(accumulate((end - start for start, end in groups), initial=0))
        sums = _Sums("".join(whole[start:end] for start, end in groups))
        first = 0
        while first < len(groups):
            last = _card_from(sums, counts, first)
            if last is None:
                first += 1
                continue
            yield found.start() + groups[first][0], found.start() + groups[last][1]
            first = last + 1


def _card_from(sums: _Sums, counts: Sequence[int], first: int) -> int | None:
    """Return the last group of the longest card number that begins with this group."""
    best = None
    for place in range(bisect_left(counts, counts[first] + _SHORTEST_CARD) - 1, len(counts) - 1):
        if counts[place + 1] - counts[first] > _LONGEST_CARD:
            break
        if sums.card(counts[first], counts[place + 1]):
            best = place
    return best


def _ibans(text: str) -> Iterator[Span]:
    for found in _IBAN.finditer(text):
        length = _IBAN_LENGTH.get(found[0][:2].upper())
        end = _end_after(found[0], length) if length else None
        if end is not None and _mod97(re.sub(r"[ -]", "", found[0][:end])):
            yield found.start(), found.start() + end


def _end_after(text: str, count: int) -> int | None:
    """Return where the first `count` letters and digits end; None where there are fewer."""
    for place, character in enumerate(text, 1):
        count -= character not in " -"
        if count == 0:
            return place
    return None


def _mod97(iban: str) -> bool:
    moved = iban[4:] + iban[:4]
    return int("".join(str(int(character, 36)) for character in moved)) % 97 == 1


def _addresses(text: str) -> Iterator[Span]:
    for found in _IP4.finditer(text):
        if all(int(part) <= 255 for part in found[0].split(".")):
            yield found.span()
    for found in _IP6.finditer(text):
        trimmed = found[0].rstrip(".")
        trimmed = trimmed[:-1] if trimmed.endswith(":") and trimmed[-2:] != "::" else trimmed
        if trimmed.count(":") > 1 and len(trimmed) > 2 and _is_ip6(trimmed):
            yield found.start(), found.start() + len(trimmed)


def _is_ip6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def _phones(text: str) -> Iterator[Span]:
    for found in _PHONE.finditer(text):
        if sum(character.isdecimal() for character in found[0]) in _PHONE_DIGITS:
            yield found.span()


def _by(pattern: re.Pattern[str]) -> Callable[[str], Iterable[Span]]:
    return lambda text: [found.span() for found in pattern.finditer(text)]


_FINDERS: Mapping[Kind, Callable[[str], Iterable[Span]]] = {
    "secret": _by(_SECRET),
    "email": _by(_EMAIL),
    "iban": _ibans,
    "card": _cards,
    "national": _by(_NATIONAL),
    "ip": _addresses,
    "phone": _phones,
}
