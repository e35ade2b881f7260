"""`staid init` and `staid doctor`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from staid.cli import output
from staid.project.checking import Check, examine


def init(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A new or empty folder.")],
) -> None:
    """Needs no key and no network, and ingests nothing. Example: staid init help-desk."""
    from staid.scaffold.write import write

    made = write(directory)
    lines = [
        f"{made} is ready. Next:",
        "",
        f"  cd {directory}",
        "  staid ingest",
        '  staid ask "What is your refund policy on annual plans?" --as user:ada',
        "  staid doctor",
    ]
    output.emit({"project": str(made)}, lines)


def doctor(
    *,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Make search and roll-ups anew from the journal.")
    ] = False,
) -> None:
    """Exit 1 when the journal does not verify. Example: staid doctor."""
    if rebuild:
        from staid.store.projections import rebuild as make_anew

        runs = make_anew(output.project().wiring.run_store)
        output.say(f"Search and roll-ups were made anew from the journal: {runs} runs.")
    checks = examine(output.project())
    broken = [check for check in checks if check.state == "broken"]
    output.emit(
        {"ok": not broken, "checks": [_json(check) for check in checks]}, lambda: _lines(checks)
    )
    if broken:
        raise typer.Exit(1)


def _json(check: Check) -> dict[str, object]:
    return {"name": check.name, "state": check.state, "detail": check.detail, "hint": check.hint}


def _lines(checks: list[Check]) -> list[str]:
    lines: list[str] = []
    marks = {"ok": "ok", "note": "note", "broken": "BROKEN"}
    for check in checks:
        first, *more = output.paragraph(f"{check.name}: {check.detail}", " " * 8)
        lines += [f"{marks[check.state]:<7} {first.strip()}", *more]
        if check.hint:
            lines += output.paragraph(check.hint, " " * 10)
    return lines
