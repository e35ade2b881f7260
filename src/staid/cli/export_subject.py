"""`staid export subject`: everything about one subject, for the subject."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from staid.cli import output
from staid.cli.readers import note_reading
from staid.domain.canonical import plain
from staid.domain.errors.privacy import TargetExists, TargetUnwritable
from staid.project import privacy

_NAME = "subject.json"
_COUNTED = ("runs", "conversations", "calls", "approvals", "handoffs", "acted", "readings")


def subject(
    who: Annotated[str, typer.Argument(metavar="SUBJECT", help="user:ada")],
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE|DIR", help="A new file, or a folder for subject.json."),
    ] = None,
) -> None:
    """Give everything about one principal as one JSON document: what was asked, said and done.

    Without --out it goes to stdout. Each run in it counts as read by the operator.

    Example: staid export subject user:ada --out ada.json
    """
    privacy.checked_subject(who)
    about = privacy.about(output.project())
    runs = about.runs(who)
    note_reading("cli export subject", *runs)
    document = {**about.document(who), "exported_at": output.project().wiring.clock.now()}
    if out is None:
        output.emit(document, lambda: json.dumps(plain(document), indent=2).splitlines())
        return
    path = _written(out, json.dumps(plain(document), ensure_ascii=False, indent=2))
    counts = {name: len(_list(document[name])) for name in _COUNTED}
    told = ", ".join(f"{count} {name}" for name, count in counts.items())
    output.emit({"out": str(path), **counts}, [*output.paragraph(f"{path}: {told}")])


def _list(value: Any) -> Sequence[Any]:  # noqa: ANN401 - a part of a document
    return value


def _written(out: Path, text: str) -> Path:
    path = out / _NAME if out.is_dir() else out
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TargetUnwritable(path=path, detail=error.strerror) from error
    try:
        # Personal data: for whoever runs the command, and nobody else on the machine.
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise TargetExists(path=path) from error
    except OSError as error:
        raise TargetUnwritable(path=path, detail=error.strerror) from error
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"{text}\n")
    except OSError as error:  # a full disk: half a document must not pass for everything
        path.unlink()
        raise TargetUnwritable(path=path, detail=error.strerror) from error
    return path
