"""Comparisons, the fixed functions and the quantifiers, as closures with their types checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, tzinfo
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from staid.gates.expression.parts import LEFT, ORIGINS, Env, Part, Run, constant, no_value, slotted
from staid.gates.expression.scope import CONTEXT, DAYS, load_role, suggestion, type_at
from staid.gates.expression.scope import ORIGINS as KNOWN_ORIGINS
from staid.gates.expression.syntax import (
    Call,
    Compared,
    Each,
    Fault,
    Literal,
    Name,
    Node,
    Reckoned,
    walk,
)
from staid.gates.expression.types import ANY, LENGTH, NUMBER, TEXT, TIME, YES_NO, Kind, Type, listed
from staid.gates.expression.values import (
    Missing,
    Undecided,
    Value,
    before,
    globbed,
    inside,
    kind_of,
    moment,
    number,
    reckoned,
    same,
)

if TYPE_CHECKING:
    from staid.gates.expression.compile import Compiler

Take: TypeAlias = "Callable[[Env, Any], None]"
"""Puts an item where the body of a quantifier reads it."""

LONGEST_MATCHED = 100_000
"""Characters of a text that `matches` looks at; a longer one cannot be decided."""

_ORDERED = frozenset({Kind.NUMBER, Kind.TEXT, Kind.TIME, Kind.LENGTH})
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


def items_of(value: Value, name: str = "it") -> list[Value]:
    """Return the items of a list; raise `Undecided` for anything else."""
    if value is None:
        message = f"{name or 'the list'} is missing"
        raise Missing(message)
    if not isinstance(value, list):
        message = f"{name or 'it'} is not a list"
        raise Undecided(message)
    return cast("list[Value]", value)


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


# --- comparisons ----------------------------------------------------------------------------


def compared(compiler: Compiler, node: Compared) -> Part:
    """Return a comparison."""
    left, right = compiler.part(node.left), compiler.part(node.right)
    if node.sign == "in":
        return _held(node, left, right)
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
    if right.constant and left.type.kind is right.type.kind is Kind.TEXT:
        return _spelled(left, cast("str", right.value), wanted=wanted)
    return Part(YES_NO, lambda env: same(first(env), second(env)) is wanted)


def _spelled(left: Part, text: str, *, wanted: bool) -> Part:
    """Return the comparison that policies are full of: an argument with a text."""
    run, slot = left.run, left.slot
    if slot is None:
        return Part(YES_NO, lambda env: (run(env) == text) is wanted)

    def fast(env: Env) -> Value:
        value = env[slot]
        if isinstance(value, Undecided):
            raise value
        return (value == text) is wanted

    return Part(YES_NO, fast, equals=(slot, text) if wanted else None)


def _ordered(sign: str, left: Part, right: Part) -> Run:
    if (
        left.slot is not None
        and right.constant
        and left.type.kind is right.type.kind is Kind.NUMBER
    ):
        return _measured(sign, left.slot, cast("Decimal", right.value))
    first, second = left.run, right.run
    if sign in {">", "<="}:
        first, second = second, first
    wanted = sign in {"<", ">"}
    return lambda env: before(first(env), second(env)) is wanted


def _measured(sign: str, slot: int, limit: Decimal) -> Run:
    """Return the comparison that policies are full of: an argument with a number."""

    def refuse(value: Value) -> Undecided:
        return value if isinstance(value, Undecided) else Missing("the number is missing")

    def below(env: Env) -> Value:
        value = env[slot]
        if value.__class__ is not Decimal:
            raise refuse(value)
        return cast("Decimal", value) < limit

    def above(env: Env) -> Value:
        value = env[slot]
        if value.__class__ is not Decimal:
            raise refuse(value)
        return cast("Decimal", value) > limit

    def not_below(env: Env) -> Value:
        return not below(env)

    def not_above(env: Env) -> Value:
        return not above(env)

    return {"<": below, ">": above, "<=": not_above, ">=": not_below}[sign]


def _held(node: Compared, left: Part, right: Part) -> Part:
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
    first, second = left.run, right.run
    if left.type.kind is item.kind is Kind.TEXT and (right.constant or right.slot is not None):
        return Part(YES_NO, _listed(first, second))
    return Part(YES_NO, lambda env: inside(_there(first(env)), second(env)))


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


# --- functions ------------------------------------------------------------------------------


def compiled(compiler: Compiler, node: Call | Each) -> Part:
    """Return a function or a quantifier; raise for one that there is not."""
    if isinstance(node, Each):
        return _each(compiler, node)
    if node.function not in FUNCTIONS:
        known = [*FUNCTIONS, "any", "all", "count", "sum"]
        message = f"there is no function {node.function!r}{suggestion(node.function, known)}"
        raise Fault(node.at, message)
    wanted, build = FUNCTIONS[node.function]
    if len(node.arguments) != wanted:
        many = f"{wanted} value{'' if wanted == 1 else 's'}"
        raise Fault(node.at, f"{node.function} takes {many}, not {len(node.arguments)}")
    return build(compiler, node)


def _text(compiler: Compiler, node: Node) -> Run:
    """Return what gives a text; raise for what can never be one."""
    part = compiler.part(node)
    if part.type.kind not in {Kind.TEXT, Kind.ANY}:
        raise Fault(node.at, f"a text is needed, and this is {part.type.kind.value}")
    if part.constant and isinstance(part.value, str):
        return part.run
    run, slot = part.run, part.slot

    def checked(env: Env) -> Value:
        value = run(env)
        if value.__class__ is not str:
            message = "a text is missing" if value is None else "it is not a text"
            raise Undecided(message)
        return value

    if slot is None:
        return checked

    def read(env: Env) -> Value:
        value = env[slot]
        return value if value.__class__ is str else checked(env)

    return read


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
    run = _text(compiler, node.arguments[0])
    return Part(TEXT, lambda env: cast("str", run(env)).lower())


def _two_texts(holds: Callable[[str, str], bool]) -> Callable[[Compiler, Call], Part]:
    def build(compiler: Compiler, node: Call) -> Part:
        first, second = (_text(compiler, argument) for argument in node.arguments)
        fixed = node.arguments[1]
        if isinstance(fixed, Literal) and isinstance(fixed.value, str):
            word = fixed.value
            return Part(YES_NO, lambda env: holds(cast("str", first(env)), word))
        return Part(YES_NO, lambda env: holds(cast("str", first(env)), cast("str", second(env))))

    return build


def _contains(compiler: Compiler, node: Call) -> Part:
    if compiler.part(node.arguments[0]).type.kind in {Kind.LIST, Kind.RECORD}:
        return compared(compiler, Compared("in", node.arguments[1], node.arguments[0], node.at))
    return _two_texts(lambda text, part: part in text)(compiler, node)


def _matches(compiler: Compiler, node: Call) -> Part:
    run = _text(compiler, node.arguments[0])
    fits = globbed(_fixed(node, 1, "the pattern, with * and ?,"))

    def matched(env: Env) -> Value:
        text = cast("str", run(env))
        if len(text) > LONGEST_MATCHED:
            message = f"a text of more than {LONGEST_MATCHED:,} characters is not matched"
            raise Undecided(message)
        return fits(text)

    return Part(YES_NO, matched)


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
    read = slotted(slot)

    def pairs(env: Env) -> list[tuple[Value, str]]:
        return cast("list[tuple[Value, str]]", read(env))

    return Part(listed(item), lambda env: [v for v, _ in pairs(env)], pairs=pairs)


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
    "starts_with": (2, _two_texts(str.startswith)),
    "ends_with": (2, _two_texts(str.endswith)),
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


# --- quantifiers ----------------------------------------------------------------------------


def _each(compiler: Compiler, node: Each) -> Part:
    of = compiler.part(node.of)
    if of.type.kind not in {Kind.LIST, Kind.ANY}:
        raise Fault(node.of.at, f"{node.quantifier} looks at a list, not at {of.type.kind.value}")
    if node.variable in CONTEXT or node.variable == "args":
        raise Fault(node.at, f"{node.variable!r} has a meaning of its own; name it otherwise")
    slot = compiler.slots.take(no_value)
    where = compiler.slots.take(no_value)

    def path(env: Env) -> str:
        return cast("str", env[where])

    variable = Part(
        of.type.item or ANY, slotted(slot), slot, place=path if of.pairs is not None else None
    )
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
    match node.quantifier:
        case "any" | "all" as word:
            alone = None if traced else slot
            return Part(YES_NO, _deciding(items, put, body.run, alone, deciding=word == "any"))
        case quantifier:
            return Part(NUMBER, _totalling(items, put, body.run, count=quantifier == "count"))


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
        return _paid(env, paired(env))

    def put_both(env: Env, pair: Any) -> None:  # noqa: ANN401 - a value with its path
        env[slot], env[place] = pair

    return traced, put_both


def _paid(env: Env, items: list[Any]) -> list[Any]:
    left = cast("int", env[LEFT]) - len(items)
    if left < 0:
        message = "the lists are too long to be looked at"
        raise Undecided(message)
    env[LEFT] = left
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
