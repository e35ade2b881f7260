"""`staid import`: conversations that another system recorded, as runs of this project."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from staid.cli import output
from staid.domain.errors import UsageInvalid

SHOWN = 10
"""Rows that were not taken and are named to a person; --json names all."""


def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSON lines, plain or .gz.")],
    format_: Annotated[
        str, typer.Option("--format", help="openai-messages, or tau for runs of tau-bench.")
    ] = "openai-messages",
    map_: Annotated[
        list[str] | None,
        typer.Option("--map", help="FIELD=NAME: where a row has messages, id, at, asker, …"),
    ] = None,
    agent: Annotated[
        str | None, typer.Option(help="The agent that the runs are listed as.")
    ] = None,
    asker_from: Annotated[
        str | None, typer.Option(help="Field of a row that names who asked: metadata.user")
    ] = None,
) -> None:
    """Each user message becomes a run with its calls and results; nothing is carried out.

    The same file again adds nothing. A row that is no conversation is reported with its line.
    Example: staid import chats.jsonl.gz --agent support --asker-from customer_id
    """
    from staid.project.importing import Wanted, import_conversations

    wanted = Wanted(file, format_, _fields(map_ or []), agent, asker_from)
    with output.progress("importing", None) as advance:
        done = import_conversations(output.project(), wanted, advance)
    value = {
        "conversations": done.conversations,
        "runs": done.runs,
        "calls": done.calls,
        "known": done.known,
        "times": dict(done.times),
        "skipped": [{"line": line, "reason": reason} for line, reason in done.skipped],
    }

    def lines() -> list[str]:
        counted = f"{done.runs} runs with {done.calls} calls, {done.known} runs known before"
        told = [f"{done.conversations} conversations: {counted}."]
        if done.times["synthetic"] and done.runs:
            told += output.paragraph(
                f"The log has no times for {done.times['synthetic']} of them: theirs are "
                "synthetic: the moment of the import, in the order of the log."
            )
        told += [f"line {line}: {reason}" for line, reason in done.skipped[:SHOWN]]
        more = len(done.skipped) - SHOWN
        return told + ([f"… and {more} more rows were not taken: --json names all"] * (more > 0))

    output.emit(value, lines)


def _fields(given: list[str]) -> dict[str, str]:
    pairs = [each.partition("=") for each in given]
    for name, equals, value in pairs:
        if not (name and equals and value):
            raise UsageInvalid(detail="--map takes FIELD=NAME, such as messages=conversation")
    return {name: value for name, _, value in pairs}


globals()["import"] = import_  # the verb is a keyword of Python
