"""Experiments keep every case and survive being stored."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from staid.domain.errors import ExperimentInvalid
from staid.evals.dataset import Case, fingerprint
from staid.evals.experiment import (
    Candidate,
    Experiment,
    experiment_of,
    from_text,
    result_of,
    to_json,
    to_text,
)
from staid.evals.grader import CaseOutcome

MakeCase = Callable[..., Case]
CANDIDATE = Candidate("support", "quote", prompts="p" * 8, settings="s" * 8, version="0.1.0")


def made(case: MakeCase) -> Experiment:
    """Give an experiment with a pass, a failure, an error and a case that was not run."""
    cases = [case(id=name, weight=number) for number, name in enumerate("abcd", start=1)]
    seen = {
        "a": CaseOutcome(outcome="answer", text="secret words", confidence=0.9),
        "b": CaseOutcome(outcome="abstention", reason="weak", confidence=0.3),
        "c": CaseOutcome(error="ST-312: No model answered"),
    }
    return experiment_of("support", cases, seen, CANDIDATE)


def test_no_case_drops_out(case: MakeCase) -> None:
    """Shows that a case without an outcome stays in the experiment as a failure by error."""
    experiment = made(case)

    assert [r.case for r in experiment.results] == list("abcd")
    assert [r.passed for r in experiment.results] == [True, False, False, False]
    assert [r.errored for r in experiment.results] == [False, False, True, True]
    assert experiment.results[3].grades[0].reason == "the case was not run"


def test_the_rate_is_weighted(case: MakeCase) -> None:
    """Shows that a case counts by its weight: 1 of 1 + 2 + 3 + 4."""
    assert made(case).rate == pytest.approx(0.1)


def test_the_experiment_knows_its_data_set(case: MakeCase) -> None:
    """Shows that the fingerprint is that of the cases that were run."""
    assert made(case).dataset == fingerprint(
        [case(id=name, weight=number) for number, name in enumerate("abcd", start=1)]
    )


def test_storing_and_reading_gives_the_equal_experiment(case: MakeCase) -> None:
    """Shows that nothing is lost on the way through the file."""
    experiment = made(case)

    assert from_text(to_text(experiment), "x.json") == experiment
    assert json.loads(to_text(experiment)) == to_json(experiment)


def test_the_stored_form_has_a_line_per_result_and_no_answer(case: MakeCase) -> None:
    """Shows that a baseline reads as a diff and holds no text that an asker might not see."""
    text = to_text(made(case))

    assert sum('"case":' in line for line in text.splitlines()) == 4
    assert "secret words" not in text


Change = Callable[[dict[str, Any]], Any]
CHANGES: list[Change] = [
    lambda d: d.update(format=2),
    lambda d: d.update(results=[]),
    lambda d: d["results"].append(d["results"][0]),
    lambda d: d.pop("candidate"),
    lambda d: d["candidate"].update(colour="red"),
    lambda d: d["results"][0].update(weight=0),
    lambda d: d["results"][0].update(weight=None),
    lambda d: d["results"][0].pop("passed"),
    lambda d: d.update(results=3),
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_is_no_experiment_is_refused(case: MakeCase, change: Change) -> None:
    """Shows that a newer format and every broken field is a coded error naming the file."""
    fields: dict[str, Any] = json.loads(to_text(made(case)))
    change(fields)

    with pytest.raises(ExperimentInvalid, match=r"base\.json"):
        from_text(json.dumps(fields), "base.json")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "7"])
def test_a_file_that_is_no_json_object_is_refused(text: str) -> None:
    """Shows that anything but an object is a coded error, too."""
    with pytest.raises(ExperimentInvalid):
        from_text(text, "base.json")


def test_a_result_is_graded_by_its_case(case: MakeCase) -> None:
    """Shows that intent and weight come from the case, verdict and outcome from what was seen."""
    result = result_of(
        case(weight=3), CaseOutcome(outcome="refusal", reason="policy", confidence=0.1)
    )

    assert (result.intent, result.weight, result.passed) == ("refund", 3.0, False)
    assert (result.outcome, result.reason, result.confidence) == ("refusal", "policy", 0.1)
