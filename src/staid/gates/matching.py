"""Whether a value occurs in a text: strictly for texts that are trusted, loosely for others.

Strict: the whole value, in the notation of its kind, at the borders of words, and a bare number
only in the role its argument plays: `13` of `file_id` is not the 13 of "13 euros". Loose: anything
that may be the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TypeAlias

from staid.gates.notation import Kind, Token, number, tokens

RUN = 3
"""Words in a row that free text shares with a document before they count as taken from there."""
PIECE = 3
"""Words in a row of a trusted text that make a piece of free text."""

_ID_WORDS = frozenset({"id", "no", "nr", "num", "number", "code", "key", "ref", "reference"})
_MONEY_WORDS = frozenset(
    """amount balance budget charge cost deposit due fee limit owe paid pay payment price refund
    rent salary send sum total transfer value""".split()  # noqa: SIM905 - words read as words
)
_SHORT = 5
"""A bare number of fewer digits means nothing without a word that says what it numbers."""
_CUE = 4
"""Tokens before a bare number among which that word has to be."""
_ENTITIES = frozenset({Kind.EMAIL, Kind.LINK, Kind.IBAN, Kind.DATE})
_BEFORE = r"(?<![\w@.\-+/#&=%])"
_AFTER = r"(?![\w@\-+/#&=%]|\.\w)"
_QUOTES = "'\"‘’“”«»`"


Forms: TypeAlias = tuple[tuple[Kind, str], ...]
"""Kind and form of tokens in a row."""


class Reading:
    """A text with its tokens, read once however often something is looked for in it."""

    def __init__(self, text: str, name: str, *, field: bool) -> None:
        """Read a text; for a `field`, one value of a result, `name` is that of tool and path."""
        own = [part for part in name.split(".") if not part.isdigit()]
        self.text = text
        self.field = field
        self.tokens = tokens(text)
        self.forms: Forms = tuple((token.kind, token.form) for token in self.tokens)
        self.known = frozenset(self.forms)
        self.name_words = name_words(name)
        self.key_words = name_words(own[-1] if own else "")
        self._windows: dict[int, dict[Forms, int]] = {}

    def windows(self, size: int) -> Mapping[Forms, int]:
        """Return every run of so many tokens, and where it comes first."""
        if size not in self._windows:
            forms = self.forms
            places = range(len(forms) - size, -1, -1)
            self._windows[size] = {forms[n : n + size]: n for n in places}
        return self._windows[size]

    def runs(self, forms: Forms) -> Iterator[int]:
        """Yield where these tokens stand in a row."""
        size = len(forms)
        if size and self.known.issuperset(forms):
            for place in range(len(self.forms) - size + 1):
                if self.forms[place : place + size] == forms:
                    yield place

    @property
    def whole(self) -> tuple[int, int]:
        """The place of the text without the space around it."""
        start = len(self.text) - len(self.text.lstrip())
        return start, start + len(self.text.strip())


class Sought:
    """One value that is looked for, and the role its argument plays."""

    def __init__(self, tool: str, name: str, text: str, *, numeric: bool) -> None:
        """Take the tool, the argument's name, and whether the argument is a number."""
        self.text = text.strip()
        self.tokens = tokens(self.text)
        self.forms = tuple((t.kind, t.form) for t in self.tokens)
        self.words = name_words(name)
        self.about = (self.words - _ID_WORDS) or (name_words(tool) - {"get", "set", "update"})
        self.is_id = bool(self.words & _ID_WORDS) or not numeric
        self.is_money = not self.is_id and bool(self.words & _MONEY_WORDS)

    @cached_property
    def bare(self) -> str | None:
        """The form of a number with nothing around it; None for anything else."""
        plain = re.fullmatch(r"-?\d+(\.\d+)?([eE][+-]?\d{1,3})?", self.text)
        return number(self.text) if plain else None

    @property
    def prose(self) -> bool:
        """Whether it is text, of which a part can come from somewhere."""
        return len(self.tokens) > 1 and re.search(r"\s", self.text) is not None

    @property
    def single(self) -> Token | None:
        """The one token it is; None where there is more."""
        one = self.tokens[0] if len(self.tokens) == 1 else None
        return one if one and (one.start, one.end) == (0, len(self.text)) else None

    @property
    def moment(self) -> dict[str, Sought] | None:
        """Date and time apart, where it is both."""
        if [token.kind for token in self.tokens] != [Kind.DATE, Kind.TIME]:
            return None
        return {
            token.kind.value: Sought(
                "", "", self.text[token.start : token.end].rstrip("T"), numeric=False
            )
            for token in self.tokens
        }


def name_words(name: str) -> frozenset[str]:
    """Return the words of a name in snake_case, camelCase or with dots, in the singular."""
    parts = re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)
    return frozenset(_singular(part.lower()) for part in parts)


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


# --- strictly ---------------------------------------------------------------------------------


def strictly(sought: Sought, read: Reading) -> Iterator[tuple[int, int]]:
    """Yield the places of a trusted text that are this value, whole."""
    single = sought.single
    if sought.bare is not None:
        yield from _numbers(sought, sought.bare, read)
    elif single is not None and single.kind in {Kind.DATE, Kind.TIME}:
        yield from _moments(single, read)
    elif single is not None and single.kind in _ENTITIES:
        yield from _entities(single, read)
    elif _is_code(single) or (single is None and not re.search(r"\s", sought.text)):
        yield from _exact(sought.text, read)
    else:
        yield from _worded(sought, read)


def _is_code(token: Token | None) -> bool:
    return token is not None and token.kind in {Kind.CODE, Kind.NUMBER}


def _numbers(sought: Sought, form: str, read: Reading) -> Iterator[tuple[int, int]]:
    if read.field:
        if _is_number(read.text, form) and _plays(sought, read):
            yield read.whole
        return
    said = [t for t in read.tokens if t.kind is Kind.NUMBER and t.counted]
    for place, token in enumerate(read.tokens):
        if token not in said or token.form != form:
            continue
        before = {t.form for t in read.tokens[max(0, place - _CUE) : place]}
        if _meant(sought, token, {_singular(word) for word in before}, said, read.text):
            yield token.start, token.end


def _is_number(text: str, form: str) -> bool:
    found = tokens(text.strip())
    return len(found) == 1 and (found[0].kind, found[0].form) == (Kind.NUMBER, form)


def _plays(sought: Sought, read: Reading) -> bool:
    """Whether a field plays the role of the argument: an id of the same thing, the same amount."""
    if sought.is_id:
        if read.text.strip() != sought.text:
            return False
        same = sought.words & read.key_words or read.key_words & _ID_WORDS
        about = sought.about & read.name_words
        return len(sought.text) >= _SHORT or bool(same and about)
    if sought.is_money and read.key_words & _MONEY_WORDS:
        return True
    return bool(sought.words & read.key_words)


def _meant(
    sought: Sought, token: Token, before: set[str], said: Sequence[Token], text: str
) -> bool:
    """Whether a number of the user's is said in the role of the argument."""
    if sought.is_id:
        if token.money or text[token.start : token.end] != sought.text:
            return False
        cue = before & (sought.about | _ID_WORDS) or text[: token.start].endswith("#")
        return len(sought.text) >= _SHORT or bool(cue)
    if sought.is_money:
        return token.money or bool(before & (_MONEY_WORDS | sought.words | {"is"}))
    alone = len({t.form for t in said}) == 1
    return not token.money and (alone or bool(before & sought.words))


def _moments(single: Token, read: Reading) -> Iterator[tuple[int, int]]:
    kinds = [token.kind for token in read.tokens]
    if read.field and kinds not in ([single.kind], [Kind.DATE, Kind.TIME]):
        return
    for token in read.tokens:
        if token.kind is single.kind and _same_moment(single, token, exact=read.field):
            yield token.start, token.end


def _same_moment(one: Token, other: Token, *, exact: bool) -> bool:
    if one.form == other.form:
        return True
    # "May 3rd" leaves the year to the reader.
    yearless = other.form.startswith("--") or one.form.startswith("--")
    return not exact and one.kind is Kind.DATE and yearless and one.form[-5:] == other.form[-5:]


def _entities(single: Token, read: Reading) -> Iterator[tuple[int, int]]:
    for token in read.tokens:
        if (token.kind, token.form) != (single.kind, single.form):
            continue
        if not read.field or (token.start, token.end) == read.whole:
            yield token.start, token.end


def _exact(text: str, read: Reading) -> Iterator[tuple[int, int]]:
    if read.field:
        if read.text.strip() == text:
            yield read.whole
        return
    for match in re.finditer(_BEFORE + re.escape(text) + _AFTER, read.text):
        yield match.span()


def _worded(sought: Sought, read: Reading) -> Iterator[tuple[int, int]]:
    if read.field:
        if read.forms and read.forms == sought.forms:
            yield read.whole
        return
    for place in read.runs(sought.forms):
        last = place + len(sought.forms) - 1
        start, end = read.tokens[place].start, read.tokens[last].end
        if place != last or not sought.text.islower() or _named(sought, read, place, start, end):
            yield start, end


def _named(sought: Sought, read: Reading, place: int, start: int, end: int) -> bool:
    """Whether one ordinary word is said as a name: in quotes, or beside what it names."""
    text = read.text
    quoted = text[start - 1 : start] in _QUOTES and text[end : end + 1] in _QUOTES
    if start and quoted and text[end : end + 1]:
        return True
    beside = read.tokens[max(0, place - 2) : place + 3]
    return bool({_singular(token.form) for token in beside if token.start != start} & sought.words)


# --- loosely ----------------------------------------------------------------------------------


def loosely(sought: Sought, read: Reading) -> Iterator[tuple[int, int]]:
    """Yield the places of an untrusted text that may be this value."""
    single = sought.single
    for token in read.tokens:
        if sought.bare is not None:
            if token.kind is Kind.NUMBER and token.form == sought.bare:
                yield token.start, token.end
        elif single is not None and token.kind is single.kind:
            moment = single.kind in {Kind.DATE, Kind.TIME}
            if (moment and _same_moment(single, token, exact=False)) or token.form == single.form:
                yield token.start, token.end
    if len(sought.forms) > 1:
        for place in read.runs(sought.forms):
            yield read.tokens[place].start, read.tokens[place + len(sought.forms) - 1].end
    yield from _anywhere(sought, read)


def _anywhere(sought: Sought, read: Reading) -> Iterator[tuple[int, int]]:
    if sought.bare is None and len(sought.text) > 2:
        for match in re.finditer(re.escape(sought.text), read.text, re.IGNORECASE):
            yield match.span()


# --- pieces of free text ----------------------------------------------------------------------


def pieces(sought: Sought, read: Reading) -> Iterator[tuple[int, int]]:
    """Yield the runs of tokens of a free text that a trusted text says in the same way."""
    forms = read.forms
    if read.field:
        size = len(forms)
        if size > 1 or (size == 1 and forms[0][0] is not Kind.NUMBER):
            for place in range(len(sought.forms) - size + 1):
                if sought.forms[place : place + size] == forms:
                    yield place, place + size
        return
    known = read.windows(PIECE)
    for place in range(len(sought.forms)):
        if sought.forms[place : place + PIECE] in known:
            yield place, place + PIECE
        if sought.forms[place][0] in _ENTITIES and sought.forms[place] in read.known:
            yield place, place + 1


def taken(sought: Sought, covered: Sequence[bool], read: Reading) -> Iterator[tuple[int, int]]:
    """Yield the places of an untrusted text that a free text repeats and no trusted text says."""
    forms = read.forms
    known = read.windows(RUN)
    end = 0
    for place, form in enumerate(sought.forms):
        if place < end:
            continue
        at = known.get(sought.forms[place : place + RUN])
        if at is not None and not all(covered[place : place + RUN]):
            size = RUN
            while place + size < len(sought.forms) and at + size < len(forms):
                if sought.forms[place + size] != forms[at + size]:
                    break
                size += 1
            end = place + size
            yield read.tokens[at].start, read.tokens[at + size - 1].end
        elif not covered[place] and _telling(form) and form in read.known:
            token = read.tokens[forms.index(form)]
            yield token.start, token.end


def _telling(form: tuple[Kind, str]) -> bool:
    """Whether one token alone says where it comes from."""
    kind, text = form
    if kind in {Kind.CODE, Kind.NUMBER}:
        return len(text) > 3
    return kind in _ENTITIES
