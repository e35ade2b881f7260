"""Two experiments on the same cases: what changed, where, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from staid.domain.errors import NotComparable
from staid.evals.experiment import Experiment, Result
from staid.evals.paired import CONFIDENCE, detectable, effective, interval, p_values


@dataclass(frozen=True, slots=True)
class Change:
    """What changed in one group of cases; shares are weighted and lie in 0..1."""

    name: str
    """The intent; empty for the whole set."""
    cases: int
    baseline: float
    """Share that passed."""
    candidate: float
    difference: float
    """Candidate minus baseline: negative is worse."""
    interval: tuple[float, float]
    """Of the difference, with the comparison's `confidence`, looking at this group alone."""
    p_drop: float
    """Chance of so large a net loss in any group if nothing had changed."""
    p_rise: float
    """The same for a net gain."""
    minimum_detectable_drop: float | None
    """Smallest drop that would be shown in 4 of 5 tries; None: no drop, however large, would."""
    lost: tuple[str, ...]
    """Cases that only the baseline passed, by id."""
    gained: tuple[str, ...]
    """Cases that only the candidate passed, by id."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A candidate against its baseline, over the same cases."""

    overall: Change
    intents: tuple[Change, ...]
    """Regressions first: by p of a drop, then by difference, then by name."""
    errored: tuple[str, ...]
    """Cases that raised on either side; they count as failed there."""
    confidence: float = CONFIDENCE

    @property
    def changes(self) -> tuple[Change, ...]:
        """The whole set and every intent."""
        return (self.overall, *self.intents)


@dataclass(frozen=True, slots=True)
class _Pair:
    before: Result
    after: Result

    @property
    def id(self) -> str:
        return self.before.case

    @property
    def sign(self) -> int:
        """1 lost, -1 gained, 0 the same."""
        return int(self.before.passed) - int(self.after.passed)


def compare(
    baseline: Experiment, candidate: Experiment, leave_out: frozenset[str] = frozenset()
) -> Comparison:
    """Return what changed, whatever the order of cases; raise `NotComparable` for other cases.

    Equal are: the data set's fingerprint, the graders, and the cases with intents and weights.
    `leave_out` names cases to look away from.
    """
    pairs = [pair for pair in _pairs(baseline, candidate) if pair.id not in leave_out]
    if not pairs:
        raise NotComparable(detail="no case is left that ran on both sides")
    intents = sorted({pair.before.intent for pair in pairs})
    groups = [pairs, *([p for p in pairs if p.before.intent == intent] for intent in intents)]
    drops, rises = _both_ways(pairs, intents)
    sizes = [effective([pair.before.weight for pair in group]) for group in groups]
    changes = [
        _change(name, group, sizes, number, (drops[number], rises[number]), _churn(pairs))
        for number, (name, group) in enumerate(zip(["", *intents], groups, strict=True))
    ]
    return Comparison(
        overall=changes[0],
        intents=tuple(sorted(changes[1:], key=lambda c: (c.p_drop, c.difference, c.name))),
        errored=tuple(p.id for p in pairs if p.before.errored or p.after.errored),
    )


def _pairs(baseline: Experiment, candidate: Experiment) -> list[_Pair]:
    if baseline.dataset != candidate.dataset:
        raise NotComparable(
            detail=f"the data set changed (baseline {baseline.dataset[:12]}, "
            f"candidate {candidate.dataset[:12]})"
        )
    if baseline.grader != candidate.grader:
        raise NotComparable(
            detail=f"the graders changed (baseline {baseline.grader}, candidate {candidate.grader})"
        )
    before = {result.case: result for result in baseline.results}
    after = {result.case: result for result in candidate.results}
    if before.keys() != after.keys():
        odd = sorted(before.keys() ^ after.keys())
        raise NotComparable(detail=f"{len(odd)} case(s) ran on one side only, such as {odd[0]}")
    pairs = [_Pair(before[case], after[case]) for case in sorted(before)]
    for pair in pairs:
        if (pair.before.intent, pair.before.weight) != (pair.after.intent, pair.after.weight):
            raise NotComparable(detail=f"intent or weight of the case {pair.id} differ")
    return pairs


def _both_ways(
    pairs: Sequence[_Pair], intents: Sequence[str]
) -> tuple[Sequence[float], Sequence[float]]:
    moved = [pair for pair in pairs if pair.sign]
    overall = [pair.sign * pair.before.weight for pair in moved]
    rows = [overall]
    for intent in intents:
        inside = [pair.before.intent == intent for pair in moved]
        rows.append([value if here else 0.0 for value, here in zip(overall, inside, strict=True)])
    mirrored = [[-value for value in row] for row in rows]
    return p_values(rows), p_values(mirrored)


def _churn(pairs: Sequence[_Pair]) -> float:
    """Return the share of cases that seem to flip both ways, whatever the net change is."""
    total = sum(pair.before.weight for pair in pairs)
    lost = sum(pair.before.weight for pair in pairs if pair.sign > 0)
    gained = sum(pair.before.weight for pair in pairs if pair.sign < 0)
    return 2 * min(lost, gained) / total


def _change(
    name: str,
    pairs: Sequence[_Pair],
    sizes: Sequence[float],
    number: int,
    p: tuple[float, float],
    churn: float,
) -> Change:
    total = sum(pair.before.weight for pair in pairs)
    before = sum(pair.before.weight for pair in pairs if pair.before.passed) / total
    after = sum(pair.before.weight for pair in pairs if pair.after.passed) / total
    lost = sum(pair.before.weight for pair in pairs if pair.sign > 0) / total
    gained = sum(pair.before.weight for pair in pairs if pair.sign < 0) / total
    size = sizes[number]
    return Change(
        name=name,
        cases=len(pairs),
        baseline=before,
        candidate=after,
        difference=gained - lost,
        interval=interval(lost * size, gained * size, size),
        p_drop=p[0],
        p_rise=p[1],
        minimum_detectable_drop=detectable(sizes, number, churn, before),
        lost=tuple(pair.id for pair in pairs if pair.sign > 0),
        gained=tuple(pair.id for pair in pairs if pair.sign < 0),
    )
