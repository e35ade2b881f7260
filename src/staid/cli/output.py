"""How the command line speaks: one JSON document, or plain text that reads well at 80 columns."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import get_terminal_size
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from staid.domain.canonical import plain
from staid.domain.errors import StaidError

if TYPE_CHECKING:
    from staid.domain.outcome import Outcome
    from staid.project.project import Project


MOST_LISTED = 1_000_000
"""What `--limit` may be at most: more than a terminal shows and less than a store can count."""


@dataclass(slots=True)
class _Settings:
    json: bool = False
    project: Path | None = None
    loaded: Project | None = None


_settings = _Settings()


def configure(*, json: bool, project: Path | None) -> None:
    """Set what the global options said, for this process."""
    _settings.json = json
    _settings.project = project
    _settings.loaded = None


def survive_any_text() -> None:
    """Let no character stop the output: what the terminal cannot show is written as an escape."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def as_json() -> bool:
    """Return whether `--json` was given."""
    return _settings.json


def project() -> Project:
    """Return the project that the command is about."""
    from staid.project.loading import load_project

    if _settings.loaded is None:
        _settings.loaded = load_project(_settings.project or Path.cwd())
    return _settings.loaded


def emit(value: object, human: Callable[[], Iterable[str]] | Iterable[str]) -> None:
    """Print the JSON document under `--json`, else the lines for a person."""
    if _settings.json:
        sys.stdout.write(dumps(value) + "\n")
    else:
        lines = human() if callable(human) else human
        sys.stdout.write("".join(f"{_harmless(line)}\n" for line in lines))
    sys.stdout.flush()


def _harmless(line: str) -> str:
    # A document or a question must not move the cursor of the terminal it is shown in.
    return "".join(c if c.isprintable() or c == "\t" else "\N{REPLACEMENT CHARACTER}" for c in line)


def dumps(value: object) -> str:
    """Return one line of JSON."""
    speaks_unicode = (sys.stdout.encoding or "utf-8").lower().startswith("utf")
    return json.dumps(plain(value), ensure_ascii=not speaks_unicode)


def say(text: str) -> None:
    """Tell the operator something on stderr, whatever goes to stdout."""
    sys.stderr.write("".join(f"{_harmless(line)}\n" for line in text.split("\n")))
    sys.stderr.flush()


def tell_error(error: StaidError) -> None:
    """Tell an error with its code and next step; under `--json` also as the JSON document."""
    if _settings.json:
        body = {"code": error.code, "message": error.message, "hint": error.hint_text}
        sys.stdout.write(dumps({"error": body}) + "\n")
    say(f"{error.code}: {error.message}\n  {error.hint_text}")


def width() -> int:
    """Return how many columns there are: the terminal's, at most 100; 80 where there is none."""
    return min(get_terminal_size((80, 24)).columns, 100) if sys.stdout.isatty() else 80


def paragraph(text: str, indent: str = "") -> list[str]:
    """Return text wrapped to the width, its own line breaks kept."""
    lines: list[str] = []
    for line in text.splitlines() or [""]:
        lines += wrap(
            line,
            width(),
            initial_indent=indent,
            subsequent_indent=indent,
            break_on_hyphens=False,  # a document's id stays in one piece
        ) or [""]
    return lines


def table(head: Sequence[str], rows: Iterable[Sequence[object]], *, whole: int = 1) -> list[str]:
    """Return an aligned table; long lines are cut, but never inside the first `whole` columns."""
    body = [[str(cell).replace("\n", " ") for cell in row] for row in rows]
    if not body:
        return []
    sizes = [max(len(row[i]) for row in [list(head), *body]) for i in range(len(head))]
    lines = [
        "  ".join(cell.ljust(size) for cell, size in zip(row, sizes, strict=True)).rstrip()
        for row in [list(head), *body]
    ]
    most = max(width(), sum(sizes[:whole]) + 2 * whole)
    return [line if len(line) <= most else line[: most - 1] + "…" for line in lines]


def outcome_json(outcome: Outcome) -> dict[str, Any]:
    """Return an outcome in the form of the CLI contract (product.md)."""
    return {
        "outcome": outcome.outcome,
        "reason": outcome.reason,
        "text": outcome.text,
        "confidence": outcome.confidence,
        "similarity": outcome.similarity,
        "floor": outcome.floor,
        "evidence": [
            {"document": e.document, "chunk": e.chunk, "rank": e.rank} for e in outcome.evidence
        ],
        "citations": [
            {"document": c.document, "chunk": c.chunk, "quote": c.quote} for c in outcome.citations
        ],
        "run": outcome.run,
        "approvals": list(outcome.approvals),
        "handoff": outcome.handoff,
    }


def outcome_lines(outcome: Outcome, indent: str = "") -> list[str]:
    """Return an outcome for a person, every line after `indent`."""
    lines = paragraph(outcome.text, indent)
    return [*lines, *(f"{indent}{line}" if line else "" for line in _facts(outcome))]


def _facts(outcome: Outcome) -> list[str]:
    lines: list[str] = []
    if outcome.citations:
        lines += ["", *(f"  [{n}] {c}" for n, c in enumerate(_cited(outcome), 1))]
    reason = f" ({outcome.reason})" if outcome.reason else ""
    numbers = f"confidence {outcome.confidence:.2f} · floor {outcome.floor:.2f}"
    lines += ["", f"{outcome.outcome}{reason} · {numbers}"]
    if outcome.handoff:
        lines.append(f"hand-off {outcome.handoff}")
    lines += [f"waits for a person: staid approvals show {a}" for a in outcome.approvals]
    lines.append(f"why: staid why {outcome.run}")
    return lines


def _cited(outcome: Outcome) -> list[str]:
    return list(dict.fromkeys(citation.document for citation in outcome.citations))


@contextmanager
def progress(label: str, total: int | None) -> Generator[Callable[[int], None]]:
    """Show a progress bar on stderr where a person looks on; else stay silent."""
    if not sys.stderr.isatty():
        yield lambda _done: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=total)
        yield lambda done: bar.update(task, completed=done)
