"""What happens without anybody asking: lost executions found, decided runs carried on."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from staid.domain.call import CallState
from staid.domain.errors import StaidError
from staid.project.anchoring import anchor_now
from staid.project.deciding import carry_on
from staid.project.exporting import Round, export_once
from staid.project.interrupting import close_interrupted
from staid.project.notifying import Notified, notify_once
from staid.project.privacy import expire_when_due

if TYPE_CHECKING:
    from staid.project.project import Project


@dataclass(frozen=True, slots=True)
class Worked:
    """What one round did."""

    in_doubt: tuple[str, ...]
    """Calls whose executor was lost and whose effect nobody knows."""
    expired: tuple[str, ...]
    resumed: tuple[str, ...]
    """Runs that went on because nothing in them waits any more."""
    failed: tuple[tuple[str, str], ...]
    """Runs (or `anchor`) that could not go on now, with the error; the next round tries again."""
    notified: Notified
    """What people were told."""
    erased: int = 0
    """Contents that had reached their age."""
    exported: tuple[Round, ...] = ()
    """What was done for each sink, where anything was."""
    interrupted: tuple[str, ...] = ()
    """Runs whose process died: closed without an outcome."""
    anchored: tuple[str, ...] = ()
    """Places outside that were told the newest seal."""


NOTHING = Worked((), (), (), (), Notified())
"""A round that found nothing to do."""


async def work_once(project: Project) -> Worked:
    """Sweep lost executions and old requests, then carry on every run that nobody waits for.

    Safe to run in any number of processes: every move is a compare-and-set, every resume a claim.
    """
    wiring = project.wiring
    _ = wiring.records, wiring.outbox  # opened once, before two threads want them
    # Beside the rest: a sink that does not answer must not keep a decided run waiting.
    exporting = asyncio.create_task(asyncio.to_thread(export_once, project))
    swept = await wiring.gate.sweep()
    resumed: list[str] = []
    failed: list[tuple[str, str]] = []
    for run in wiring.records.runs(limit=10_000, state="parked"):
        calls = wiring.ledger.calls(run.run)
        waits = {CallState.PENDING, CallState.IN_DOUBT, CallState.EXECUTING}
        if any(call.state in waits for call in calls):
            continue
        try:
            if await carry_on(project, run.run) is not None:
                resumed.append(run.run)
        except StaidError as error:
            failed.append((run.run, str(error)))
    expired = await wiring.parts.off_loop(expire_when_due, project)
    exported = await exporting
    closed = await wiring.parts.off_loop(close_interrupted, project)
    try:
        told = await wiring.parts.off_loop(partial(anchor_now, project, every=False))
    except StaidError as error:  # a place that is away stops nothing else
        told = []
        failed.append(("anchor", str(error)))
    return Worked(
        tuple(r.call.id for r in swept.in_doubt),
        tuple(r.call.id for r in swept.expired),
        tuple(resumed),
        tuple(failed),
        await wiring.parts.off_loop(notify_once, project),
        sum(expired.values()),
        tuple(done for done in exported if done.moved),
        tuple(closed),
        tuple(each.target for each in told),
    )
