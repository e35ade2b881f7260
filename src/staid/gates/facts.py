"""The facts of a call's life: ids and numbers in the fact, arguments and words in the content."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from staid.domain.call import ApprovalRecord, CallRecord, Ruling, ToolCall, UndoState
from staid.domain.canonical import Json, timestamp
from staid.domain.events import Content, Event, EventKind
from staid.domain.label import NOBODY, Label
from staid.domain.principal import Actor, Principal
from staid.gates.ledger import Lease, Settlement
from staid.gates.provenance import Traced
from staid.gates.sources import Origin

GATE = Actor("service", "gate")
"""Who rules, claims and settles."""


def asker_alone(call: ToolCall) -> Label:
    """Return the label that only the principal behind the call can read."""
    return Label.of([[call.subject]]) if call.subject else NOBODY


def _content(call: ToolCall, label: Label | None, body: Mapping[str, Json]) -> Content:
    return Content(body, asker_alone(call) if label is None else label, call.subject)


def proposed(
    call: ToolCall,
    at: datetime,
    label: Label | None,
    traced: Sequence[Traced] = (),
    actor: Actor | None = None,
    replaces: str | None = None,
) -> Event:
    """Return the fact that a model, or guarded code, proposed a call, and whence its values come.

    Places in the fact, words in the content. `actor` is the person who made it of the call it
    `replaces`.
    """
    fact: dict[str, Json] = {"call": call.id, "tool": call.tool, "digest": call.digest}
    if replaces is not None:
        fact["replaces"] = replaces
    body: dict[str, Json] = {"arguments": dict(call.arguments)}
    if any(found.origin is not Origin.UNKNOWN for found in traced):
        fact["origins"] = [found.as_fact() for found in traced]
        body["provenance"] = [found.as_json() for found in traced]
    by = actor or Actor("agent", call.agent)
    return Event(EventKind.CALL_PROPOSED, at, by, fact, _content(call, label, body))


def ruled(
    call: ToolCall,
    ruling: Ruling,
    at: datetime,
    label: Label | None,
    snapshot: Mapping[str, Json] | None = None,
) -> Event:
    """Return the fact of the ruling; `digest` binds an allowed call to what may run.

    `snapshot` is what it was ruled from beside the call: with it the same can be ruled again. The
    version of its policy is in the fact, so that a claim knows it after an erasure, too.
    """
    fact: dict[str, Json] = {
        "call": call.id,
        "tool": call.tool,
        "ruling": ruling.severity.word,
        "rule": ruling.rule,
        "digest": call.digest,
        "steps": [list(step) for step in ruling.steps],
    }
    body: dict[str, Json] = {"message": ruling.message}
    if snapshot is not None:
        body["snapshot"] = snapshot
        fact["policy"] = snapshot["policy"]
    return Event(EventKind.CALL_RULED, at, GATE, fact, _content(call, label, body))


def requested(approval: ApprovalRecord, at: datetime, label: Label | None, terms: str) -> Event:
    """Return the fact that a human was asked; `terms` is the digest of whom, and until when."""
    fact: dict[str, Json] = {
        "call": approval.call.id,
        "approval": approval.id,
        "rule": approval.rule,
        "digest": approval.digest,
        "binding": approval.binding,
        "quorum": approval.asks.quorum,
        "terms": terms,
        "expires_at": timestamp(approval.expires_at),
    }
    body: dict[str, Json] = {"message": approval.message, "preview": approval.preview}
    return Event(EventKind.APPROVAL_REQUESTED, at, GATE, fact, _content(approval.call, label, body))


def decided(
    approval: ApprovalRecord, decision: str, at: datetime, actor: Actor, reason: str
) -> Event:
    """Return the fact of a decision, or of expiry; `digest` is what was decided on."""
    fact: dict[str, Json] = {
        "call": approval.call.id,
        "approval": approval.id,
        "decision": decision,
        "digest": approval.digest,
        "binding": approval.binding,
    }
    content = _content(approval.call, None, {"reason": reason}) if reason else None
    return Event(EventKind.APPROVAL_DECIDED, at, actor, fact, content)


def voted(approval: ApprovalRecord, at: datetime, actor: Actor, reason: str) -> Event:
    """Return the fact that one person approved where it takes more."""
    fact: dict[str, Json] = {
        "call": approval.call.id,
        "approval": approval.id,
        "round": approval.round,
        "votes": len(approval.said_yes),
        "quorum": approval.asks.quorum,
        "binding": approval.binding,
    }
    content = _content(approval.call, None, {"reason": reason}) if reason else None
    return Event(EventKind.APPROVAL_VOTED, at, actor, fact, content)


def reconsidered(approval: ApprovalRecord, at: datetime, terms: str) -> Event:
    """Return the fact that a decision became void; what changed is in the content.

    `terms` is the digest of whom it asks from now on, and until when.
    """
    fact: dict[str, Json] = {
        "call": approval.call.id,
        "approval": approval.id,
        "round": approval.round,
        "parts": [change.part for change in approval.changes],
        "decision": "reconsider",
        "digest": approval.digest,
        "terms": terms,
        "binding": approval.binding,
    }
    body: dict[str, Json] = {"changes": [change.as_json() for change in approval.changes]}
    return Event(
        EventKind.APPROVAL_RECONSIDERED, at, GATE, fact, _content(approval.call, None, body)
    )


def escalated(approval: ApprovalRecord, at: datetime) -> Event:
    """Return the fact that others may decide from now on, too."""
    fact: dict[str, Json] = {"call": approval.call.id, "approval": approval.id}
    return Event(EventKind.APPROVAL_ESCALATED, at, GATE, fact)


def edit_refused(approval: ApprovalRecord, ruling: Ruling, at: datetime, actor: Actor) -> Event:
    """Return the fact that a person wanted a call otherwise, and a bound does not allow that."""
    fact: dict[str, Json] = {
        "call": approval.call.id,
        "approval": approval.id,
        "refused": ruling.rule,
    }
    content = _content(approval.call, None, {"message": ruling.message})
    return Event(EventKind.APPROVAL_EDITED, at, actor, fact, content)


def claimed(call: ToolCall, lease: Lease, at: datetime) -> Event:
    """Return the fact that one executor took the one right to execute."""
    fact: dict[str, Json] = {
        "call": call.id,
        "tool": call.tool,
        "digest": call.digest,
        "executor": lease.executor,
        "lease_until": timestamp(at + lease.length),
    }
    return Event(EventKind.CALL_CLAIMED, at, GATE, fact)


def executed(call: ToolCall, settlement: Settlement, at: datetime, *, late: bool = False) -> Event:
    """Return the fact that the handler ended; `late` when the call was settled before."""
    fact: dict[str, Json] = {"call": call.id, "tool": call.tool, "late": late}
    body = {"result": settlement.result, "error": settlement.error}
    return Event(EventKind.CALL_EXECUTED, at, GATE, fact, _content(call, settlement.label, body))


def settled(record: CallRecord, at: datetime, actor: Actor = GATE, reason: str = "") -> Event:
    """Return the fact that the call reached a state it is not expected to leave."""
    call = record.call
    fact: dict[str, Json] = {"call": call.id, "tool": call.tool, "state": record.state.value}
    content = _content(call, None, {"reason": reason}) if reason else None
    return Event(EventKind.CALL_SETTLED, at, actor, fact, content)


def in_doubt(call: ToolCall, at: datetime, why: str, settlement: Settlement | None = None) -> Event:
    """Return the fact that nobody knows whether it happened; `why` is `lease` or `handler`."""
    fact: dict[str, Json] = {"call": call.id, "tool": call.tool, "why": why}
    content = (
        _content(call, settlement.label, {"error": settlement.error})
        if settlement is not None
        else None
    )
    return Event(EventKind.CALL_IN_DOUBT, at, GATE, fact, content)


def undo_claimed(call: ToolCall, lease: Lease, at: datetime, actor: Actor, reason: str) -> Event:
    """Return the fact that one executor took the one right to take a call back, and who asked."""
    fact: dict[str, Json] = {
        "call": call.id,
        "tool": call.tool,
        "digest": call.digest,
        "executor": lease.executor,
        "lease_until": timestamp(at + lease.length),
    }
    content = _content(call, None, {"reason": reason}) if reason else None
    return Event(EventKind.UNDO_CLAIMED, at, actor, fact, content)


def undo_ended(
    call: ToolCall,
    state: UndoState,
    at: datetime,
    actor: Actor,
    error: str | None,
    *,
    late: bool = False,
) -> Event:
    """Return the fact of how taking a call back ended: undone, failed (it stands) or in doubt.

    `late` when that was settled before.
    """
    fact: dict[str, Json] = {
        "call": call.id,
        "tool": call.tool,
        "state": state.value,
        "late": late,
    }
    content = _content(call, None, {"error": error}) if error else None
    return Event(EventKind.UNDO_ENDED, at, actor, fact, content)


def human(principal: Principal, via: str | None) -> Actor:
    """Return the human who acts, and the operating-system user it came through."""
    return Actor("human", principal.token, via)
