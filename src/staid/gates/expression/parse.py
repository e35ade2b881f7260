"""From tokens to a tree, by precedence; anything that is no expression is a fault with its place.

Loosest first: `or`, `and`, `not`, comparisons and `in`, `+ -`, `*`, a sign, then `.` and `[]`.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from staid.gates.budget import duration
from staid.gates.expression.syntax import (
    Call,
    Compared,
    Each,
    Fault,
    Field,
    Index,
    Items,
    Joined,
    Literal,
    Name,
    Negative,
    Node,
    Not,
    Reckoned,
    children,
)
from staid.gates.expression.tokens import Kind, Token, tokens

DEEPEST = 40
"""Levels of one expression."""
MOST = 2000
"""Nodes of one expression."""

QUANTIFIERS = frozenset({"any", "all", "count", "sum"})
WORDS = frozenset({"and", "or", "not", "in", "true", "false", "null"})
"""Names that are no names."""

_COMPARISONS = frozenset({"==", "!=", "<", "<=", ">", ">=", "in"})
_POWERS = {
    "or": 1,
    "and": 2,
    **dict.fromkeys(_COMPARISONS, 4),
    "not": 4,
    "+": 5,
    "-": 5,
    "*": 6,
    ".": 8,
    "[": 8,
}
_NOT, _SIGN = 3, 7
_CONSTANTS: dict[str, bool | None] = {"true": True, "false": False, "null": None}


def parse(text: str) -> Node:
    """Return the tree of an expression, or raise `Fault`; bounded in depth and size."""
    return _Parser(tokens(text)).whole()


class _Parser:
    """Reads tokens from the first to the last."""

    def __init__(self, words: list[Token]) -> None:
        self._words = words
        self._place = 0
        self._depths: dict[int, int] = {}
        self._kept: list[Node] = []

    def whole(self) -> Node:
        node = self._expression(0, 0)
        if self._next.kind is not Kind.END:
            raise Fault(self._next.at, f"{self._next.text!r} does not belong here")
        return node

    # --- words ------------------------------------------------------------------------------

    @property
    def _next(self) -> Token:
        return self._words[self._place]

    def _take(self) -> Token:
        word = self._next
        if word.kind is not Kind.END:
            self._place += 1
        return word

    def _sign(self, sign: str) -> bool:
        """Take the sign if it is the next word."""
        if self._next.kind is Kind.SIGN and self._next.text == sign:
            self._place += 1
            return True
        return False

    def _expect(self, sign: str) -> None:
        if not self._sign(sign):
            raise Fault(self._next.at, f"{sign!r} is missing before {self._next.text!r}")

    def _name(self, what: str) -> Token:
        word = self._take()
        if word.kind is not Kind.NAME or word.text in WORDS:
            raise Fault(word.at, f"{word.text!r} is no name of {what}")
        return word

    def _made(self, node: Node) -> Node:
        """Keep the depth of a new node; raise where the tree gets too deep or too big."""
        self._kept.append(node)
        deep = 1 + max((self._depths[id(child)] for child in children(node)), default=0)
        if deep > DEEPEST or len(self._kept) > MOST:
            raise Fault(node.at, "the expression is too deep or too long; make it two rules")
        self._depths[id(node)] = deep
        return node

    # --- expressions ------------------------------------------------------------------------

    def _expression(self, power: int, level: int) -> Node:
        if level > DEEPEST:
            raise Fault(self._next.at, "the expression is too deep; make it two rules")
        left = self._first(level)
        while (sign := self._infix()) and _POWERS[sign] > power:
            word = self._take()
            left = self._made(self._joined(left, sign, word, level))
        return left

    def _infix(self) -> str | None:
        word = self._next
        known = word.kind is Kind.SIGN or (word.kind is Kind.NAME and word.text in WORDS)
        return word.text if known and word.text in _POWERS else None

    def _joined(self, left: Node, sign: str, word: Token, level: int) -> Node:
        if sign == ".":
            return Field(left, self._name("a field").text, word.at)
        if sign == "[":
            key = self._expression(0, level + 1)
            self._expect("]")
            return Index(left, key, word.at)
        if sign in {"and", "or"}:
            return self._many(left, sign, word, level)
        if sign == "not":
            return self._not_in(left, word, level)
        right = self._expression(_POWERS[sign], level + 1)
        if sign in _COMPARISONS:
            self._no_chain()
            return Compared(sign, left, right, word.at)
        return Reckoned(sign, left, right, word.at)

    def _many(self, left: Node, sign: str, word: Token, level: int) -> Node:
        parts = [left, self._expression(_POWERS[sign], level + 1)]
        while self._next.kind is Kind.NAME and self._next.text == sign:
            self._take()
            parts.append(self._expression(_POWERS[sign], level + 1))
        return Joined(sign, tuple(parts), word.at)

    def _not_in(self, left: Node, word: Token, level: int) -> Node:
        if self._next.text != "in":
            raise Fault(word.at, "'not' stands before what it turns round, or in 'not in'")
        self._take()
        right = self._expression(_POWERS["in"], level + 1)
        self._no_chain()
        return Not(self._made(Compared("in", left, right, word.at)), word.at)

    def _no_chain(self) -> None:
        if self._infix() in _COMPARISONS:
            raise Fault(self._next.at, "comparisons are not chained; join two with 'and'")

    def _first(self, level: int) -> Node:
        word = self._take()
        match word.kind:
            case Kind.TEXT:
                return self._made(Literal(word.text, word.at))
            case Kind.NUMBER:
                return self._made(Literal(Decimal(word.text), word.at))
            case Kind.LENGTH:
                return self._made(Literal(_length(word), word.at))
            case Kind.NAME:
                return self._named(word, level)
            case Kind.SIGN:
                return self._signed(word, level)
            case Kind.END:
                raise Fault(word.at, "the expression is not finished")

    def _signed(self, word: Token, level: int) -> Node:
        if word.text == "(":
            node = self._expression(0, level + 1)
            self._expect(")")
            return node
        if word.text == "[":
            return self._made(Items(self._list("]", level), word.at))
        if word.text == "-":
            return self._made(Negative(self._expression(_SIGN, level + 1), word.at))
        raise Fault(word.at, f"{word.text!r} does not belong here")

    def _list(self, end: str, level: int) -> tuple[Node, ...]:
        found: list[Node] = []
        while not self._sign(end):
            if found:
                self._expect(",")
                if self._sign(end):
                    break
            found.append(self._expression(0, level + 1))
        return tuple(found)

    def _named(self, word: Token, level: int) -> Node:
        if word.text in _CONSTANTS:
            return self._made(Literal(_CONSTANTS[word.text], word.at))
        if word.text == "not":
            return self._made(Not(self._expression(_NOT, level + 1), word.at))
        if word.text in WORDS:
            raise Fault(word.at, f"{word.text!r} does not belong here")
        if not self._sign("("):
            return self._made(Name(word.text, word.at))
        if word.text in QUANTIFIERS:
            return self._made(self._each(word, level))
        return self._made(Call(word.text, self._list(")", level), word.at))

    def _each(self, word: Token, level: int) -> Node:
        of = self._expression(0, level + 1)
        self._expect(",")
        variable = self._name("a variable").text
        self._expect("=>")
        body = self._expression(0, level + 1)
        self._expect(")")
        return Each(word.text, of, variable, body, word.at)


def _length(word: Token) -> timedelta:
    try:
        return duration(word.text)
    except ValueError as error:
        raise Fault(word.at, str(error)) from error
