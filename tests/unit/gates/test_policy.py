"""Which rule speaks, what it says, and what a budget draws."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel, Field

from staid.domain.call import Severity
from staid.domain.canonical import Json
from staid.gates.budget import Budget, duration
from staid.gates.policy import EVERY_TOOL, Prepared, Snapshot, prepare, rule
from staid.gates.tool import define

ALLOWED = frozenset({"refund.issue"})


class Refund(BaseModel):
    """Arguments of the tool."""

    order_id: str
    amount: Decimal = Field(gt=0, le=500)
    iban: str = "DE00"


def issue(p: Refund) -> None:
    """Do nothing."""


def proposed(amount: Json = 150, **options: Any) -> Prepared:
    """Return a proposal read against its tool."""
    tool = define(issue, "refund.issue", **options)
    arguments: dict[str, Json] = {"order_id": "7", "amount": amount}
    return prepare("refund.issue", tool, arguments, "user:ada", "support")


def no_weekend(_: Refund) -> bool:
    """Never hold."""
    return False


def missing(p: Refund) -> bool:
    """Look at something that is not there."""
    found: dict[str, bool] = {}
    return found[p.order_id]


def maybe(_: Refund) -> Any:
    """Answer neither yes nor no."""
    return "perhaps"


@pytest.mark.parametrize(
    ("prepared", "snapshot", "severity", "name"),
    [
        (proposed(), Snapshot(ALLOWED), Severity.ALLOW, "bounds"),
        (proposed(requires_approval=True), Snapshot(ALLOWED), Severity.ASK, "approval"),
        (proposed(), Snapshot(frozenset()), Severity.DENY, "allowlist"),
        (proposed(), Snapshot(ALLOWED, frozenset({EVERY_TOOL})), Severity.DENY, "kill_switch"),
        (proposed(), Snapshot(ALLOWED, frozenset({"other"})), Severity.ALLOW, "bounds"),
        (
            proposed(900, requires_approval=True),
            Snapshot(ALLOWED),
            Severity.DENY,
            "constraint:amount",
        ),
        (proposed("much"), Snapshot(ALLOWED), Severity.DENY, "schema"),
        (
            proposed(constraints={"no weekend": no_weekend}, requires_approval=True),
            Snapshot(ALLOWED),
            Severity.DENY,
            "constraint:no weekend",
        ),
        (
            proposed(constraints={"known": missing}),
            Snapshot(ALLOWED),
            Severity.DENY,
            "constraint:known",
        ),
        (proposed(requires_approval=missing), Snapshot(ALLOWED), Severity.DENY, "approval"),
        (proposed(requires_approval=maybe), Snapshot(ALLOWED), Severity.DENY, "approval"),
    ],
)
def test_who_decides(prepared: Prepared, snapshot: Snapshot, severity: Severity, name: str) -> None:
    """Each stage speaks for itself, deny beats ask, and a rule that cannot answer denies."""
    ruling = rule(prepared, snapshot)
    assert (ruling.severity, ruling.rule) == (severity, name)


@pytest.mark.parametrize(
    ("spent", "severity"),
    [("250", Severity.ALLOW), ("250.01", Severity.DENY), (None, Severity.DENY)],
)
def test_budget(spent: str | None, severity: Severity) -> None:
    """The limit may be reached, not crossed; an unknown total denies."""
    prepared = proposed(budget=Budget(sum_of="amount", per="customer", window="1d", limit=400))
    (draw,) = prepared.draws
    assert (draw.amount, draw.key, draw.window) == (Decimal(150), "user:ada", timedelta(days=1))
    totals = {} if spent is None else {draw.slot: Decimal(spent)}
    assert rule(prepared, Snapshot(ALLOWED, totals=totals)).severity is severity


@pytest.mark.parametrize(
    ("per", "key"), [("customer", "user:ada"), ("agent", "support"), ("iban", '"de00"')]
)
def test_budget_key(per: str, key: str) -> None:
    """A budget counts per asker, per agent, or per value of an argument."""
    (draw,) = proposed(budget=Budget(10, per=per)).draws
    assert (draw.key, draw.amount) == (key, Decimal(1))


def test_several_keys() -> None:
    """Several keys make one, which no other combination can imitate."""
    (draw,) = proposed(budget=Budget(10, per=["customer", "agent"])).draws
    assert draw.key == '["user:ada","support"]'
    assert draw.budget.endswith(":count:customer+agent:86400")


def test_shared_budget() -> None:
    """Budgets of one name share a total; by default a tool has its own."""
    (own,) = proposed(budget=Budget(10)).draws
    (shared,) = proposed(budget=Budget(10, name="money out")).draws
    assert own.budget.startswith("refund.issue:")
    assert shared.budget == "money out"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("30m", 1800), ("12h", 43200), ("1d", 86400), ("2w", 1209600)],
)
def test_duration(text: str, seconds: int) -> None:
    """Durations read as people write them."""
    assert duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "1", "1 d", "-1d", "0s", "1y", "d", "1.5h"])
def test_no_duration(text: str) -> None:
    """Anything else, and nothing at all, is refused."""
    with pytest.raises(ValueError, match="duration"):
        duration(text)
