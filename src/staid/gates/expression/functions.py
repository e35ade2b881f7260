"""The fixed functions and sums, as closures with their types checked."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, tzinfo
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

from staid.gates.expression.asking import LONGEST_MATCHED, asking, needing
from staid.gates.expression.comparisons import held
from staid.gates.expression.parts import (
    CHARACTERS,
    ORIGINS,
    Env,
    Holds,
    Needs,
    Part,
    Run,
    Way,
    constant,
    pay,
    slotted,
)
from staid.gates.expression.scope import DAYS, load_role, suggestion, type_at
from staid.gates.expression.scope import ORIGINS as KNOWN_ORIGINS
from staid.gates.expression.syntax import Call, Compared, Fault, Literal, Name, Node, Reckoned
from staid.gates.expression.types import ANY, LENGTH, NUMBER, TEXT, TIME, YES_NO, Kind, Type, listed
from staid.gates.expression.values import (
    Missing,
    Undecided,
    Value,
    globbed,
    kind_of,
    moment,
    number,
)

if TYPE_CHECKING:
    from staid.gates.expression.compile import Compiler

_SUMS = {
    ("+", Kind.NUMBER, Kind.NUMBER): NUMBER,
    ("-", Kind.NUMBER, Kind.NUMBER): NUMBER,
    ("*", Kind.NUMBER, Kind.NUMBER): NUMBER,
    ("+", Kind.TIME, Kind.LENGTH): TIME,
    ("-", Kind.TIME, Kind.LENGTH): TIME,
    ("-", Kind.TIME, Kind.TIME): LENGTH,
    ("+", Kind.LENGTH, Kind.LENGTH): LENGTH,
    ("-", Kind.LENGTH, Kind.LENGTH): LENGTH,
}


def on_the_wall(value: Value, name: str, zone: tzinfo) -> Value:
    """Return a field of a time as a clock of the zone shows it."""
    if not isinstance(value, datetime):
        message = "the time is missing"
        raise Missing(message)
    local = value.astimezone(zone)
    return DAYS[local.weekday()] if name == "weekday" else Decimal(getattr(local, name))


def kind_reckoned(node: Reckoned, left: Type, right: Type) -> Type:
    """Return the type of a sum, difference or product; raise where it says nothing."""
    if Kind.ANY in {left.kind, right.kind}:
        return ANY
    found = _SUMS.get((node.sign, left.kind, right.kind))
    if found is None:
        message = f"{left.kind.value} {node.sign} {right.kind.value} says nothing"
        raise Fault(node.at, message)
    return found


def called(compiler: Compiler, node: Call) -> Part:
    """Return what a function gives; raise `Fault` for one that there is not."""
    if node.function not in FUNCTIONS:
        known = [*FUNCTIONS, "any", "all", "count", "sum"]
        message = f"there is no function {node.function!r}{suggestion(node.function, known)}"
        raise Fault(node.at, message)
    wanted, build = FUNCTIONS[node.function]
    if len(node.arguments) != wanted:
        many = f"{wanted} value{'' if wanted == 1 else 's'}"
        raise Fault(node.at, f"{node.function} takes {many}, not {len(node.arguments)}")
    return build(compiler, node)


def _text(node: Node, part: Part) -> Run:
    """Return what gives a text; raise for what can never be one."""
    if part.type.kind not in {Kind.TEXT, Kind.ANY}:
        raise Fault(node.at, f"a text is needed, and this is {part.type.kind.value}")
    if part.constant and isinstance(part.value, str):
        return part.run
    run = part.run

    def checked(env: Env) -> Value:
        value = run(env)
        if value.__class__ is not str:
            message = "a text is missing" if value is None else "it is not a text"
            raise Undecided(message)
        return value

    return checked


def _question(node: Node, part: Part, holds: Holds) -> Part:
    """Return a question about a text; raise for what can never be one."""
    checked, slot = _text(node, part), part.slot

    def asked(env: Env) -> Value:
        return holds(cast("str", checked(env)))

    if slot is None:
        return Part(YES_NO, asked, asks=asking(part, holds))
    place = slot

    def read(env: Env) -> Value:
        value: Any = env[place]
        return holds(value) if value.__class__ is str else asked(env)

    return Part(YES_NO, read, asks=asking(part, holds))


def _fixed(node: Call, place: int, what: str) -> str:
    argument = node.arguments[place]
    if isinstance(argument, Name) and node.function == "role":
        return argument.name
    if not isinstance(argument, Literal) or not isinstance(argument.value, str):
        raise Fault(argument.at, f"{what} is written down here, in quotes")
    return argument.value


def _len(compiler: Compiler, node: Call) -> Part:
    part = compiler.part(node.arguments[0])
    if part.type.kind not in {Kind.TEXT, Kind.LIST, Kind.RECORD, Kind.ANY}:
        raise Fault(node.at, f"{part.type.kind.value} has no length")
    run = part.run

    def length(env: Env) -> Value:
        value = run(env)
        if isinstance(value, str | list | Mapping):
            return Decimal(len(cast("str", value)))
        message = f"{kind_of(value).value} has no length"
        raise Undecided(message)

    return Part(NUMBER, length)


def _lower(compiler: Compiler, node: Call) -> Part:
    part = compiler.part(node.arguments[0])
    run = _text(node.arguments[0], part)
    return Part(TEXT, lambda env: cast("str", run(env)).lower(), lowers=part.slot)


_ABOUT: Mapping[str, tuple[Callable[[str, str], bool], Callable[[str], Holds], Way | None]] = {
    "starts_with": (str.startswith, lambda word: lambda text: text.startswith(word), Way.STARTS),
    "ends_with": (str.endswith, lambda word: lambda text: text.endswith(word), Way.ENDS),
    "contains": (operator.contains, lambda word: lambda text: word in text, None),
}
"""Of two texts: whether it holds, the same of one text where the other is written down."""


def _two_texts(compiler: Compiler, node: Call) -> Part:
    text, of = (compiler.part(one) for one in node.arguments)
    return _about_two(compiler, node, text, of)


def _about_two(compiler: Compiler, node: Call, text: Part, of: Part) -> Part:
    first, second = node.arguments
    holds, about, way = _ABOUT[node.function]
    if of.constant and isinstance(of.value, str):
        needs = needing(text, way, {of.value}) if way is not None else None
        return replace(_question(first, text, about(of.value)), needs=needs)
    one, other = _text(first, text), _text(second, of)
    if node.function == "contains" and compiler.open(node):
        one = _looked_through(one)
    return Part(YES_NO, lambda env: holds(cast("str", one(env)), cast("str", other(env))))


def _looked_through(text: Run) -> Run:
    """Return what gives a text, paid for where it is a long one: it is looked through again."""

    def run(env: Env) -> Value:
        found = cast("str", text(env))
        pay(env, len(found) // CHARACTERS)
        return found

    return run


def _contains(compiler: Compiler, node: Call) -> Part:
    # Each argument is compiled once: twice at every level is 2^n times at the innermost.
    first, second = (compiler.part(one) for one in node.arguments)
    if first.type.kind not in {Kind.LIST, Kind.RECORD}:
        return _about_two(compiler, node, first, second)
    looked = Compared("in", node.arguments[1], node.arguments[0], node.at)
    return held(compiler, looked, second, first)


def _matches(compiler: Compiler, node: Call) -> Part:
    pattern = _fixed(node, 1, "the pattern, with * and ?,")
    fits = globbed(pattern)

    def holds(text: str) -> bool:
        if len(text) > LONGEST_MATCHED:
            message = f"a text of more than {LONGEST_MATCHED:,} characters is not matched"
            raise Undecided(message)
        return fits(text)

    part = compiler.part(node.arguments[0])
    return replace(_question(node.arguments[0], part, holds), needs=_fitting(part, pattern))


def _fitting(part: Part, pattern: str) -> Needs | None:
    """Return what a text needs to fit a pattern, as far as it has one fixed end."""
    first, star, last = pattern.partition("*")
    if "?" in pattern:
        return None
    if not star:
        return needing(part, Way.IS, {first})
    return needing(part, Way.STARTS, {first}) or needing(part, Way.ENDS, {last.rpartition("*")[2]})


def _has(compiler: Compiler, node: Call) -> Part:
    run = compiler.part(node.arguments[0]).run

    def there(env: Env) -> Value:
        try:
            return run(env) is not None
        except Missing:
            return False

    return Part(YES_NO, there)


def _origin(compiler: Compiler, node: Call) -> Part:
    part = compiler.part(node.arguments[0])
    kind = Type(Kind.TEXT, words=KNOWN_ORIGINS)
    if part.root is not None and part.root[0] == "args":
        path = ".".join(part.root[1:])
        slot = compiler.slots.of(("origin", path), lambda facts: _traced(facts.origins, path))
        return Part(kind, slotted(slot), slot)
    place = part.place
    if place is None:
        raise Fault(node.at, "origin takes an argument, or what is inside one")
    where = place
    return Part(kind, lambda env: _traced(cast("Mapping[str, str]", env[ORIGINS]), where(env)))


def _traced(origins: Mapping[str, str], path: str) -> str:
    """Return where a value comes from; a word that nobody knows is as good as none."""
    found = origins.get(path, "unknown")
    return found if found in KNOWN_ORIGINS else "unknown"


def _record(compiler: Compiler, node: Call) -> Part:
    return compiler.record(node, _fixed(node, 0, "the name of a record"))


def _role(compiler: Compiler, node: Call) -> Part:
    name = _fixed(node, 0, "the name of a role")
    scope = compiler.scope
    if name not in scope.roles:
        raise Fault(node.at, f"there is no role {name!r}{suggestion(name, scope.roles)}")
    paths = scope.roles[name]
    kinds = [_innermost(type_at(scope.arguments, path) or ANY) for path in paths]
    item = kinds[0] if kinds and all(kind == kinds[0] for kind in kinds) else ANY
    slot = compiler.slots.of(("role", name), load_role(paths, item, scope.zone))
    pairs = slotted(slot)

    def values(env: Env) -> Value:
        return [value for value, _ in cast("list[tuple[Value, str]]", pairs(env))]

    return Part(listed(item), values, pairs=pairs)


def _innermost(kind: Type) -> Type:
    while kind.kind is Kind.LIST:
        kind = kind.item or ANY
    return kind


def _number(compiler: Compiler, node: Call) -> Part:
    run = compiler.part(node.arguments[0]).run
    return Part(NUMBER, lambda env: number(run(env)))


def _time(compiler: Compiler, node: Call) -> Part:
    part, zone = compiler.part(node.arguments[0]), compiler.scope.zone
    if part.constant:
        try:
            return constant(moment(part.value, "this", zone), TIME)
        except Undecided as doubt:
            raise Fault(node.at, f"{doubt}; write 2026-01-31 or 2026-01-31T09:00Z") from doubt
    run = part.run
    return Part(TIME, lambda env: moment(run(env), "it", zone))


FUNCTIONS: Mapping[str, tuple[int, Callable[[Compiler, Call], Part]]] = {
    "len": (1, _len),
    "lower": (1, _lower),
    "starts_with": (2, _two_texts),
    "ends_with": (2, _two_texts),
    "contains": (2, _contains),
    "matches": (2, _matches),
    "has": (1, _has),
    "origin": (1, _origin),
    "record": (1, _record),
    "role": (1, _role),
    "number": (1, _number),
    "time": (1, _time),
}
"""Every function with the number of values it takes."""
