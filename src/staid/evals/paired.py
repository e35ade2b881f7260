"""The statistics of a paired comparison: one trial a case on each side, numpy only.

A case counts as *lost* when the baseline passed it and the candidate did not, as *gained* the
other way round; equal cases carry no information about a change (McNemar 1947, Psychometrika 12).
Everything here is symmetric in the two sides and blind to the order of cases.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

ALPHA = 0.05
"""Share of harmless changes that may be blocked at most: over the whole set and all intents."""
POWER = 0.8
"""Probability with which a drop has to be shown before it counts as detectable."""
CONFIDENCE = 0.90
"""Of the two-sided interval; each end alone holds with 95%, as `ALPHA` does."""
EXACT_UP_TO = 12
"""Up to so many changed cases every sign pattern is counted; above, a fixed random sample is."""

_Z = 1.6448536269514722  # upper 5% point of the standard normal distribution
_FLIPS = 10_000
_SEED = 20_041_947
_LARGEST = 1000  # cases for which power is summed exactly
_LEVELS = ALPHA * 2.0 ** (-np.arange(0, 17) / 2)


def p_values(
    groups: Sequence[Sequence[float]], *, flips: int = _FLIPS, seed: int = _SEED
) -> list[float]:
    """Return for each group the chance of so large a net loss anywhere if nothing had changed.

    `groups` holds a row per group (the whole set, each intent) over the same changed cases: the
    case's weight where it was lost, minus the weight where it was gained, 0 where it is not in
    the group; the first row is the whole set. Without a change each of those signs is as likely
    as its opposite, so the signs are flipped; each group's sum becomes its own p-value and the
    smallest over all groups is compared with its distribution under the same flips: single-step
    min-p (Westfall & Young 1993, section 2.6). A block at `p <= ALPHA` in any group therefore has
    at most that probability in total when nothing changed, for any number of intents.
    """
    signed: Floats = np.array(groups, dtype=np.float64)
    if signed.shape[1] == 0:
        return [1.0] * len(groups)
    signed = signed / np.abs(signed).max()
    # Canonical order of the changed cases: their order in a file must not change the sample.
    order = np.lexsort(np.vstack([np.abs(signed), signed[0]])[::-1])
    signed = signed[:, order]
    patterns = _patterns(np.sign(signed[0]), flips, seed)
    sums: Floats = np.round(patterns @ np.abs(signed).T, 9)
    observed: Floats = np.round(signed @ np.ones(signed.shape[1]), 9)
    own = np.empty_like(sums)
    mine: list[float] = []
    for column in range(sums.shape[1]):
        ranked = np.sort(sums[:, column])
        own[:, column] = _upper_share(ranked, sums[:, column])
        mine.append(float(_upper_share(ranked, observed[column : column + 1])[0]))
    least = np.sort(own.min(axis=1))
    return [float(np.searchsorted(least, p + 1e-12, side="right") / len(least)) for p in mine]


def _patterns(signs: Floats, flips: int, seed: int) -> Floats:
    count = len(signs)
    if count <= EXACT_UP_TO:
        return np.array(list(product((-1.0, 1.0), repeat=count)))
    # What was observed belongs to its own reference set, or p would be too small (Phipson & Smyth
    # 2010); each pattern comes with its mirror image, so that swapping the sides mirrors p.
    drawn: Floats = np.random.default_rng(seed).choice([-1.0, 1.0], size=(flips, count))
    half = np.vstack([signs, drawn])
    return np.vstack([half, -half])


def _upper_share(ranked: Floats, values: Floats) -> Floats:
    below: Floats = np.searchsorted(ranked, values, side="left").astype(np.float64)
    return 1.0 - below / len(ranked)


def interval(lost: float, gained: float, total: float) -> tuple[float, float]:
    """Return the interval (`CONFIDENCE`) of the change of the pass rate, each end in -1..1.

    The score interval for paired proportions (Tango 1998, Statistics in Medicine 17:891) with
    the continuity correction of Edwards (1948), which keeps it in step with the exact test. The
    arguments are counts of cases; for weighted cases effective counts (see `effective`).
    """
    return -_upper_end(gained, lost, total), _upper_end(lost, gained, total)


def _upper_end(lost: float, gained: float, total: float) -> float:
    low, high = (gained - lost) / total, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if _too_high(middle, lost, gained, total):
            high = middle
        else:
            low = middle
    return high


def _too_high(change: float, lost: float, gained: float, total: float) -> bool:
    excess = total * change - (gained - lost) - 1.0
    if excess <= 0:
        return False
    # The share lost that fits best if the change were `change`: Tango's equation (6).
    a = 2 * total
    b = -gained - lost + (2 * total - gained + lost) * change
    c = -lost * change * (1 - change)
    share = (math.sqrt(max(b * b - 4 * a * c, 0.0)) - b) / (2 * a)
    variance = total * (2 * share + change * (1 - change))
    return excess > _Z * math.sqrt(max(variance, 0.0))


def cases_needed(churn: float, tolerance: float) -> int | None:
    """Return how many cases, of which `churn` change evenly both ways, exclude a larger drop.

    None where a million would not do, as for a tolerance of 0.
    """
    low, high = 1, 1_000_000

    def enough(cases: int) -> bool:
        return interval(churn * cases / 2, churn * cases / 2, cases)[0] >= -tolerance

    if not enough(high):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def effective(weights: Sequence[float]) -> float:
    """Return how many equally weighted cases say as much as these: Kish 1965, section 11.7."""
    return math.fsum(weights) ** 2 / math.fsum(weight * weight for weight in weights)


def detectable(sizes: Sequence[float], group: int, churn: float, best: float) -> float | None:
    """Return the smallest drop in a group that would be shown with probability `POWER`.

    `sizes` are the (effective) cases of each group, the whole set first; `churn` the share of
    cases that flip without a change; `best` the share the baseline passes, which is all there is
    to lose. None where even that would not be shown. The drop is spread evenly over the group's
    cases; the level left to one group is what the union bound over all groups leaves, so the
    truth is this or a little less. Above 1,000 cases scaled by 1 / sqrt(n).
    """
    scale = min(1.0, math.sqrt(_LARGEST / max(sizes)))
    counts = [max(1, round(size * scale**2)) for size in sizes]
    if _chance(counts, group, churn, best) < POWER:
        return None
    low, high = 0.0, best
    for _ in range(14):
        middle = (low + high) / 2
        if _chance(counts, group, churn, middle) < POWER:
            low = middle
        else:
            high = middle
    return high * scale


def _chance(counts: Sequence[int], group: int, churn: float, drop: float) -> float:
    """Return the chance that a drop in one group is shown."""
    drops = [drop if group in (0, number) else 0.0 for number in range(len(counts))]
    if group:
        drops[0] = min(drop, drop * counts[group] / counts[0])
    changed = [min(1.0, churn + part) for part in drops]
    critical, attained = _critical(max(counts))
    size = np.zeros(len(_LEVELS))
    for count, share in zip(counts, changed, strict=True):
        size += _binomial(count, share) @ attained[: count + 1]
    affordable = np.flatnonzero(size <= ALPHA)
    # Where even the strictest level seems too generous it is used: then the truth is better.
    level = int(affordable[0]) if len(affordable) else len(_LEVELS) - 1
    share = changed[group]
    lost_share = (share + drop) / (2 * share) if share else 0.5
    weights = _binomial(counts[group], share)
    likely = np.flatnonzero(weights > 1e-9)
    shown = [_tail(int(m), int(critical[m, level]), min(1.0, lost_share)) for m in likely]
    return float(weights[likely] @ np.array(shown))


@lru_cache(maxsize=8)
def _critical(largest: int) -> tuple[NDArray[np.int64], Floats]:
    """Return, by changed cases and level, the losses needed, and the level that really costs."""
    critical = np.empty((largest + 1, len(_LEVELS)), dtype=np.int64)
    attained = np.zeros((largest + 1, len(_LEVELS)))
    for changed in range(largest + 1):
        tails = np.append(np.cumsum(_binomial(changed, 0.5)[::-1])[::-1], 0.0)
        # tails fall with the number of losses; the first that is small enough is needed
        needed = np.searchsorted(-tails, -_LEVELS * (1 + 1e-9), side="left")
        critical[changed] = needed
        attained[changed] = tails[needed]
    return critical, attained


def _tail(count: int, least: int, share: float) -> float:
    return float(_binomial(count, share)[least:].sum()) if least <= count else 0.0


def _binomial(count: int, share: float) -> Floats:
    """Return the probabilities of 0..count successes."""
    successes = np.arange(count + 1)
    if share <= 0 or share >= 1:
        return (successes == (count if share >= 1 else 0)).astype(np.float64)
    logs = _log_factorials(count)
    return np.exp(
        logs[count]
        - logs
        - logs[::-1]
        + successes * math.log(share)
        + (count - successes) * math.log1p(-share)
    )


@lru_cache(maxsize=2048)
def _log_factorials(count: int) -> Floats:
    return np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, count + 1)))])
