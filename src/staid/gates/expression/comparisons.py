"""Comparisons as closures, with their types checked."""

from __future__ import annotations

import operator
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

from staid.gates.expression.asking import PLAIN, as_words, asking, needing, words_of
from staid.gates.expression.parts import ITEMS, Env, Part, Run, Slots, Way, pay
from staid.gates.expression.scope import suggestion
from staid.gates.expression.syntax import Compared, Fault, Node
from staid.gates.expression.types import ANY, YES_NO, Kind, Type
from staid.gates.expression.values import (
    Missing,
    Undecided,
    Value,
    before,
    inside,
    items_of,
    same,
)

if TYPE_CHECKING:
    from staid.gates.expression.compile import Compiler

_ORDERED = frozenset({Kind.NUMBER, Kind.TEXT, Kind.TIME, Kind.LENGTH})
_SIGNS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def compared(compiler: Compiler, node: Compared) -> Part:
    """Return a comparison; raise `Fault` for one that says nothing."""
    left, right = compiler.part(node.left), compiler.part(node.right)
    if node.sign == "in":
        return held(compiler, node, left, right)
    _comparable(node, left, right)
    _spelt(node.right, left.type, right)
    _spelt(node.left, right.type, left)
    if node.sign in {"==", "!="}:
        return _equal(node.sign, left, right)
    return Part(YES_NO, _ordered(node.sign, left, right))


def _comparable(node: Compared, left: Part, right: Part) -> None:
    kinds = {left.type.kind, right.type.kind}
    if Kind.ANY in kinds:
        return
    equal = node.sign in {"==", "!="}
    if equal and (Kind.NULL in kinds or len(kinds) == 1):
        return
    if not equal and len(kinds) == 1 and kinds <= _ORDERED:
        return
    hint = ""
    if kinds == {Kind.TIME, Kind.TEXT}:
        hint = '; write time("2026-01-31")'
    elif kinds == {Kind.NUMBER, Kind.TEXT}:
        hint = "; a number is written without quotes"
    first, second = left.type.kind.value, right.type.kind.value
    raise Fault(node.at, f"{first} cannot be compared with {second}{hint}")


def _spelt(node: Node, kind: Type, part: Part) -> None:
    """Raise for a text that can never be there."""
    if not kind.words or not part.constant:
        return
    values = cast("list[Value]", part.value) if isinstance(part.value, list) else [part.value]
    for value in values:
        if isinstance(value, str) and value not in kind.words:
            hint = suggestion(value, kind.words)
            raise Fault(node.at, f"this is never {value!r}{hint}")


def _equal(sign: str, left: Part, right: Part) -> Part:
    wanted, first, second = sign == "==", left.run, right.run

    def alike(env: Env) -> Value:
        return same(first(env), second(env)) is wanted

    if right.constant and right.value.__class__ in PLAIN:
        return _plainly(left, right.value, alike, wanted=wanted)
    return Part(YES_NO, alike)


def _plainly(left: Part, fixed: Value, alike: Run, *, wanted: bool) -> Part:
    """Return the comparison that policies are full of: an argument with a text or a number."""
    run, slot, kind = left.run, left.slot, fixed.__class__
    compare = operator.eq if wanted else operator.ne

    def read(env: Env) -> Value:
        value = env[slot] if slot is not None else run(env)
        if value.__class__ is kind:
            return compare(value, fixed)
        if isinstance(value, Undecided):
            raise value.with_traceback(None)
        return alike(env)

    if not isinstance(fixed, str):
        return Part(YES_NO, read)
    asks = asking(left, lambda text: compare(text, fixed))
    needs = needing(left, Way.IS, {fixed}) if wanted else None
    return Part(YES_NO, read, needs=needs, asks=asks)


def _ordered(sign: str, left: Part, right: Part) -> Run:
    first, second = left.run, right.run
    if sign in {">", "<="}:
        first, second = second, first
    wanted = sign in {"<", ">"}

    def in_order(env: Env) -> Value:
        return before(first(env), second(env)) is wanted

    if right.constant and isinstance(right.value, Decimal):
        return _measured(sign, left, right.value, in_order)
    return in_order


def _measured(sign: str, left: Part, limit: Decimal, in_order: Run) -> Run:
    """Return the comparison that policies are full of: an argument with a number."""
    run, slot, compare = left.run, left.slot, _SIGNS[sign]
    sure = left.type.kind is Kind.NUMBER and slot is not None and not left.shared

    def read(env: Env) -> Value:
        value = env[slot] if slot is not None else run(env)
        if value.__class__ is Decimal:
            return compare(value, limit)
        if value is None and sure:
            message = "the number is missing"
            raise Missing(message)
        return in_order(env)

    return read


def held(compiler: Compiler, node: Compared, left: Part, right: Part) -> Part:
    """Return whether a value is in a list, or a field in a record; raise where it never can be."""
    if right.type.kind is Kind.TEXT:
        raise Fault(node.at, "'in' looks into a list; for a text write contains(text, part)")
    if right.type.kind not in {Kind.LIST, Kind.RECORD, Kind.ANY}:
        raise Fault(node.at, f"'in' looks into a list, and this is {right.type.kind.value}")
    item = (right.type.item or ANY) if right.type.kind is Kind.LIST else ANY
    if right.type.kind is Kind.RECORD and left.type.kind not in {Kind.TEXT, Kind.ANY}:
        raise Fault(node.at, "a record is looked into for the name of a field")
    kinds = {item.kind, left.type.kind}
    empty = right.constant and not right.value
    if len(kinds) == 2 and not kinds & {Kind.ANY, Kind.NULL} and not empty:
        message = f"{left.type.kind.value} is never in a list of {item.kind.value}"
        raise Fault(node.at, message)
    _spelt(node.right, left.type, right)
    first, second, slots = left.run, right.run, compiler.slots
    if compiler.open(node):
        second = _looked_through(second)
    if left.type.kind is item.kind is Kind.TEXT and (right.constant or right.slot is not None):
        return _found(slots, left, right, _listed(first, second))
    return _found(slots, left, right, lambda env: inside(_there(first(env)), second(env)))


def _found(slots: Slots, left: Part, right: Part, looked: Run) -> Part:
    """Look a text or a number up in a set, where the list holds nothing else."""
    words = as_words(right.value) if right.constant else None
    if words is not None:
        return _among(left, words, looked)
    if right.slot is None or right.varies:
        return Part(YES_NO, looked)
    first, place = left.run, words_of(slots, right.slot)

    def held(env: Env) -> Value:
        value, known = first(env), env[place]
        if known is not None and value.__class__ in PLAIN:
            return value in cast("frozenset[Value]", known)
        return looked(env)

    return Part(YES_NO, held)


def _among(left: Part, words: frozenset[Value], looked: Run) -> Part:
    run, slot = left.run, left.slot

    def among(env: Env) -> Value:
        value = env[slot] if slot is not None else run(env)
        return value in words if value.__class__ in PLAIN else looked(env)

    asks = asking(left, words.__contains__)
    texts = (word for word in words if isinstance(word, str))
    return Part(YES_NO, among, needs=needing(left, Way.IS, texts), asks=asks)


def _looked_through(items: Run) -> Run:
    """Return what gives a list, paid for where it is a long one: it is looked through again."""

    def run(env: Env) -> Value:
        found: object = items(env)
        if found.__class__ is list:
            pay(env, len(cast("list[Value]", found)) // ITEMS)
        return found

    return run


def _listed(text: Run, texts: Run) -> Run:
    """Return whether a text is in a list of texts, both of which the types vouch for."""

    def run(env: Env) -> Value:
        return _there(text(env)) in items_of(texts(env))

    return run


def _there(value: Value) -> Value:
    if value is None:
        message = "what is looked for is missing"
        raise Missing(message)
    return value
