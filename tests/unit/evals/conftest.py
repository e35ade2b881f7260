"""Small makers of cases and experiments."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from staid.evals.dataset import Case, parse_cases
from staid.evals.experiment import Candidate, Experiment, Result
from staid.evals.grader import Grade

MakeCase = Callable[..., Case]
MakeExperiment = Callable[..., Experiment]


@pytest.fixture
def row() -> Callable[..., dict[str, Any]]:
    """Give the fields of a good case, with some replaced; `...` leaves a field out."""

    def make(**fields: Any) -> dict[str, Any]:
        good: dict[str, Any] = {
            "id": "refund-1",
            "intent": "refund",
            "as": "user:ada",
            "groups": None,
            "turns": [{"role": "user", "text": "How long does a refund take?"}],
            "expect": {"outcome": "answer"},
        }
        good.update({key.rstrip("_"): value for key, value in fields.items()})
        return {key: value for key, value in good.items() if value is not ...}

    return make


@pytest.fixture
def case(row: Callable[..., dict[str, Any]]) -> MakeCase:
    """Give one parsed case."""

    def make(**fields: Any) -> Case:
        return parse_cases(json.dumps(row(**fields)), "cases.jsonl")[0]

    return make


@pytest.fixture
def experiment() -> MakeExperiment:
    """Give an experiment from a text per intent: `refund="++-E"` passed, passed, failed, raised."""

    def make(weights: dict[str, float] | None = None, **intents: str) -> Experiment:
        results = tuple(
            Result(
                case=f"{intent}-{number}",
                intent=intent,
                weight=(weights or {}).get(f"{intent}-{number}", 1.0),
                passed=mark == "+",
                grades=(Grade("outcome", passed=mark == "+", reason="made up"),),
                outcome="answer",
                reason=None,
                confidence=0.8,
                errored=mark == "E",
            )
            for intent, marks in intents.items()
            for number, mark in enumerate(marks)
        )
        return Experiment("support", "f" * 64, Candidate("support", "quote"), results)

    return make
