"""`staid acl`: the label of a document, where its source has no rights of its own."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from staid.cli import output
from staid.domain.errors import LabelInvalid
from staid.domain.label import Label
from staid.domain.ports import StoredDocument

acl_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

Document = Annotated[str, typer.Argument(metavar="DOCUMENT", help="id, or source/id.")]


@acl_app.command("list")
def list_documents() -> None:
    """List every document with its label."""
    found = output.project().wiring.corpus.documents()
    rows = [(f"{d.source}/{d.id}", _text(d.label)) for d in found]
    output.emit(
        {"documents": [_json(d) for d in found]},
        output.table(("document", "label"), rows) or ["No documents yet: staid ingest"],
    )


@acl_app.command()
def show(document: Document) -> None:
    """Show one document's label."""
    found = output.project().wiring.corpus.find(document)
    output.emit(_json(found), [f"{found.source}/{found.id}: {_text(found.label)}"])


@acl_app.command("set")
def set_label(
    document: Document,
    label: Annotated[str, typer.Argument(metavar="LABEL", help="JSON: [[…]] or {allow, deny}.")],
) -> None:
    """Give one document another label; holds on the next query of every process.

    Example: staid acl set pricing.md '{"allow": [["group:finance"]]}'
    """
    try:
        wanted = Label.parse(json.loads(label))
    except ValueError as error:
        raise LabelInvalid(detail=f"it is not JSON ({error})") from error
    _relabel(document, wanted)


@acl_app.command()
def revoke(
    document: Document,
    token: Annotated[str, typer.Argument(metavar="WHO", help="group:finance or user:ada.")],
) -> None:
    """Deny one token; holds on the very next query of every process."""
    found = output.project().wiring.corpus.find(document)
    checked = Label.parse({"allow": [[token]]})  # a coded error for what is no token
    deny = found.label.deny | checked.allow[0]
    _relabel(document, Label.of(found.label.allow, deny))


def _relabel(document: str, label: Label) -> None:
    corpus = output.project().wiring.corpus
    found = corpus.find(document)
    position = corpus.relabel(found.source, found.id, label)
    value = {"document": found.id, "source": found.source, **_label(label), "position": position}
    output.emit(value, [f"{found.source}/{found.id}: {_text(label)}"])


def _json(document: StoredDocument) -> dict[str, object]:
    return {
        "document": document.id,
        "source": document.source,
        "title": document.title,
        "vetted": document.vetted,
        **_label(document.label),
    }


def _label(label: Label) -> dict[str, object]:
    return {"allow": [sorted(c) for c in label.allow], "deny": sorted(label.deny)}


def _text(label: Label) -> str:
    if not label.allow:
        return "nobody"
    text = " AND ".join(f"({' OR '.join(sorted(clause))})" for clause in label.allow)
    return f"{text} BUT NOT {' OR '.join(sorted(label.deny))}" if label.deny else text
