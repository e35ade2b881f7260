"""What a request asks of those who decide, as rules add to it, and who satisfies it.

Rules only ever add. An approver satisfies the tool's own terms and those of every rule that asked,
so that no rule can weaken another whatever their order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from staid.domain.canonical import decimal_text
from staid.domain.demand import WEEK, Demand, Terms

__all__ = ["WEEK", "Demand", "Terms", "objection", "tightened"]


def tightened(demand: Demand, terms: Terms) -> Demand:
    """Return a demand that asks all of `demand` and all of `terms`: never less than either."""
    quorum = max(demand.quorum, terms.quorum)
    expires = min(demand.expires_after, terms.expires_after or demand.expires_after)
    asks_all = replace(demand, quorum=quorum, expires_after=expires)
    if not terms.approvers and not terms.ceilings:
        return asks_all
    if demand.approvers or demand.ceilings:
        return replace(asks_all, also=(*demand.also, terms))
    return replace(
        asks_all,
        approvers=terms.approvers,
        ceilings=terms.ceilings,
        escalate_after=terms.escalate_after,
        escalate_to=terms.escalate_to,
    )


def objection(
    demand: Demand, tokens: frozenset[str], waited: timedelta, *, approving: bool
) -> str | None:
    """Return why the holder of these tokens may not decide, or None where they may.

    Ceilings bound what is approved; to deny, whatever the amount, takes an approver.
    """
    everybody = (demand.own, *demand.also)
    reasons = [r for terms in everybody for r in _strangers(terms, tokens, waited)]
    if approving:
        reasons += [r for terms in everybody for r in _ceilings(terms, tokens, demand.amount)]
    return next(iter(reasons), None)


def _strangers(terms: Terms, tokens: frozenset[str], waited: timedelta) -> Iterator[str]:
    taken = terms.approvers | terms.escalate_to if terms.late(waited) else terms.approvers
    if terms.approvers and not taken & tokens:
        yield f"this takes one of {', '.join(sorted(taken))}"


def _ceilings(terms: Terms, tokens: frozenset[str], amount: Decimal | None) -> Iterator[str]:
    if not terms.ceilings:
        return
    held = _most(terms.ceilings[token] for token in tokens & terms.ceilings.keys())
    if amount is None:
        yield "there are ceilings, and the call does not say its amount"
    elif held is None:
        yield f"an amount takes one of {', '.join(sorted(terms.ceilings))}"
    elif amount > held:
        yield f"the amount is {decimal_text(amount)}, and they may approve {decimal_text(held)}"


def _most(ceilings: Iterable[Decimal]) -> Decimal | None:
    return max(ceilings, default=None)
