"""`staid ask`: one question, or a file of them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, TextIO, cast

import typer

from staid.cli import output
from staid.domain.errors import RowMalformed, StaidError, UsageInvalid
from staid.runtime.agent import Agent

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
        _batch(asked, batch, out, as_, groups_of(groups))
        return
    if text is None:
        raise UsageInvalid(detail="there is no question", hint='staid ask "…" --as user:ada')
    if not as_:
        raise UsageInvalid(detail="nobody asks", hint="Say who: --as user:ada")
    outcome = asked.ask_sync(
        text, asker=as_, groups=groups_of(groups), conversation=conversation, key=key
    )
    output.emit(output.outcome_json(outcome), lambda: output.outcome_lines(outcome))


def _batch(asked: Agent, file: Path, out: Path | None, as_: str, groups: list[str] | None) -> None:
    rows = list(_rows(file))
    done = _done(out)
    target = out.open("a", encoding="utf-8") if out else sys.stdout
    try:
        with output.progress("asking", len(rows)) as advance:
            for number, row in enumerate(rows, 1):
                if str(row["id"]) not in done:
                    _write(target, _answer(asked, row, as_, groups))
                advance(number)
    finally:
        if out:
            target.close()
    if out:
        summary = {"rows": len(rows), "answered_before": len(done), "out": str(out)}
        output.emit(summary, [f"{len(rows)} rows, {len(done)} of them done before: {out}"])


def _answer(
    asked: Agent, row: dict[str, Any], as_: str, groups: list[str] | None
) -> dict[str, Any]:
    try:
        outcome = asked.ask_sync(
            str(row["text"]),
            asker=str(row.get("as") or as_),
            groups=row.get("groups", groups),
            conversation=row.get("conversation"),
        )
    except StaidError as error:
        if error.exit_code == 5:
            raise
        body = {"code": error.code, "message": error.message, "hint": error.hint_text}
        return {"id": row["id"], "error": body}
    return {"id": row["id"], **output.outcome_json(outcome)}


def _write(target: TextIO, value: dict[str, Any]) -> None:
    target.write(output.dumps(value) + "\n")
    target.flush()


def _rows(file: Path) -> Iterator[dict[str, Any]]:
    try:
        # Only line feeds end a row: a text may hold U+2028 and other ends of lines of its own.
        lines = file.read_text("utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageInvalid(detail=f"{file} cannot be read: {error}") from error
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield _row(file, number, line)


def _row(file: Path, number: int, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise RowMalformed(line=number, file=file, detail=str(error)) from error
    if not isinstance(row, dict) or "text" not in row:
        raise RowMalformed(line=number, file=file, detail='"text" is missing', hint=_ROW)
    fields = cast("dict[str, Any]", row)
    groups: object = fields.get("groups")
    if not isinstance(fields["text"], str):
        raise RowMalformed(line=number, file=file, detail='"text" is not a text', hint=_ROW)
    if groups is not None and not _are_texts(groups):
        raise RowMalformed(line=number, file=file, detail='"groups" is not a list', hint=_ROW)
    return {"id": str(number), **fields}


_ROW = 'A row is {{"id": "1", "text": "…", "as": "user:ada", "groups": ["group:a"]}}.'


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(item, str) for item in cast("list[object]", value)
    )


def _done(out: Path | None) -> set[str]:
    if out is None or not out.exists():
        return set()
    raw = out.read_bytes()
    whole = raw.rfind(b"\n") + 1
    try:
        done = {str(json.loads(line)["id"]) for line in raw[:whole].split(b"\n")[:-1]}
    except (ValueError, KeyError, TypeError) as error:
        detail = f"{out} holds something else than answers; nothing was written"
        raise UsageInvalid(detail=detail, hint="Name another file with --out.") from error
    if whole != len(raw):  # the last line was cut short by a kill; write it again
        _cut(out, raw, whole)
    return done


def _cut(out: Path, raw: bytes, whole: int) -> None:
    if not raw[whole:].startswith(b'{"id"'[: len(raw) - whole]):
        raise UsageInvalid(
            detail=f"{out} holds something else than answers; nothing was written",
            hint="Name another file with --out.",
        )
    with out.open("r+b") as file:
        file.truncate(whole)
