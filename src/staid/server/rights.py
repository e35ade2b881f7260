"""What somebody may do about a request or a call, told before they try it.

Only what is offered rests on this: the ledger and the gate check again when it is done.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from staid.domain.call import ApprovalRecord, CallRecord, CallState, UndoRecord, UndoState
from staid.domain.errors import ApproverNotAllowed, StaidError
from staid.domain.ids import CallId
from staid.domain.principal import Principal
from staid.gates.approval import Decision, check_decision
from staid.gates.undoing import check_person
from staid.project.deciding import approvers_of
from staid.project.project import Project


@dataclass(frozen=True, slots=True)
class Aftermath:
    """What is left to do about a call that ran, or may have run."""

    settles: Literal["", "call", "undo"] = ""
    """What nobody knows: whether it took place, or whether it was taken back."""
    probes: bool = False
    """Whether the system behind can be asked."""
    undoes: bool = False
    """Whether it can be taken back now."""
    undoing: UndoRecord | None = None
    refused: str | None = None
    """Why this reader may do neither."""


def objection(project: Project, reader: Principal, approval: ApprovalRecord) -> str | None:
    """Return why a reader may never decide a request, whatever its state; None where they may.

    To deny takes no ceiling: whoever may only deny has to see what for.
    """
    try:
        _check(project, reader, approval, "deny")
    except ApproverNotAllowed as error:
        return str(error.values["detail"])
    except StaidError:
        return None  # it is over, but it was this reader's to decide
    return None


def only_denies(project: Project, reader: Principal, approval: ApprovalRecord) -> str | None:
    """Return why a reader who may deny a request may not approve it now; None where they may."""
    try:
        _check(project, reader, approval, "approve")
    except ApproverNotAllowed as error:
        return str(error.values["detail"])
    except StaidError as error:
        return error.message.rstrip(".")
    return None


def _check(
    project: Project, reader: Principal, approval: ApprovalRecord, decision: Decision
) -> None:
    now = project.wiring.clock.now()
    for each in (approval, *approval.members):
        check_decision(each, reader, now, decision=decision)


def aftermath(
    project: Project, reader: Principal, call: CallId, approval: ApprovalRecord | None
) -> Aftermath:
    """Return what a reader can still do about a call; `approval` is its request, if there was."""
    ledger = project.wiring.ledger
    record, undoing = ledger.get(call), ledger.undo_of(call)
    refused = not_theirs(project, reader, record, approval)
    tool = project.tools.get(record.call.tool)
    begun = undoing is not None and undoing.state is not UndoState.FAILED
    reversible = tool is not None and tool.undo is not None
    return Aftermath(
        settles=_unknown(record, undoing),
        probes=tool is not None and tool.reconcile is not None,
        undoes=record.state is CallState.DONE and reversible and not begun,
        undoing=undoing,
        refused=refused,
    )


def _unknown(record: CallRecord, undoing: UndoRecord | None) -> Literal["", "call", "undo"]:
    if undoing is not None and undoing.state is UndoState.IN_DOUBT:
        return "undo"
    return "call" if record.state is CallState.IN_DOUBT else ""


def not_theirs(
    project: Project, reader: Principal, record: CallRecord, approval: ApprovalRecord | None
) -> str | None:
    """Return why a reader may neither settle a call nor take it back; None where they may."""
    try:
        check_person(record, approval, reader, approvers_of(project, record.call.tool))
    except ApproverNotAllowed as error:
        return str(error.values["detail"])
    return None
