"""`staid why` and `staid runs`: what happened, and what decided."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from staid.cli import output
from staid.cli.readers import note_reading, readers
from staid.domain.records import RunRecord
from staid.runtime.released import outcome_of
from staid.tracing.story import Story, story_json, tell

runs_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
runs_app.command()(readers)

Run = Annotated[str, typer.Argument(metavar="RUN", help="A run's id: run_…")]


def why(run: Run) -> None:
    """Tell a run in sentences, each with the journal facts it rests on.

    Example: staid why run_01K…
    """
    story = _story(run, "why")
    output.emit(story_json(story), lambda: story_lines(story))


def story_lines(story: Story) -> list[str]:
    """Return a story for a person: a sentence a line, the deciding one marked."""
    lines = [f"{story.run}: {story.outcome}", ""]
    for step in story.steps:
        mark = "→ " if step.decided else "  "
        facts = ",".join(map(str, step.facts))
        wrapped = output.paragraph(f"{step.text} [{facts}]", "    ")
        lines += [f"  {mark}{wrapped[0].strip()}", *wrapped[1:]]
    deciding = story.deciding
    if deciding:
        lines += ["", *output.paragraph(f"What decided: {deciding.text}")]
    return lines


@runs_app.command("list")
def list_runs(
    limit: Annotated[int, typer.Option(min=1, help="How many, newest first.")] = 20,
    state: Annotated[
        Literal["running", "parked", "released", "failed", "external"] | None,
        typer.Option(help="Only runs in this state."),
    ] = None,
) -> None:
    """List the newest runs. `--state running` shows those a crash interrupted."""
    found = output.project().wiring.records.runs(limit=limit, state=state)
    rows = [
        (
            r.run,
            r.state,
            r.outcome or "-",
            r.reason or "-",
            r.asker,
            f"{r.started_at:%Y-%m-%d %H:%M} UTC",
        )
        for r in found
    ]
    head = ("run", "state", "outcome", "reason", "asker", "started")
    output.emit(
        {"runs": [_record_json(r) for r in found]},
        output.table(head, rows) or ['No runs yet: staid ask "…" --as user:ada'],
    )


@runs_app.command()
def show(run: Run) -> None:
    """Show a run's outcome, also after a resume."""
    records = output.project().wiring.records
    record = records.run(run)
    if record.outcome is None:
        output.emit(_record_json(record), [f"{run} is {record.state}; it has no outcome yet."])
        return
    note_reading("cli runs show", run)
    outcome = outcome_of(run, records.rows(run))
    value = {**_record_json(record), **output.outcome_json(outcome)}
    output.emit(value, lambda: output.outcome_lines(outcome))


@runs_app.command()
def compare(first: Run, second: Run) -> None:
    """Show two runs side by side: what differs, and what decided each."""
    stories = [_story(run, "runs compare") for run in (first, second)]
    ours = [{(s.kind, s.text) for s in story.steps} for story in stories]
    same = ours[0] & ours[1]
    value = {"runs": [story_json(story) for story in stories], "same_steps": len(same)}

    def lines() -> list[str]:
        told: list[str] = []
        for story in stories:
            told += [f"{story.run}: {story.outcome}"]
            differing = [s for s in story.steps if (s.kind, s.text) not in same]
            told += [line for s in differing for line in output.paragraph(s.text, "  ")]
            told.append("")
        return [*told, f"{len(same)} steps are the same in both."]

    output.emit(value, lines)


def _story(run: str, verb: str) -> Story:
    records = output.project().wiring.records
    records.run(run)  # a clear error for an unknown one
    note_reading(f"cli {verb}", run)
    return tell(run, records.rows(run))


def _record_json(record: RunRecord) -> dict[str, object]:
    return {
        "run": record.run,
        "conversation": record.conversation,
        "agent": record.agent,
        "asker": record.asker,
        "state": record.state,
        "outcome": record.outcome,
        "reason": record.reason,
        "confidence": record.confidence,
        "started_at": record.started_at,
        "ended_at": record.ended_at,
    }
