"""`staid export`: what leaves the store."""

from __future__ import annotations

import typer

from staid.cli.export_subject import subject

export_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
export_app.command()(subject)


@export_app.callback()
def _group() -> None:
    """Keep the name of a command needed, also while there is one alone."""
