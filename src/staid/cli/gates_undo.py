"""`staid gates undo`: take back what a call did."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from staid.cli import output
from staid.cli.ask import AsOption, GroupsOption, groups_of
from staid.domain.call import UndoRecord, UndoState
from staid.domain.errors import UsageInvalid
from staid.project.deciding import take_back


def undo(
    call: Annotated[str, typer.Argument(metavar="ID", help="cal_… or apr_…")],
    as_: AsOption = "",
    groups: GroupsOption = None,
    reason: Annotated[str, typer.Option(help="Why; recorded with the run.")] = "",
) -> None:
    """Take a done call back by its tool's own `undo`: at most once, while it is stopped, too.

    Example: staid gates undo cal_… --as user:lead --reason "wrong customer"
    """
    if not as_:
        raise UsageInvalid(detail="nobody acts", hint="Say who: --as user:lead")
    done = asyncio.run(
        take_back(output.project(), call, as_, groups_of(groups), reason=reason.strip())
    )
    value = {"call": done.call, "state": done.state.value, "by": done.asked_by, "at": done.at}
    output.emit(value, _lines(done))
    if done.state is UndoState.FAILED:
        raise typer.Exit(1)
    if done.state is not UndoState.UNDONE:
        raise typer.Exit(3)


def _lines(done: UndoRecord) -> list[str]:
    match done.state:
        case UndoState.UNDONE:
            return [f"{done.call}: taken back."]
        case UndoState.FAILED:
            return [f"{done.call}: not taken back; what it did still stands. Why: staid why."]
        case _:
            return [
                f"{done.call}: nobody knows whether it was taken back.",
                "  Look in the system behind the tool, then:",
                f"  staid approvals settle {done.call} --happened yes --as user:…",
            ]
