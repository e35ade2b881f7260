"""What another policy would have ruled on the calls that are recorded.

Pure: arguments, allowlists, totals and records are those of then. A call whose ruling needs what
was not recorded is named as one that nobody can tell about, and counts as neither.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from staid.domain.call import CallRecord, Ruling, Severity
from staid.domain.canonical import Json
from staid.gates.reruling import PastUse, Reruled, rerule
from staid.gates.rules import Policy
from staid.gates.tool import Tool

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Flip:
    """One recorded call that the other policy rules otherwise."""

    record: CallRecord
    now: Ruling
    amount: Decimal | None
    """What is at stake, where the call says so."""

    @property
    def then(self) -> Ruling:
        """What was ruled when the call was made."""
        return self.record.ruling

    @property
    def looser(self) -> bool:
        """Whether less stands in the way of the call than then."""
        return self.now.severity < self.then.severity

    @property
    def words(self) -> str:
        """Both rulings: `ask -> allow`."""
        return f"{self.then.severity.word} -> {self.now.severity.word}"


@dataclass(frozen=True, slots=True)
class Backtest:
    """Recorded calls under another policy."""

    calls: int
    flips: tuple[Flip, ...]
    cannot: tuple[tuple[CallRecord, str], ...]
    """Calls nobody can tell about, with the reason."""
    days: Decimal
    """How many days the calls span, one at least."""

    @property
    def loosened(self) -> tuple[Flip, ...]:
        """The calls that less would stand in the way of."""
        return tuple(flip for flip in self.flips if flip.looser)

    @property
    def asked(self) -> int:
        """How many calls would wait for a person that did not."""
        return sum(flip.now.severity is Severity.ASK for flip in self.flips)

    @property
    def unasked(self) -> int:
        """How many calls would not wait for a person that did."""
        return sum(flip.then.severity is Severity.ASK for flip in self.flips)

    @property
    def unattended(self) -> Mapping[str, Decimal]:
        """Tool -> the sum of what nobody would look at any more."""
        found: dict[str, Decimal] = {}
        for flip in self.loosened:
            if flip.now.severity is Severity.ALLOW and flip.amount is not None:
                tool = flip.record.call.tool
                found[tool] = found.get(tool, Decimal(0)) + flip.amount
        return found


def backtest(
    uses: Sequence[PastUse],
    tools: Mapping[str, Tool],
    policy: Policy,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    allowed: Callable[[str], frozenset[str] | None] = lambda _agent: None,
) -> Backtest:
    """Rule again on every recorded call; `uses` are all of them, in order of proposal.

    Those before `since` only count towards running totals.
    """
    flips: list[Flip] = []
    cannot: list[tuple[CallRecord, str]] = []
    counted: list[datetime] = []
    for use, again in zip(uses, rerule(uses, tools, allowed, policy=policy), strict=True):
        at = use.record.proposed_at
        if since is not None and at < since:
            continue
        counted.append(at)
        reason = _unknown(use, tools, policy)
        if reason:
            cannot.append((use.record, reason))
        elif again.flipped and not _as_then(again):
            tool = tools[use.record.call.tool]
            flips.append(Flip(use.record, again.now, _amount(tool, use.record.call.arguments)))
    return Backtest(len(counted), tuple(flips), tuple(cannot), _days(counted, since, until))


def _unknown(use: PastUse, tools: Mapping[str, Tool], policy: Policy) -> str | None:
    """Return why nobody can tell what the call would be ruled now, or None."""
    call = use.record.call
    tool = tools.get(call.tool)
    if tool is None:
        return f"the project has no tool {call.tool} any more"
    about = policy.about(tool)
    needed = about.records
    known = frozenset(use.snapshot.records) if use.snapshot is not None else frozenset[str]()
    missing = sorted(needed - known)
    if missing:
        return f"the record {missing[0]} was not kept with the call"
    if about.hears and use.said is None and (use.snapshot is None or use.snapshot.said is None):
        return "what the asker had written was not kept"
    return None


def _as_then(again: Reruled) -> bool:
    """Whether a call was denied because its preview failed, which nothing but a try can tell."""
    return again.then.rule == "preview" and again.now.severity is Severity.ASK


def _amount(tool: Tool, arguments: Mapping[str, Json]) -> Decimal | None:
    summed = (budget.sum_of for budget in tool.budgets)
    name = next((name for name in (tool.amount, *summed) if name), "amount")
    value = arguments.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        amount = Decimal(str(value))
    except ArithmeticError:
        return None
    return amount if amount.is_finite() else None


def _days(counted: Iterable[datetime], since: datetime | None, until: datetime | None) -> Decimal:
    found = sorted(counted)
    if not found:
        return Decimal(1)
    first, last = since or found[0], max(found[-1], until or found[-1])
    return max(Decimal(1), Decimal((last - first) / _DAY).quantize(Decimal("0.1")))
