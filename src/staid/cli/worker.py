"""`staid worker`: background work of one project."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from staid.cli import output
from staid.cli.export import round_json, round_lines
from staid.cli.notify import notified_json
from staid.project.working import NOTHING, Worked, work_once


def worker(
    *,
    once: Annotated[bool, typer.Option("--once", help="One round, then leave.")] = False,
    every: Annotated[float, typer.Option(min=0.2, help="Seconds between rounds.")] = 2.0,
) -> None:
    """Carry on decided runs, find lost executions, expire old requests, send what is due to sinks.

    Example: staid worker
    """
    asyncio.run(_work(once=once, every=every))


async def _work(*, once: bool, every: float) -> None:
    project = output.project()
    if not once:
        output.say("staid worker: looking for decided runs; Ctrl-C ends it")
    while True:
        done = await work_once(project)
        if once or done != NOTHING:
            output.emit(_json(done), _lines(done))
        if once:
            return
        await asyncio.sleep(every)


def _json(done: Worked) -> dict[str, object]:
    return {
        "in_doubt": list(done.in_doubt),
        "expired": list(done.expired),
        "resumed": list(done.resumed),
        "failed": [{"run": run, "error": error} for run, error in done.failed],
        "notified": notified_json(done.notified),
        "erased": done.erased,
        "exported": [round_json(one) for one in done.exported],
        "interrupted": list(done.interrupted),
        "anchored": list(done.anchored),
    }


def _lines(done: Worked) -> list[str]:
    lines = [f"in doubt: {call}; staid approvals list" for call in done.in_doubt]
    lines += [f"expired: {call}" for call in done.expired]
    lines += [f"carried on: {run}" for run in done.resumed]
    lines += [f"not yet: {run}: {error}" for run, error in done.failed]
    lines += [f"told: {notice}" for notice in done.notified.sent]
    lines += [f"not told yet: {notice}: {error}" for notice, error in done.notified.failed]
    lines += [f"erased: {done.erased} texts that had reached their age"] if done.erased else []
    lines += [line for one in done.exported for line in round_lines(one)]
    lines += [f"interrupted: {run}; staid why {run}" for run in done.interrupted]
    lines += [f"anchored: {target}" for target in done.anchored]
    return lines or ["Nothing to do."]
