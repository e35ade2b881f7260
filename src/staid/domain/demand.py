"""What a request asks of those who decide it: who, how many, up to which amount, until when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
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

    def late(self, waited: timedelta) -> bool:
        """Return whether a request that waited this long is `escalate_to`'s, too."""
        return self.escalate_after is not None and waited >= self.escalate_after


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
            if terms.late(waited)
            for token in terms.escalate_to
        )

    def escalations(self) -> tuple[timedelta, ...]:
        """Return after how long the request is widened, earliest first."""
        lengths = {t.escalate_after for t in (self.own, *self.also) if t.escalate_after}
        return tuple(sorted(lengths))

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
