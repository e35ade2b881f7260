"""The bounded quantifiers, as closures with their types checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from staid.gates.expression.asking import left_over, texts_of
from staid.gates.expression.parts import LEFT, Env, Holds, Part, Run, no_value, pay, slotted
from staid.gates.expression.scope import CONTEXT
from staid.gates.expression.syntax import Call, Each, Fault, walk
from staid.gates.expression.types import ANY, NUMBER, YES_NO, Kind
from staid.gates.expression.values import Undecided, Value, items_of, reckoned

if TYPE_CHECKING:
    from staid.gates.expression.compile import Compiler

Take: TypeAlias = "Callable[[Env, Any], None]"
"""Puts an item where the body of a quantifier reads it."""


def quantified(compiler: Compiler, node: Each) -> Part:
    """Return a quantifier over a list; raise `Fault` for one that says nothing."""
    of = compiler.part(node.of)
    if of.type.kind not in {Kind.LIST, Kind.ANY}:
        raise Fault(node.of.at, f"{node.quantifier} looks at a list, not at {of.type.kind.value}")
    if node.variable in CONTEXT or node.variable == "args":
        raise Fault(node.at, f"{node.variable!r} has a meaning of its own; name it otherwise")
    slot = compiler.slots.take(no_value)
    where = compiler.slots.take(no_value)

    def path(env: Env) -> str:
        return cast("str", env[where])

    place = path if of.pairs is not None else None
    variable = Part(of.type.item or ANY, slotted(slot), slot, varies=True, place=place)
    earlier = compiler.bound(node.variable, variable)
    try:
        body = compiler.part(node.body) if node.quantifier == "sum" else compiler.truth(node.body)
    finally:
        compiler.unbind(earlier)
    if node.quantifier == "sum" and body.type.kind not in {Kind.NUMBER, Kind.ANY}:
        raise Fault(node.body.at, f"sum adds numbers, and this is {body.type.kind.value}")
    asked = any(isinstance(n, Call) and n.function == "origin" for n in walk(node.body))
    traced = asked and of.pairs is not None
    items, put = _items(of, slot, where if traced else None)
    if node.quantifier in {"count", "sum"}:
        count = node.quantifier == "count"
        return Part(NUMBER, _totalling(items, put, body.run, count=count))
    deciding = node.quantifier == "any"
    run = _deciding(items, put, body.run, None if traced else slot, deciding=deciding)
    fixed = of.slot if of.slot is not None and not of.varies else None
    needs, asks = body.needs, body.asks
    if fixed is None or not deciding or needs is None or needs.slot != slot:
        needs = None
    else:
        needs = replace(needs, slot=fixed, listed=True)
    if fixed is not None and asks is not None and asks.slot == slot:
        place = texts_of(compiler.slots, fixed, lowered=asks.lowered)
        open_, holds = place, asks.holds
        if asks.split is not None and asks.split.deciding is not deciding:
            open_ = left_over(compiler.slots, place, asks.split)
            holds = asks.split.rest
        run = _of_texts(place, open_, holds, run, deciding=deciding)
    return Part(YES_NO, run, needs=needs)


def _of_texts(place: int, open_: int, holds: Holds, otherwise: Run, *, deciding: bool) -> Run:
    """Return `any` or `all` for a body that asks something of each text alone.

    `open_`: the slot of those texts in `place` that `holds` has to be asked of.
    `otherwise`: what looks at a list that holds anything but texts.
    """

    def run(env: Env) -> Value:
        texts: Any = env[place]
        if texts is None:
            return otherwise(env)
        left: Any = env[LEFT]
        if left < len(texts):
            pay(env, len(texts))
        env[LEFT] = left - len(texts)
        open_texts: Any = env[open_]
        for text in open_texts:
            if holds(text) is deciding:
                return deciding
        return not deciding

    return run


def _items(of: Part, slot: int, where: int | None) -> tuple[Callable[[Env], list[Any]], Take]:
    """Return what gives the items, paid for in steps, and what puts one where the body reads it.

    `where` takes the path of each, where the body asks for it.
    """
    run, pairs = of.run, of.pairs

    def values(env: Env) -> list[Any]:
        return _paid(env, items_of(run(env)))

    def put(env: Env, value: Any) -> None:  # noqa: ANN401 - any value of the language
        env[slot] = value

    if pairs is None or where is None:
        return values, put
    paired, place = pairs, where

    def traced(env: Env) -> list[Any]:
        return _paid(env, cast("list[Any]", paired(env)))

    def put_both(env: Env, pair: Any) -> None:  # noqa: ANN401 - a value with its path
        env[slot], env[place] = pair

    return traced, put_both


def _paid(env: Env, items: list[Any]) -> list[Any]:
    pay(env, len(items))
    return items


def _deciding(
    items: Callable[[Env], list[Any]], put: Take, body: Run, slot: int | None, *, deciding: bool
) -> Run:
    """Return `any` or `all`: one answer decides, whatever cannot be decided beside it.

    `slot`: where the value alone goes; None where its path is asked for, too.
    """

    def run(env: Env) -> Value:
        doubt: Undecided | None = None
        for item in items(env):
            if slot is None:
                put(env, item)
            else:
                env[slot] = item
            try:
                if body(env) is deciding:
                    return deciding
            except Undecided as raised:
                doubt = doubt or raised
        if doubt is not None:
            raise doubt
        return not deciding

    return run


def _totalling(items: Callable[[Env], list[Any]], put: Take, body: Run, *, count: bool) -> Run:
    """Return `count` or `sum`: every answer is needed."""

    def run(env: Env) -> Value:
        total: Value = Decimal(0)
        for item in items(env):
            put(env, item)
            answer = body(env)
            total = reckoned("+", total, Decimal(answer is True) if count else answer)
        return total

    return run
