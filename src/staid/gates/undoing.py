"""Who may take a call back, or say what became of one in doubt."""

from __future__ import annotations

from staid.domain.call import ApprovalRecord, CallRecord, CallState, UndoRecord, UndoState
from staid.domain.errors import ApproverNotAllowed, UndoImpossible
from staid.domain.principal import Principal

_WHY = {
    UndoState.EXECUTING: "that is being done at this moment",
    UndoState.UNDONE: "that was done already",
    UndoState.IN_DOUBT: "nobody knows whether that was done already; settle it first",
}


def check_undo(record: CallRecord, begun: UndoRecord | None) -> None:
    """Raise `UndoImpossible` unless the call is done and nothing has begun to take it back."""
    if begun is not None and begun.state in _WHY:
        raise UndoImpossible(call=record.call.id, detail=_WHY[begun.state])
    if record.state is not CallState.DONE:
        raise UndoImpossible(call=record.call.id, detail=f"it is {record.state.value}, not done")


def check_person(
    record: CallRecord,
    approval: ApprovalRecord | None,
    by: Principal,
    approvers: frozenset[str],
) -> None:
    """Raise `ApproverNotAllowed` unless this is an approver who is not upstream of the call.

    `approvers` are those of a call that nobody had to be asked about; empty: any other user.
    """
    upstream = {record.call.subject, f"agent:{record.call.agent}"}
    if approval is not None:
        upstream |= approval.requested_by
        approvers = approval.approvers
    detail = ""
    if by.kind != "user":
        detail = f"only a user does, and this is of kind {by.kind}"
    elif by.token in upstream:
        detail = "it asked for this call itself, or acts upstream of the request"
    elif approvers and not approvers & by.tokens:
        detail = f"this takes one of {', '.join(sorted(approvers))}"
    if detail:
        named = record.approval or record.call.id
        raise ApproverNotAllowed(approver=by.token, approval=named, detail=detail)
