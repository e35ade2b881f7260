"""`staid gates chaos`: kill -9 around a project's own handler, and what it did."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from staid.cli import output
from staid.domain.errors import ChaosImpossible, ChaosNotMeant, ToolUnknown

if TYPE_CHECKING:
    from staid.testing.own_handler import Count, Shot, UndoShot


def chaos(
    tool: Annotated[str, typer.Argument(help="Whose handler is killed, such as refund.issue.")],
    arguments: Annotated[str, typer.Option(help="What it is called with: a JSON object.")] = "{}",
    trials: Annotated[int, typer.Option(min=1, help="Calls per kill point.")] = 1,
    count: Annotated[
        str | None,
        typer.Option(help="MODULE:FUNCTION that counts a call's effects outside, of params, call."),
    ] = None,
    really: Annotated[  # noqa: FBT002 - a flag of the command line
        bool, typer.Option("--really", help="The handler runs: its effects are real.")
    ] = False,
) -> None:
    """Kill -9 the process around a tool's own handler at every point, and count its effects.

    On a scratch store of the project's engine. A tool that has an `undo` is also killed while it
    takes calls back. Exit code 1 where anything happened twice, or is recorded otherwise than it
    happened, or `reconcile` said something else than what happened.
    """
    from staid.testing.own_handler import SHOTS, UNDO_SHOTS, Target, shoot

    project = output.project()
    found = project.tools.get(tool)
    if found is None:
        raise ToolUnknown(tool=tool)
    if found.in_agent:
        raise ChaosImpossible(tool=tool, detail="only the process of its agent can carry it out")
    calls = (len(SHOTS) + (len(UNDO_SHOTS) if found.undo else 0)) * trials
    if not really:
        raise ChaosNotMeant(tool=tool, calls=calls)
    target = Target(found, _arguments(tool, arguments), _count(tool, count))
    with output.progress("Killing", calls) as note:
        shots, undone = shoot(target, project.settings.store_url(), trials, note)
    first = shots[0]
    if first.state != "done":
        detail = f"unkilled it ends as {first.state}: {first.error}"
        raise ChaosImpossible(tool=tool, detail=detail)
    ok = not any(shot.broken or shot.lied for shot in shots)
    ok = ok and not any(shot.broken for shot in undone)
    lines = [*_table(shots), "", *output.paragraph(_verdict(shots))]
    if undone:
        lines += ["", *_undo_table(undone), "", *output.paragraph(_undo_verdict(undone))]
    output.emit(_told(tool, shots, undone, ok=ok), lines)
    if not ok:
        raise typer.Exit(1)


def _arguments(tool: str, text: str) -> dict[str, Any]:
    try:
        given = json.loads(text)
    except json.JSONDecodeError as error:
        raise ChaosImpossible(tool=tool, detail=f"--arguments is no JSON: {error}") from error
    if not isinstance(given, dict):
        raise ChaosImpossible(tool=tool, detail="--arguments is not a JSON object")
    return cast("dict[str, Any]", given)


def _count(tool: str, named: str | None) -> Count | None:
    if named is None:
        return None
    module, _, function = named.partition(":")
    try:
        return cast("Count", getattr(import_module(module), function))
    except (ImportError, AttributeError, ValueError) as error:
        raise ChaosImpossible(tool=tool, detail=f"--count {named}: {error}") from error


def _table(shots: Sequence[Shot]) -> list[str]:
    rows = [
        (
            shot.point or "(nobody killed)",
            shot.effects,
            shot.state,
            {True: "it happened", False: "it did not", None: "-"}[shot.said],
            "TWICE" if shot.effects > 1 else "UNTRUE" if shot.broken else "LIE" * shot.lied or "ok",
        )
        for shot in shots
    ]
    return output.table(("killed at", "effects", "state", "reconcile", ""), rows)


def _verdict(shots: Sequence[Shot]) -> str:
    lies = sum(shot.lied for shot in shots)
    broken = sum(shot.broken for shot in shots)
    if broken:
        return f"{broken} of {len(shots)} calls took effect twice or are recorded untruly."
    doubt = sum(shot.state == "in_doubt" for shot in shots)
    once = f"No call of {len(shots)} took effect twice; {doubt} are in doubt, as they should be."
    if lies:
        return f"{once} reconcile lied {lies} times: a doubt it settles is settled wrongly."
    if all(shot.said is None for shot in shots):
        return f"{once} Without a reconcile that answers, a person settles each doubt."
    return f"{once} reconcile told the truth."


def _undo_table(undone: Sequence[UndoShot]) -> list[str]:
    rows = [
        (
            shot.point or "(nobody killed)",
            shot.times,
            shot.state,
            "TWICE" if shot.times > 1 else "UNTRUE" if shot.broken else "ok",
        )
        for shot in undone
    ]
    return output.table(("undo killed at", "undone", "state", ""), rows)


def _undo_verdict(undone: Sequence[UndoShot]) -> str:
    if broken := sum(shot.broken for shot in undone):
        return f"{broken} of {len(undone)} were taken back twice or are recorded untruly."
    doubt = sum(shot.state == "in_doubt" for shot in undone)
    return (
        f"No call of {len(undone)} was taken back twice; of {doubt} nobody knows whether it was,"
        " which a person settles."
    )


def _told(
    tool: str, shots: Sequence[Shot], undone: Sequence[UndoShot], *, ok: bool
) -> dict[str, Any]:
    return {
        "tool": tool,
        "calls": len(shots),
        "most_effects": max(shot.effects for shot in shots),
        "lies": sum(shot.lied for shot in shots),
        "ok": ok,
        "shots": [
            {
                "point": shot.point or None,
                "effects": shot.effects,
                "state": shot.state,
                "reconcile": shot.said,
                "lied": shot.lied,
            }
            for shot in shots
        ],
        "undo": [
            {"point": shot.point or None, "undone": shot.times, "state": shot.state}
            for shot in undone
        ],
    }
