"""`staid ask`: one question, or a file of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from staid.cli import output
from staid.domain.errors import UsageInvalid

AsOption = Annotated[str, typer.Option("--as", metavar="WHO", help="Who asks: user:ada.")]
GroupsOption = Annotated[
    str | None, typer.Option("--groups", help="Assert these groups instead of the directory's.")
]


def groups_of(text: str | None) -> list[str] | None:
    """Return the asserted groups, or None where none were asserted."""
    return None if text is None else [g.strip() for g in text.split(",") if g.strip()]


def ask(
    text: Annotated[str | None, typer.Argument(help="The question.")] = None,
    as_: AsOption = "",
    groups: GroupsOption = None,
    agent: Annotated[
        str | None, typer.Option(help="Which agent; default: the only one, or `support`.")
    ] = None,
    conversation: Annotated[
        str | None, typer.Option(help="Continue (or begin) this conversation.")
    ] = None,
    key: Annotated[str | None, typer.Option(help="The same key returns the same outcome.")] = None,
    batch: Annotated[Path | None, typer.Option(help='Rows {"id","text","as","groups"}.')] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write the batch here; a rerun goes on where it stopped.")
    ] = None,
) -> None:
    """Exit 0 on every outcome.

    Example: staid ask "What is the refund policy?" --as user:ada
    """
    asked = output.project().agent_named(agent)
    if batch is not None:
        from staid.cli.batch import ask_batch

        ask_batch(asked, batch, out, as_, groups_of(groups))
        return
    if text is None:
        raise UsageInvalid(detail="there is no question", hint='staid ask "…" --as user:ada')
    if not as_:
        raise UsageInvalid(detail="nobody asks", hint="Say who: --as user:ada")
    outcome = asked.ask_sync(
        text, asker=as_, groups=groups_of(groups), conversation=conversation, key=key
    )
    output.emit(output.outcome_json(outcome), lambda: output.outcome_lines(outcome))
