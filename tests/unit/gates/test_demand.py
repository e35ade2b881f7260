"""What a request asks of those who decide."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staid.gates.demand import Demand, Terms, objection, tightened

HOUR = timedelta(hours=1)
TOKENS = ["user:lead", "group:leads", "group:finance", "group:directors"]
tokens = st.frozensets(st.sampled_from(TOKENS), max_size=3)
lengths = st.integers(1, 100).map(lambda n: n * HOUR)
ceilings = st.dictionaries(st.sampled_from(TOKENS), st.integers(0, 9).map(Decimal), max_size=3)
terms = st.builds(
    Terms, tokens, st.integers(1, 3), ceilings, st.none() | lengths, st.none() | lengths, tokens
)
demands = st.builds(
    Demand,
    tokens,
    st.integers(1, 3),
    st.none() | st.integers(0, 9).map(Decimal),
    ceilings,
    lengths,
    st.none() | lengths,
    tokens,
    st.lists(terms, max_size=2).map(tuple),
)


def may(demand: Demand, *held: str, waited: timedelta = HOUR, approving: bool = True) -> bool:
    """Tell whether the holder of these tokens may decide."""
    return objection(demand, frozenset(held), waited, approving=approving) is None


@given(demand=demands, rule=terms, held=tokens, waited=lengths, approving=st.booleans())
def test_a_rule_never_lets_decide_whom_another_would_not(
    demand: Demand, rule: Terms, held: frozenset[str], waited: timedelta, *, approving: bool
) -> None:
    """Whoever may decide under both could have decided under each of them."""
    both = tightened(demand, rule)
    alone = Demand(
        rule.approvers,
        rule.quorum,
        demand.amount,
        rule.ceilings,
        rule.expires_after or demand.expires_after,
        rule.escalate_after,
        rule.escalate_to,
    )
    if objection(both, held, waited, approving=approving) is None:
        assert objection(demand, held, waited, approving=approving) is None
        assert objection(alone, held, waited, approving=approving) is None
    assert both.quorum >= max(demand.quorum, rule.quorum)
    assert both.expires_after <= min(demand.expires_after, alone.expires_after)


@given(demands)
def test_a_demand_survives_its_stored_form(demand: Demand) -> None:
    """What the ledger keeps of a demand is read back as the same demand."""
    assert Demand.from_json(demand.as_json()) == demand


def test_the_highest_ceiling_somebody_holds_counts() -> None:
    """A lead who is a director, too, may approve what a director may."""
    demand = Demand(
        amount=Decimal(900),
        ceilings={"group:leads": Decimal(500), "group:directors": Decimal(1000)},
    )
    assert not may(demand, "user:lead", "group:leads")
    assert may(demand, "user:lead", "group:leads", "group:directors")


@pytest.mark.parametrize("amount", [None, Decimal(1)])
def test_ceilings_fail_closed(amount: Decimal | None) -> None:
    """Whoever holds no ceiling approves no amount, and nobody approves an unknown one."""
    demand = Demand(amount=amount, ceilings={"group:leads": Decimal(500)})
    assert not may(demand, "user:cfo")
    assert may(demand, "user:lead", "group:leads") is (amount is not None)


def test_a_ceiling_does_not_stop_a_denial() -> None:
    """An approver whose ceiling is lower may still say no."""
    demand = Demand(
        frozenset({"group:leads"}), amount=Decimal(9), ceilings={"group:leads": Decimal(1)}
    )
    assert not may(demand, "group:leads")
    assert may(demand, "group:leads", approving=False)


def test_escalation_widens_the_rule_that_asked_for_it_alone() -> None:
    """A director steps in for a lead who is late, not for finance."""
    leads = Demand(
        frozenset({"group:leads"}),
        escalate_after=HOUR,
        escalate_to=frozenset({"group:directors"}),
    )
    assert not may(leads, "group:directors", waited=HOUR / 2)
    assert may(leads, "group:directors", waited=HOUR)
    assert leads.escalated(HOUR) == {"group:directors"}
    both = tightened(leads, Terms(frozenset({"group:finance"})))
    assert not may(both, "group:directors", waited=HOUR)
    assert may(both, "group:directors", "group:finance", waited=HOUR)


def test_the_first_rule_to_name_approvers_names_them() -> None:
    """A tool that takes anybody takes whom a rule names, and escalates as the rule says."""
    demand = tightened(Demand(), Terms(frozenset({"group:leads"}), 2))
    assert demand.approvers == {"group:leads"}
    assert demand.quorum == 2
    assert demand.also == ()
