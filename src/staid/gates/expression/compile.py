"""From a tree to closures for one tool, its types checked on the way.

A closure returns a value or raises `Undecided`, nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

from staid.gates.expression.asking import any_of, both, opposite, split
from staid.gates.expression.comparisons import compared
from staid.gates.expression.functions import called, kind_reckoned, on_the_wall
from staid.gates.expression.parts import Env, Part, Run, Slots, constant, remembered, slotted
from staid.gates.expression.quantifiers import quantified
from staid.gates.expression.scope import (
    CLOCK,
    CONTEXT,
    Scope,
    load_argument,
    load_context,
    load_record,
    suggestion,
)
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
    Shape,
    path_of,
    shape,
    walk,
)
from staid.gates.expression.types import ANY, YES_NO, Kind, Type, listed
from staid.gates.expression.values import Missing, Undecided, Value, items_of, kind_of, reckoned
from staid.gates.expression.values import field as field_of

SHARED = (Call, Each, Field, Index, Negative, Reckoned)
"""Nodes that are worth a slot where rules have them in common; the rest costs no more than one."""


class Compiler:
    """Compiles the expressions of one tool; raises `Fault` for what means nothing there."""

    def __init__(self, scope: Scope, slots: Slots, common: frozenset[Shape] = frozenset()) -> None:
        """Compile into `slots`, which the rules of a tool share.

        `common`: shapes that occur more than once among the rules, each reckoned once for a call.
        """
        self.scope = scope
        self.slots = slots
        self._common = common
        self._variables: dict[str, Part] = {}
        self._asked: frozenset[tuple[str, ...]] = frozenset()

    def condition(self, node: Node) -> Part:
        """Return a part that says yes or no."""
        self._asked = frozenset(_asked_for(node))
        return self.truth(node)

    def truth(self, node: Node) -> Part:
        """Return a part that says yes or no; raise where it can only be something else."""
        part = self.part(node)
        if part.type.kind is Kind.YES_NO:
            return part
        if part.type.kind is not Kind.ANY:
            raise Fault(node.at, f"this is {part.type.kind.value}, and yes or no is needed")
        run = part.run

        def checked(env: Env) -> Value:
            value = run(env)
            if not isinstance(value, bool):
                message = f"{kind_of(value).value} is neither yes nor no"
                raise Undecided(message)
            return value

        return Part(YES_NO, checked)

    def part(self, node: Node) -> Part:
        """Return any node compiled; what rules have in common has one slot."""
        part = self._part(node)
        if part.slot is not None or part.constant or not isinstance(node, (*SHARED, Compared)):
            return part
        found = shape(node)
        # What no variable is in is the same for every item of the quantifier around it.
        if not (self._variables or found in self._common) or self.open(node):
            return part
        if any(isinstance(one, Each) for one in walk(node)):
            return replace(part, run=remembered(self.slots, found, part.run))
        slot = self.slots.derived(found, part.run)
        return replace(part, run=slotted(slot), slot=slot, shared=True)

    def open(self, node: Node) -> bool:
        """Return whether a variable of a quantifier around it is in a node."""
        names = (one.name for one in walk(node) if isinstance(one, Name))
        return any(name in self._variables for name in names)

    def _part(self, node: Node) -> Part:  # noqa: PLR0911, C901 - one return for each node
        match node:
            case Literal(value=value):
                return constant(value, Type(kind_of(value)))
            case Name():
                return self._name(node)
            case Field() | Index():
                return self._inside(node)
            case Call():
                return called(self, node)
            case Each():
                return quantified(self, node)
            case Items():
                return self._items(node)
            case Not(of=of):
                return _not(self.truth(of))
            case Joined():
                return self._joined(node)
            case Compared():
                return compared(self, node)
            case Negative() | Reckoned():
                return self._reckoned(node)

    # --- names ------------------------------------------------------------------------------

    def _name(self, node: Name) -> Part:
        name = node.name
        if name in self._variables:
            return self._variables[name]
        if name == "args":
            return self._argument((), self.scope.arguments)
        if name in CONTEXT:
            slot = self.slots.of(("context", name), load_context(name, self.scope.zone))
            return Part(CONTEXT[name], slotted(slot), slot)
        return self._known(node, (name,), self.scope.arguments, name)

    def _known(self, node: Node, path: tuple[str, ...], of: Type, name: str) -> Part:
        """Return an argument, or what is inside it; raise for one that the tool has not."""
        inner = of.fields.get(name, of.rest)
        if inner is not None:
            return self._argument(path, inner)
        if path in self._asked:
            return Part(ANY, _missing(".".join(path)))
        known = [*of.fields, *self._variables, *(CONTEXT if len(path) == 1 else ())]
        what = "argument" if len(path) == 1 else "field"
        raise Fault(node.at, f"there is no {what} {name!r}{suggestion(name, known)}")

    def _argument(self, path: tuple[str, ...], kind: Type) -> Part:
        slot = self.slots.of(("args", *path), load_argument(path, kind, self.scope.zone))
        run, where = slotted(slot), ".".join(path)

        def pairs(env: Env) -> Value:
            values = items_of(run(env), where)
            return [(value, f"{where}.{place}") for place, value in enumerate(values)]

        listing = None
        if kind.kind in {Kind.LIST, Kind.ANY}:
            listing = slotted(self.slots.derived(("pairs", *path), pairs))
        return Part(kind, run, slot, root=("args", *path), place=lambda _: where, pairs=listing)

    def record(self, node: Node, name: str) -> Part:
        """Return a record that was looked up for the call."""
        if name not in self.scope.records:
            hint = suggestion(name, self.scope.records)
            raise Fault(node.at, f"the tool looks up no record {name!r}{hint}")
        return self._recorded(name, (), self.scope.records[name])

    def _recorded(self, name: str, path: tuple[str, ...], kind: Type) -> Part:
        load = load_record(name, path, kind, self.scope.zone)
        slot = self.slots.of(("record", name, *path), load)
        return Part(kind, slotted(slot), slot, root=("record", name, *path))

    # --- what is inside ---------------------------------------------------------------------

    def _inside(self, node: Field | Index) -> Part:
        of = self.part(node.of)
        if isinstance(node, Field) and of.type.kind is Kind.TIME:
            return self._clock(node, of)
        key = constant(node.name, Type(Kind.TEXT)) if isinstance(node, Field) else None
        key = key or self.part(node.key if isinstance(node, Index) else node)
        if key.constant and of.root is not None:
            return self._below(node, of, of.root, key)
        return self._looked_into(node, of, key)

    def _below(self, node: Node, of: Part, root: tuple[str, ...], key: Part) -> Part:
        kind, name = self._inner(node, of, key), _key(node, key)
        if root[0] == "record":
            return self._recorded(root[1], (*root[2:], name), kind or ANY)
        path = (*root[1:], name)
        if kind is None:
            return self._known(node, path, of.type, name)
        return self._argument(path, kind)

    def _inner(self, node: Node, of: Part, key: Part) -> Type | None:
        """Return the type of what is inside; None for a field that a record has not."""
        match of.type.kind:
            case Kind.ANY:
                return ANY
            case Kind.LIST if key.type.kind in {Kind.NUMBER, Kind.ANY}:
                return of.type.item or ANY
            case Kind.RECORD if key.type.kind in {Kind.TEXT, Kind.ANY}:
                if not key.constant:
                    return of.type.rest or ANY
                return of.type.fields.get(str(key.value), of.type.rest)
            case kind:
                raise Fault(node.at, f"{kind.value} has no field or item {_shown(key)}")

    def _looked_into(self, node: Node, of: Part, key: Part) -> Part:
        inner = self._inner(node, of, key)
        if inner is None:
            hint = suggestion(str(key.value), of.type.fields)
            raise Fault(node.at, f"there is no field {_shown(key)}{hint}")
        run, at, zone, place = of.run, key.run, self.scope.zone, of.place

        def look(env: Env) -> Value:
            wanted = at(env)
            return field_of(run(env), wanted, inner, str(wanted), zone)

        def where(env: Env) -> str:
            return f"{place(env)}.{at(env)}" if place is not None else ""

        return Part(inner, look, place=where if place is not None else None)

    def _clock(self, node: Field, of: Part) -> Part:
        if node.name not in CLOCK:
            hint = suggestion(node.name, CLOCK)
            raise Fault(node.at, f"a time has no field {node.name!r}{hint}")
        run, zone, name = of.run, self.scope.zone, node.name
        return Part(CLOCK[name], lambda env: on_the_wall(run(env), name, zone))

    # --- values -----------------------------------------------------------------------------

    def _items(self, node: Items) -> Part:
        parts = [self.part(item) for item in node.items]
        kinds = {part.type.kind for part in parts}
        item = parts[0].type if len(kinds) == 1 else ANY
        if all(part.constant for part in parts):
            return constant([part.value for part in parts], listed(replace(item, words=())))
        runs = [part.run for part in parts]
        return Part(listed(item), lambda env: [run(env) for run in runs])

    def _reckoned(self, node: Negative | Reckoned) -> Part:
        if isinstance(node, Negative):
            minus = Literal(Decimal(-1), node.at)
            return self._reckoned(Reckoned("*", minus, node.of, node.at))
        left, right, sign = self.part(node.left), self.part(node.right), node.sign
        kind = kind_reckoned(node, left.type, right.type)
        if left.constant and right.constant:
            return constant(_folded(node, sign, left.value, right.value), kind)
        first, second = left.run, right.run
        return Part(kind, lambda env: reckoned(sign, first(env), second(env)))

    def _joined(self, node: Joined) -> Part:
        parts = [self.truth(part) for part in node.parts]
        joined, shapes = _joined(node.word, parts), map(shape, node.parts)
        common = [found if found in self._common else None for found in shapes]
        asked = [part.asks for part in parts]
        asks = split(joined.asks, asked, common, deciding=node.word == "or")
        return replace(joined, asks=asks)

    def bound(self, name: str, part: Part) -> Mapping[str, Part]:
        """Bind a variable; return what was bound before, for `unbind`."""
        before = self._variables
        self._variables = {**before, name: part}
        return before

    def unbind(self, before: Mapping[str, Part]) -> None:
        """Forget the variable bound last."""
        self._variables = dict(before)


def _asked_for(node: Node) -> set[tuple[str, ...]]:
    """Return the paths that `has` is asked about, with every beginning of them."""
    found: set[tuple[str, ...]] = set()
    for one in walk(node):
        if isinstance(one, Call) and one.function == "has" and len(one.arguments) == 1:
            path = path_of(one.arguments[0]) or ()
            path = path[1:] if path[:1] == ("args",) else path
            found |= {path[:length] for length in range(1, len(path) + 1)}
    return found


def _missing(name: str) -> Run:
    def run(_: Env) -> Value:
        message = f"{name} is missing"
        raise Missing(message)

    return run


def _key(node: Node, key: Part) -> str:
    if isinstance(key.value, Decimal) and key.value != key.value.to_integral_value():
        raise Fault(node.at, "an item of a list has a whole number")
    return str(key.value)


def _shown(key: Part) -> str:
    return repr(str(key.value)) if key.constant else "of this kind"


def _folded(node: Node, sign: str, left: Value, right: Value) -> Value:
    try:
        return reckoned(sign, left, right)
    except Undecided as doubt:
        raise Fault(node.at, str(doubt)) from doubt


def _not(part: Part) -> Part:
    run = part.run
    return Part(YES_NO, lambda env: not run(env), asks=opposite(part.asks))


def _joined(word: str, parts: list[Part]) -> Part:
    """Join by Kleene's rules: one no decides an `and`, one yes an `or`, whatever the rest is."""
    runs, deciding = tuple(part.run for part in parts), word == "or"

    def run(env: Env) -> Value:
        doubt: Undecided | None = None
        for one in runs:
            try:
                if one(env) is deciding:
                    return deciding
            except Undecided as raised:
                doubt = doubt or raised
        if doubt is not None:
            raise doubt
        return not deciding

    if deciding:
        needs = any_of([part.needs for part in parts])
    else:
        known = (part.needs for part in parts if part.needs is not None)
        # Of a text rather than of a list: that holds whatever steps are left.
        needs = min(known, key=lambda one: one.listed, default=None)
    asks = both([part.asks for part in parts], deciding=deciding)
    return Part(YES_NO, run, needs=needs, asks=asks)
