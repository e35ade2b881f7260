"""`staid access`: may U see D, by which path; and the reverse views."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import typer

from staid.access.evaluate import permits
from staid.access.explain import explain as explain_label
from staid.cli import output
from staid.cli.ask import AsOption, GroupsOption, groups_of
from staid.domain.errors import UsageInvalid

access_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@access_app.command()
def explain(
    document: Annotated[str, typer.Option(help="id, or source/id.")],
    as_: AsOption = "",
    groups: GroupsOption = None,
) -> None:
    """Say whether one principal may see one document, and why.

    Example: staid access explain --as user:ada --document refunds.md
    """
    if not as_:
        raise UsageInvalid(detail="nobody asks", hint="Say who: --as user:ada")
    wiring = output.project().wiring
    found = wiring.corpus.find(document)
    who = wiring.identify(as_, groups_of(groups)).principal
    paths = wiring.directory.paths(as_) if groups is None else no_paths()
    told = explain_label(found.label, who, paths)
    verdict = "may see" if told.allowed else "may not see"
    output.emit(
        {"allowed": told.allowed, "reason": told.reason, "path": list(told.path)},
        [f"{who.token} {verdict} {found.source}/{found.id}", *(f"  {line}" for line in told.path)],
    )


@access_app.command()
def who(document: Annotated[str, typer.Argument(metavar="DOCUMENT")]) -> None:
    """List everybody in the directory who may see a document."""
    wiring = output.project().wiring
    found = wiring.corpus.find(document)
    directory = wiring.directory
    allowed = [
        member.token
        for member in directory.principals()
        if not member.disabled and permits(found.label, directory.resolve(member.token).tokens)
    ]
    output.emit(
        {"document": found.id, "principals": allowed}, allowed or ["Nobody in the directory."]
    )


@access_app.command()
def what(who: Annotated[str, typer.Argument(metavar="WHO")], groups: GroupsOption = None) -> None:
    """List every document that a principal may see."""
    wiring = output.project().wiring
    tokens = wiring.identify(who, groups_of(groups)).principal.tokens
    allowed = [f"{d.source}/{d.id}" for d in wiring.corpus.documents() if permits(d.label, tokens)]
    output.emit({"principal": who, "documents": allowed}, allowed or ["No document at all."])


def no_paths() -> Mapping[str, tuple[str, ...]]:
    """Return no path at all: asserted groups were not reached through anything."""
    return {}
