"""`staid impact`: from one bad document, prompt or rule to everybody it touched."""

from __future__ import annotations

from typing import Annotated

import typer

from staid.cli import output
from staid.cli.finding import Since, Until, record_json, when
from staid.domain.errors import UsageInvalid
from staid.domain.finding import Impact, Suspect

KINDS = ("document", "prompt", "tool", "rule", "model", "calibration")


def impact(  # noqa: PLR0913 - one parameter for each option
    *,
    document: Annotated[
        str | None, typer.Option(help="ID or SOURCE/ID, also @VERSION (8 characters do).")
    ] = None,
    prompt: Annotated[str | None, typer.Option(help="NAME, also @VERSION.")] = None,
    tool: Annotated[str | None, typer.Option()] = None,
    rule: Annotated[str | None, typer.Option()] = None,
    model: Annotated[str | None, typer.Option()] = None,
    calibration: Annotated[str | None, typer.Option()] = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[
        int,
        typer.Option(
            min=1, max=output.MOST_LISTED, help="How many runs to list; counts are whole."
        ),
    ] = 20,
) -> None:
    """List the runs that used something, and whom they answered, newest first.

    Example: staid impact --document help-centre/billing/refunds.md --since 7d
    """
    given = (document, prompt, tool, rule, model, calibration)
    named = [(kind, name) for kind, name in zip(KINDS, given, strict=True) if name is not None]
    if len(named) != 1:
        hint = "Name one: " + ", ".join(f"--{kind}" for kind in KINDS)
        raise UsageInvalid(detail="it is not said what, or too much is", hint=hint)
    suspect = Suspect(kind=named[0][0], name=named[0][1], since=when(since), until=when(until))
    found = output.project().wiring.search.impact(suspect, limit=limit)
    output.emit(_json(suspect, found), lambda: _lines(suspect, found))


def _json(suspect: Suspect, found: Impact) -> dict[str, object]:
    return {
        "kind": suspect.kind,
        "name": suspect.name,
        "since": suspect.since,
        "until": suspect.until,
        "counts": {
            "runs": found.runs,
            "principals": len(found.principals),
            "outcomes": dict(found.outcomes),
        },
        "principals": [{"principal": who, "runs": n} for who, n in found.principals.items()],
        "runs": [
            {**record_json(each.run), "versions": list(each.versions), "used_at": each.at}
            for each in found.newest
        ],
    }


def _lines(suspect: Suspect, found: Impact) -> list[str]:
    if not found.runs:
        return [f"No run used the {suspect.kind} {suspect.name}."]
    outcomes = ", ".join(f"{n} {outcome}" for outcome, n in found.outcomes.items())
    lines = output.paragraph(
        f"{found.runs} runs of {len(found.principals)} principals used the {suspect.kind} "
        f"{suspect.name}: {outcomes}."
    )
    head = ("run", "outcome", "asker", "version", "started (UTC)")
    rows = [
        (
            each.run.run,
            each.run.outcome or each.run.state,
            each.run.asker,
            ",".join(version[:8] for version in each.versions) or "-",
            f"{each.run.started_at:%Y-%m-%d %H:%M}",
        )
        for each in found.newest
    ]
    lines += ["", *output.table(head, rows)]
    most = list(found.principals.items())[:20]
    lines += ["", *output.table(("principal", "runs"), most)]
    left = len(found.principals) - len(most)
    return [*lines, f"… and {left} more: --json lists all."] if left else lines
