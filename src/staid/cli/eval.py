"""`staid eval`: measure the agent on a data set, and say whether a change made it worse."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from staid.cli import output
from staid.domain.errors import BaselineMissing, NotComparable, UsageInvalid

if TYPE_CHECKING:
    from staid.cli.eval_files import Dataset
    from staid.evals.experiment import Experiment
    from staid.evals.grader import CaseOutcome

eval_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

EXIT = {"pass": 0, "block": 1, "cannot_tell": 3}
"""What the gate leaves with, by verdict."""

DatasetArgument = Annotated[
    Path | None,
    typer.Argument(help="The cases (.jsonl); default: the only data set in the project's evals/."),
]
AgentOption = Annotated[
    str | None, typer.Option("--agent", help="Which agent; default: the only one, or `support`.")
]
JobsOption = Annotated[
    int, typer.Option("--jobs", min=1, max=64, help="How many cases are asked at the same time.")
]


@eval_app.command("run")
def run(
    dataset: DatasetArgument = None,
    agent: AgentOption = None,
    out: Annotated[Path | None, typer.Option("--out", help="Store the experiment here.")] = None,
    jobs: JobsOption = 4,
) -> None:
    """Ask every case and grade it; exit 0 whatever the grades, 3 if more than 2% raised."""
    from staid.cli import eval_files, eval_text
    from staid.evals.experiment import to_json
    from staid.evals.merge_gate import too_many_errors

    found = eval_files.dataset(dataset)
    if found.changed is not None:
        output.say(f"{found.changed.code}: {found.changed.message}")
    experiment, seen = _experiment(found, agent, jobs)
    if out is not None:
        eval_files.store(experiment, out)
    body = {**to_json(experiment), "file": str(found.file), "out": str(out) if out else None}
    output.emit(body, lambda: eval_text.experiment(experiment, found.cases, seen, agent))
    if too_many_errors(experiment):
        raise typer.Exit(EXIT["cannot_tell"])


@eval_app.command("baseline")
def baseline(
    dataset: DatasetArgument = None,
    agent: AgentOption = None,
    jobs: JobsOption = 4,
    accept_changes: Annotated[  # noqa: FBT002 - Typer's form of a flag
        bool,
        typer.Option("--accept-changes", help="The data set was changed on purpose: pin it anew."),
    ] = False,
) -> None:
    """Record how the agent does now, beside the data set, to be committed and compared with."""
    from staid.cli import eval_files, eval_text
    from staid.evals.merge_gate import too_many_errors

    found = eval_files.dataset(dataset)
    if found.changed is not None and not accept_changes:
        raise found.changed
    experiment, _ = _experiment(found, agent, jobs)
    if too_many_errors(experiment):
        raise NotComparable(
            detail="too many cases raised; they would hide drops, so no baseline was written",
            hint="See why: staid eval run",
        )
    if found.changed is not None:
        eval_files.pin(found)
    eval_files.store(experiment, found.baseline)
    body = {
        "baseline": str(found.baseline),
        "dataset": experiment.dataset,
        "cases": len(experiment.results),
        "passed": sum(result.passed for result in experiment.results),
        "errored": [result.case for result in experiment.results if result.errored],
        "rate": experiment.rate,
    }
    output.emit(body, lambda: eval_text.recorded(experiment, found.baseline))


@eval_app.command("gate")
def gate(
    dataset: DatasetArgument = None,
    agent: AgentOption = None,
    baseline: Annotated[
        Path | None, typer.Option("--baseline", help="Compare with this instead.")
    ] = None,
    candidate: Annotated[
        Path | None, typer.Option("--candidate", help="A stored experiment; else it is run now.")
    ] = None,
    tolerance: Annotated[
        float, typer.Option("--tolerance", help="Drop that a pass excludes, as a share: 0.05.")
    ] = 0.05,
    out: Annotated[Path | None, typer.Option("--out", help="Store the candidate here.")] = None,
    jobs: JobsOption = 4,
) -> None:
    """Exit 0 pass, 1 a drop is shown, 3 cannot tell, not comparable, or no baseline."""
    from staid.cli import eval_files, eval_text
    from staid.evals.merge_gate import decide

    if not 0 <= tolerance <= 1:
        raise UsageInvalid(
            detail=f"a tolerance of {tolerance} is no share", hint="0.05 is 5 points."
        )
    found = eval_files.dataset(dataset)
    before = _baseline(found, baseline)
    seen: Mapping[str, CaseOutcome] = {}
    if candidate is not None:
        after = eval_files.load(candidate)
    else:
        after, seen = _experiment(found, agent, jobs)
    if out is not None:
        eval_files.store(after, out)
    verdict = decide(before, after, tolerance)
    body = eval_text.gate_json(verdict, before, after)
    output.emit(body, lambda: eval_text.gate(verdict, before, after, found.cases, seen))
    raise typer.Exit(EXIT[verdict.verdict])


@eval_app.command("compare")
def compare(
    before: Annotated[Path, typer.Argument(help="A stored experiment: the baseline.")],
    after: Annotated[Path, typer.Argument(help="A stored experiment: the candidate.")],
) -> None:
    """Show what changed between two stored experiments of one data set; no verdict, exit 0."""
    from staid.cli import eval_files, eval_text
    from staid.evals.compare import compare as compare_experiments

    first, second = eval_files.load(before), eval_files.load(after)
    found = compare_experiments(first, second)
    body = eval_text.comparison_json(found, first, second)
    output.emit(body, lambda: eval_text.comparison(found, first, second))


def _baseline(found: Dataset, chosen: Path | None) -> Experiment:
    """Return the baseline; refuse before anything is asked what could not be compared anyway."""
    from staid.cli import eval_files
    from staid.evals.dataset import fingerprint
    from staid.evals.grader import GRADER

    if found.changed is not None:
        raise found.changed
    file = chosen or found.baseline
    if not file.is_file():
        raise BaselineMissing(
            dataset=found.file, hint=f"Record one and commit it: staid eval baseline {found.file}"
        )
    before = eval_files.load(file)
    if before.dataset != fingerprint(found.cases):
        raise NotComparable(detail=f"{found.file.name} changed since {file.name} was recorded")
    if before.grader != GRADER:
        raise NotComparable(detail=f"{file.name} was graded by {before.grader}, this is {GRADER}")
    return before


def _experiment(
    found: Dataset, agent: str | None, jobs: int
) -> tuple[Experiment, Mapping[str, CaseOutcome]]:
    from staid.cli.eval_run import describe, run_cases
    from staid.evals.experiment import experiment_of

    with output.project().sandbox() as box:
        with output.progress("cases", len(found.cases)) as advance:
            seen = run_cases(box, agent, found.cases, jobs, advance)
        candidate = describe(box, agent)
    return experiment_of(found.file.stem, found.cases, seen, candidate), seen
