"""Rules of a policy over calls: what holds, what cannot be decided, and what a shadow says."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from staid.domain.call import Ruling, Severity
from staid.gates.expression.parse import parse
from staid.gates.policy import Snapshot, policy_says, prepare, rule, terms
from staid.gates.rule import Block, Condition, Rule
from staid.gates.rules import NO_POLICY, Policy
from staid.gates.steps import steps
from staid.gates.tool import define
from staid.project.policy_file import parse_policy


class Order(BaseModel):
    """What is looked up."""

    status: Literal["pending", "delivered"]
    total: Decimal


class Refund(BaseModel):
    """A refund."""

    amount: Decimal
    to: list[str] = []
    method: Literal["card", "cash"] = "card"
    memo: str | None = None


def order(_: Refund) -> Order:
    """Stand for a look-up; the tests put the record into the snapshot."""
    raise NotImplementedError


def _refund(_: Refund) -> None:
    """Refund."""


TOOL = define(_refund, "refund.issue", lookups={"order": order})
NAMES = frozenset({"refund.issue"})
ROLES = 'roles: {recipient: ["*.to"]}\n'


def policy(rules: str, extra: str = ROLES) -> Policy:
    """Return a policy of these rules about the tool."""
    text = f"version: 1\n{extra}tools:\n  refund.issue:\n    rules:\n{rules}"
    return parse_policy(text.encode(), Path("policy.yaml"), {TOOL.name: TOOL}).required()


def one(when: str, **more: Any) -> Policy:
    """Return a policy of one rule."""
    given = {"name": "it", "then": "ask", **more}
    lines = "".join(f", {key}: {value}" for key, value in given.items())
    return policy(f"      - {{when: '{when}'{lines}}}\n")


def ruled(by: Policy, arguments: dict[str, Any] | None = None, **known: Any) -> Ruling:
    """Return the ruling on one call."""
    prepared = prepare(TOOL.name, TOOL, arguments or {"amount": "120"}, "user:ada", "support", by)
    totals = {draw.slot: Decimal(0) for draw in prepared.draws}
    now = datetime(2026, 1, 3, 12, tzinfo=UTC)
    snapshot = Snapshot(NAMES, totals=totals, policy=by.version, now=now)
    for name, value in known.items():
        object.__setattr__(snapshot, name, value)
    return rule(prepared, snapshot)


@pytest.mark.parametrize(
    ("when", "severity"),
    [
        ("amount > 100", Severity.ASK),
        ("amount > 120", Severity.ALLOW),
        ("amount >= 120 and amount <= 120", Severity.ASK),
        ("amount - 20 == 100.00", Severity.ASK),
        ("-amount < -119.5", Severity.ASK),
        ('method in ["card"]', Severity.ASK),
        ('method not in ["card"]', Severity.ALLOW),
        ("len(to) > 0", Severity.ALLOW),
        ('principal == "user:ada" and agent == "support"', Severity.ASK),
        ('tool == "refund.issue" and effect == "write"', Severity.ASK),
        ('"group:leads" in groups', Severity.ALLOW),
        ('now.weekday == "sat" and now.hour == 12', Severity.ASK),
        ('now - time("2026-01-01") > 2d', Severity.ASK),
        ("memo == null", Severity.ASK),
        ("has(memo)", Severity.ALLOW),
        ('origin(amount) == "unknown"', Severity.ASK),
        ('memo == "x"', Severity.ALLOW),
        ('lower(memo) == "x"', Severity.DENY),
        ('has(memo) and lower(memo) == "x"', Severity.ALLOW),
        ('lower(memo) == "x" or amount > 100', Severity.ASK),
        ('record("order").status == "pending"', Severity.DENY),
        ('said == "yes"', Severity.DENY),
        ('to[0] == "x"', Severity.DENY),
        ('any(to, x => x == "x")', Severity.ALLOW),
        ('all(to, x => x == "x")', Severity.ASK),
        ("not (amount > 100)", Severity.ALLOW),
        ("sum([1, 2, 3], x => x * amount) == 720", Severity.ASK),
        ("count([1, 2, 3], x => x > 1) == 2", Severity.ASK),
        ('matches(method, "c?r*") and starts_with(method, "c")', Severity.ASK),
    ],
)
def test_what_a_condition_says(when: str, severity: Severity) -> None:
    """A condition is yes, no, or cannot be decided, which denies; the data alone tells which."""
    assert ruled(one(when)).severity is severity


def test_a_rule_for_a_role_looks_at_every_value_and_where_it_comes_from() -> None:
    """One recipient of several that is in nobody's words is enough for the rule."""
    by = one('origin(value) != "user"', **{"for": "recipient"})
    call = {"amount": "1", "to": ["a@acme.com", "b@acme.com"]}
    assert ruled(by, {"amount": "1"}).severity is Severity.ALLOW
    assert ruled(by, call, origins={"to.0": "user"}).severity is Severity.ASK
    assert ruled(by, call, origins={"to.0": "user", "to.1": "user"}).severity is Severity.ALLOW


def test_a_rule_for_a_role_is_no_business_of_a_tool_without_it() -> None:
    """At `*` it may name a record or an argument that only tools with such an argument have."""
    bare = define(_refund, "note.write")
    tools = {TOOL.name: TOOL, bare.name: bare}
    text = (
        'version: 1\nroles: {recipient: ["refund.*.to"]}\ntools:\n  "*":\n    constraints:\n'
        '      - {name: it, for: recipient, require: record("order").status == value}\n'
    )
    by = parse_policy(text.encode(), Path("policy.yaml"), tools).required()
    assert (by.about(bare).records, by.about(TOOL).records) == (frozenset(), {"order"})
    for tool, severity in ((bare, Severity.ALLOW), (TOOL, Severity.DENY)):
        call = prepare(tool.name, tool, {"amount": "1", "to": ["x"]}, "user:ada", "support", by)
        known = Snapshot(frozenset(tools), policy=by.version, records={})
        assert rule(call, known).severity is severity
    typo = text.replace("order", "ordre").encode()
    assert parse_policy(typo, Path("policy.yaml"), tools).faults


def test_a_record_that_was_looked_up_decides_and_a_missing_one_denies() -> None:
    """A rule over trusted records needs them: without the record the call does not happen."""
    by = policy(
        '      - name: open\n        unless: record("order").total >= amount\n        then: deny\n'
    )
    assert ruled(by, records={"order": {"status": "pending", "total": "120"}}).severity is (
        Severity.ALLOW
    )
    assert ruled(by, records={"order": {"status": "pending", "total": "119.99"}}).rule == (
        "policy:open"
    )
    assert "could not be decided" in ruled(by).message


def test_what_the_asker_wrote_is_part_of_what_a_call_is_ruled_from() -> None:
    """It decides, comes back from the record, and is known to be needed only where it is."""
    by = one('not contains(lower(said), "yes")')
    assert by.about(TOOL).hears
    assert not one("amount > 100").about(TOOL).hears
    assert ruled(by, said="Yes, please.").severity is Severity.ALLOW
    assert ruled(by, said="No.").severity is Severity.ASK
    assert "said is not known" in ruled(by).message
    kept = Snapshot(NAMES, said="Yes.")
    assert Snapshot.from_json(kept.as_json()) == kept
    assert "said" not in Snapshot(NAMES).as_json()


def test_a_shadow_rule_is_told_and_decides_nothing() -> None:
    """What a shadow rule would have ruled stands among the steps, and the call is allowed."""
    ruling = ruled(one("amount > 100", shadow="true"))
    assert ruling.severity is Severity.ALLOW
    assert ("shadow:it", "ask") in ruling.steps


def test_a_call_read_against_another_policy_is_denied() -> None:
    """Whoever forgets the policy denies, and never rules without it."""
    by = one("amount > 100")
    prepared = prepare(TOOL.name, TOOL, {"amount": "1"}, "user:ada", "support", NO_POLICY)
    assert rule(prepared, Snapshot(NAMES, policy=by.version)).severity is Severity.DENY


def test_rules_that_ask_bring_their_terms() -> None:
    """Approvers and quorum of every rule that asks reach the request; a shadow asks nothing."""
    by = policy(
        "      - {name: much, when: amount > 100, then: ask, approvers: [group:leads], quorum: 2}\n"
        "      - {name: more, when: amount > 900, then: ask, approvers: [user:cfo]}\n"
        "      - {name: try, when: amount > 1, then: ask, approvers: [user:me], shadow: true}\n"
    )
    prepared = prepare(TOOL.name, TOOL, {"amount": "120"}, "user:ada", "support", by)
    asked = terms(prepared, Snapshot(NAMES, policy=by.version))
    assert [(t.approvers, t.quorum) for t in asked] == [(frozenset({"group:leads"}), 2)]


def test_a_snapshot_can_be_written_down_and_ruled_from_again() -> None:
    """What a rule looked at is in the record, so that the same can be ruled again."""
    now = datetime(2026, 1, 3, 12, tzinfo=UTC)
    snapshot = Snapshot(
        NAMES,
        policy="v",
        now=now,
        origins={"to": "user"},
        records={"order": {"a": 1}},
        groups=frozenset({"group:x"}),
    )
    assert Snapshot.from_json(snapshot.as_json()) == snapshot


def test_a_broken_rule_leaves_nothing_behind_for_the_next() -> None:
    """The variable of a quantifier that could not be compiled is unknown in every other rule."""
    broken = Condition("", parse("any(to, x => x > 1)"))
    stray = Condition("", parse("x == 1"))
    rules = (Rule("a", Severity.ASK, when=broken), Rule("b", Severity.ASK, when=stray))
    about = Policy((Block("*", rules),)).about(TOOL)
    assert [one.rule.name for one in about.broken] == ["a", "b"]
    assert "there is no argument 'x'" in about.broken[1].message


def test_each_rule_that_cannot_be_decided_says_its_own_reason() -> None:
    """Two doubts of one call, in turn: neither is told in the words of the other."""
    policy_of = policy(
        "      - {name: a, when: 'len(memo) > 1', then: ask}\n"
        "      - {name: b, when: 'record(\"order\").total > 1', then: ask}\n"
        "      - {name: c, when: 'len(memo) > 2', then: ask}\n"
    )
    prepared = prepare(TOOL.name, TOOL, {"amount": "1"}, "user:ada", "support", policy_of)
    said = policy_says(prepared, Snapshot(NAMES, policy=policy_of.version))
    reasons = {one.rule.name: one.why for one in said}
    assert reasons["a"] == reasons["c"] != reasons["b"]
    assert "order" in reasons["b"]


def test_each_doubt_is_told_with_its_own_reason() -> None:
    """A rule that met one reason tells the next call another one, as a fresh policy would."""
    condition = 'record("order").total > 1'
    by = one(condition)
    calls: list[dict[str, Any]] = [{}, {"order": {"total": None}}, {"order": {"total": "many"}}, {}]
    told = [ruled(by, records=records).message for records in calls]
    assert told == [ruled(one(condition), records=records).message for records in calls]
    assert len(set(told)) > 1


@pytest.mark.parametrize("order", [(Severity.ASK, Severity.DENY), (Severity.DENY, Severity.ASK)])
def test_a_check_that_ruled_twice_has_the_word_of_the_severer(order: Sequence[Severity]) -> None:
    """Two rules of one name make one step, whichever spoke first."""
    walked = dict(steps(None, (), [("policy:it", each) for each in order], read=False))
    assert walked["policy:it"] == "deny"
