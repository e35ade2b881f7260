"""`staid notify`: the channels that tell people what waits for them."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from staid.cli import output
from staid.project.notifying import Notified, channels_of, notices_of, notify_once, send_test

notify_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@notify_app.command("list")
def list_notices(
    state: Annotated[
        Literal["waiting", "sent", "moot", "given_up"] | None,
        typer.Option(help="Only notices in this state."),
    ] = None,
    limit: Annotated[
        int, typer.Option(min=1, max=output.MOST_LISTED, help="How many, newest first.")
    ] = 20,
) -> None:
    """List the channels, and what was told through them or still waits.

    Example: staid notify list --state given_up
    """
    project = output.project()
    found = notices_of(project).all(state=state, limit=limit)
    channels: list[dict[str, object]] = [
        {"channel": name, "kind": each.kind, "for": list(each.kinds), "details": each.details}
        for name, each in project.settings.notify.items()
    ]
    notices: list[dict[str, object]] = [
        {
            "id": n.id,
            "channel": n.channel,
            "kind": n.kind,
            "about": n.about,
            "state": n.state,
            "attempts": n.attempts,
            "at": n.at,
            "next_at": n.next_at,
            "error": n.error,
        }
        for n in found
    ]
    output.emit({"channels": channels, "notices": notices}, lambda: _lines(channels, notices))


def _lines(channels: list[dict[str, object]], notices: list[dict[str, object]]) -> list[str]:
    if not channels:
        return ["No channel yet: docs/guides/notifications.md shows how to add one."]
    lines = [f"{c['channel']}: {c['kind']}" for c in channels]
    rows = [
        (n["about"], n["channel"], n["state"], n["attempts"], n["error"] or "") for n in notices
    ]
    head = ("about", "channel", "state", "failed tries", "last error")
    return [*lines, "", *output.table(head, rows)] if rows else lines


@notify_app.command("test")
def test_channel(channel: Annotated[str, typer.Argument(metavar="CHANNEL")]) -> None:
    """Send a test through one channel now.

    Example: staid notify test leads
    """
    receipt = send_test(output.project(), channel)
    output.emit({"channel": channel, "receipt": receipt}, [f"{channel} took it: {receipt}"])


@notify_app.command("send")
def send_now() -> None:
    """Tell what waits now, instead of leaving it to `staid worker`.

    Example: staid notify send
    """
    project = output.project()
    channels_of(project)
    done = notify_once(project)
    output.emit(notified_json(done), _told(done))


def notified_json(done: Notified) -> dict[str, object]:
    """Return what a round did."""
    failed = [{"notice": notice, "error": error} for notice, error in done.failed]
    return {"sent": list(done.sent), "failed": failed}


def _told(done: Notified) -> list[str]:
    lines = [f"told: {notice}" for notice in done.sent]
    lines += [f"not yet: {notice}: {error}" for notice, error in done.failed]
    return lines or ["Nothing to tell."]
