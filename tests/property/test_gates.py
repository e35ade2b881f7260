"""The ruling is total, does not depend on order, and is never weaker than any single rule."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from staid.domain.call import Ruling, Severity, call_digest
from staid.gates.budget import Budget, Slot
from staid.gates.policy import (
    EVERY_TOOL,
    Snapshot,
    most_severe,
    prepare,
    rule,
    rulings,
    still_permits,
)
from staid.gates.tool import Constraint, Tool, define

TOOL = "refund.issue"


class Refund(BaseModel):
    """Arguments of the tool."""

    order_id: str = Field(max_length=8)
    amount: Decimal = Field(gt=0, le=500)
    express: bool = False


def issue(p: Refund) -> None:
    """Do nothing."""


def _raise(_: object) -> bool:
    raise LookupError


PREDICATES: dict[str, Callable[[Any], Any]] = {
    "true": lambda _: True,
    "false": lambda _: False,
    "above 100": lambda p: p.amount > 100,
    "raises": _raise,
    "none": lambda _: None,
    "text": lambda _: "yes",
    "mutates": lambda p: setattr(p, "amount", Decimal(1)) is None,
}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)
good = st.fixed_dictionaries(
    {
        "order_id": st.text(max_size=10),
        "amount": st.one_of(st.integers(-5, 600), st.decimals(-5, 600, places=2).map(str)),
    },
    optional={"express": st.booleans()},
)
arguments = good | st.dictionaries(
    st.sampled_from(["order_id", "amount", "express", "reason"]), json_values
)
predicates = st.sampled_from(sorted(PREDICATES))


@st.composite
def tools(draw: st.DrawFn) -> Tool:
    """Give a tool with any mixture of rules."""
    names = draw(st.lists(predicates, max_size=3))
    limits = draw(st.lists(st.integers(1, 1000), max_size=2))
    keys = ("amount", None)
    return define(
        issue,
        TOOL,
        requires_approval=draw(st.booleans() | predicates.map(PREDICATES.__getitem__)),
        constraints=[Constraint(f"c{n}", PREDICATES[name]) for n, name in enumerate(names)],
        budget=[Budget(limit, sum_of=keys[n]) for n, limit in enumerate(limits)],
    )


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    """Give any snapshot, complete or not."""
    slots: list[Slot] = [
        (f"{TOOL}:{what}:customer:86400", "user:ada") for what in ("amount", "count")
    ]
    totals = draw(st.dictionaries(st.sampled_from(slots), st.integers(0, 1000).map(Decimal)))
    allowed = draw(st.sets(st.sampled_from([TOOL, "other"])))
    stopped = draw(st.sets(st.sampled_from([TOOL, "other", EVERY_TOOL]), max_size=1))
    return Snapshot(frozenset(allowed), frozenset(stopped), totals)


@given(tools() | st.none(), arguments, snapshots())
@settings(max_examples=400, deadline=None)
def test_total(tool: Tool | None, raw: dict[str, Any], snapshot: Snapshot) -> None:
    """Any proposal against any tool and snapshot gets exactly one ruling, never an exception."""
    ruling = rule(prepare(TOOL, tool, raw, "user:ada", "support"), snapshot)
    assert ruling.severity in Severity
    assert ruling.rule
    assert ruling.message


@given(tools(), arguments, snapshots())
@settings(max_examples=400, deadline=None)
def test_never_weaker_than_any_rule(tool: Tool, raw: dict[str, Any], snapshot: Snapshot) -> None:
    """The ruling is as severe as the most severe stage, and one of the stages said it."""
    prepared = prepare(TOOL, tool, raw, "user:ada", "support")
    found = rulings(prepared, snapshot)
    ruling = rule(prepared, snapshot)
    assert all(ruling.severity >= one.severity for one in found)
    assert ruling in found or (not found and ruling.severity is Severity.ALLOW)


@given(tools(), arguments, snapshots())
@settings(max_examples=400, deadline=None)
def test_each_rule_is_enforced(tool: Tool, raw: dict[str, Any], snapshot: Snapshot) -> None:
    """Asked independently of the pipeline, no bound that is crossed is ever let through."""
    prepared = prepare(TOOL, tool, raw, "user:ada", "support")
    severity = rule(prepared, snapshot).severity
    if snapshot.stopped & {TOOL, EVERY_TOOL} or TOOL not in snapshot.allowed:
        assert severity is Severity.DENY
    if prepared.params is None:
        assert severity is Severity.DENY
        return
    params = Refund.model_validate(prepared.params.model_dump())
    assert 0 < params.amount <= 500
    assert set(raw) <= {"order_id", "amount", "express"}
    for constraint in tool.constraints:
        if _answer(constraint.holds, params) is not True:
            assert severity is Severity.DENY
    for draw in prepared.draws:
        if snapshot.totals.get(draw.slot, draw.limit) + draw.amount > draw.limit:
            assert severity is Severity.DENY
    asked = tool.requires_approval
    if (asked if isinstance(asked, bool) else _answer(asked, params)) is not False:
        assert severity is not Severity.ALLOW


def _answer(predicate: Callable[[Any], Any], params: BaseModel) -> object:
    try:
        return predicate(params.model_copy(deep=True))
    except Exception:  # noqa: BLE001 - a predicate that raises answers nothing
        return None


@given(
    st.lists(
        st.builds(
            Ruling,
            st.sampled_from(Severity),
            st.sampled_from(["kill_switch", "schema", "constraint:a", "budget:b", "approval", "x"]),
            st.sampled_from(["m", "n"]),
        ),
        max_size=6,
    ),
    st.randoms(use_true_random=False),
)
def test_order_cannot_matter(found: list[Ruling], random: Any) -> None:
    """Any order of the same rulings gives the same ruling, its rule and message included."""
    shuffled = list(found)
    random.shuffle(shuffled)
    assert most_severe(shuffled) == most_severe(found)


@given(tools(), arguments, snapshots(), st.integers(0, 500).map(Decimal))
@settings(max_examples=200, deadline=None)
def test_spending_more_never_allows_more(
    tool: Tool, raw: dict[str, Any], snapshot: Snapshot, more: Decimal
) -> None:
    """A higher running total, or one that is missing, never weakens the ruling."""
    prepared = prepare(TOOL, tool, raw, "user:ada", "support")
    before = rule(prepared, snapshot).severity
    totals = {slot: total + more for slot, total in snapshot.totals.items()}
    assert rule(prepared, Snapshot(snapshot.allowed, snapshot.stopped, totals)).severity >= before
    assert rule(prepared, Snapshot(snapshot.allowed, snapshot.stopped, {})).severity >= before


@given(tools(), good)
@settings(max_examples=300, deadline=None)
def test_digest_binds_what_runs(tool: Tool, raw: dict[str, Any]) -> None:
    """Reading back what was stored gives the same digest, so a claim can compare the two."""
    prepared = prepare(TOOL, tool, raw, "user:ada", "support")
    if prepared.params is not None:
        again = prepare(TOOL, tool, prepared.arguments, "user:ada", "support")
        assert call_digest(TOOL, again.arguments) == call_digest(TOOL, prepared.arguments)
        assert again.params == prepared.params


@given(tools(), arguments)
@settings(max_examples=200, deadline=None)
def test_hard_bounds_are_asked_again(tool: Tool, raw: dict[str, Any]) -> None:
    """What the constraints deny at proposal they deny before execution, too."""
    prepared = prepare(TOOL, tool, raw, "user:ada", "support")
    undrawn = define(issue, TOOL, constraints=tool.constraints)
    at_first = rule(prepare(TOOL, undrawn, raw, "user:ada", "support"), Snapshot(frozenset({TOOL})))
    assert still_permits(prepared, frozenset()).severity >= at_first.severity
    assert still_permits(prepared, frozenset({EVERY_TOOL})).severity is Severity.DENY
