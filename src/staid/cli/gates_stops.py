"""`staid gates stop`, `start` and `status`: the kill switch from a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from staid.cli import output
from staid.cli.ask import AsOption, GroupsOption, groups_of
from staid.domain.call import CallRecord
from staid.domain.errors import UsageInvalid
from staid.gates.policy import EVERY_TOOL
from staid.project.gate_status import gate_status, running_json, stop_json
from staid.project.stopping import start_tool, stop_tool

if TYPE_CHECKING:
    from staid.gates.breaker import Standing
    from staid.store.ledger.stops import Stop

Tool = Annotated[str | None, typer.Argument(help="Its name, as in refund.issue.")]
All = Annotated[bool, typer.Option("--all", help="Every tool, whatever its name.")]
Reason = Annotated[str, typer.Option(help="Why; shown to everybody who looks.")]


def stop(
    tool: Tool = None,
    as_: AsOption = "",
    groups: GroupsOption = None,
    reason: Reason = "",
    *,
    every: All = False,
) -> None:
    """Stop a tool, or all of them, in every process at once; nothing has to be restarted.

    Example: staid gates stop refund.issue --as user:lead --reason "refunds arrive twice"
    """
    done = stop_tool(
        output.project(),
        _named(tool, every=every),
        reason,
        operator=_who(as_),
        groups=groups_of(groups),
    )
    value = {**stop_json(done.stop), "running": [running_json(record) for record in done.running]}
    output.emit(value, lambda: [*_stopped_lines(done.stop), *_running_lines(done.running)])


def start(
    tool: Tool = None,
    as_: AsOption = "",
    groups: GroupsOption = None,
    reason: Reason = "",
    *,
    every: All = False,
) -> None:
    """Let a tool go on that is stopped or rests; what was refused meanwhile is asked for again.

    Example: staid gates start refund.issue --as user:lead --reason "the provider is back"
    """
    name = _named(tool, every=every)
    ended = start_tool(output.project(), name, reason, operator=_who(as_), groups=groups_of(groups))
    left = output.project().wiring.stops.stops()
    lines = [f"{_told(name)} may run again.", *(f"Still stopped: {_told(s.tool)}." for s in left)]
    value = {
        "tool": name,
        "ended": stop_json(ended) if ended else None,
        "stopped": [stop_json(each) for each in left],
    }
    output.emit(value, lines)


def status(
    *,
    everything: Annotated[
        bool, typer.Option("--all", help="Also what was stopped before.")
    ] = False,
) -> None:
    """Show what is stopped, since when, by whom and why, and which tools rest.

    Example: staid gates status --json
    """
    found = gate_status(output.project())
    stops = output.project().wiring.stops.stops(everything=everything)
    lines = [
        *_table(stops),
        *_resting_lines(found.resting),
        *_running_lines(found.running),
        *(
            f"Nobody knows whether {each.call.id} of {each.call.tool} took effect."
            for each in found.in_doubt
        ),
        *(f"Nobody knows whether {each.call} was taken back." for each in found.undos_in_doubt),
    ]
    output.emit({**found.as_json(), "stops": [stop_json(each) for each in stops]}, lines)


def _named(tool: str | None, *, every: bool) -> str:
    if every is (tool is not None):
        raise UsageInvalid(detail="name one tool, or say --all", hint="staid gates check")
    return EVERY_TOOL if tool is None else tool


def _who(as_: str) -> str:
    if not as_:
        raise UsageInvalid(detail="nobody acts", hint="Say who: --as user:lead")
    return as_


def _told(tool: str) -> str:
    return "every tool" if tool == EVERY_TOOL else tool


def _table(found: Sequence[Stop]) -> list[str]:
    rows = [
        (
            _told(each.tool),
            f"{each.stopped_at:%Y-%m-%d %H:%M}",
            each.stopped_by,
            f"{each.started_at:%Y-%m-%d %H:%M}" if each.started_at else "",
            each.reason,
        )
        for each in found
    ]
    head = ("stopped", "since (UTC)", "by", "until", "why")
    return output.table(head, rows) or ["Nothing is stopped."]


def _stopped_lines(stop: Stop) -> list[str]:
    since = f"{stop.stopped_at:%Y-%m-%d %H:%M} UTC"
    return [
        *output.paragraph(f"{_told(stop.tool)} is stopped since {since}, by {stop.stopped_by}."),
        *output.paragraph(f"why: {stop.reason}", "  "),
        f"  staid gates start {'--all' if stop.tool == EVERY_TOOL else stop.tool} --as user:…",
    ]


def _resting_lines(resting: Mapping[str, Standing]) -> list[str]:
    lines: list[str] = []
    for tool, each in resting.items():
        told = each.told(tool) if each.until else f"{tool} rested; the next call tries it."
        lines += output.paragraph(told)
    return ["", *lines] if lines else []


def _running_lines(running: Sequence[CallRecord]) -> list[str]:
    lines = [f"  {r.call.id}  {r.call.tool}  run {r.call.run}" for r in running]
    return ["", "Begun before, and not torn apart:", *lines] if lines else []
