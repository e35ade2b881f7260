"""The merge gate: whether a change may go in, as far as the data set can tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from staid.evals.compare import Change, Comparison, compare
from staid.evals.experiment import Experiment
from staid.evals.paired import ALPHA, cases_needed

TOLERANCE = 0.05
"""The drop of the pass rate that a pass has to exclude once any case got worse: 5 points."""
MISSING = 0.02
"""Share of cases that may raise before a comparison says nothing any more."""

Verdict: TypeAlias = Literal["pass", "block", "cannot_tell"]


@dataclass(frozen=True, slots=True)
class GateResult:
    """The verdict with the fact that decided it and everything it rests on."""

    verdict: Verdict
    reason: str
    """Plain words: the deciding fact."""
    comparison: Comparison
    tolerance: float
    worse: tuple[Change, ...]
    """Where a drop is shown: intents, the whole set (without a name). Empty unless blocked."""
    cases_needed: int | None
    """On `cannot_tell`: about how many cases like these would exclude a drop above tolerance."""


def decide(baseline: Experiment, candidate: Experiment, tolerance: float = TOLERANCE) -> GateResult:
    """Return the verdict; block only on a shown drop. Raises `NotComparable` for other cases.

    1. `block`: in the whole set or in an intent, a net loss so large has a probability of at most
       5% if nothing had changed, all groups together (`staid.evals.paired.p_values`).
    2. `cannot_tell`: more than 2% of the cases raised, or the drop is shown only because of cases
       that raised: an error is never a pass, and never by itself a decline.
    3. `pass`: no case got worse; or the interval of the whole set excludes a drop larger than
       `tolerance`. Intents are too small for a tolerance of their own; they can only block.
    4. else `cannot_tell`: something got worse, and this many cases cannot say whether it matters.
    """
    comparison = compare(baseline, candidate)
    worse = _worse(comparison)
    errors = len(comparison.errored) / comparison.overall.cases
    if worse:
        if comparison.errored and not _shown_without_errors(baseline, candidate, comparison):
            return _unclear(comparison, tolerance, _raised(comparison, "the drop rests on them"))
        return GateResult("block", _shown(worse), comparison, tolerance, worse, None)
    if errors > MISSING:
        return _unclear(comparison, tolerance, _raised(comparison, "so much is missing"))
    overall = comparison.overall
    if not overall.lost:
        reason = "no case got worse"
    elif overall.interval[0] >= -tolerance:
        reason = f"a drop of more than {points(tolerance)} points is excluded"
    else:
        reason = (
            f"{len(overall.lost)} case(s) got worse: that may be chance, but a drop of up to "
            f"{points(-overall.interval[0])} points is possible, and "
            f"{points(tolerance)} are tolerated"
        )
        return _unclear(comparison, tolerance, reason, needed=_needed(overall, tolerance))
    return GateResult("pass", reason, comparison, tolerance, (), None)


def too_many_errors(experiment: Experiment) -> bool:
    """Return whether so many cases raised (more than `MISSING`) that the rates say nothing."""
    errored = sum(result.errored for result in experiment.results)
    return errored > MISSING * len(experiment.results)


def points(share: float) -> str:
    """Return a share as percentage points with one decimal."""
    return f"{100 * share:.1f}"


def _worse(comparison: Comparison) -> tuple[Change, ...]:
    return tuple(change for change in comparison.changes if change.p_drop <= ALPHA)


def _shown_without_errors(
    baseline: Experiment, candidate: Experiment, comparison: Comparison
) -> bool:
    errored = frozenset(comparison.errored)
    if len(errored) == comparison.overall.cases:
        return False
    return bool(_worse(compare(baseline, candidate, leave_out=errored)))


def _shown(worse: tuple[Change, ...]) -> str:
    first = min(worse, key=lambda change: (change.p_drop, change.difference))
    where = f"in the intent {first.name}" if first.name else "over the whole set"
    return (
        f"a drop is shown {where}: {points(first.difference)} points, "
        f"{len(first.lost)} case(s) got worse, {len(first.gained)} better (p = {first.p_drop:.3f})"
    )


def _raised(comparison: Comparison, consequence: str) -> str:
    return f"{len(comparison.errored)} of {comparison.overall.cases} cases raised; {consequence}"


def _unclear(
    comparison: Comparison, tolerance: float, reason: str, needed: int | None = None
) -> GateResult:
    return GateResult("cannot_tell", reason, comparison, tolerance, (), needed)


def _needed(overall: Change, tolerance: float) -> int | None:
    churn = (len(overall.lost) + len(overall.gained)) / overall.cases
    needed = cases_needed(churn, tolerance)
    return None if needed is None else max(overall.cases + 1, needed)
