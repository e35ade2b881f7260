"""The life of a call, and who may decide an approval."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Literal, TypeAlias

from staid.domain.call import ApprovalRecord, CallState, call_digest
from staid.domain.canonical import Json, canonical, digest, timestamp
from staid.domain.errors import (
    AlreadyVoted,
    ApprovalDecided,
    ApprovalExpired,
    ApprovalMismatch,
    ApproverNotAllowed,
)
from staid.domain.lookalike import alike
from staid.domain.principal import Principal
from staid.gates.demand import objection

Decision: TypeAlias = Literal["approve", "deny"]
"""What a human can say to a request."""


class Move(StrEnum):
    """What can happen to a call."""

    REFUSE = "refuse"
    ASK = "ask"
    ALLOW = "allow"
    APPROVE = "approve"
    DENY = "deny"
    EXPIRE = "expire"
    REVOKE = "revoke"
    RECONSIDER = "reconsider"
    CLAIM = "claim"
    SUCCEED = "succeed"
    FAIL = "fail"
    DOUBT = "doubt"
    UNDO = "undo"


_TABLE = MappingProxyType(
    {
        (CallState.PROPOSED, Move.REFUSE): CallState.DENIED,
        (CallState.PROPOSED, Move.ASK): CallState.PENDING,
        (CallState.PROPOSED, Move.ALLOW): CallState.APPROVED,
        (CallState.PENDING, Move.APPROVE): CallState.APPROVED,
        (CallState.PENDING, Move.DENY): CallState.DENIED,
        (CallState.PENDING, Move.EXPIRE): CallState.EXPIRED,
        (CallState.PENDING, Move.REVOKE): CallState.REVOKED,
        (CallState.APPROVED, Move.REVOKE): CallState.REVOKED,
        # What was approved is not what would run now: the decision is void, nothing was executed.
        (CallState.APPROVED, Move.RECONSIDER): CallState.PENDING,
        (CallState.APPROVED, Move.CLAIM): CallState.EXECUTING,
        (CallState.EXECUTING, Move.SUCCEED): CallState.DONE,
        (CallState.EXECUTING, Move.FAIL): CallState.FAILED,
        (CallState.EXECUTING, Move.DOUBT): CallState.IN_DOUBT,
        # A slow handler that was declared in doubt may still report how it ended.
        (CallState.IN_DOUBT, Move.SUCCEED): CallState.DONE,
        (CallState.IN_DOUBT, Move.FAIL): CallState.FAILED,
        (CallState.DONE, Move.UNDO): CallState.UNDONE,
    }
)


def move(state: CallState, happened: Move) -> CallState | None:
    """Return the state that follows, or None where this cannot happen in this state."""
    return _TABLE.get((state, happened))


def sources(happened: Move) -> frozenset[CallState]:
    """Return every state in which this can happen: what a compare-and-set expects to find."""
    return frozenset(state for state, known in _TABLE if known is happened)


def target(happened: Move) -> CallState:
    """Return the one state this leads to, wherever it happens."""
    return next(after for (_, known), after in _TABLE.items() if known is happened)


def check_decision(
    approval: ApprovalRecord,
    approver: Principal,
    now: datetime,
    seen: str | None = None,
    *,
    decision: Decision = "approve",
) -> None:
    """Raise a coded error unless this approver may decide this approval now.

    `seen` is the digest of everything the approver looked at, where the caller knows it. Raises
    `ApproverNotAllowed`, `ApprovalDecided`, `ApprovalExpired`, `ApprovalMismatch`, `AlreadyVoted`.
    """
    _check_approver(approval, approver, now, approving=decision == "approve")
    if approval.state is CallState.EXPIRED:
        raise ApprovalExpired(approval=approval.id, at=approval.expires_at.isoformat())
    if approval.state is not CallState.PENDING:
        said, by = approval.decision or approval.state.value, approval.decided_by or "Staid"
        raise ApprovalDecided(approval=approval.id, decision=said, by=by)
    if now >= approval.expires_at:
        raise ApprovalExpired(approval=approval.id, at=approval.expires_at.isoformat())
    held = call_digest(approval.call.tool, approval.call.arguments)
    if held != approval.digest or (seen is not None and seen != approval.binding):
        raise ApprovalMismatch(approval=approval.id)
    if decision == "approve" and approver.token in {vote.by for vote in approval.said_yes}:
        raise AlreadyVoted(approver=approver.token, approval=approval.id)


def sufficient(approval: ApprovalRecord) -> bool:
    """Return whether enough distinct people approved what is shown now."""
    return len({vote.by for vote in approval.said_yes}) >= approval.asks.quorum


def waited(approval: ApprovalRecord, now: datetime) -> timedelta:
    """Return how long a request has been waiting."""
    return now - approval.requested_at


def terms_digest(approval: ApprovalRecord, name: Callable[[str], str]) -> str:
    """Return the digest of whom a request asks, why, for how much and until when.

    `name` gives the alias of a person: after one was erased the rest is still the same.
    """
    asked: dict[str, Json] = {
        "approval": approval.id,
        "run": approval.run,
        "rule": approval.rule,
        "message": approval.message,
        "requested_at": timestamp(approval.requested_at),
        "expires_at": timestamp(approval.expires_at),
        "requested_by": sorted(approval.requested_by),
        "approvers": sorted(approval.approvers),
        "demand": approval.demand.as_json() if approval.demand else None,
        "draws": approval.draws,
        "changes": [canonical(change.as_json()) for change in approval.changes],
    }
    return digest(_named(asked, name))


def _named(value: Json, name: Callable[[str], str]) -> Json:
    match value:
        case str():
            return name(value) if value.startswith("user:") else value
        case Mapping():
            return {str(_named(key, name)): _named(each, name) for key, each in value.items()}
        case list() | tuple():
            # In an order that does not depend on whether a name or its alias stands there.
            return sorted((_named(each, name) for each in value), key=canonical)
        case _:
            return value


def _check_approver(
    approval: ApprovalRecord, approver: Principal, now: datetime, *, approving: bool
) -> None:
    detail: str | None
    if approver.kind != "user":
        detail = f"only a user decides, and this is of kind {approver.kind}"
    elif approver.token in approval.requested_by:
        detail = "it asked for this call itself, or acts upstream of the request"
    elif known := alike(approver.token, approval.requested_by):
        detail = f"its name looks like {known}, who acts upstream of the request"
    else:
        length = waited(approval, now)
        detail = objection(approval.asks, approver.tokens, length, approving=approving)
    if detail:
        raise ApproverNotAllowed(approver=approver.token, approval=approval.id, detail=detail)
