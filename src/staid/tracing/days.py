"""Days of runs, summed: outcomes, abstentions, tokens, cost, waiting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from staid.domain.finding import FAILED, Ended


def days(found: Sequence[Ended]) -> Mapping[str, list[Ended]]:
    """Return the roll-ups of each day, in the order given."""
    by_day: dict[str, list[Ended]] = {}
    for each in found:
        by_day.setdefault(each.day, []).append(each)
    return by_day


def summary(found: Sequence[Ended]) -> dict[str, Any]:
    """Return the sums and means of roll-ups, money as text.

    The rate of abstentions and the means are those of runs with an outcome.
    """
    outcomes = {
        outcome: sum(each.runs for each in found if each.outcome == outcome)
        for outcome in ("answer", "abstention", "refusal", FAILED)
    }
    told = [each for each in found if each.outcome != FAILED]
    runs = sum(each.runs for each in told)
    return {
        "runs": runs + outcomes[FAILED],
        "outcomes": outcomes,
        "abstention_rate": round(outcomes["abstention"] / runs, 4) if runs else None,
        "confidence": round(sum(e.confidence for e in told) / runs, 4) if runs else None,
        "latency_s": round(sum(e.latency for e in told) / runs, 3) if runs else None,
        "requests": sum(each.requests for each in found),
        "input_tokens": sum(each.input_tokens for each in found),
        "output_tokens": sum(each.output_tokens for each in found),
        "cost": sum((each.cost for each in found), Decimal(0)),
    }
