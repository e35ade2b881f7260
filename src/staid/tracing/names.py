"""Names of people in a text: by a list of given names, and by what stands before them.

A list finds the names it has and no others. A capital is asked for, so a name that somebody wrote
small is not found; a word that is also a name (May, Grant) is, because a name that leaves is worse
than a word that does not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

LONGEST = 3
"""Words that one name has at most."""
_WORD = re.compile(r"\w+(?:['’-]\w+)*")
_ANNOUNCED = re.compile(
    r"\b(?:(?:mr|mrs|ms|miss|dr|prof|herr|frau|madame|monsieur|señor|señora)\.?"
    r"|(?:my|his|her|their) name is|name:|mein name ist|ich heiße|me llamo|je m'appelle) +",
    re.IGNORECASE,
)
_ALSO_WORDS = frozenset({"An", "Can", "Do", "Edit", "In", "Line", "May", "Per", "So", "Will"})
"""Names that begin many a sentence as something else: there, alone, they are no name."""
_BEGINS = re.compile(r"(?:^|[.!?:;“\"(\n])\s*$")
_OWNED = re.compile(r"['’]s$")


@dataclass(frozen=True, slots=True)
class _Token:
    start: int
    name: str
    joined: bool
    """Whether nothing but a space, or the dot of an initial, stands before it."""

    @property
    def end(self) -> int:
        return self.start + len(self.name)

    @property
    def capital(self) -> bool:
        return self.name[0].isupper()


class ListedNames:
    """Gives the place of every name that begins with a listed given name or is announced.

    Words with a capital that follow belong to it, up to `LONGEST`. Pass it to `Rules` as `names`.
    """

    def __init__(self, given: Iterable[str]) -> None:
        """Know these given names, each of one word or several."""
        self.given = frozenset(word for name in given for word in _WORD.findall(name))

    def __call__(self, text: str) -> list[tuple[int, int]]:
        """Return start and end of every name, in order, none overlapping."""
        tokens = list(_tokens(text))
        announced = {found.end() for found in _ANNOUNCED.finditer(text)}
        found: list[tuple[int, int]] = []
        place = 0
        while place < len(tokens):
            token = tokens[place]
            begins = token.capital and (token.start in announced or token.name in self.given)
            length = _length(tokens[place : place + LONGEST]) if begins else 0
            if _is_a_word(text, token, tokens[place + 1 : place + length]):
                length = 0
            if length:
                found.append((token.start, tokens[place + length - 1].end))
            place += length or 1
        return found


def _is_a_word(text: str, token: _Token, rest: Sequence[_Token]) -> bool:
    if token.name not in _ALSO_WORDS or any(len(after.name) > len("I'm") for after in rest):
        return False
    return _BEGINS.search(text[: token.start]) is not None


def _length(tokens: Sequence[_Token]) -> int:
    """Return how many of these words are one name, the first of them for sure."""
    length = 1
    for token in tokens[1:]:
        if not (token.joined and token.capital):
            break
        length += 1
    return length


def _tokens(text: str) -> Iterator[_Token]:
    last = 0
    for found in _WORD.finditer(text):
        between = text[last : found.start()]
        joined = between == " " or (between == ". " and text[last - 1 : last].isupper())
        yield _Token(found.start(), _OWNED.sub("", found[0]), joined)
        last = found.end()
