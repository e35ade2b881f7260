"""`staid erase` and `staid hold`: what is taken out of the record, and what must not be."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from staid.cli import output
from staid.domain.errors import UsageInvalid
from staid.domain.errors.privacy import EraseUnconfirmed
from staid.project import privacy

if TYPE_CHECKING:
    from staid.store.erasure import Erased
    from staid.store.holds import Hold

hold_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


def erase(
    subject: Annotated[str, typer.Argument(metavar="SUBJECT", help="user:ada")] = "",
    *,
    expired: Annotated[
        bool, typer.Option("--expired", help="What [retention] keeps no longer.")
    ] = False,
    reason: Annotated[
        str, typer.Option(help="Why; stays in the record, so without a name.")
    ] = privacy.REASON,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask again.")] = False,
    vacuum: Annotated[
        bool, typer.Option("--vacuum/--no-vacuum", help="Leave no byte of it in the file.")
    ] = True,
) -> None:
    """Erase everything about one principal; facts stay, without a name or a word.

    Example: staid erase user:ada --reason "request 4711 of the privacy desk" --yes
    """
    if expired:
        _expire(subject, vacuum=vacuum)
        return
    if not subject:
        raise UsageInvalid(detail="nobody is named", hint="Say who: staid erase user:ada")
    project = output.project()
    privacy.check_reason(privacy.checked_subject(subject), reason)
    _confirm(subject, yes=yes)
    erased = privacy.erase_subject(project, subject, reason)
    gone, seconds = privacy.compact(project) if vacuum else (False, 0.0)
    value = {**_json(erased), "compacted": gone, "vacuum_s": round(seconds, 3)}
    output.emit(value, _lines(erased, subject, vacuumed=vacuum, gone=gone))


def _expire(subject: str, *, vacuum: bool) -> None:
    """Apply retention: it is a rule of the project, so that nothing is asked."""
    if subject:
        raise UsageInvalid(detail="--expired is about everybody", hint="staid erase --expired")
    project = output.project()
    counts = privacy.expire(project)
    gone, seconds = privacy.compact(project) if vacuum and any(counts.values()) else (False, 0.0)
    value = {"expired": counts, "compacted": gone, "vacuum_s": round(seconds, 3)}
    lines = [f"{name}: {count} texts erased" for name, count in counts.items()]
    nothing = "Nothing has an end: add [retention] to staid.toml."
    output.emit(value, lines or [nothing])


def _confirm(subject: str, *, yes: bool) -> None:
    if yes:
        return
    if output.as_json() or not sys.stdin.isatty():
        raise EraseUnconfirmed(subject=subject)
    if not typer.confirm(f"Erase everything about {subject}? This cannot be undone.", err=True):
        raise EraseUnconfirmed(subject=subject)


def _json(erased: Erased) -> dict[str, object]:
    return {
        "subject": erased.alias,
        "runs": list(erased.runs),
        "contents": erased.contents,
        "calls": erased.calls,
        "handoffs": erased.handoffs,
        "revoked": list(erased.revoked),
        "in_progress": list(erased.in_progress),
        "sinks_asked": erased.asked,
    }


def _lines(erased: Erased, subject: str, *, vacuumed: bool, gone: bool) -> list[str]:
    counts = (
        f"{len(erased.runs)} runs, {erased.contents} texts, {erased.calls} calls, "
        f"{erased.handoffs} hand-offs"
    )
    lines = [
        *output.paragraph(f"Erased: {counts}."),
        f"The record knows this subject as {erased.alias}.",
    ]
    lines += [f"revoked: {call}" for call in erased.revoked]
    if erased.asked:
        lines.append(f"{erased.asked} requests to forget wait for the sinks: staid worker")
    for run in erased.in_progress:
        lines += output.paragraph(f"{run} may still be in progress: erase again when it is over.")
    if vacuumed and not gone:
        told = (
            "Erased bytes stay in the file: somebody reads it, or the disk is full. Later, again: "
        )
        lines += output.paragraph(f"{told}staid erase {subject} --yes")
    return lines


@hold_app.command("add")
def add_hold(
    target: Annotated[str, typer.Argument(metavar="TARGET", help="user:ada, or a run.")],
    reason: Annotated[str, typer.Option(help="Why it has to be kept.")],
) -> None:
    """Keep a principal or a run from being erased, by request or by retention.

    Example: staid hold add user:ada --reason "court order 12 O 34/26"
    """
    privacy.check_reason(target, reason)
    hold = privacy.place_hold(output.project(), target, reason)
    output.emit(_hold_json(hold), [f"{hold.id}: {hold.target} is kept."])


@hold_app.command("release")
def release_hold(
    hold: Annotated[str, typer.Argument(metavar="HOLD", help="hld_…")],
) -> None:
    """End a hold.

    Example: staid hold release hld_01K…
    """
    ended = privacy.release_hold(output.project(), hold)
    output.emit(_hold_json(ended), [f"{hold} is released: {ended.target} can be erased."])


@hold_app.command("list")
def list_holds(
    *,
    everything: Annotated[bool, typer.Option("--all", help="Also released ones.")] = False,
) -> None:
    """List the holds in force, oldest first.

    Example: staid hold list --all
    """
    found = privacy.holds(output.project()).holds(everything=everything)
    output.emit({"holds": [_hold_json(hold) for hold in found]}, lambda: _table(found))


def _table(found: Sequence[Hold]) -> list[str]:
    rows = [
        (h.id, h.target, "released" if h.released_at else "in force", f"{h.placed_at:%Y-%m-%d}")
        for h in found
    ]
    head = ("hold", "target", "state", "placed")
    lines = output.table(head, rows, whole=2)
    return lines or ["Nothing is held."]


def _hold_json(hold: Hold) -> dict[str, object]:
    return {
        "id": hold.id,
        "target": hold.target,
        "reason": hold.reason,
        "placed_by": hold.placed_by,
        "placed_at": hold.placed_at,
        "released_by": hold.released_by,
        "released_at": hold.released_at,
    }
