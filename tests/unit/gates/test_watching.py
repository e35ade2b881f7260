"""Sums that rules of a policy imply: read out of one comparison, or written down, or not at all."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from staid.domain.call import Severity
from staid.gates.expression.parse import parse
from staid.gates.policy import Snapshot, prepare, rule
from staid.gates.structuring import wanted
from staid.gates.tool import Tool, define
from staid.gates.tool_rules import ToolRules
from staid.gates.watching import Above, above, why_not
from staid.project.policy_file import PolicyFile, parse_policy


class Refund(BaseModel):
    """A refund."""

    amount: Decimal | None = None
    text: str = "0"
    day: int = 1
    to: list[str] = []


def _refund(_: Refund) -> None:
    """Refund."""


TOOL = define(_refund, "refund.issue")


def read(rules: str, tool: Tool = TOOL) -> PolicyFile:
    """Read a policy of these rules."""
    text = (
        "version: 1\nroles: {sum: [refund.issue.amount]}\n"
        f"tools:\n  refund.issue:\n    rules:\n{rules}"
    )
    return parse_policy(text.encode(), Path("policy.yaml"), {TOOL.name: tool})


def about(*rules: str, tool: Tool = TOOL) -> ToolRules:
    """Return what rules that ask say about the tool."""
    lines = "".join(f"      - {{name: r{n}, then: ask, {rule}}}\n" for n, rule in enumerate(rules))
    return read(lines, tool).required().about(tool)


@pytest.mark.parametrize(
    ("when", "unless", "found"),
    [
        ("amount > 100", None, Above("amount", Decimal(100), reached=False)),
        ("amount >= 100", None, Above("amount", Decimal(100), reached=True)),
        ("100 < amount", None, Above("amount", Decimal(100), reached=False)),
        ("100 <= args.amount", None, Above("amount", Decimal(100), reached=True)),
        ("not (amount <= 100)", None, Above("amount", Decimal(100), reached=False)),
        ("not (not (amount > 99.5))", None, Above("amount", Decimal("99.5"), reached=False)),
        ("number(text) > 100", None, Above("text", Decimal(100), reached=False)),
        (None, "amount <= 100", Above("amount", Decimal(100), reached=False)),
        (None, "amount < 100", Above("amount", Decimal(100), reached=True)),
        (None, "not (amount > 100)", Above("amount", Decimal(100), reached=False)),
        ("amount < 100", None, None),
        ("amount == 100", None, None),
        ("amount > 0", None, None),
        ("amount > -5", None, None),
        ("amount > day", None, None),
        ("now.hour > 18", None, None),
        ("len(to) > 5", None, None),
        ("amount + 1 > 100", None, None),
        ("amount > 100 and day > 1", None, None),
        ("amount > 100", "day > 1", None),
        (None, "amount > 100", None),
        (None, None, None),
    ],
)
def test_what_is_derived(when: str | None, unless: str | None, found: Above | None) -> None:
    """One comparison of an argument with a number above 0 is a threshold; all else is none."""
    nodes = [parse(each) if each is not None else None for each in (when, unless)]
    assert above(*nodes) == found


@pytest.mark.parametrize(
    ("when", "unless", "told"),
    [
        ("amount > 100 and day > 1", None, True),
        ("day == 1 or not (amount <= 100)", None, True),
        ("amount > 100", "day == 1", True),
        ("day == 1", "amount < 100", True),
        ("any(to, x => number(x) > 100)", None, True),
        ("amount < 100 and day == 1", None, False),
        ("now.hour > 18", None, False),
        ("len(to) > 5", None, False),
        ('text == "x"', None, False),
        (None, None, False),
    ],
)
def test_what_is_not_derived_is_told(when: str | None, unless: str | None, told: bool) -> None:  # noqa: FBT001
    """A condition that speaks of a number to be above, and more, is named; no other is."""
    nodes = [parse(each) if each is not None else None for each in (when, unless)]
    assert (why_not(*nodes) is not None) is told


def test_one_sum_for_each_argument() -> None:
    """Several numbers for one argument are one sum beyond the lowest, each with its own terms."""
    rules = about(
        "when: amount > 1000, approvers: [user:cfo]",
        "when: amount > 100, approvers: [user:lead]",
        "when: day > 3",
    )
    assert [each.detector.name for each in rules.sums] == [
        "policy:refund.issue:amount",
        "policy:refund.issue:day",
    ]
    draw = rules.sums[0].draw(TOOL.name, {"amount": "60"}, "user:ada", "support")
    assert draw is not None

    def people(total: int) -> list[frozenset[str]]:
        return [terms.approvers for terms in wanted([draw], {draw.slot: Decimal(total)})]

    assert people(40) == []
    assert people(41) == [{"user:lead"}]
    assert people(940) == [{"user:lead"}]
    assert people(941) == [{"user:cfo"}, {"user:lead"}]


@pytest.mark.parametrize(
    ("rules", "before", "severity"),
    [
        ("when: amount > 100", 40, Severity.ALLOW),
        ("when: amount > 100", 41, Severity.ASK),
        ("when: amount >= 100", 39, Severity.ALLOW),
        ("when: amount >= 100", 40, Severity.ASK),
    ],
)
def test_reaching_it(rules: str, before: int, severity: Severity) -> None:
    """What `>` and `>=` say about one call they say about the sum."""
    policy = read(f"      - {{name: r, then: ask, {rules}}}\n").required()
    prepared = prepare(TOOL.name, TOOL, {"amount": "60"}, "user:ada", "support", policy)
    totals = {draw.slot: Decimal(before) for draw in prepared.draws}
    known = Snapshot(frozenset({TOOL.name}), totals=totals, policy=policy.version)
    assert rule(prepared, known).severity is severity


@pytest.mark.parametrize("amount", ["100.01", "-1", None])
def test_what_is_left_out(amount: Any) -> None:
    """What is asked about alone, takes something away, or says nothing, adds nothing."""
    (sum_,) = about("when: amount > 100").sums
    assert sum_.draw(TOOL.name, {"amount": amount}, "user:ada", "support") is None


def test_at_the_number_itself() -> None:
    """A call of exactly the number is asked about alone where reaching it is enough."""
    (sum_,) = about("when: amount >= 100").sums
    assert sum_.draw(TOOL.name, {"amount": "100"}, "user:ada", "support") is None
    assert sum_.draw(TOOL.name, {"amount": "99"}, "user:ada", "support") is not None


def test_who_watches_nothing() -> None:
    """A shadow, a rule that says so, a deny and a tool that only reads watch no sum."""
    assert about("when: amount > 100, shadow: true").sums == ()
    assert about("when: amount > 100, sums: false").sums == ()
    deny = read("      - {name: r, then: deny, when: amount > 100}\n").required()
    assert deny.about(TOOL).sums == ()
    looks = define(_refund, "refund.issue", effect="read")
    rules = about("when: amount > 100", "when: amount > 100 and day > 1", tool=looks)
    assert (rules.sums, rules.unwatched) == ((), [])


def test_written_down() -> None:
    """Where it cannot be derived, it can be said: argument, number, key and window."""
    sums = "{of: amount, above: 300, per: [agent], window: 7d}"
    rules = about(f"when: amount > 100 and day > 1, sums: {sums}", "for: sum, when: value > 100")
    (sum_,) = rules.sums
    draw = sum_.draw(TOOL.name, {"amount": "60"}, "user:ada", "support")
    assert draw is not None
    assert (draw.budget, draw.key) == ("structuring:policy:refund.issue:r0:604800", "support")
    assert [(broken.name, "100" in why) for broken, why in rules.unwatched] == [("r1", True)]


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("then: deny, sums: false", "only a rule whose ruling is ask"),
        ("then: ask, sums: {of: amount}", "'above' is missing"),
        ("then: ask, sums: {above: 1}", "'of' is missing"),
        ("then: ask, sums: {of: amount, above: 0}", "above 0"),
        ("then: ask, sums: {of: amount, above: 1, window: soon}", "not a duration"),
        ("then: ask, sums: {of: amuont, above: 1}", "'amuont'"),
        ("then: ask, sums: {of: amount, above: 1, per: nobody}", "'nobody'"),
        ("then: ask, sums: maybe", "a mapping"),
    ],
)
def test_mistakes(rule: str, words: str) -> None:
    """Each mistake is told."""
    (fault, *_) = read(f"      - {{name: r, when: amount > 1, {rule}}}\n").faults
    assert words in fault.detail
