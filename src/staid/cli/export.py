"""`staid export`: finished runs on their way to the sinks, and what is kept about one subject."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal, cast

import typer

from staid.cli import output
from staid.cli.export_subject import subject
from staid.domain.errors import SinkNotFound, UsageInvalid
from staid.domain.exports import OutboxRow, State
from staid.project.exporting import Round, export_once
from staid.store.outbox import Standing

export_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
export_app.command()(subject)

STATES: tuple[State, ...] = ("waiting", "sent", "confirmed", "rejected", "skipped")
Name = Annotated[str, typer.Argument(metavar="SINK", help="A sink of staid.toml.")]


@export_app.command()
def run(
    sink: Annotated[
        list[str] | None, typer.Argument(metavar="SINK…", help="Which sinks; all without one.")
    ] = None,
) -> None:
    """Send what is due now, and read back what was sent. `staid worker` does the same all the time.

    Exits 5 when a sink could not be reached; what waits is tried again. Example: staid export run
    """
    rounds = export_once(output.project(), sink or None)
    output.emit(
        {"sinks": [round_json(one) for one in rounds]},
        [line for one in rounds for line in round_lines(one)] or [_NO_SINK],
    )
    if any(one.error for one in rounds):
        raise typer.Exit(5)


@export_app.command()
def status() -> None:
    """Show how each sink stands: what waits and since when, what arrived, what was rejected.

    Example: staid export status
    """
    project = output.project()
    standing = project.wiring.outbox.standing()
    names = sorted({*project.wiring.sink_names, *standing})
    known = project.settings.sinks
    kinds = {name: known[name].kind if name in known else "(not configured)" for name in names}
    empty = Standing({}, None, None, None)
    found = {name: standing.get(name, empty) for name in names}
    output.emit(
        {"sinks": [_standing_json(name, kinds[name], found[name]) for name in names]},
        lambda: _standing_lines(kinds, found),
    )


@export_app.command()
def backfill(
    sink: Name,
    since: Annotated[
        str | None, typer.Option(help="Only runs begun since then: 7d, 12h, or 2026-05-01.")
    ] = None,
) -> None:
    """Make every finished run due that the sink was never to get, oldest first.

    Example: staid export backfill phoenix --since 30d
    """
    wiring = _known(sink)
    now = wiring.clock.now()
    moved = wiring.outbox.backfill(sink, now, _moment(since, now) if since else None)
    output.emit(
        {"sink": sink, "due": moved}, [f"{moved} runs are due at {sink}: staid export run {sink}"]
    )


@export_app.command()
def retry(
    sink: Name,
    *,
    rejected: Annotated[
        bool, typer.Option("--rejected", help="What was rejected or skipped, too.")
    ] = False,
) -> None:
    """Try what waits at once instead of when it is due; the ids stay what they are.

    Example: staid export retry langfuse --rejected
    """
    wiring = _known(sink)
    states: list[State] = ["waiting", "rejected", "skipped"] if rejected else ["waiting"]
    moved = wiring.outbox.retry(sink, states)
    output.emit({"sink": sink, "due": moved}, [f"{moved} are due now: staid export run {sink}"])


@export_app.command()
def receipts(
    sink: Annotated[
        str | None, typer.Argument(metavar="SINK", help="Which sink; all without one.")
    ] = None,
    run: Annotated[str | None, typer.Option(metavar="RUN", help="Only this run.")] = None,
    state: Annotated[
        Literal["waiting", "sent", "confirmed", "rejected", "skipped"] | None,
        typer.Option(help="Only what is in this state."),
    ] = None,
    limit: Annotated[
        int, typer.Option(min=1, max=output.MOST_LISTED, help="How many, oldest first.")
    ] = 50,
) -> None:
    """Show proof of delivery: what was sent, what the receiver was seen to hold, what it refused.

    `sent` was accepted; `confirmed` was read back whole. Example: staid export receipts --run RUN
    """
    wiring = output.project().wiring
    if sink is not None and not wiring.outbox.rows(sink=sink, limit=1):
        _known(sink)  # what went to a sink that is configured no more can still be proved
    if run is not None:
        wiring.records.run(run)
    outbox = wiring.outbox
    states: tuple[State, ...] = (state,) if state else ()
    rows = outbox.rows(sink=sink, run=run, states=states, limit=limit)
    output.emit({"receipts": [_row_json(row) for row in rows]}, lambda: _row_lines(rows))


_NO_SINK = "The project has no sinks: docs/guides/export.md"


def _known(sink: str):  # noqa: ANN202 - the project's wiring, imported where it is needed
    project = output.project()
    if sink not in project.settings.sinks:
        raise SinkNotFound(sink=sink)
    return project.wiring


def _moment(text: str, now: datetime) -> datetime:
    from staid.project.settings import seconds

    given = seconds(text)
    if isinstance(given, float):
        return now - timedelta(seconds=given)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageInvalid(
            detail=f"--since {text} is neither an age nor a date", hint="Say 7d, or 2026-05-01."
        ) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def round_json(done: Round) -> dict[str, object]:
    """Return what was done for one sink."""
    return {
        "sink": done.sink,
        "sent": done.sent,
        "confirmed": done.confirmed,
        "rejected": done.rejected,
        "skipped": done.skipped,
        "differing": done.differing,
        "error": done.error,
    }


def round_lines(done: Round) -> list[str]:
    """Return the same for a person."""
    told = f"{done.sink}: {done.sent} sent, {done.confirmed} confirmed"
    for number, word in ((done.rejected, "rejected"), (done.skipped, "skipped")):
        told += f", {number} {word}" if number else ""
    if done.differing:
        told += f", {done.differing} not shown whole: staid export receipts {done.sink}"
    later = output.paragraph(f"not now: {done.error}", "  ") if done.error else []
    return [told, *later]


def _standing_json(name: str, kind: str, standing: Standing) -> dict[str, object]:
    return {
        "sink": name,
        "kind": kind,
        **{state: standing.counts.get(state, 0) for state in STATES},
        "oldest_waiting": standing.oldest,
        "next_attempt": standing.next_at,
        "error": standing.error,
    }


def _standing_lines(kinds: dict[str, str], found: dict[str, Standing]) -> list[str]:
    rows = [
        (name, kinds[name], *(standing.counts.get(state, 0) for state in STATES))
        for name, standing in found.items()
    ]
    lines = output.table(("sink", "kind", *STATES), rows)
    for name, standing in found.items():
        if standing.oldest is not None:
            lines.append(f"{name}: the oldest waits since {standing.oldest:%Y-%m-%d %H:%M} UTC")
        if standing.next_at is not None:
            lines.append(f"  next attempt {standing.next_at:%Y-%m-%d %H:%M:%S} UTC")
        if standing.error:
            lines += output.paragraph(standing.error, "  ")
    return lines or [_NO_SINK]


def _row_json(row: OutboxRow) -> dict[str, object]:
    return {
        "sink": row.sink,
        "run": row.run,
        "kind": row.kind,
        "state": row.state,
        "attempts": row.attempts,
        "at": row.at,
        "sent_at": row.sent_at,
        "error": row.error,
        "receipt": dict(row.receipt),
    }


def _row_lines(rows: list[OutboxRow]) -> list[str]:
    table = [(row.run, row.sink, row.kind, row.state, _told(row)) for row in rows]
    return output.table(("run", "sink", "kind", "state", "told"), table) or [
        "Nothing was due at any sink yet."
    ]


def _told(row: OutboxRow) -> str:
    if row.error:
        return row.error
    spans = cast("list[str]", row.receipt.get("spans", []))
    missing = cast("list[str]", row.receipt.get("missing", []))
    if missing:
        return f"{len(missing)} of {len(spans)} spans are not shown"
    return f"{len(spans)} spans" if spans else ""
