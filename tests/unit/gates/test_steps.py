"""What was asked about a call: every check in order with its own word."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel, Field

import staid
from staid.domain.call import Ruling, Severity
from staid.gates.policy import Snapshot, prepare, rule
from staid.gates.tool import define


class Refund(BaseModel):
    """A refund."""

    amount: Decimal = Field(gt=0, le=500)


def _refund(_: Refund) -> None:
    """Refund."""


def above(p: Refund) -> bool:
    """Ask above 100."""
    return p.amount > 100


TOOL = define(
    _refund,
    "refund.issue",
    effect="write",
    result="Done.",
    requires_approval=above,
    budget=staid.Budget(sum_of="amount", per="customer", window="1d", limit=500),
)
ALL = frozenset({"refund.issue"})


@pytest.mark.parametrize(
    ("amount", "allowed", "stopped", "against"),
    [
        (50, ALL, frozenset[str](), {}),
        (200, ALL, frozenset[str](), {"approval": "ask"}),
        (900, ALL, frozenset[str](), {"constraint:amount": "deny"}),
        (50, frozenset[str](), ALL, {"kill_switch": "deny", "allowlist": "deny"}),
    ],
)
def test_every_check_is_recorded_with_its_word(
    amount: int, allowed: frozenset[str], stopped: frozenset[str], against: dict[str, str]
) -> None:
    """What objects says so by name, and what was asked and did not object is `allow`."""
    prepared = prepare("refund.issue", TOOL, {"amount": amount}, "user:ada", "desk")
    totals = {draw.slot: Decimal(0) for draw in prepared.draws}
    ruling = rule(prepared, Snapshot(allowed, stopped, totals))
    assert {name: word for name, word in ruling.steps if word != "allow"} == against
    assert [name for name, _ in ruling.steps][:3] == ["kill_switch", "allowlist", "schema"]
    read = amount <= 500
    assert ("approval" in dict(ruling.steps)) == read
    assert any(name.startswith("budget:") for name, _ in ruling.steps) == read
    words: Any = dict(ruling.steps)
    assert max(Severity[word.upper()] for word in words.values()) == ruling.severity


def test_an_unknown_tool_is_asked_about_no_further() -> None:
    """Without a tool there is neither schema nor bound to ask."""
    prepared = prepare("payroll.pay", None, {}, "user:ada", "desk")
    ruling = rule(prepared, Snapshot(ALL))
    assert ruling.steps == (("kill_switch", "allow"), ("allowlist", "deny"))


def test_steps_tell_and_do_not_distinguish() -> None:
    """Two rulings are equal whatever was asked on the way."""
    assert Ruling(Severity.DENY, "a", "b", (("a", "deny"),)) == Ruling(Severity.DENY, "a", "b")
