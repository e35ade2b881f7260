"""The experiment: every case of a data set put to one candidate, as it is stored and compared."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, cast

from staid.domain.canonical import Json
from staid.domain.errors import ExperimentInvalid
from staid.evals.dataset import Case, fingerprint
from staid.evals.grader import GRADER, CaseOutcome, Grade, grade, passed

FORMAT = 1
"""Version of the stored form; a newer one is refused, never guessed at."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """What was tried, named by hashes so that two experiments show what changed between them."""

    agent: str
    model: str
    prompts: str = ""
    """Hash of the instructions."""
    settings: str = ""
    """Hash of everything else that is configured: floor, tools, limits."""
    knowledge: str = ""
    """Hash of the ingested documents' versions and labels."""
    version: str = ""
    """Version of Staid."""


@dataclass(frozen=True, slots=True)
class Result:
    """One case of an experiment; holds ids, verdicts and reasons, never an answer's text."""

    case: str
    intent: str
    weight: float
    passed: bool
    grades: tuple[Grade, ...]
    outcome: str
    reason: str | None
    confidence: float | None
    errored: bool = False
    """The run raised, so the failure says nothing about quality."""


@dataclass(frozen=True, slots=True)
class Experiment:
    """All cases of one data set on one candidate: none left out, in the data set's order."""

    name: str
    """The data set's name, for people."""
    dataset: str
    """The data set's fingerprint: only equal ones are compared."""
    candidate: Candidate
    results: tuple[Result, ...]
    grader: str = GRADER

    @property
    def rate(self) -> float:
        """The weighted share of cases that passed, 0..1."""
        total = sum(result.weight for result in self.results)
        return sum(r.weight for r in self.results if r.passed) / total if total else 0.0


def result_of(case: Case, seen: CaseOutcome) -> Result:
    """Grade one case and return what is kept of it."""
    grades = grade(case, seen)
    return Result(
        case=case.id,
        intent=case.intent,
        weight=case.weight,
        passed=passed(grades),
        grades=grades,
        outcome=seen.outcome,
        reason=seen.reason,
        confidence=seen.confidence,
        errored=seen.error is not None,
    )


def experiment_of(
    name: str, cases: Sequence[Case], seen: Mapping[str, CaseOutcome], candidate: Candidate
) -> Experiment:
    """Grade every case; one that nothing is known of fails as an error instead of dropping out."""
    unknown = CaseOutcome(error="the case was not run")
    results = tuple(result_of(case, seen.get(case.id, unknown)) for case in cases)
    return Experiment(name, fingerprint(cases), candidate, results)


def to_json(experiment: Experiment) -> dict[str, Json]:
    """Return the experiment as JSON values; `from_json` gives the equal experiment back."""
    results: list[Json] = [cast("Json", _row(result)) for result in experiment.results]
    return {
        "format": FORMAT,
        "name": experiment.name,
        "dataset": experiment.dataset,
        "grader": experiment.grader,
        "candidate": cast("Json", asdict(experiment.candidate)),
        "passed": sum(result.passed for result in experiment.results),
        "cases": len(experiment.results),
        "rate": experiment.rate,
        "results": results,
    }


def to_text(experiment: Experiment) -> str:
    """Return the stored form: one result a line, so that a change of baseline reads as a diff."""
    fields = to_json(experiment)
    rows = cast("list[Json]", fields.pop("results"))
    head = json.dumps(fields, ensure_ascii=False, indent=1)
    body = ",\n".join("  " + json.dumps(row, ensure_ascii=False) for row in rows)
    return f'{head[:-2]},\n "results": [\n{body}\n ]\n}}\n'


def from_text(text: str, file: str) -> Experiment:
    """Read a stored experiment; raise `ExperimentInvalid` for anything that is not one."""
    try:
        return _experiment(json.loads(text))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ExperimentInvalid(file=file, detail=f"{type(error).__name__}: {error}") from error


def _row(result: Result) -> dict[str, Any]:
    return {
        "case": result.case,
        "intent": result.intent,
        "weight": result.weight,
        "passed": result.passed,
        "outcome": result.outcome,
        "reason": result.reason,
        "confidence": result.confidence,
        "errored": result.errored,
        "grades": [asdict(item) for item in result.grades],
    }


def _experiment(value: dict[str, Any]) -> Experiment:
    if value["format"] != FORMAT:
        message = f"format {value['format']!r}, this release reads {FORMAT}"
        raise ValueError(message)
    results = tuple(_result(row) for row in value["results"])
    if not results or len({result.case for result in results}) != len(results):
        message = "no results, or a case twice"
        raise ValueError(message)
    return Experiment(
        name=str(value["name"]),
        dataset=str(value["dataset"]),
        candidate=Candidate(**value["candidate"]),
        results=results,
        grader=str(value["grader"]),
    )


def _result(row: dict[str, Any]) -> Result:
    weight = float(row["weight"])
    if not 0 < weight < float("inf"):
        message = f"weight {weight} of case {row['case']}"
        raise ValueError(message)
    return Result(
        case=str(row["case"]),
        intent=str(row["intent"]),
        weight=weight,
        passed=row["passed"] is True,
        grades=tuple(Grade(**item) for item in row["grades"]),
        outcome=str(row["outcome"]),
        reason=row["reason"],
        confidence=row["confidence"],
        errored=row["errored"] is True,
    )
