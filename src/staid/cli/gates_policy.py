"""`staid gates check`, `explain` and `backtest`: the policy of a project."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from staid.cli import output
from staid.domain.errors import PolicyInvalid
from staid.gates.rules import Policy

if TYPE_CHECKING:
    from staid.project.policy_file import PolicyFile
    from staid.project.project import Project


def checked_policy(project: Project, file: Path | None) -> Policy:
    """Return a policy without mistakes; print every one there is and end with exit code 2."""
    from staid.project.policy_file import read_policy

    named = project.settings.gates.policy
    path = file or (project.settings.path(named) if named else None)
    if path is None:
        return project.wiring.policy
    read = read_policy(path, project.tools)
    if read.faults:
        _tell(read)
    return read.policy


def _tell(read: PolicyFile) -> None:
    where = read.path.name
    first = read.faults[0]
    output.emit(
        {
            "policy": where,
            "faults": [
                {"line": f.line, "column": f.column, "detail": f.detail} for f in read.faults
            ],
        },
        [f"{where}:{f.line}:{f.column}: {f.detail}" for f in read.faults],
    )
    if not output.as_json():
        output.tell_error(
            PolicyInvalid(where=f"{where}:{first.line}:{first.column}", detail=first.detail)
        )
    raise typer.Exit(2)
