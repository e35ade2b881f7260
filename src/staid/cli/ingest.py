"""`staid ingest`: documents in, each whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from staid.cli import output
from staid.domain.errors import UsageInvalid
from staid.knowledge.ingest import IngestReport
from staid.project.ingesting import Wanted, wanted
from staid.project.ingesting import ingest as take_in


def ingest(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SOURCE…", help="A folder, a .jsonl(.gz) file, or a configured name."
        ),
    ] = None,
    acl: Annotated[
        Path | None,
        typer.Option(help="YAML: glob -> label, for files without rights of their own."),
    ] = None,
    map_: Annotated[
        list[str] | None, typer.Option("--map", help="Rename a field: text=content.")
    ] = None,
    *,
    vetted: Annotated[
        bool, typer.Option(help="Whether an unconfigured source may ground answers.")
    ] = True,
    rebuild: Annotated[bool, typer.Option(help="Store and embed everything anew.")] = False,
) -> None:
    """Take in whole documents; without SOURCE every configured source is read.

    Example: staid ingest kb.jsonl --map text=content
    """
    project = output.project()
    mapping = dict(_pair(item) for item in map_ or ())
    names = sources or sorted(project.settings.sources)
    if not names:
        raise UsageInvalid(
            detail="there is no source", hint="Name a folder, or add [sources.NAME]."
        )
    wants = [wanted(project, name, acl, mapping, vetted=vetted) for name in names]
    reports = [(want, _one(want, rebuild=rebuild)) for want in wants]
    output.emit(_json(reports), lambda: _lines(reports))


def _one(want: Wanted, *, rebuild: bool) -> IngestReport:
    with output.progress(f"ingesting {want.source.name}", None) as advance:
        return take_in(
            output.project(), want, progress=lambda p: advance(p.documents), rebuild=rebuild
        )


def _pair(text: str) -> tuple[str, str]:
    field, equals, name = text.partition("=")
    if not (equals and field and name):
        raise UsageInvalid(detail=f"--map {text} is not field=name", hint="--map text=content")
    return field, name


def _json(reports: list[tuple[Wanted, IngestReport]]) -> dict[str, object]:
    return {
        "documents": sum(r.documents for _, r in reports),
        "chunks": sum(r.chunks for _, r in reports),
        "embedded": sum(r.embedded for _, r in reports),
        "unchanged": sum(r.unchanged for _, r in reports),
        "removed": sum(r.removed for _, r in reports),
        "skipped": [{"id": s.id, "reason": s.reason} for _, r in reports for s in r.skipped],
        "nobody": sum(r.nobody for _, r in reports),
        "position": max(r.position for _, r in reports),
    }


def _lines(reports: list[tuple[Wanted, IngestReport]]) -> list[str]:
    lines: list[str] = []
    for want, report in reports:
        lines.append(
            f"{want.source.name}: {report.documents} documents, {report.chunks} chunks, "
            f"{report.embedded} embedded, {report.removed} removed"
        )
        for skipped in report.skipped:
            lines += output.paragraph(f"skipped {skipped.id}: {skipped.reason}", "  ")
        if report.nobody:
            lines += output.paragraph(
                f"{report.nobody} documents are visible to nobody, because they have no label. "
                "Give them one: --acl FILE, an acl field in the row, or staid acl set.",
                "  ",
            )
    return lines
