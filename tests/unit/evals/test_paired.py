"""The statistics against hand-computed and textbook values."""

from __future__ import annotations

import math

import numpy as np
import pytest

from staid.evals.paired import EXACT_UP_TO, detectable, effective, interval, p_values


@pytest.mark.parametrize(
    ("lost", "gained", "expected"),
    [
        (0, 0, 1.0),
        (4, 0, 1 / 16),
        (5, 0, 1 / 32),
        (6, 1, 8 / 128),
        (7, 1, 9 / 256),
        (9, 2, 67 / 2048),
        (0, 5, 1.0),
        (1, 1, 3 / 4),
    ],
)
def test_one_group_is_the_exact_test_of_mcnemar(lost: int, gained: int, expected: float) -> None:
    """Shows that without intents and weights p is the binomial tail P(X >= lost)."""
    assert p_values([[1.0] * lost + [-1.0] * gained]) == [pytest.approx(expected)]


def test_many_changed_cases_come_close_to_the_exact_test() -> None:
    """Shows that the sampled sign patterns give the binomial tail to within its error."""
    lost, gained = 24, 11
    count = lost + gained
    tail = sum(math.comb(count, k) for k in range(lost, count + 1)) / 2**count

    assert count > EXACT_UP_TO
    assert p_values([[1.0] * lost + [-1.0] * gained]) == [pytest.approx(tail, abs=0.004)]


def test_the_same_sample_is_drawn_every_time() -> None:
    """Shows that a verdict can be computed again to the last bit."""
    row = [1.0] * 15 + [-1.0] * 6

    assert p_values([row]) == p_values([row])


def test_p_is_never_zero() -> None:
    """Shows that what was observed is part of its reference set: forty lost are p > 0."""
    assert 0 < p_values([[1.0] * 40])[0] < 0.001


def test_the_order_of_changed_cases_leaves_p_as_it_is() -> None:
    """Shows that the random sample belongs to cases by content, not to their position."""
    whole = [1.0, 2.0, -1.0, 3.0, 1.0, -2.0, 1.0, 1.0, -1.0, 2.0, 1.0, 1.0, -3.0, 1.0, 2.0]
    part = [value if number % 3 else 0.0 for number, value in enumerate(whole)]
    mixed = sorted(range(len(whole)), key=lambda number: (number * 7) % 15)

    assert p_values([whole, part]) == p_values(
        [[whole[number] for number in mixed], [part[number] for number in mixed]]
    )


def test_a_weight_counts_as_so_many_cases_lost_together() -> None:
    """Shows that one heavy lost case is one coin toss, however heavy: weight is not evidence."""
    assert p_values([[100.0]]) == [0.5]
    assert p_values([[100.0, -1.0, -1.0, -1.0]]) == [0.5]


def test_a_group_that_can_show_nothing_costs_nothing() -> None:
    """Shows that small intents leave the whole set its power: 5 of 5 lost stays 1 in 32."""
    whole, first, second = [1.0] * 5, [1.0, 1, 1, 0, 0], [0.0, 0, 0, 1, 1]

    assert p_values([whole, first, second]) == pytest.approx([1 / 32, 1 / 8, 11 / 32])


def test_an_intent_is_found_behind_gains_elsewhere() -> None:
    """Shows that six losses in one intent are shown although the whole set did not move."""
    whole = [1.0] * 6 + [-1.0] * 6
    hidden = [1.0] * 6 + [0.0] * 6
    overall, intent = p_values([whole, hidden])

    assert overall > 0.5
    assert intent < 0.05


@pytest.mark.parametrize(
    ("lost", "gained", "total", "low", "high"),
    [(0, 0, 30, -0.136, 0.136), (5, 0, 30, -0.343, -0.016), (4, 0, 30, -0.305, 0.015)],
)
def test_the_interval_keeps_step_with_the_exact_test(
    lost: int, gained: int, total: int, low: float, high: float
) -> None:
    """Shows 30 cases: five lost exclude zero as p = 1/32 does, four do not as p = 1/16 does not."""
    assert interval(lost, gained, total) == pytest.approx((low, high), abs=0.001)


def test_the_end_of_the_interval_solves_the_score_equation() -> None:
    """Shows 12 lost and 4 gained of 100: the low end is 1.645 corrected standard errors away."""
    change = interval(12, 4, 100)[0]

    # Tango's equation, written for the mirrored side: a fall of -change.
    fall = -change
    a, b, c = 200.0, -16 + (200 - 12 + 4) * fall, -4 * fall * (1 - fall)
    share = (math.sqrt(b * b - 4 * a * c) - b) / (2 * a)
    distance = 100 * fall - (12 - 4) - 1
    assert distance / math.sqrt(100 * (2 * share + fall * (1 - fall))) == pytest.approx(
        1.645, abs=0.001
    )


def test_the_interval_covers_what_it_says() -> None:
    """Shows by simulation that the true change lies inside in at least 90% of experiments."""
    rng = np.random.default_rng(7)
    for total, lost, gained in ((30, 0.05, 0.05), (30, 0.2, 0.0), (100, 0.1, 0.02)):
        drawn = rng.multinomial(total, [lost, gained, 1 - lost - gained], size=400)
        ends = [interval(int(a), int(b), total) for a, b, _ in drawn]
        inside = np.mean([low <= gained - lost <= high for low, high in ends])
        assert inside >= 0.88  # 0.90 less the simulation's own error


def test_effective_cases() -> None:
    """Shows Kish's formula: equal weights count fully, one heavy case counts for little."""
    assert effective([2.0] * 30) == pytest.approx(30)
    assert effective([100.0] + [1.0] * 10) == pytest.approx(1.21, abs=0.01)


def test_detectable_drop_of_thirty_steady_cases() -> None:
    """Shows the honest number: five of thirty cases must break, which 21 points do in 4 of 5."""
    # P(Binomial(30, 0.2134) >= 5) = 0.80, and 5 losses are the fewest with p <= 0.05.
    assert detectable([30, 6, 6, 6, 6, 6], 0, 0.0, 1.0) == pytest.approx(0.2134, abs=0.002)


def test_detectable_drop_falls_with_cases_and_rises_with_churn() -> None:
    """Shows that more cases see smaller drops and an unsteady agent hides larger ones."""
    found = [detectable([n], 0, churn, 0.9) for n, churn in ((30, 0.1), (100, 0.1), (300, 0.1))]
    values = [value for value in found if value is not None]

    assert len(values) == 3
    assert values == sorted(values, reverse=True)
    steady = detectable([100], 0, 0.0, 0.9)
    assert steady is not None
    assert steady < values[1]


@pytest.mark.parametrize(("cases", "best"), [(4, 1.0), (30, 0.1), (30, 0.0)])
def test_nothing_is_detectable_with_too_little_to_lose(cases: int, best: float) -> None:
    """Shows that four cases, or a baseline that hardly passes, can show no drop at all."""
    assert detectable([cases], 0, 0.0, best) is None


def test_detectable_drop_of_a_large_set_is_quick_and_continuous() -> None:
    """Shows that the scaling above 1,000 cases meets the exact sum at its border."""
    below, above = detectable([990], 0, 0.1, 0.9), detectable([1010], 0, 0.1, 0.9)

    assert below is not None
    assert above == pytest.approx(below, rel=0.05)
