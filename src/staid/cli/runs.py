"""`staid why` and `staid runs`: what happened, and what decided."""

from __future__ import annotations

from typing import Annotated

import typer

from staid.cli import output
from staid.cli import why as telling
from staid.cli.finding import Text, To, list_runs, record_json, run_told, stats
from staid.cli.readers import note_reading, readers
from staid.project.origins import origins
from staid.runtime.released import outcome_of
from staid.tracing import difference
from staid.tracing.record import Record
from staid.tracing.story import Story, story_json, tell
from staid.tracing.why_not import reasons_json

runs_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
runs_app.command()(readers)
runs_app.command("list")(list_runs)
runs_app.command()(stats)

Run = Annotated[str, typer.Argument(metavar="RUN", help="A run's id: run_…")]


def why(
    run: Annotated[str | None, typer.Argument(metavar="RUN", help="A run's id: run_…")] = None,
    *,
    text: Text = None,
    to: To = None,
    waterfall: Annotated[bool, typer.Option(help="Also what took how long.")] = False,
    steps: Annotated[bool, typer.Option(help="Every fact instead of the short story.")] = False,
    not_: Annotated[
        str,
        typer.Option("--not", metavar="WHAT", help="Why not: document:ID, answer or call:TOOL."),
    ] = "",
) -> None:
    """Tell a run in a few sentences, each with the journal facts it rests on, and its evidence.

    Without a run's id, by what was said: one match is told, several are listed, newest first.

    Example: staid why run_01K… --not document:refunds.md

    Example: staid why --text "refunded within 30 days" --to user:ada
    """
    run = run_told(run, text, to)
    if run is None:
        return
    if not_:
        reasons = telling.why_not(output.project().wiring, _recorded(run, "why"), not_)
        value = reasons_json(run, not_, reasons)
        output.emit(value, lambda: telling.reason_lines(run, not_, reasons))
        return
    story = _story(run, "why")
    output.emit(story_json(story), lambda: telling.story_lines(story, steps=steps, spans=waterfall))


@runs_app.command()
def show(run: Run) -> None:
    """Show a run's outcome, also after a resume."""
    records = output.project().wiring.records
    record = records.run(run)
    if record.outcome is None:
        output.emit(record_json(record), [f"{run} is {record.state}; it has no outcome yet."])
        return
    note_reading("cli runs show", run)
    outcome = outcome_of(run, records.rows(run))
    value = {**record_json(record), **output.outcome_json(outcome)}
    output.emit(value, lambda: output.outcome_lines(outcome))


@runs_app.command()
def compare(first: Run, second: Run) -> None:
    """Show two runs side by side: what differs, the earliest first.

    Example: staid runs compare run_01K… run_01L…
    """
    aspects = difference.compare(*(_recorded(run, "runs compare") for run in (first, second)))
    stories = [_told(run) for run in (first, second)]
    value = {
        **difference.compare_json((first, second), aspects),
        "runs": [story_json(story) for story in stories],
    }
    output.emit(value, lambda: telling.compare_lines((first, second), aspects))


def _story(run: str, verb: str) -> Story:
    output.project().wiring.records.run(run)  # a clear error for an unknown one
    note_reading(f"cli {verb}", run)
    return _told(run)


def _told(run: str) -> Story:
    project = output.project()
    return tell(run, project.wiring.records.rows(run), origins=origins(project))


def _recorded(run: str, verb: str) -> Record:
    records = output.project().wiring.records
    records.run(run)  # a clear error for an unknown one
    note_reading(f"cli {verb}", run)
    return Record.of(run, records.rows(run))
