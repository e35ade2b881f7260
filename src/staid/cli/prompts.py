"""`staid prompts`: every text that a model was sent, by name and version."""

from __future__ import annotations

from difflib import unified_diff
from typing import Annotated

import typer

from staid.cli import output
from staid.domain.errors.replay import PromptNotFound
from staid.domain.prompt import PromptVersion

prompts_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Such as prompts/support.md.")]

_ON_DISK = {
    "same": "as on disk",
    "changed": "changed on disk",
    "new": "not used yet",
    "gone": "not on disk",
    "none": "-",
}


@prompts_app.command("list")
def list_prompts() -> None:
    """List every prompt with its newest version: instructions, templates, tool definitions.

    Example: staid prompts list
    """
    from staid.project.prompting import overview

    listed = overview(output.project())
    value = [
        {
            "name": each.name,
            "version": each.newest.version if each.newest else None,
            "sha256": each.newest.sha256 if each.newest else None,
            "at": each.newest.at if each.newest else None,
            "on_disk": each.on_disk,
        }
        for each in listed
    ]
    rows = [
        (
            each.name,
            each.newest.version if each.newest else "-",
            each.newest.sha256[:12] if each.newest else "-",
            f"{each.newest.at:%Y-%m-%d %H:%M} UTC" if each.newest else "-",
            _ON_DISK[each.on_disk],
        )
        for each in listed
    ]
    head = ("prompt", "version", "sha256", "first used", "file")
    output.emit({"prompts": value}, output.table(head, rows) or ["No prompts yet: staid ask"])


@prompts_app.command()
def show(
    prompt: Annotated[str, typer.Argument(metavar="NAME[@VERSION]", help="The newest by default.")],
) -> None:
    """Show the text of one version, as a model was sent it.

    Example: staid prompts show prompts/support.md@1
    """
    found = output.project().wiring.prompts.find(prompt)
    output.emit(
        {**_json(found), "text": found.text},
        lambda: [f"{found.reference} {found.sha256}", "", *found.text.splitlines()],
    )


@prompts_app.command()
def diff(
    name: Name,
    first: Annotated[
        int | None, typer.Argument(metavar="[V1]", help="By default the last but one.")
    ] = None,
    second: Annotated[
        int | None, typer.Argument(metavar="[V2]", help="By default the newest.")
    ] = None,
) -> None:
    """Show what changed between two versions of a prompt.

    Example: staid prompts diff prompts/support.md 1 2
    """
    prompts = output.project().wiring.prompts
    newest = prompts.find(name if second is None else f"{name}@{second}")
    before = first if first is not None else newest.version - 1
    if before < 1:
        detail = f"{name}@{before}"
        raise PromptNotFound(prompt=detail, hint=f"{name} has one version only, so far.")
    older = prompts.find(f"{name}@{before}")
    lines = [
        line.rstrip("\n")
        for line in unified_diff(
            older.text.splitlines(),
            newest.text.splitlines(),
            older.reference,
            newest.reference,
            lineterm="",
        )
    ]
    value = {"name": name, "from": older.version, "to": newest.version, "diff": lines}
    output.emit(value, lines or [f"{older.reference} and {newest.reference} read the same."])


@prompts_app.command()
def history(
    name: Name,
    runs: Annotated[  # noqa: FBT002 - a flag
        bool, typer.Option("--runs", help="Count the runs of each version; reads the journal.")
    ] = False,
) -> None:
    """List every version of a prompt, oldest first.

    Example: staid prompts history prompts/support.md --runs
    """
    from staid.project.prompting import runs_by_version

    project = output.project()
    versions = project.wiring.prompts.history(name)
    if not versions:
        raise PromptNotFound(prompt=name)
    used = runs_by_version(project, name) if runs else None
    value = [
        {**_json(version), **({"runs": used[version.version]} if used is not None else {})}
        for version in versions
    ]
    head = ["version", "sha256", "first used", *(["runs"] if used is not None else [])]
    rows = [
        [
            version.version,
            version.sha256[:12],
            f"{version.at:%Y-%m-%d %H:%M} UTC",
            *([used[version.version]] if used is not None else []),
        ]
        for version in versions
    ]
    output.emit({"name": name, "versions": value}, output.table(head, rows))


def _json(version: PromptVersion) -> dict[str, object]:
    return {
        "name": version.name,
        "version": version.version,
        "sha256": version.sha256,
        "at": version.at,
    }
