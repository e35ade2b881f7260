"""Rows of `call`, `approval` and `reservation` as the nouns they stand for, and back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Row, Select, bindparam, or_, select

from staid.domain.bound import Bound, Change, Vote
from staid.domain.call import (
    ApprovalRecord,
    CallRecord,
    CallState,
    Ruling,
    Severity,
    ToolCall,
)
from staid.domain.canonical import canonical
from staid.domain.demand import Demand
from staid.domain.ids import ApprovalId, CallId, RunId
from staid.store import tables
from staid.store.subjects import chunks

_APPROVAL_COLUMNS: list[Column[Any]] = [c for c in tables.approval.c if c.name != "call"]
_NAMED = [column.label(f"a_{column.name}") for column in _APPROVAL_COLUMNS]


def calls() -> Select[Any]:
    """Select calls with the id of their approval."""
    call, approval = tables.call, tables.approval
    return select(
        call, approval.c.id.label("approval"), approval.c.leader.label("joined")
    ).join_from(call, approval, approval.c.call == call.c.id, isouter=True)


def approvals() -> Select[Any]:
    """Select approvals with their calls; the columns of the approval carry the prefix `a_`."""
    call, approval = tables.call, tables.approval
    return select(call, *_NAMED).join_from(approval, call, approval.c.call == call.c.id)


CALLS, APPROVALS = calls(), approvals()
"""Built once: SQLAlchemy costs more to build a statement than SQLite to run it."""
ASKED = CALLS.add_columns(*_NAMED)
"""Calls with their requests, where there is one."""
_JOINED = APPROVALS.where(tables.approval.c.leader.in_(bindparam("some", expanding=True))).order_by(
    tables.approval.c.requested_at, tables.approval.c.id
)
_VOTES = (
    select(tables.vote)
    .where(tables.vote.c.approval.in_(bindparam("some", expanding=True)))
    .order_by(tables.vote.c.round, tables.vote.c.at, tables.vote.c.voter)
)


def on_its_own() -> ColumnElement[bool]:
    """Return what an approval has to be to be decided for itself: it joined none that waits."""
    leads, asked = tables.approval.alias(), tables.call.alias()
    waiting = (
        select(leads.c.id)
        .join_from(leads, asked, leads.c.call == asked.c.id)
        .where(leads.c.id == tables.approval.c.leader, asked.c.state == CallState.PENDING.value)
        .correlate(tables.approval)
    )
    return or_(tables.approval.c.leader.is_(None), ~waiting.exists())


def members(
    connection: Connection, leaders: Sequence[str]
) -> dict[ApprovalId, tuple[ApprovalRecord, ...]]:
    """Return approval -> those that joined it, in order."""
    found = dict[ApprovalId, tuple[ApprovalRecord, ...]]()
    for some in chunks(leaders):
        for row in connection.execute(_JOINED, {"some": some}):
            each = approval_record(row, ())
            if each.leader is not None:
                found[each.leader] = (*found.get(each.leader, ()), each)
    return found


def tool_call(row: Row[Any]) -> ToolCall:
    """Read a call as it would run."""
    return ToolCall(
        id=CallId(row.id),
        run=RunId(row.run),
        agent=row.agent,
        tool=row.tool,
        arguments=json.loads(row.arguments),
        key=row.key,
        provider_id=row.provider_id,
        subject=row.subject,
    )


def call_record(row: Row[Any]) -> CallRecord:
    """Read a call as it stands."""
    return CallRecord(
        call=tool_call(row),
        state=CallState(row.state),
        ruling=Ruling(Severity(row.severity), row.rule, row.message),
        proposed_at=_needed(row.proposed_at),
        approval=ApprovalId(row.approval) if row.approval else None,
        result=json.loads(row.result) if row.result is not None else None,
        error=row.error,
        executor=row.executor,
        lease_until=aware(row.lease_until),
        replaces=_call_id(row.replaces),
        replaced_by=_call_id(row.replaced_by),
        edited_by=row.edited_by,
        joined=ApprovalId(row.joined) if row.joined else None,
    )


def _call_id(value: str | None) -> CallId | None:
    return CallId(value) if value else None


def votes(connection: Connection, approvals: Sequence[str]) -> dict[str, tuple[Vote, ...]]:
    """Return approval -> what people said to it, in order."""
    found = dict[str, tuple[Vote, ...]]()
    for some in chunks(approvals):
        for row in connection.execute(_VOTES, {"some": some}):
            said = Vote(
                row.round, row.voter, row.decision, _needed(row.at), row.reason or "", row.binding
            )
            found[row.approval] = (*found.get(row.approval, ()), said)
    return found


def vote_values(approval: str, vote: Vote) -> dict[str, object]:
    """Return the columns of a new vote."""
    return {
        "approval": approval,
        "round": vote.round,
        "voter": vote.by,
        "decision": vote.decision,
        "at": vote.at,
        "reason": vote.reason,
        "binding": vote.binding,
    }


def approval_record(row: Row[Any], said: tuple[Vote, ...]) -> ApprovalRecord:
    """Read an approval as it stands, with what people `said` to it."""
    bound = Bound.from_json(json.loads(row.a_bound)) if row.a_bound else None
    return ApprovalRecord(
        id=ApprovalId(row.a_id),
        run=RunId(row.a_run),
        call=tool_call(row),
        state=CallState(row.state),
        rule=row.a_rule,
        message=row.a_message,
        digest=row.a_digest,
        requested_at=_needed(row.a_requested_at),
        expires_at=_needed(row.a_expires_at),
        requested_by=frozenset(json.loads(row.a_requested_by)),
        approvers=frozenset(json.loads(row.a_approvers)),
        decided_by=row.a_decided_by,
        decided_at=aware(row.a_decided_at),
        decision=row.a_decision,
        reason=row.a_reason,
        preview=bound.preview if bound else row.a_preview,
        bound=bound,
        demand=Demand.from_json(json.loads(row.a_demand)) if row.a_demand else None,
        round=row.a_round,
        changes=tuple(Change(*each) for each in json.loads(row.a_changes or "[]")),
        votes=said,
        replaces=_call_id(row.replaces),
        replaced_by=_call_id(row.replaced_by),
        edited_by=row.edited_by,
        leader=ApprovalId(row.a_leader) if row.a_leader else None,
        draws=row.a_draws,
    )


def call_values(record: CallRecord) -> dict[str, object]:
    """Return the columns of a new call."""
    call = record.call
    return {
        "id": call.id,
        "run": call.run,
        "agent": call.agent,
        "tool": call.tool,
        "arguments": canonical(call.arguments),
        "digest": call.digest,
        "key": call.key,
        "provider_id": call.provider_id,
        "subject": call.subject,
        "state": record.state.value,
        "severity": int(record.ruling.severity),
        "rule": record.ruling.rule,
        "message": record.ruling.message,
        "proposed_at": record.proposed_at,
        "executor": record.executor,
        "lease_until": record.lease_until,
        "result": canonical(record.result) if record.result is not None else None,
        "error": record.error,
        "replaces": record.replaces,
        "edited_by": record.edited_by,
    }


def approval_values(approval: ApprovalRecord) -> dict[str, object]:
    """Return the columns of a new approval."""
    return {
        "id": approval.id,
        "call": approval.call.id,
        "run": approval.run,
        "rule": approval.rule,
        "message": approval.message,
        "digest": approval.digest,
        "preview": approval.preview,
        "requested_at": approval.requested_at,
        "expires_at": approval.expires_at,
        "requested_by": canonical(sorted(approval.requested_by)),
        "approvers": canonical(sorted(approval.approvers)),
        "bound": bound_text(approval.bound),
        "demand": canonical(approval.demand.as_json()) if approval.demand else None,
        "escalates_at": next_escalation(approval, approval.requested_at),
        "leader": approval.leader,
        "draws": approval.draws,
    }


def bound_text(bound: Bound | None) -> str | None:
    """Return the stored form of what an approval is bound to."""
    return canonical(bound.as_json()) if bound is not None else None


def changes_text(changes: Sequence[Change]) -> str:
    """Return the stored form of why a decision became void."""
    return canonical([[each.part, each.before, each.now] for each in changes])


def next_escalation(approval: ApprovalRecord, after: datetime) -> datetime | None:
    """Return when a request is widened next, later than `after`; None where it never is."""
    moments = (approval.requested_at + length for length in approval.asks.escalations())
    return next((moment for moment in moments if moment > after), None)


def aware(value: datetime | None) -> datetime | None:
    """Give a stored time its zone back: SQLite keeps none, and everything is written in UTC."""
    return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


def _needed(value: datetime) -> datetime:
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value
