"""A human's decision, and the run that goes on after it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

from staid.domain.call import (
    ApprovalRecord,
    CallRecord,
    CallState,
    ToolCall,
    UndoRecord,
    UndoState,
)
from staid.domain.canonical import Json
from staid.domain.errors import AskerUnknown, RunBusy, UndoUnprobed
from staid.domain.events import EventKind
from staid.domain.ids import ApprovalId, CallId
from staid.domain.outcome import Outcome
from staid.domain.principal import Principal
from staid.gates.approval import Decision, Move
from staid.gates.ledger import Edit, Settlement
from staid.gates.undoing import check_person
from staid.project.guarding import EXTERNAL
from staid.project.provenance import traced_in
from staid.project.reasons import written

if TYPE_CHECKING:
    from staid.project.project import Project


@dataclass(frozen=True, slots=True)
class Decided:
    """The approval as it stands after the decision, and the outcome of its run, if it went on."""

    approval: ApprovalRecord | CallRecord
    """The call itself where it was in doubt without anybody having been asked."""
    outcome: Outcome | None


def record_decision(
    project: Project,
    approval: str,
    decision: str,
    *,
    approver: str | Principal,
    groups: Sequence[str] | None = None,
    reason: str = "",
    seen: str | None = None,
) -> ApprovalRecord:
    """Record a decision and execute nothing; blocks while the store writes.

    Raises `ApprovalNotFound`, `ApprovalDecided`, `ApprovalExpired`, `ApprovalMismatch`,
    `ApproverNotAllowed`; then nothing was decided.
    """
    wiring = project.wiring
    who = wiring.identify(approver, groups)
    wiring.ledger.sweep()
    return wiring.ledger.decide(
        ApprovalId(approval),
        who.principal,
        cast("Decision", decision),
        reason=written(reason),
        seen=seen,
        via=who.via,
    )


async def decide(
    project: Project,
    approval: str,
    decision: str,
    *,
    approver: str | Principal,
    groups: Sequence[str] | None = None,
    reason: str = "",
    seen: str | None = None,
    resume: bool = True,
) -> Decided:
    """Record a decision and, with `resume`, carry the run on in this process.

    Raises what `record_decision` raises; then nothing was executed by this decision.
    """
    off_loop = project.wiring.parts.off_loop
    found = await off_loop(
        record_decision,
        project,
        approval,
        decision,
        approver=approver,
        groups=groups,
        reason=reason,
        seen=seen,
    )
    # Where it takes further votes the run still waits.
    over = found.state is not CallState.PENDING
    outcome = await carry_all_on(project, found.runs) if resume and over else None
    return Decided(await off_loop(project.wiring.ledger.approval, found.id), outcome)


async def carry_all_on(project: Project, runs: Sequence[str]) -> Outcome | None:
    """Carry on every run that waited for one decision; return the outcome of the first.

    One that fails keeps none of the others waiting.
    """
    outcomes = await asyncio.gather(
        *(carry_on(project, run) for run in runs), return_exceptions=True
    )
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    return cast("Outcome | None", outcomes[0])


async def edit(
    project: Project,
    approval: str,
    changes: Mapping[str, Json],
    *,
    editor: str | Principal,
    groups: Sequence[str] | None = None,
    reason: str = "",
    seen: str | None = None,
    resume: bool = True,
) -> Decided:
    """Put a changed call in the place of one that waits, and carry it out where it may run.

    A text stands for a value of the kind it takes the place of. Raises what `record_decision`
    raises, `EditInvalid` and `EditDenied`; then nothing was changed.
    """
    wiring = project.wiring
    off_loop = wiring.parts.off_loop
    who = await off_loop(wiring.identify, editor, groups)
    await off_loop(wiring.ledger.sweep)
    found = await off_loop(wiring.ledger.approval, ApprovalId(approval))
    asked = found.call
    record = await wiring.gate.edit(
        Edit(found.id, who.principal, written(reason), seen, who.via),
        {name: _typed(value, asked.arguments.get(name)) for name, value in changes.items()},
        asker=await off_loop(_asker, project, asked),
        allowed=_allowed(project, asked.agent),
        traced=traced_in(await off_loop(wiring.records.rows, asked.run), asked),
    )
    may_run = resume and record.state is CallState.APPROVED
    outcome = await carry_on(project, found.run) if may_run else None
    now = record.approval or record.call.id
    return Decided(await off_loop(_doubted, project, now), outcome)


def _typed(value: Json, before: Json) -> Json:
    """Return what a text of a form or a command line stands for."""
    if not isinstance(value, str) or isinstance(before, str):
        return value
    try:
        return cast("Json", json.loads(value))
    except ValueError:
        return value


def _asker(project: Project, call: ToolCall) -> Principal:
    """Return on whose behalf a call is: the directory's, else with the groups it was ruled with."""
    wiring = project.wiring
    try:
        return wiring.principal(call.subject)
    except AskerUnknown:
        for row in wiring.records.rows(call.run):
            if row.kind is EventKind.CALL_RULED and row.fact.get("call") == call.id:
                kept = cast("Mapping[str, Any]", (row.body or {}).get("snapshot", {}))
                return wiring.identify(call.subject, kept.get("groups", ())).principal
        raise


def _allowed(project: Project, agent: str) -> frozenset[str] | None:
    """Return the allowlist of one of our own agents; None for one that runs elsewhere."""
    return project.resolve_tools(agent) if agent in project.agent_names else None


FOUND: Mapping[str, bool | None] = MappingProxyType({"yes": True, "no": False, "ask-again": None})
"""What a person can say of a call in doubt."""


async def settle_doubt(
    project: Project,
    approval: str,
    approver: str | Principal,
    groups: Sequence[str] | None = None,
    *,
    happened: bool | None,
    resume: bool = True,
) -> Decided:
    """Record what a human found out about a call in doubt, or about its undoing; carry its run on.

    `approval` is the request's id, or the id of a call that nobody was asked about. `happened` None
    asks the system behind again, by the tool's probe; where it cannot tell, it stays in doubt.
    Raises `ApproverNotAllowed`, `CallMoved`, `ApprovalNotFound`, `CallNotFound`, `UndoUnprobed`.
    """
    wiring = project.wiring
    off_loop = wiring.parts.off_loop
    who = wiring.identify(approver, groups)
    await off_loop(wiring.ledger.sweep)  # what lost its process is in doubt from now on
    found = await off_loop(_doubted, project, approval)
    may = approvers_of(project, found.call.tool)
    if happened is None:
        await off_loop(_check_person, project, found.call.id, who.principal, may)
        if await off_loop(undo_in_doubt, project, found.call.id):
            raise UndoUnprobed(call=found.call.id)
        if (await wiring.gate.reconcile(found.call.id)).state is CallState.IN_DOUBT:
            return Decided(found, None)
    elif await off_loop(undo_in_doubt, project, found.call.id):
        settlement = _told(UNDONE, happened=happened)
        resolve = wiring.ledger.resolve_undo
        await off_loop(
            resolve, found.call.id, who.principal, settlement, approvers=may, via=who.via
        )
    else:
        settlement = _told(TOOK_PLACE, happened=happened)
        resolve = wiring.ledger.resolve
        await off_loop(
            resolve, found.call.id, who.principal, settlement, approvers=may, via=who.via
        )
    outcome = await carry_on(project, found.call.run) if resume else None
    return Decided(await off_loop(_doubted, project, approval), outcome)


def _check_person(project: Project, call: CallId, by: Principal, may: frozenset[str]) -> None:
    """Raise `ApproverNotAllowed` unless they may settle it; by its request, where there is one."""
    ledger = project.wiring.ledger
    record = ledger.get(call)
    asked = ledger.approval(record.approval) if record.approval else None
    check_person(record, asked, by, may)


TOOK_PLACE = ("A person confirmed that it took place.", "A person found that it did not.")
UNDONE = ("A person confirmed that it was taken back.", "A person found that it still stands.")


def _told(words: tuple[str, str], *, happened: bool) -> Settlement:
    told = words[0] if happened else words[1]
    move = Move.SUCCEED if happened else Move.FAIL
    return Settlement(move, result={"settled": told}, error=None if happened else told)


def approvers_of(project: Project, tool: str) -> frozenset[str]:
    """Return who decides about a tool's calls: its own approvers, else those of the project."""
    known = project.tools.get(tool)
    own = known.approvers if known else frozenset[str]()
    return own or frozenset(project.settings.gates.approvers)


def undo_in_doubt(project: Project, call: str) -> bool:
    """Whether nobody knows if this call was taken back."""
    begun = project.wiring.ledger.undo_of(CallId(call))
    return begun is not None and begun.state is UndoState.IN_DOUBT


async def take_back(
    project: Project,
    named: str,
    approver: str | Principal,
    groups: Sequence[str] | None = None,
    *,
    reason: str = "",
) -> UndoRecord:
    """Take a done call back, at most once; `named` is the call, or the request that approved it.

    Raises `UndoImpossible`, `ApproverNotAllowed`, `ApprovalMismatch`, `ToolUnknown`.
    """
    wiring = project.wiring
    who = wiring.identify(approver, groups)
    found = await wiring.parts.off_loop(_doubted, project, named)
    return await wiring.gate.undo(found.call.id, who.principal, reason=written(reason), via=who.via)


def _doubted(project: Project, named: str) -> ApprovalRecord | CallRecord:
    ledger = project.wiring.ledger
    return (
        ledger.get(CallId(named))
        if named.startswith("cal_")
        else ledger.approval(ApprovalId(named))
    )


async def carry_on(project: Project, run: str) -> Outcome | None:
    """Carry a parked run on; None where another process does, or where the agent runs elsewhere.

    A call of an agent that runs elsewhere is executed here; its agent finds the result when it
    makes the same call again.
    """
    wiring = project.wiring
    record = wiring.records.run(run)
    if record.state == EXTERNAL:
        for call in wiring.ledger.calls(record.run):
            tool = project.tools.get(call.call.tool)
            # What only the agent's own process can carry out is left to that process.
            if call.state is CallState.APPROVED and tool is not None and not tool.in_agent:
                await wiring.gate.execute(call.call.id)
        wiring.records.seal(record.run)
        return None
    try:
        return await project.agent_named(record.agent).resume(run)
    except RunBusy:
        return None  # another process is at it, and will finish
