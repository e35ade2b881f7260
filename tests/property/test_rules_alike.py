"""What makes rules fast changes nothing: compiled together they say what a plain walk says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal, cast

from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from staid.domain.call import Severity
from staid.gates.expression.asking import LONGEST_MATCHED, PLAIN, as_words
from staid.gates.expression.functions import on_the_wall
from staid.gates.expression.parse import parse
from staid.gates.expression.parts import CHARACTERS, ITEMS, STEPS
from staid.gates.expression.scope import (
    CONTEXT,
    ORIGINS,
    Facts,
    Scope,
    load_argument,
    load_context,
    load_record,
    load_role,
    type_at,
)
from staid.gates.expression.syntax import (
    Call,
    Compared,
    Each,
    Field,
    Index,
    Items,
    Joined,
    Name,
    Negative,
    Node,
    Not,
    Reckoned,
    walk,
)
from staid.gates.expression.syntax import Literal as Written
from staid.gates.expression.types import ANY, Kind, Type
from staid.gates.expression.values import (
    Missing,
    Undecided,
    before,
    field,
    globbed,
    inside,
    items_of,
    kind_of,
    moment,
    number,
    reckoned,
    same,
)
from staid.gates.policy import Prepared, Snapshot, facts_of, prepare
from staid.gates.rule import Block, Condition, Role, Rule
from staid.gates.rules import Policy
from staid.gates.tool import define

TOOL = "mail.send"


class Attachment(BaseModel):
    """What goes with a mail."""

    name: str
    size: int = 0


class Mail(BaseModel):
    """Arguments of the tool."""

    to: list[str] = []
    subject: str | None = None
    amount: Decimal = Decimal(0)
    kind: Literal["plain", "html"] = "plain"
    files: list[Attachment] = []
    extra: Any = None


def send(_: Mail) -> None:
    """Do nothing."""


def customer(_: Mail) -> None:
    """Stand for a look-up."""


MAIL = define(send, TOOL, lookups={"customer": customer})
ROLES = {"recipient": Role("recipient", (("*", ("to",)), ("mail.*", ("extra",))))}

# --- the language once more, as a plain walk: nothing is compiled, kept or shared ----------------


@dataclass(frozen=True)
class Found:
    """A value, what is known of its type, and where it stands."""

    value: Any
    type: Type = ANY
    root: tuple[str, ...] | None = None
    """Of an argument, a record, or what is inside them."""
    place: str | None = None
    """Of an argument and of the items of its lists: the dotted path."""


class Walk:
    """One rule on one call."""

    def __init__(self, scope: Scope, facts: Facts) -> None:
        """Take what names mean, and the call."""
        self._scope = scope
        self._facts = facts
        self._left = STEPS
        self._variables: dict[str, Found] = {}

    def says(self, node: Node) -> bool | None:
        """Return whether the rule holds; None where that cannot be decided."""
        try:
            return self._yes(node)
        except Undecided:
            return None

    def _yes(self, node: Node) -> bool:
        value = self._value(node)
        if not isinstance(value, bool):
            raise Undecided("neither yes nor no")
        return value

    def _value(self, node: Node) -> Any:
        return self._found(node).value

    def _found(self, node: Node) -> Found:  # noqa: PLR0911, C901 - one return for each node
        match node:
            case Written(value=value):
                return Found(value, Type(kind_of(value)))
            case Items(items=items):
                return Found([self._value(one) for one in items], Type(Kind.LIST))
            case Name(name=name):
                return self._named(name)
            case Field(of=of, name=name):
                return self._inside(of, name)
            case Index(of=of, key=key):
                return self._inside(of, self._value(key), written=isinstance(key, Written))
            case Not(of=of):
                return Found(not self._yes(of))
            case Negative(of=of):
                return Found(reckoned("*", Decimal(-1), self._value(of)))
            case Joined(word=word, parts=parts):
                return Found(_kleene((lambda p=p: self._yes(p) for p in parts), word == "or"))
            case Compared():
                return Found(self._compared(node))
            case Reckoned(sign=sign, left=left, right=right):
                return Found(reckoned(sign, self._value(left), self._value(right)))
            case Call():
                return self._called(node)
            case Each():
                return Found(self._each(node))

    def _named(self, name: str) -> Found:
        if name in self._variables:
            return self._variables[name]
        if name == "args":
            return self._argument(())
        if name in CONTEXT:
            return Found(load_context(name, self._scope.zone)(self._facts), CONTEXT[name])
        return self._argument((name,))

    def _argument(self, path: tuple[str, ...]) -> Found:
        kind = type_at(self._scope.arguments, path)
        if kind is None:
            raise Missing("only has() asks for it")
        value = load_argument(path, kind, self._scope.zone)(self._facts)
        return Found(value, kind, ("args", *path), ".".join(path))

    def _recorded(self, name: str, path: tuple[str, ...]) -> Found:
        kind = type_at(self._scope.records[name], path) or ANY
        value = load_record(name, path, kind, self._scope.zone)(self._facts)
        return Found(value, kind, ("record", name, *path))

    def _inside(self, of: Node, key: Any, *, written: bool = True) -> Found:
        root = self._root(of) if written else None
        if root is not None:
            rest = (*root[1:], str(key))
            return (
                self._recorded(rest[0], rest[1:]) if root[0] == "record" else self._argument(rest)
            )
        held = self._found(of)
        if isinstance(held.value, datetime):
            return Found(on_the_wall(held.value, str(key), self._scope.zone))
        kind = type_at(held.type, (str(key),)) or ANY
        place = f"{held.place}.{key}" if held.place is not None else None
        return Found(field(held.value, key, kind, str(key), self._scope.zone), kind, None, place)

    def _root(self, node: Node) -> tuple[str, ...] | None:
        """Return where a plain path is read from: what is above it need not be readable."""
        match node:
            case Name(name=name) if name not in self._variables and name not in CONTEXT:
                return ("args",) if name == "args" else ("args", name)
            case Call(function="record", arguments=(Written(value=name),)):
                return ("record", str(name))
            case Field(of=of, name=name) | Index(of=of, key=Written(value=name)):
                root = self._root(of)
                return None if root is None else (*root, str(name))
            case _:
                return None

    def _compared(self, node: Compared) -> bool:  # noqa: PLR0911 - one return for each sign
        left, right = self._value(node.left), self._value(node.right)
        match node.sign:
            case "==":
                return same(left, right)
            case "!=":
                return not same(left, right)
            case "in":
                if left is None:
                    raise Missing("what is looked for")
                held = cast("list[object] | None", right if isinstance(right, list) else None)
                if held is not None and self._looked_through(node, left, held):
                    self._pay(len(held) // ITEMS)
                return inside(left, cast("object", right))
            case "<":
                return before(left, right)
            case ">":
                return before(right, left)
            case "<=":
                return not before(right, left)
            case _:
                return not before(left, right)

    def _looked_through(self, node: Compared, left: object, right: object) -> bool:
        """Whether a list is looked through anew for an item: it is no set, or another one."""
        plain = as_words(right) is not None and left.__class__ in PLAIN
        return self._open(node.right) or (self._open(node) and not plain)

    def _open(self, node: Node) -> bool:
        return any(isinstance(one, Name) and one.name in self._variables for one in walk(node))

    def _pay(self, steps: int) -> None:
        if steps > self._left:
            raise Undecided("too long")
        self._left -= steps

    def _called(self, node: Call) -> Found:  # noqa: PLR0911, C901 - one return for each function
        first = node.arguments[0]
        match node.function:
            case "has":
                try:
                    return Found(self._value(first) is not None)
                except Missing:
                    return Found(value=False)
            case "record":
                return self._recorded(cast("Written", first).value, ())  # type: ignore[arg-type]  # a text
            case "role":
                items, kind = self._role(first)
                return Found([item.value for item in items], Type(Kind.LIST, item=kind))
            case "origin":
                root = self._root(first)
                place = ".".join(root[1:]) if root is not None else self._found(first).place
                said = self._facts.origins.get(place or "", "unknown")
                return Found(said if said in ORIGINS else "unknown")
            case "number":
                return Found(number(self._value(first)))
            case "time":
                return Found(moment(self._value(first), "it", self._scope.zone))
            case "len":
                value = self._value(first)
                if not isinstance(value, str | list | Mapping):
                    raise Undecided("no length")
                return Found(Decimal(len(cast("str", value))))
            case "lower":
                return Found(self._text(first).lower())
            case _:
                return Found(self._of_two(node))

    def _of_two(self, node: Call) -> bool:
        one, other = node.arguments
        kind = self._found(one).type.kind
        if node.function == "contains" and kind in {Kind.LIST, Kind.RECORD}:
            return self._compared(Compared("in", other, one, 0))
        text = self._text(one)
        if node.function == "contains" and not isinstance(other, Written) and self._open(node):
            self._pay(len(text) // CHARACTERS)
        part = self._text(other)
        if node.function == "matches":
            if len(text) > LONGEST_MATCHED:
                raise Undecided("too long")
            return globbed(part)(text)
        if node.function == "contains":
            return part in text
        return text.startswith(part) if node.function == "starts_with" else text.endswith(part)

    def _text(self, node: Node) -> str:
        value = self._value(node)
        if value.__class__ is not str:
            raise Undecided("no text")
        return value

    def _role(self, name: Node) -> tuple[list[Found], Type]:
        paths = self._scope.roles[cast("Any", name).name]
        kinds = [_innermost(type_at(self._scope.arguments, path) or ANY) for path in paths]
        kind = kinds[0] if kinds and all(one == kinds[0] for one in kinds) else ANY
        pairs = cast("Any", load_role(paths, kind, self._scope.zone)(self._facts))
        return [Found(value, kind, None, place) for value, place in pairs], kind

    def _items(self, node: Node) -> list[Found]:
        if isinstance(node, Call) and node.function == "role":
            return self._role(node.arguments[0])[0]
        held = self._found(node)
        kind, root = held.type.item or ANY, held.root is not None and held.root[0] == "args"
        return [
            Found(value, kind, None, f"{held.place}.{place}" if root else None)
            for place, value in enumerate(items_of(held.value))
        ]

    def _each(self, node: Each) -> Any:
        items = self._items(node.of)
        self._pay(len(items))
        earlier = dict(self._variables)
        try:
            if node.quantifier in {"any", "all"}:
                asked = (lambda i=item: self._asked(node, i) for item in items)
                return _kleene(asked, node.quantifier == "any")
            total: Any = Decimal(0)
            for item in items:
                counting = node.quantifier == "count"
                answer = Decimal(self._asked(node, item)) if counting else self._added(node, item)
                total = reckoned("+", total, answer)
            return total
        finally:
            self._variables = earlier

    def _asked(self, node: Each, item: Found) -> bool:
        self._variables = {**self._variables, node.variable: item}
        return self._yes(node.body)

    def _added(self, node: Each, item: Found) -> Any:
        self._variables = {**self._variables, node.variable: item}
        return self._value(node.body)


def _kleene(answers: Iterable[Callable[[], bool]], deciding: bool) -> bool:  # noqa: FBT001 - the answer that decides
    doubt: Undecided | None = None
    for answer in answers:
        try:
            if answer() is deciding:
                return deciding
        except Undecided as raised:
            doubt = doubt or raised
    if doubt is not None:
        raise doubt
    return not deciding


def _innermost(kind: Type) -> Type:
    while kind.kind is Kind.LIST:
        kind = kind.item or ANY
    return kind


# --- rules and calls -----------------------------------------------------------------------------

TEXTS = st.sampled_from(
    [
        *("subject", "kind", "principal", "agent", "extra", "extra.a", "to[0]", "args.subject"),
        *("lower(subject)", "lower(kind)", "lower(to[0])", "origin(to)", 'args["kind"]'),
        *('record("customer").status', "now.weekday", "files[0].name"),
    ]
)
NUMBERS = st.sampled_from(
    [
        "amount",
        "len(to)",
        "len(subject)",
        "now.hour",
        "amount * 2",
        "number(subject)",
        "sum(files, f => f.size)",
        'count(to, y => y == "x")',
        "extra",
        'record("customer").n',
        "files[0].size",
    ]
)
LISTS = st.sampled_from(
    ["to", "groups", "role(recipient)", "extra", "extra.a", 'record("customer").tags', '["a", "x"]']
)
WORDS = st.sampled_from(
    ['"a"', '"A"', '""', '"plain"', '"a@b.c"', '"x"', '"user:ada"', '"user"', '"sat"', '".c"']
)
PATTERNS = st.sampled_from(['"*"', '"a*"', '"*.c"', '"x"', '"*@*"', '"?"', '"a?*"', '"*x*"', '""'])
SINGLE = st.sampled_from(
    [
        "has(subject)",
        "subject == null",
        "has(extra.a)",
        "extra == true",
        'has(record("customer").status)',
        'now < time("2026-02-01")',
        'any(to, x => origin(x) == "user" and x == "x")',
        'any(role(recipient), x => origin(x) != "user")',
        "any(extra, x => any(x, y => y == 'x'))",
        "any(extra, x => 'x' in x)",
    ]
)
SIGNS = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])


@st.composite
def leaves(draw: st.DrawFn, variable: str) -> str:
    """Give a condition that is made of no other."""
    own = [variable, f"lower({variable})", f"{variable}.name"] if variable else []
    text, word, amount = (
        draw(TEXTS | st.sampled_from(own) if own else TEXTS),
        draw(WORDS),
        draw(NUMBERS),
    )
    negated, sign = draw(st.sampled_from(["in", "not in"])), draw(SIGNS)
    asked = draw(st.sampled_from(["starts_with", "ends_with", "contains"]))
    return draw(
        st.sampled_from(
            [
                f"{text} {draw(st.sampled_from(['==', '!=']))} {word}",
                f"{asked}({text}, {word})",
                f"matches({text}, {draw(PATTERNS)})",
                f"{amount} {sign} {draw(st.sampled_from(['0', '1', '2', '100', '10.5']))}",
                f"{text} {negated} [{word}, {draw(st.sampled_from(['null', '1', 'true', word]))}]",
                f"{text} {negated} {draw(LISTS)}",
                f"{amount} in [1, 2, 0]",
                draw(SINGLE),
            ]
        )
    )


@st.composite
def conditions(draw: st.DrawFn, depth: int = 2, variable: str = "") -> str:
    """Give a condition that mostly means something for the tool."""
    word = draw(st.sampled_from(["", "", "and", "or", "not", "each"])) if depth else ""
    if not word:
        return draw(leaves(variable))
    if word == "not":
        return f"not ({draw(conditions(depth - 1, variable))})"
    if word == "each":
        name = "z" if variable == "x" else "x"
        over = draw(LISTS | st.just(variable) if variable else LISTS)
        asked = draw(st.sampled_from(["any", "any", "all"]))
        return f"{asked}({over}, {name} => {draw(conditions(depth - 1, name))})"
    parts = [draw(conditions(depth - 1, variable)) for _ in range(2)]
    return f"({f' {word} '.join(parts)})"


@st.composite
def rules(draw: st.DrawFn) -> list[Rule]:
    """Give some rules, often with parts in common."""
    found: list[Rule] = []
    for place in range(draw(st.integers(1, 5))):
        text = draw(conditions())
        condition = Condition(text, parse(text))
        unless, role = draw(st.booleans()), draw(st.sampled_from([None, None, "recipient"]))
        when = None if unless else condition
        given_unless = condition if unless else None
        found.append(Rule(f"r{place}", Severity.ASK, when=when, unless=given_unless, role=role))
    return found


words = st.lists(st.sampled_from(["a", "x", "X.C"]), max_size=3)
scalars = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["a", "x", "5", 0.5])
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.just("name"), inner),
    max_leaves=5,
)
anything = words | json_values | st.fixed_dictionaries({"a": words | json_values})
records = st.dictionaries(
    st.just("customer"),
    json_values
    | st.fixed_dictionaries(
        {}, optional={"status": st.sampled_from(["a", "x", 1]), "n": scalars, "tags": words}
    ),
)
files = st.fixed_dictionaries({"name": st.sampled_from(["a", "X.c"]), "size": st.integers(0, 3)})
calls: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "to": st.lists(st.sampled_from(["a@b.c", "x", "", "X"]), max_size=3),
        "subject": st.sampled_from([None, "a", "A", "x", "5", "ab" * 60]),
        "amount": st.sampled_from([0, 1, 2, 101, "1.0", "10.50"]),
        "kind": st.sampled_from(["plain", "html"]),
        "files": st.lists(files, max_size=2),
        "extra": anything,
    },
)


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    """Give what is known of a call beside its arguments."""
    from_where = st.sampled_from(["user", "document", "nobody"])
    return Snapshot(
        frozenset({TOOL}),
        groups=frozenset(draw(st.sets(st.sampled_from(["a", "x", "group:y"])))),
        now=draw(st.none() | st.just(datetime(2026, 1, 31, tzinfo=UTC))),
        origins=draw(st.dictionaries(st.sampled_from(["to", "to.0", "extra"]), from_where)),
        records=draw(records),
    )


def compiled(found: list[Rule], prepared: Prepared, snapshot: Snapshot) -> dict[str, bool | None]:
    """Return what the rules say, compiled together; those that mean nothing are left out."""
    if prepared.bounds is None:
        return {}
    facts = facts_of(prepared, snapshot)
    broken = {one.rule.name for one in prepared.bounds.broken}
    every = {one.rule.name: one.holds for one in prepared.bounds.all(facts)}
    objecting = prepared.bounds.objecting(facts)
    assert len(objecting) == len({one.rule.name for one in objecting})
    assert {one.rule.name: one.holds for one in objecting} == {
        name: holds for name, holds in every.items() if holds is not False
    }
    return {name: holds for name, holds in every.items() if name not in broken}


def walked(one: Rule, walk: Walk) -> bool | None:
    """Return what a plain walk over one rule says."""
    node: Node
    if one.when is not None:
        node = one.when.node
    else:
        assert one.unless is not None
        node = Not(one.unless.node, 0)
    if one.role is not None:
        node = Each("any", Call("role", (Name(one.role, 0),), 0), "value", node, 0)
    return walk.says(node)


def given_rules(*texts: str) -> list[Rule]:
    """Return a rule for each condition."""
    return [Rule(f"r{n}", Severity.ASK, when=Condition(t, parse(t))) for n, t in enumerate(texts)]


NOW = Snapshot(frozenset({TOOL}))


@given(rules(), calls, snapshots())
@settings(max_examples=200, deadline=None)
@example(given_rules("any(extra, x => any(x, y => y == 'x'))"), {"extra": [["a"], ["x"]]}, NOW)
@example(given_rules("any(extra, x => 'x' in x)"), {"extra": [["a"], ["x"]]}, NOW)
@example(given_rules("lower(to[0]) == 'x'", "lower(to[0]) == 'a'"), {"to": ["X"]}, NOW)
@example(given_rules("any(to, x => ends_with(x, 'c'))"), {"to": ["x"] * 10_001}, NOW)
@example(
    given_rules("all(to, x => x == 'a') and any(to, x => x == 'b')"), {"to": ["a"] * 6000}, NOW
)
@example(
    given_rules("sum(to, x => len(x)) > 1", "any(to, x => x == 'b') or sum(to, x => len(x)) > 1"),
    {"to": ["a"] * 6000},
    NOW,
)
@example(given_rules("any(extra, x => x in ['a'])"), {"extra": ["b", None]}, NOW)
@example(given_rules("any(extra, x => x == 'a')"), {"extra": ["b", 1]}, NOW)
@example(
    given_rules("any(to, x => ends_with(x, '.c'))", "any(to, x => ends_with(x, 'longer'))"),
    {"to": ["x.c", "a longer"]},
    NOW,
)
@example(
    given_rules("any(to, x => starts_with(x, 'x.'))", "any(to, x => starts_with(x, 'longer'))"),
    {"to": ["x.c", "longer b"]},
    NOW,
)
@example(
    given_rules("count(to, x => x == 'a') > 1", "count(to, x => x == 'b') > 1"),
    {"to": ["a"] * 6000},
    NOW,
)
@example(
    given_rules("any(to, x => contains(subject, x))", "any(to, x => contains(subject, 'z'))"),
    {"subject": "a" * 110_000, "to": ["z"] * 900},
    NOW,
)
@example(
    given_rules("any(to, x => contains(subject, x))"),
    {"subject": "a" * 99_999, "to": ["z"] * 1000},
    NOW,
)
@example(
    given_rules("any(to, x => x in extra)", "any(to, x => len(x) in extra)"),
    {"extra": [*["b"] * 1099, [1]], "to": ["a"] * 900},
    NOW,
)
@example(given_rules("any(to, x => x in extra)"), {"extra": ["b"] * 1100, "to": ["a"] * 900}, NOW)
@example(given_rules("any(extra, x => 'x' in x)"), {"extra": [["b"] * 1100] * 900}, NOW)
@example(given_rules("any(to, x => x == 'a' and subject == 'b')"), {"to": ["x", "a"]}, NOW)
@example(given_rules("matches(subject, '*a?a*?c')"), {"subject": "xaabac"}, NOW)
@example(
    given_rules(
        "not all(to, x => ends_with(x, 'c') or x == 'b')",
        "not all(to, x => x == 'a' or ends_with(x, 'c'))",
        "any(to, x => ends_with(x, 'c') and x == 'b.c')",
        "any(to, x => x == 'x' and not ends_with(x, 'c'))",
        "any(to, x => ends_with(x, 'c') or x == 'y')",
        "all(to, x => ends_with(x, 'c') and contains(x, 'b'))",
        "not all(to, y => ends_with(lower(y), 'c') or y == 'x')",
        "not all(to, x => contains(x, 'b') and contains(x, '.'))",
        "any(to, x => not contains(x, 'b') and not contains(x, '.'))",
    ),
    {"to": ["b", "b.c", "C"]},
    NOW,
)
@example(given_rules("not all(to, x => ends_with(x, 'c') or x == 'b')"), {"to": ["b", "b.c"]}, NOW)
@example(
    given_rules("starts_with(subject, 'ab')", "ends_with(subject, 'b')"), {"subject": "xb"}, NOW
)
@example(
    given_rules(
        "not all(to, x => ends_with(x, 'c') or x == 'b')",
        "not all(to, x => ends_with(x, 'c') or x == 'x')",
        "not all(to, x => ends_with(x, 'b') or x == 'b')",
        "not all(to, x => ends_with(x, 'b') or x == 'x')",
        "not all(groups, x => ends_with(x, 'c') or x == 'x')",
        "not all(to, x => x == 'b' or ends_with(x, 'c') or x == 'y')",
    ),
    {"to": ["b", "b.c"]},
    NOW,
)
@example(given_rules("any(to, x => x == 'a' or x == 'b')"), {"to": ["a", "b"]}, NOW)
@example(
    given_rules("starts_with(subject, 'ab')", "subject == 'abc'", "ends_with(subject, 'ab')"),
    {"subject": "ab"},
    NOW,
)
@example(
    given_rules("all(to, x => x != 'b') and any(to, x => not contains(x, 'a'))"),
    {"to": ["a"] * 5001},
    NOW,
)
@example(
    given_rules("all(to, x => x != 'b') and not any(extra, x => x == 'b' and x == 'a')"),
    {"to": ["a"] * 5001, "extra": ["a"] * 5000},
    NOW,
)
@example(
    given_rules("contains(subject, agent) or any(to, x => contains(x, 'b') and len(x) > 0)"),
    {"subject": "a" * 100_000, "to": ["a"] * 10_000},
    NOW,
)
@example(given_rules("subject == 'a' or amount > 1"), {"subject": "b", "amount": 2}, NOW)
@example(given_rules("matches(subject, '*b')"), {"subject": "a" * 100_001}, NOW)
def test_rules_compiled_together_say_what_a_plain_walk_says(
    found: list[Rule], call: dict[str, Any], snapshot: Snapshot
) -> None:
    """Looked up by words, shared and kept for a call: no rule says anything else for it."""
    policy = Policy((Block("mail.*", tuple(found)),), ROLES)
    prepared = prepare(TOOL, MAIL, call, "user:ada", "support", policy)
    said = compiled(found, prepared, snapshot)
    scope, facts = policy.scope(MAIL), facts_of(prepared, snapshot)
    plain = {one.name: walked(one, Walk(scope, facts)) for one in found if one.name in said}
    assert said == plain
