"""From text to tokens, each with its place; what is no token is a fault."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from staid.gates.expression.syntax import Fault

LONGEST = 8000
"""Characters of one expression."""


class Kind(StrEnum):
    """What a token is."""

    TEXT = "text"
    NUMBER = "number"
    LENGTH = "duration"
    NAME = "name"
    SIGN = "sign"
    END = "end"


@dataclass(frozen=True, slots=True)
class Token:
    """One word of an expression."""

    kind: Kind
    text: str
    """As written; of a text what it means, without quotes."""
    at: int
    """Place of its first character."""


_TOKEN = re.compile(
    r"""
    (?P<space>\s+)
    | (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    | (?P<length>[0-9]{1,6}[smhdw](?![A-Za-z0-9_]))
    | (?P<number>[0-9]+(?:\.[0-9]+)?(?![A-Za-z0-9_.]))
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<sign>=>|==|!=|<=|>=|[-<>+*()\[\],.])
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPED = {"n": "\n", "t": "\t", "\\": "\\", '"': '"', "'": "'"}
_HINTS = {
    "=": "compare with ==",
    "&": "write and",
    "|": "write or",
    "!": "write not, or !=",
    "/": "division is not part of the language",
    '"': "the text has no end",
    "'": "the text has no end",
}


def tokens(text: str) -> list[Token]:
    """Return the tokens of an expression and an end; raise `Fault` where there is none."""
    if len(text) > LONGEST:
        raise Fault(0, f"an expression has at most {LONGEST} characters")
    found: list[Token] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise Fault(at, _unknown(text, at))
        if match.lastgroup != "space":
            found.append(_token(match, at))
        at = match.end()
    return [*found, Token(Kind.END, "the end", len(text))]


def _token(match: re.Match[str], at: int) -> Token:
    word = match.group()
    match match.lastgroup:
        case "text":
            return Token(Kind.TEXT, _unquoted(word, at), at)
        case "number":
            if len(word) > 40:
                raise Fault(at, "a number has at most 40 characters")
            return Token(Kind.NUMBER, word, at)
        case "length":
            return Token(Kind.LENGTH, word, at)
        case "name":
            return Token(Kind.NAME, word, at)
        case _:
            return Token(Kind.SIGN, word, at)


def _unquoted(word: str, at: int) -> str:
    def meant(escape: re.Match[str]) -> str:
        if escape[1] not in _ESCAPED:
            raise Fault(at + escape.start() + 1, f"{escape[0]} is no escape of a text")
        return _ESCAPED[escape[1]]

    return re.sub(r"\\(.)", meant, word[1:-1], flags=re.DOTALL)


def _unknown(text: str, at: int) -> str:
    word = text[at]
    if word.isdigit():
        wrong = re.match(r"[0-9A-Za-z_.]+", text[at:])
        return f"{wrong[0] if wrong else word} is neither a number nor a duration such as 30m or 2d"
    hint = _HINTS.get(word)
    return f"{word!r} has no meaning here" + (f"; {hint}" if hint else "")
