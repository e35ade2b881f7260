"""The tree of an expression; every node knows the place it was written at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import TypeAlias


class Fault(Exception):
    """An expression that means nothing: the place of it, and what is wrong in plain words."""

    def __init__(self, at: int, message: str) -> None:
        """Take the place in the text, from 0."""
        super().__init__(message)
        self.at = at
        self.message = message


@dataclass(frozen=True, slots=True)
class Literal:
    """A value that is written down."""

    value: str | Decimal | timedelta | bool | None
    at: int


@dataclass(frozen=True, slots=True)
class Items:
    """A list that is written down."""

    items: tuple[Node, ...]
    at: int


@dataclass(frozen=True, slots=True)
class Name:
    """An argument, a word of the context, or the variable of a quantifier."""

    name: str
    at: int


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a record: `a.b`."""

    of: Node
    name: str
    at: int


@dataclass(frozen=True, slots=True)
class Index:
    """An item of a list or a field of a record: `a[0]`, `a["b"]`, `a[b]`."""

    of: Node
    key: Node
    at: int


@dataclass(frozen=True, slots=True)
class Call:
    """One of the fixed functions."""

    function: str
    arguments: tuple[Node, ...]
    at: int


@dataclass(frozen=True, slots=True)
class Each:
    """A bounded quantifier: `any(list, x => …)`, `all`, `count`, `sum`."""

    quantifier: str
    of: Node
    variable: str
    body: Node
    at: int


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite."""

    of: Node
    at: int


@dataclass(frozen=True, slots=True)
class Negative:
    """A number or a duration below zero."""

    of: Node
    at: int


@dataclass(frozen=True, slots=True)
class Joined:
    """Two or more joined by `and`, or by `or`."""

    word: str
    parts: tuple[Node, ...]
    at: int


@dataclass(frozen=True, slots=True)
class Compared:
    """Two values compared: `==`, `!=`, `<`, `<=`, `>`, `>=`, `in`."""

    sign: str
    left: Node
    right: Node
    at: int


@dataclass(frozen=True, slots=True)
class Reckoned:
    """Two values reckoned with: `+`, `-`, `*`."""

    sign: str
    left: Node
    right: Node
    at: int


Node: TypeAlias = (
    Literal
    | Items
    | Name
    | Field
    | Index
    | Call
    | Each
    | Not
    | Negative
    | Joined
    | Compared
    | Reckoned
)
"""Any node of the tree."""


def children(node: Node) -> tuple[Node, ...]:
    """Return what a node is made of, in order."""
    match node:
        case Literal() | Name():
            return ()
        case Items(items=parts) | Joined(parts=parts) | Call(arguments=parts):
            return parts
        case Field(of=of) | Not(of=of) | Negative(of=of):
            return (of,)
        case Index(of=of, key=key):
            return (of, key)
        case Each(of=of, body=body):
            return (of, body)
        case Compared(left=left, right=right) | Reckoned(left=left, right=right):
            return (left, right)


def walk(node: Node) -> Iterator[Node]:
    """Yield a node and everything below it."""
    waiting = [node]
    while waiting:
        yield (one := waiting.pop())
        waiting += children(one)


def path_of(node: Node) -> tuple[str, ...] | None:
    """Return the names of `a.b[0]` as they are written, or None where it is no plain path."""
    match node:
        case Name(name=name):
            return (name,)
        case Field(of=of, name=name):
            before = path_of(of)
            return None if before is None else (*before, name)
        case Index(of=of, key=Literal(value=Decimal() | str() as key)):
            before = path_of(of)
            return None if before is None else (*before, str(key))
        case _:
            return None


Shape: TypeAlias = tuple[object, ...]
"""What a node says, wherever it is written."""


def shape(node: Node) -> Shape:
    """Return what a node says: equal for two nodes that differ in nothing but their places."""
    own: object = ()
    match node:
        case Literal(value=value):
            # By type and spelling: yes equals 1, and "1.0" names another item than "1".
            own = (type(value), str(value))
        case Name(name=word) | Field(name=word) | Call(function=word):
            own = word
        case Joined(word=word) | Compared(sign=word) | Reckoned(sign=word):
            own = word
        case Each(quantifier=word, variable=variable):
            own = (word, variable)
        case _:
            pass
    return (type(node), own, *map(shape, children(node)))
