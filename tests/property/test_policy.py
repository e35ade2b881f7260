"""Policy rules: any rule on any call gets a ruling, order cannot matter, a rule never loosens."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from staid.domain.call import Effect, Ruling, Severity
from staid.gates.expression.functions import FUNCTIONS
from staid.gates.expression.parse import parse
from staid.gates.expression.syntax import (
    Call,
    Compared,
    Each,
    Fault,
    Field,
    Index,
    Items,
    Joined,
    Name,
    Negative,
    Node,
    Not,
    Reckoned,
)
from staid.gates.expression.syntax import (
    Literal as Written,
)
from staid.gates.policy import Snapshot, prepare, rule
from staid.gates.rule import Block, Condition, Role, Rule
from staid.gates.rules import Policy
from staid.gates.tool import Tool, define

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
    at: datetime | None = None
    files: list[Attachment] = []
    extra: Any = None


def send(_: Mail) -> None:
    """Do nothing."""


def customer(_: Mail) -> None:
    """Stand for a look-up."""


MAIL = define(send, TOOL, lookups={"customer": customer})
ROLES = {"recipient": Role("recipient", (("*", ("to",)), ("mail.*", ("extra",))))}

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False)
    | st.text(max_size=6)
    | st.sampled_from(["12.50", "2026-01-31", "-0", "1e9", "plain", "user:ada"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=5,
)
arguments = st.fixed_dictionaries(
    {},
    optional={
        "to": st.lists(st.sampled_from(["a@b.c", "x", ""]), max_size=3),
        "subject": st.none() | st.text(max_size=5),
        "amount": st.integers(-5, 600) | st.decimals(-5, 600, places=2).map(str),
        "kind": st.sampled_from(["plain", "html", "none"]),
        "at": st.sampled_from(["2026-01-31T10:00:00Z", "nonsense", None]),
        "files": st.lists(st.fixed_dictionaries({"name": st.text(max_size=3)}), max_size=2),
        "extra": json_values,
        "unknown": json_values,
    },
)
WORDS = "to subject amount kind at files extra args now groups principal effect x value no"
names = st.sampled_from(WORDS.split())
literals = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from(["plain", "a", "*@b.c", "recipient", "customer", "user", "2026-01-31"]),
    st.integers(-3, 10**12).map(Decimal),
    st.sampled_from([timedelta(days=1), timedelta(days=999_999)]),
).map(lambda value: Written(value, 0))


def _grown(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    """Give every node there is, of any smaller ones: most of them mean nothing."""
    some = st.lists(inner, min_size=1, max_size=3).map(tuple)
    return st.one_of(
        st.builds(Items, some, st.just(0)),
        st.builds(Field, inner, st.sampled_from(["name", "size", "hour", "status"]), st.just(0)),
        st.builds(Index, inner, inner, st.just(0)),
        st.builds(Call, st.sampled_from(sorted(FUNCTIONS)), some, st.just(0)),
        st.builds(
            Each,
            st.sampled_from(["any", "all", "count", "sum"]),
            inner,
            st.sampled_from(["x", "value"]),
            inner,
            st.just(0),
        ),
        st.builds(Not, inner, st.just(0)),
        st.builds(Negative, inner, st.just(0)),
        st.builds(Joined, st.sampled_from(["and", "or"]), some, st.just(0)),
        st.builds(
            Compared,
            st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "in"]),
            inner,
            inner,
            st.just(0),
        ),
        st.builds(Reckoned, st.sampled_from(["+", "-", "*"]), inner, inner, st.just(0)),
    )


nodes: st.SearchStrategy[Node] = st.recursive(
    literals | st.builds(Name, names, st.just(0)), _grown, max_leaves=8
)
WORKING = [
    "amount > 100",
    'amount <= 100 or kind == "html"',
    'any(to, x => not ends_with(x, ".c"))',
    "subject == null",
    'lower(subject) == "a"',
    'record("customer").status == "good"',
    'origin(to) != "user"',
    '"group:x" in groups',
    'now.weekday in ["sat", "sun"]',
    "sum(files, x => x.size) > 10",
    'kind == "plain" and amount * 2 > 7.5',
    'role(recipient) == ["x"]',
]
conditions = st.one_of(
    nodes.map(lambda node: Condition("", node)),
    st.sampled_from(WORKING).map(lambda text: Condition(text, parse(text))),
)


@st.composite
def rules(draw: st.DrawFn, name: str = "r") -> Rule:
    """Give any rule."""
    return Rule(
        f"{name}{draw(st.integers(0, 10**9))}",
        draw(st.sampled_from(Severity)),
        when=draw(st.none() | conditions),
        unless=draw(st.none() | conditions),
        role=draw(st.none() | st.just("recipient")),
        effects=draw(st.sampled_from([frozenset(Effect), frozenset({Effect.WRITE})])),
        shadow=draw(st.booleans()),
    )


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    """Give any snapshot."""
    origins = st.sampled_from(["user", "record", "document", "model", "unknown"])
    return Snapshot(
        frozenset({TOOL}),
        groups=frozenset(draw(st.sets(st.sampled_from(["group:x", "group:y"])))),
        now=draw(st.none() | st.just(datetime(2026, 1, 31, tzinfo=UTC))),
        origins=draw(st.dictionaries(st.sampled_from(["to", "to.0", "extra"]), origins)),
        records=draw(st.dictionaries(st.just("customer"), json_values)),
    )


def ruled(found: list[Rule], raw: dict[str, Any], snapshot: Snapshot, tool: Tool = MAIL) -> Ruling:
    """Return the ruling of these rules on one call."""
    policy = Policy((Block("mail.*", tuple(found)),), ROLES)
    return rule(prepare(TOOL, tool, raw, "user:ada", "support", policy), snapshot)


@given(st.lists(rules(), max_size=4), arguments, snapshots())
@settings(max_examples=500, deadline=None)
def test_any_rule_on_any_call_gets_a_ruling(
    found: list[Rule], raw: dict[str, Any], snapshot: Snapshot
) -> None:
    """Trees that mean nothing, arguments of any shape, missing data: one ruling, never a raise."""
    ruling = ruled(found, raw, snapshot)
    assert ruling.severity in Severity
    assert ruling.message
    assert ruling == ruled(found, raw, snapshot)


@given(st.lists(rules(), min_size=2, max_size=5), arguments, snapshots(), st.randoms())
@settings(max_examples=300, deadline=None)
def test_the_order_of_rules_changes_nothing(
    found: list[Rule], raw: dict[str, Any], snapshot: Snapshot, shuffler: random.Random
) -> None:
    """The same rules in another order give the same severity, rule and words."""
    other = list(found)
    shuffler.shuffle(other)
    assert ruled(found, raw, snapshot) == ruled(other, raw, snapshot)


@given(st.lists(rules(), max_size=3), rules("one-more"), arguments, snapshots())
@settings(max_examples=300, deadline=None)
def test_one_more_rule_never_loosens(
    found: list[Rule], more: Rule, raw: dict[str, Any], snapshot: Snapshot
) -> None:
    """Whatever rule is added, no call is ruled less severely than before."""
    before = ruled(found, raw, snapshot).severity
    assert ruled([*found, more], raw, snapshot).severity >= before


@given(rules(), arguments, snapshots())
@settings(max_examples=200, deadline=None)
def test_what_is_not_known_never_loosens(
    one: Rule, raw: dict[str, Any], snapshot: Snapshot
) -> None:
    """A record that cannot be looked up any more never turns a deny into less, nor an ask."""
    when = Condition("", parse('record("customer").status == "good" or amount > 100'))
    rule_of = Rule(one.name, Severity.ASK, when=when)
    known = ruled([rule_of], raw, snapshot).severity
    object.__setattr__(snapshot, "records", {})
    assert ruled([rule_of], raw, snapshot).severity >= known


@given(st.text(alphabet="ab01 .,()[]<>=!\"'+-*andornotinxy&\\\n\u20ac", max_size=60) | st.text())
@settings(max_examples=600, deadline=None)
def test_any_text_is_an_expression_or_a_fault_with_its_place(text: str) -> None:
    """Nobody can write a rule that breaks the reader; a fault points into the text."""
    assert _place_of_fault(text) in range(-1, len(text) + 1)


def _place_of_fault(text: str) -> int:
    try:
        parse(text)
    except Fault as fault:
        return fault.at
    return -1
