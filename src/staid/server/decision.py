"""A decision over HTTP: recorded for who is signed in, on the call that was looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from staid.domain.call import ApprovalRecord, CallState
from staid.domain.canonical import Json
from staid.domain.errors import StaidError, UsageInvalid
from staid.domain.outcome import Outcome
from staid.project import deciding
from staid.project.deciding import Decided, carry_on, record_decision
from staid.server.desk import Visit


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a request after a decision."""

    approval: ApprovalRecord
    outcome: Outcome | None
    stuck: StaidError | None
    """Why the run could not go on although the decision is recorded."""


async def edit(
    visit: Visit, approval: str, changes: Mapping[str, Json], *, seen: str, reason: str
) -> Decided:
    """Put a changed call in the place of one that waits; an error means that nothing changed.

    Raises what `staid.project.deciding.edit` raises, and `ApprovalNotFound` where the request
    concerns others alone.
    """
    asked = (await visit.read(visit.reader.approval, approval)).approval
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
    asked = (await visit.read(visit.reader.approval, approval)).approval
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
    outcome, stuck = None, None
    try:
        if said.state is not CallState.PENDING:  # else it takes further votes
            outcome = await carry_on(project, asked.run)
    except StaidError as error:
        stuck = error
    found = await visit.desk.off_loop(project.wiring.ledger.approval, asked.id)
    return Result(found, outcome, stuck)
