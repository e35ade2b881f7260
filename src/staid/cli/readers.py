"""Readings of runs: recorded before the operator is told, and listed."""

from __future__ import annotations

import typer

from staid.cli import output
from staid.project.privacy import readings, told_reading
from staid.store.readings import Reading


def note_reading(surface: str, *runs: str) -> None:
    """Record that the operator reads these runs; where that fails, say so and go on."""
    if not runs:
        return
    error = told_reading(output.project(), list(dict.fromkeys(runs)), surface)
    if error is not None:
        output.say(f"This reading could not be recorded ({error.code}): {error.message}")


def readers(run: str = typer.Argument(metavar="RUN", help="A run's id: run_…")) -> None:
    """List who read a run, oldest first. An asker's own reading is not recorded.

    Example: staid runs readers run_01K…
    """
    project = output.project()
    project.wiring.records.run(run)  # a clear error for an unknown one
    found = readings(project).of(run)
    rows = [(r.at[:16].replace("T", " "), r.reader, r.surface) for r in found]
    value = {"run": run, "readings": [reading_json(each) for each in found]}
    lines = output.table(("at (UTC)", "reader", "surface"), rows, whole=2)
    output.emit(value, lines or ["Nobody but its asker has read this run."])


def reading_json(reading: Reading) -> dict[str, object]:
    """Return a reading in the form of the JSON outputs."""
    return {
        "run": reading.run,
        "reader": reading.reader,
        "surface": reading.surface,
        "at": reading.at,
        "via": reading.via,
    }
