"""`staid anchor`: the newest seal, told to the outside."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from staid.cli import output
from staid.domain.errors.record import AnchorMissing


def anchor(
    *,
    check: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Tell nothing; hold the record against these anchors."),
    ] = None,
) -> None:
    """Exit 1 when an anchored seal is gone or rewritten. Example: staid anchor."""
    from staid.project.anchoring import against_file, anchor_now

    project = output.project()
    if check is not None:
        read, findings = against_file(project, check.resolve())
        found = [{"run": f.run, "problem": f.problem} for f in findings]
        good = f"{read} seals told to the outside are here, unchanged."
        lines = [f"BROKEN {f.run}: {f.problem}" for f in findings] or [good]
        output.emit({"ok": not findings, "anchors": read, "findings": found}, lines)
        if findings:
            raise typer.Exit(1)
        return
    if not project.settings.journal.anchor:
        raise AnchorMissing
    told = anchor_now(project)
    output.emit(
        {"anchored": [{"target": t.target, "seal": t.seq} for t in told]},
        [f"seal {t.seq} told to {t.target}" for t in told]
        or ["Every place knows the newest seal already."],
    )
