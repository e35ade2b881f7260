"""Two experiments are compared case by case, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from staid.domain.errors import NotComparable
from staid.evals.compare import compare
from staid.evals.experiment import Experiment

MakeExperiment = Callable[..., Experiment]


def test_what_changed_is_named_and_counted(experiment: MakeExperiment) -> None:
    """Shows rates, difference and the ids of the cases behind it, whole and by intent."""
    found = compare(experiment(a="+++-", b="++"), experiment(a="-+++", b="+-"))

    overall = found.overall
    assert (overall.name, overall.cases) == ("", 6)
    assert overall.baseline == pytest.approx(5 / 6)
    assert overall.difference == pytest.approx(-1 / 6)
    assert overall.candidate == pytest.approx(overall.baseline + overall.difference)
    assert overall.lost == ("a-0", "b-1")
    assert overall.gained == ("a-3",)
    assert overall.interval[0] < overall.difference < overall.interval[1]
    assert {change.name: change.difference for change in found.intents} == {"a": 0.0, "b": -0.5}


def test_regressions_come_first(experiment: MakeExperiment) -> None:
    """Shows that the intent most likely to be worse leads, whatever its name."""
    before = experiment(a="++++++", m="++++++", z="++++++")
    found = compare(before, experiment(a="++++++", m="-+++++", z="------"))

    assert [change.name for change in found.intents] == ["z", "m", "a"]


def test_weights_move_the_rates(experiment: MakeExperiment) -> None:
    """Shows that a case of weight 3 counts three times in the rates of its group."""
    weights = {"a-0": 3.0}
    found = compare(experiment(weights, a="+++"), experiment(weights, a="-++"))

    assert found.overall.difference == pytest.approx(-3 / 5)
    assert found.overall.p_drop == 0.5


def test_weights_move_the_test(experiment: MakeExperiment) -> None:
    """Shows that a heavy lost case outweighs three light gains: p is its own coin toss."""
    weights = {"a-0": 10.0}
    found = compare(experiment(weights, a="+---"), experiment(weights, a="-+++"))

    assert found.overall.p_drop == 0.5


def test_identical_results_differ_by_nothing(experiment: MakeExperiment) -> None:
    """Shows zero difference, p of 1, an interval around zero, and a stated blind spot."""
    same = experiment(a="+" * 15, b="+" * 14 + "-")
    found = compare(same, same).overall

    assert found.difference == 0
    assert found.p_drop == found.p_rise == 1.0
    assert found.interval[0] == pytest.approx(-found.interval[1])
    assert found.minimum_detectable_drop == pytest.approx(0.214, abs=0.005)


def test_errors_are_named(experiment: MakeExperiment) -> None:
    """Shows that a case that raised on either side is listed and counts as failed."""
    found = compare(experiment(a="E+++"), experiment(a="++E+"))

    assert found.errored == ("a-0", "a-2")
    assert found.overall.lost == ("a-2",)


def test_another_data_set_is_not_comparable(experiment: MakeExperiment) -> None:
    """Shows that a changed data set is refused by exit code 3, not compared as far as it goes."""
    before = experiment(a="++")

    with pytest.raises(NotComparable, match="data set changed") as caught:
        compare(before, replace(before, dataset="0" * 64))
    assert caught.value.exit_code == 3


def test_other_graders_are_not_comparable(experiment: MakeExperiment) -> None:
    """Shows that results graded by other rules are refused."""
    before = experiment(a="++")

    with pytest.raises(NotComparable, match="graders changed"):
        compare(before, replace(before, grader="exact/0"))


def test_a_missing_case_is_not_comparable(experiment: MakeExperiment) -> None:
    """Shows that a file from which a failing case was deleted by hand is refused."""
    before = experiment(a="++-")

    with pytest.raises(NotComparable, match="such as a-2"):
        compare(before, replace(before, results=before.results[:2]))


def test_a_changed_weight_is_not_comparable(experiment: MakeExperiment) -> None:
    """Shows that weights edited in a stored result are refused."""
    with pytest.raises(NotComparable, match="weight of the case a-0"):
        compare(experiment(a="++"), experiment({"a-0": 2.0}, a="++"))


def test_nothing_left_is_not_comparable(experiment: MakeExperiment) -> None:
    """Shows that leaving every case out is an error and not a pass."""
    before = experiment(a="+")

    with pytest.raises(NotComparable, match="no case is left"):
        compare(before, before, leave_out=frozenset({"a-0"}))
