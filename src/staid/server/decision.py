"""What people decide over HTTP: recorded for who is signed in, on the call that was looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from staid.domain.call import ApprovalRecord, CallRecord, CallState, UndoRecord
from staid.domain.canonical import Json
from staid.domain.errors import StaidError, UsageInvalid
from staid.domain.outcome import Outcome
from staid.project import deciding
from staid.project.deciding import Decided, carry_all_on, record_decision
from staid.server.desk import Visit


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a request after a decision."""

    approval: ApprovalRecord
    outcome: Outcome | None
    stuck: StaidError | None
    """Why the run could not go on although the decision is recorded."""


@dataclass(frozen=True, slots=True)
class Settled:
    """A call after somebody said what became of it."""

    record: CallRecord
    stuck: StaidError | None
    """Why its run could not go on although what was said is recorded."""


async def edit(
    visit: Visit, approval: str, changes: Mapping[str, Json], *, seen: str, reason: str
) -> Decided:
    """Put a changed call in the place of one that waits; an error means that nothing changed.

    Raises what `staid.project.deciding.edit` raises, and `ApprovalNotFound` where the request
    concerns others alone.
    """
    asked = await visit.read(visit.inbox.request, approval)
    return await deciding.edit(
        visit.desk.project,
        asked.id,
        changes,
        editor=visit.principal,
        seen=seen,
        reason=reason.strip(),
    )


async def decide(
    visit: Visit, approval: str, decision: Literal["approve", "deny"], *, seen: str, reason: str
) -> Result:
    """Record the decision and carry the run on; an error means that nothing was decided.

    Raises what `staid.project.deciding.decide` raises, and `ApprovalNotFound` where the request
    concerns others alone.
    """
    asked = await visit.read(visit.inbox.request, approval)
    if decision == "deny" and not reason.strip():
        raise UsageInvalid(
            detail="a denial needs a reason",
            hint="Say why: the asker and the record keep it. Nothing was decided.",
        )
    project = visit.desk.project

    said = await visit.desk.off_loop(
        record_decision,
        project,
        approval,
        decision,
        approver=visit.principal,
        reason=reason.strip(),
        seen=seen,
    )
    # Where it takes further votes the runs still wait.
    runs = said.runs if said.state is not CallState.PENDING else ()
    outcome, stuck = await _carried(visit, runs)
    found = await visit.desk.off_loop(project.wiring.ledger.approval, asked.id)
    return Result(found, outcome, stuck)


async def settle(visit: Visit, call: str, *, happened: bool | None) -> Settled:
    """Record what was found out about a call in doubt, or its undoing, and carry its run on.

    With `happened` None the tool's probe is asked. Raises what `settle_doubt` of
    `staid.project.deciding` raises, and `CallNotFound` where the call concerns others alone.
    """
    project = visit.desk.project
    record = await visit.read(visit.inbox.record, call)
    named = record.approval or record.call.id
    await deciding.settle_doubt(project, named, visit.principal, happened=happened, resume=False)
    now = await visit.desk.off_loop(project.wiring.ledger.get, record.call.id)
    over = now.state is not CallState.IN_DOUBT
    _, stuck = await _carried(visit, (record.call.run,) if over else ())
    return Settled(now, stuck)


async def take_back(visit: Visit, call: str, *, reason: str) -> UndoRecord:
    """Take a done call back, at most once.

    Raises what `staid.project.deciding.take_back` raises, and `CallNotFound` where the call
    concerns others alone.
    """
    record = await visit.read(visit.inbox.record, call)
    return await deciding.take_back(
        visit.desk.project, record.call.id, visit.principal, reason=reason.strip()
    )


async def _carried(visit: Visit, runs: Sequence[str]) -> tuple[Outcome | None, StaidError | None]:
    """Carry runs on; return the outcome of the first, or why one of them could not go on."""
    if not runs:
        return None, None
    try:
        return await carry_all_on(visit.desk.project, runs), None
    except StaidError as error:
        return None, error
