"""What a request asks of those who decide: who, how many, up to which amount, until when.

Rules only ever add to it. An approver satisfies the tool's own terms and those of every rule that
asked, so that no rule can weaken another whatever their order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

from staid.domain.canonical import Json, decimal_text

WEEK = timedelta(days=7)
"""How long a request waits unless its tool says otherwise."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What one rule asks of an approver; an empty field asks nothing."""

    approvers: frozenset[str] = frozenset()
    """The approver holds one of these tokens; empty: any user who is not upstream."""
    quorum: int = 1
    """How many distinct humans must approve."""
    ceilings: Mapping[str, Decimal] = field(default_factory=dict[str, Decimal])
    """Token -> the most its holder may approve; where any is given, an approver needs one."""
    expires_after: timedelta | None = None
    escalate_after: timedelta | None = None
    """After this long `escalate_to` may approve, too."""
    escalate_to: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Demand:
    """What a request asks of those who decide it."""

    approvers: frozenset[str] = frozenset()
    """An approver holds one of these tokens; empty: any user who is not upstream."""
    quorum: int = 1
    """How many distinct humans must approve."""
    amount: Decimal | None = None
    """What is at stake, for the ceilings."""
    ceilings: Mapping[str, Decimal] = field(default_factory=dict[str, Decimal])
    """Token -> the most its holder may approve; where any is given, an approver needs one."""
    expires_after: timedelta = WEEK
    escalate_after: timedelta | None = None
    """After this long `escalate_to` may approve, too."""
    escalate_to: frozenset[str] = frozenset()
    also: tuple[Terms, ...] = ()
    """Terms of further rules: an approver satisfies every one of them, too."""

    @property
    def own(self) -> Terms:
        """The demand's own terms, without those of further rules."""
        return Terms(
            self.approvers,
            self.quorum,
            self.ceilings,
            self.expires_after,
            self.escalate_after,
            self.escalate_to,
        )

    def escalated(self, waited: timedelta) -> frozenset[str]:
        """Return whom the request has been widened to after waiting this long."""
        return frozenset(
            token
            for terms in (self.own, *self.also)
            if _late(terms, waited)
            for token in terms.escalate_to
        )

    def as_json(self) -> dict[str, Json]:
        """Return the demand as plain values, as the ledger keeps it."""
        return {
            **_terms_json(self.own),
            "amount": decimal_text(self.amount) if self.amount is not None else None,
            "also": [_terms_json(terms) for terms in self.also],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Demand:
        """Read what `as_json` returned."""
        own = _terms(value)
        return cls(
            own.approvers,
            own.quorum,
            Decimal(value["amount"]) if value["amount"] is not None else None,
            own.ceilings,
            own.expires_after or WEEK,
            own.escalate_after,
            own.escalate_to,
            tuple(_terms(each) for each in value["also"]),
        )


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
    taken = terms.approvers | terms.escalate_to if _late(terms, waited) else terms.approvers
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


def _late(terms: Terms, waited: timedelta) -> bool:
    return terms.escalate_after is not None and waited >= terms.escalate_after


def _terms_json(terms: Terms) -> dict[str, Json]:
    return {
        "approvers": sorted(terms.approvers),
        "quorum": terms.quorum,
        "ceilings": {token: decimal_text(most) for token, most in sorted(terms.ceilings.items())},
        "expires_after": _seconds(terms.expires_after),
        "escalate_after": _seconds(terms.escalate_after),
        "escalate_to": sorted(terms.escalate_to),
    }


def _terms(value: Mapping[str, Any]) -> Terms:
    return Terms(
        frozenset(value["approvers"]),
        value["quorum"],
        {token: Decimal(most) for token, most in value["ceilings"].items()},
        _length(value["expires_after"]),
        _length(value["escalate_after"]),
        frozenset(value["escalate_to"]),
    )


def _seconds(length: timedelta | None) -> int | None:
    return None if length is None else int(length.total_seconds())


def _length(seconds: int | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=seconds)
