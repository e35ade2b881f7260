"""Recorded calls ruled again, in the order they were made, by other bounds.

Nothing is carried out: arguments, allowlist and running totals are what they were. A total that was
not recorded (a new budget, an imported call) is summed up over the recorded calls before, as the
new bounds would have let them through.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from staid.domain.call import CallRecord, CallState, Ruling, Severity
from staid.gates.budget import Draw, Slot, Totals
from staid.gates.policy import Snapshot, prepare, rule
from staid.gates.rules import NO_POLICY, Policy
from staid.gates.tool import Tool

DREW = frozenset(
    {
        CallState.PENDING,
        CallState.APPROVED,
        CallState.EXECUTING,
        CallState.IN_DOUBT,
        CallState.DONE,
    }
)
"""States of a call that counts against its budgets."""


@dataclass(frozen=True, slots=True)
class PastUse:
    """One recorded call, and what it was ruled from."""

    record: CallRecord
    snapshot: Snapshot | None = None
    """None where it was not recorded: another system's call, or an earlier release."""
    said: str | None = None
    """What the asker had written; None where that is not kept, or was erased."""


@dataclass(frozen=True, slots=True)
class Reruled:
    """A call with its ruling of then and of now."""

    record: CallRecord
    now: Ruling

    @property
    def then(self) -> Ruling:
        """What was ruled when the call was made."""
        return self.record.ruling

    @property
    def flipped(self) -> bool:
        """Whether it is another one: allow, ask and deny count, not which rule says so."""
        return self.then.severity is not self.now.severity


class Tally:
    """What was drawn when, so that a total of any moment can be told."""

    def __init__(self) -> None:
        """Start with nothing drawn."""
        self._drawn: dict[Slot, list[tuple[datetime, Decimal, str]]] = {}

    def add(self, draws: Iterable[Draw], at: datetime, call: str) -> None:
        """Count what a call drew."""
        for draw in draws:
            self._drawn.setdefault(draw.slot, []).append((at, draw.amount, call))

    def totals(self, draws: Sequence[Draw], before: datetime, call: str = "") -> Totals:
        """Return the total of every slot as it was at this moment, without that call's own."""
        return {draw.slot: self._total(draw, before, call) for draw in draws}

    def _total(self, draw: Draw, before: datetime, call: str) -> Decimal:
        since = before - draw.window
        drawn = self._drawn.get(draw.slot, [])
        counted = (amount for at, amount, by in drawn if since < at <= before and by != call)
        return sum(counted, Decimal(0))


def rerule(
    uses: Iterable[PastUse],
    tools: Mapping[str, Tool],
    allowed: Callable[[str], frozenset[str] | None],
    *,
    denied: frozenset[str] = frozenset(),
    policy: Policy = NO_POLICY,
) -> Iterator[Reruled]:
    """Yield every call with its ruling under these bounds; `uses` are in order of proposal.

    `allowed` is an agent's allowlist, None: as recorded, and every tool where it was not recorded.
    """
    tally = Tally()
    for use in uses:
        record, call = use.record, use.record.call
        prepared = prepare(
            call.tool, tools.get(call.tool), call.arguments, call.subject, call.agent, policy
        )
        known = use.snapshot or Snapshot(frozenset(tools), now=record.proposed_at)
        missing = [draw for draw in prepared.draws if draw.slot not in known.totals]
        names = allowed(call.agent)
        ruling = rule(
            prepared,
            replace(
                known,
                allowed=known.allowed if names is None else names,
                stopped=known.stopped | denied,
                totals={**tally.totals(missing, record.proposed_at), **known.totals},
                policy=policy.version,
                now=known.now or record.proposed_at,
                said=use.said if known.said is None else known.said,
            ),
        )
        if ruling.severity is not Severity.DENY and record.state in DREW:
            tally.add(prepared.draws, record.proposed_at, call.id)
        yield Reruled(record, ruling)
