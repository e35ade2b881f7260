"""Requests for a decision, and calls, as JSON: one form for the command line and the HTTP API."""

from __future__ import annotations

from datetime import datetime

from staid.domain.bound import Vote
from staid.domain.call import ApprovalRecord, CallRecord
from staid.domain.canonical import Json, plain, timestamp


def approval_json(approval: ApprovalRecord) -> dict[str, Json]:
    """Return everything there is to know before deciding; `digest` is what a decision names."""
    asks = approval.asks
    return {
        "id": approval.id,
        "state": approval.state.value,
        "tool": approval.call.tool,
        "arguments": plain(approval.call.arguments),
        "rule": approval.rule,
        "message": approval.message,
        "digest": approval.binding,
        "run": approval.run,
        "requested_at": timestamp(approval.requested_at),
        "expires_at": timestamp(approval.expires_at),
        "decision": approval.decision,
        "decided_by": approval.decided_by,
        "decided_at": _time(approval.decided_at),
        "reason": approval.reason,
        "preview": approval.preview,
        "asks": asks.as_json(),
        "votes": [_vote(vote) for vote in approval.votes],
        "approved": len(approval.said_yes),
        "round": approval.round,
        "changes": [change.as_json() for change in approval.changes],
        "edited_by": approval.edited_by,
        "replaces": approval.replaces,
        "replaced_by": approval.replaced_by,
        "calls": [_member(each) for each in (approval, *approval.members)],
        "joined": approval.leader,
    }


def call_json(record: CallRecord) -> dict[str, Json]:
    """Return a call that nobody was asked about, with the keys of a request."""
    return {
        "id": record.call.id,
        "state": record.state.value,
        "tool": record.call.tool,
        "arguments": plain(record.call.arguments),
        "rule": record.ruling.rule,
        "message": record.error or record.ruling.message,
        "digest": record.call.digest,
        "run": record.call.run,
        "requested_at": timestamp(record.proposed_at),
    }


def _member(approval: ApprovalRecord) -> dict[str, Json]:
    call = approval.call
    return {
        "call": call.id,
        "state": approval.state.value,
        "run": call.run,
        "for": call.subject,
        "arguments": plain(call.arguments),
    }


def _vote(vote: Vote) -> dict[str, Json]:
    return {
        "round": vote.round,
        "by": vote.by,
        "decision": vote.decision,
        "at": timestamp(vote.at),
        "reason": vote.reason,
    }


def _time(value: datetime | None) -> str | None:
    return timestamp(value) if value is not None else None
