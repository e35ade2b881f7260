"""`staid ask --batch`: many questions, resumable, and no effect twice when it is rerun."""

from __future__ import annotations

import fcntl
import json
import secrets
import sys
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO, cast

from staid.cli import output
from staid.domain.canonical import digest
from staid.domain.errors import RowMalformed, RunBusy, RunInterrupted, StaidError, UsageInvalid
from staid.domain.ids import RunId
from staid.domain.outcome import Outcome
from staid.runtime.agent import Agent

_ROW = 'A row is {{"id": "1", "text": "…", "as": "user:ada", "groups": ["group:a"]}}.'


def ask_batch(
    asked: Agent, file: Path, out: Path | None, as_: str, groups: Sequence[str] | None
) -> None:
    """Ask every row in order; with `out` a rerun goes on where the last one stopped.

    Killed at any moment and rerun, a row's effects take place at most once: until the batch is
    whole, its name lies beside `out`, and the same row of the same batch is the same turn.
    """
    rows = list(_rows(file))
    done = _done(out)
    with _batch_name(out) as name:
        target = out.open("a", encoding="utf-8") if out else sys.stdout
        try:
            with output.progress("asking", len(rows)) as advance:
                for number, row in enumerate(rows, 1):
                    if str(row["id"]) not in done:
                        _write(target, _answer(asked, row, as_, groups, name))
                    advance(number)
        finally:
            if out:
                target.close()
    if out:
        summary = {"rows": len(rows), "answered_before": len(done), "out": str(out)}
        output.emit(summary, [f"{len(rows)} rows, {len(done)} of them done before: {out}"])


@contextmanager
def _batch_name(out: Path | None) -> Generator[str | None]:
    """Give the name that the batch keeps over its reruns; one process at a time holds it."""
    if out is None:
        yield None
        return
    beside = out.with_name(f"{out.name}.batch")
    with beside.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            detail = f"another process is writing {out}"
            raise UsageInvalid(detail=detail, hint="Wait for it, or use another --out.") from error
        file.seek(0)
        name = file.read().strip()
        if not name:
            name = secrets.token_hex(16)
            file.write(name)
            file.flush()
        yield name
        beside.unlink(missing_ok=True)  # whole: the next batch into this file is another one


def _answer(
    asked: Agent,
    row: Mapping[str, Any],
    as_: str,
    groups: Sequence[str] | None,
    batch: str | None,
) -> dict[str, Any]:
    try:
        outcome = _outcome(asked, row, as_, groups, batch)
    except StaidError as error:
        if error.exit_code == 5 and not isinstance(error, RunInterrupted):
            raise
        body = {"code": error.code, "message": error.message, "hint": error.hint_text}
        return {"id": row["id"], "error": body}
    return {"id": row["id"], **output.outcome_json(outcome)}


def _outcome(
    asked: Agent,
    row: Mapping[str, Any],
    as_: str,
    groups: Sequence[str] | None,
    batch: str | None,
) -> Outcome:
    who, what = str(row.get("as") or as_), str(row["text"])
    rights: Sequence[str] | None = row.get("groups", groups)
    talk: str | None = row.get("conversation")
    key = f"batch:{digest([batch, str(row['id']), who, what, talk])}" if batch else None

    def ask() -> Outcome:
        return asked.ask_sync(what, asker=who, groups=rights, conversation=talk, key=key)

    try:
        return ask()
    except RunBusy as busy:
        # The lock on the batch is ours, so whoever ran this row was killed.
        _give_up(str(busy.values["run"]))
        return ask()


def _give_up(run: str) -> None:
    """Free the row of a run that was killed before it acted; raise where it had begun to."""
    wiring = output.project().wiring
    if wiring.records.acted(RunId(run)):
        raise RunInterrupted(run=run)
    wiring.records.fail(RunId(run), wiring.clock.now(), [], RunInterrupted.code)


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
