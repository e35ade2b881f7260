"""The gate's verdicts: block on a shown drop, pass on none, else say that it cannot tell."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from staid.evals.experiment import Experiment
from staid.evals.merge_gate import decide

MakeExperiment = Callable[..., Experiment]
FIVE = ("a", "b", "c", "d", "e")


def spread(experiment: MakeExperiment, *marks: str) -> Experiment:
    """Give an experiment of five intents."""
    return experiment(**dict(zip(FIVE, marks, strict=True)))


def test_identical_results_pass_and_say_what_was_missed(experiment: MakeExperiment) -> None:
    """Shows the pass of an unchanged agent on thirty cases with its blind spot of 21 points."""
    same = spread(experiment, *["++++++"] * 5)
    found = decide(same, same)

    assert found.verdict == "pass"
    assert found.reason == "no case got worse"
    assert found.comparison.overall.minimum_detectable_drop == pytest.approx(0.214, abs=0.005)
    assert found.worse == ()


def test_gains_alone_pass(experiment: MakeExperiment) -> None:
    """Shows that a change that only mends cases passes."""
    before = spread(experiment, "-----+", *["++++++"] * 4)

    assert decide(before, spread(experiment, *["++++++"] * 5)).verdict == "pass"


def test_five_of_thirty_lost_block(experiment: MakeExperiment) -> None:
    """Shows that losses spread over all intents block through the whole set."""
    found = decide(spread(experiment, *["++++++"] * 5), spread(experiment, *["-+++++"] * 5))

    assert found.verdict == "block"
    assert [change.name for change in found.worse] == [""]
    assert "over the whole set" in found.reason
    assert found.comparison.overall.interval[1] < 0


def test_a_hidden_intent_blocks(experiment: MakeExperiment) -> None:
    """Shows that one broken intent blocks although gains elsewhere keep the rate where it was."""
    before = spread(experiment, "++++++", "------", "++++++", "++++++", "++++++")
    after = spread(experiment, "------", "++++++", "++++++", "++++++", "++++++")
    found = decide(before, after)

    assert found.comparison.overall.difference == 0
    assert found.verdict == "block"
    assert [change.name for change in found.worse] == ["a"]
    assert "in the intent a" in found.reason


def test_one_of_thirty_lost_cannot_tell(experiment: MakeExperiment) -> None:
    """Shows that a single loss on thirty cases neither blocks nor passes, and what would settle."""
    found = decide(
        spread(experiment, *["++++++"] * 5), spread(experiment, "-+++++", *["++++++"] * 4)
    )

    assert found.verdict == "cannot_tell"
    assert "1 case(s) got worse" in found.reason
    assert found.cases_needed is not None
    assert found.cases_needed > 30


def test_the_cases_said_to_be_needed_would_do(experiment: MakeExperiment) -> None:
    """Shows that the named number of cases, as unsteady as these and unchanged, would pass."""
    found = decide(experiment(a="+-" + "+" * 28), experiment(a="-+" + "+" * 28))
    assert found.cases_needed is not None
    pairs = found.cases_needed // 30
    rest = "+" * (found.cases_needed - 2 * pairs)

    enough = decide(experiment(a="+-" * pairs + rest), experiment(a="-+" * pairs + rest))
    assert enough.verdict == "pass"
    few = "+" * (100 - 6)
    assert (
        decide(experiment(a="+-" * 3 + few), experiment(a="-+" * 3 + few)).verdict == "cannot_tell"
    )


def test_a_wider_tolerance_turns_cannot_tell_into_a_pass(experiment: MakeExperiment) -> None:
    """Shows that the tolerance is the drop that a pass excludes, and is recorded in it."""
    before, after = experiment(a="+" * 30), experiment(a="-" + "+" * 29)

    assert decide(before, after, tolerance=0.18).verdict == "cannot_tell"
    found = decide(before, after, tolerance=0.19)
    assert (found.verdict, found.tolerance) == ("pass", 0.19)


def test_tolerance_never_unblocks(experiment: MakeExperiment) -> None:
    """Shows that a shown drop blocks whatever is tolerated."""
    assert decide(experiment(a="+" * 30), experiment(a="-" * 6 + "+" * 24), 1.0).verdict == "block"


def test_too_few_cases_to_show_anything(experiment: MakeExperiment) -> None:
    """Shows that four cases all lost do not block, do not pass, and that no drop was detectable."""
    found = decide(experiment(a="++++"), experiment(a="----"))

    assert found.verdict == "cannot_tell"
    assert found.comparison.overall.minimum_detectable_drop is None


def test_a_drop_that_rests_on_errors_cannot_tell(experiment: MakeExperiment) -> None:
    """Shows that an outage of the model neither blocks as a decline nor passes."""
    found = decide(experiment(a="+" * 30), experiment(a="E" * 10 + "+" * 20))

    assert found.verdict == "cannot_tell"
    assert found.reason == "10 of 30 cases raised; the drop rests on them"


def test_everything_raising_cannot_tell(experiment: MakeExperiment) -> None:
    """Shows that a candidate that never ran is not comparable, and no crash of the gate."""
    assert decide(experiment(a="+" * 30), experiment(a="E" * 30)).verdict == "cannot_tell"


def test_a_drop_beside_errors_still_blocks(experiment: MakeExperiment) -> None:
    """Shows that an error cannot be used to get a real decline past the gate."""
    found = decide(experiment(a="+" * 30), experiment(a="E" + "-" * 9 + "+" * 20))

    assert found.verdict == "block"


def test_errors_on_failing_cases_cannot_pass(experiment: MakeExperiment) -> None:
    """Shows that more than 2% of cases raising is no pass even when no case got worse."""
    found = decide(experiment(a="-" + "+" * 29), experiment(a="E" + "+" * 29))

    assert found.verdict == "cannot_tell"
    assert "so much is missing" in found.reason
