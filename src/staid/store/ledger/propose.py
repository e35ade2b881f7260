"""Proposing: call, ruling, request and reservations in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from functools import reduce

from sqlalchemy import Connection, insert

from staid.domain.call import (
    ApprovalRecord,
    CallRecord,
    CallState,
    Ruling,
    Severity,
    ToolCall,
)
from staid.domain.errors import (
    KeyReused,
)
from staid.domain.events import Event
from staid.domain.ids import ApprovalId
from staid.domain.principal import Actor
from staid.gates import facts
from staid.gates.approval import Move, move, target
from staid.gates.breaker import Standing
from staid.gates.budget import Totals
from staid.gates.demand import tightened
from staid.gates.ledger import Edit, Lease, Proposal, Settlement
from staid.gates.policy import Snapshot
from staid.gates.structuring import PREFIX, counted, wanted
from staid.store import tables
from staid.store.ledger import call_rows, circuits, reservations, stops
from staid.store.ledger.groups import Groups, raised
from staid.store.ledger.moves import leased, settled_facts
from staid.store.ledger.reservations import take_turns


@dataclass(frozen=True, slots=True)
class Taken:
    """A request that a person took back to propose the call otherwise."""

    approval: ApprovalRecord
    edit: Edit
    asked: str
    """Digest of what was asked for before anybody changed it."""


_RULED = {Severity.ALLOW: Move.ALLOW, Severity.ASK: Move.ASK, Severity.DENY: Move.REFUSE}

_CALL, _APPROVAL = insert(tables.call), insert(tables.approval)


class Proposals(Groups):
    """Records what was proposed and what was ruled."""

    def propose(
        self, proposal: Proposal, *, lease: Lease | None = None, earlier: Sequence[Event] = ()
    ) -> CallRecord:
        """Record call, ruling, approval request and reservations in one transaction."""
        call = proposal.call
        with self._store.write(durable=proposal.effect) as connection:
            take_turns(self._store, connection, f"call:{call.key}")
            known = self._by_key(connection, call.key)
            if known is not None:
                self._note(connection, call.run, earlier)
                return _same(known, call)
            record, events = self._put(connection, proposal, lease, self._clock.now())
            self._note(connection, call.run, [*earlier, *events])
        return record

    def _put(
        self,
        connection: Connection,
        proposal: Proposal,
        lease: Lease | None,
        now: datetime,
        taken: Taken | None = None,
    ) -> tuple[CallRecord, list[Event]]:
        """Rule on a call and write it down; return it with its facts."""
        call = proposal.call
        held = reservations.look(self._store, connection, proposal.draws, now, self._journal.alias)
        if lease is not None:  # it may be claimed in this transaction
            stops.share(self._store, connection)
        seen = replace(
            proposal.snapshot,
            totals=reservations.totals(held),
            stopped=proposal.snapshot.stopped | stops.in_force(connection),
            circuit=self._circuit(connection, proposal, now),
        )
        many = {slot: (each.total, len(each.calls)) for slot, each in held.items()}
        ruling = counted(proposal.rule(seen), proposal.draws, many)
        record = _ruled(call, ruling, now)
        if record.state is CallState.APPROVED and seen.circuit is not None and seen.circuit.trial:
            circuits.take(connection, call.tool, call.id, now)
        if record.state is CallState.APPROVED and lease is not None:
            record = leased(record, lease, now)
        if taken is not None:
            editor = taken.edit.editor.token
            record = replace(record, replaces=taken.approval.call.id, edited_by=editor)
        asked = reduce(tightened, wanted(proposal.draws, seen.totals), proposal.demand)
        approval = self._request(replace(proposal, demand=asked), record, now)
        joined: list[Event] = []
        if approval is not None and approval.rule.startswith(PREFIX):
            approval, joined = self._joined(connection, proposal, approval, seen.totals)
        self._insert(connection, record, approval, taken.asked if taken else None)
        if record.state is not CallState.DENIED:
            reservations.reserve(connection, call.id, proposal.draws, now, held)
        editor = facts.human(taken.edit.editor, taken.edit.via) if taken else None
        requested = []
        if approval is not None:
            requested = [facts.requested(approval, now, proposal.label, self._terms(approval))]
        events = _proposed_facts(proposal, seen, record, now, editor, requested)
        if record.state is CallState.EXECUTING and lease is not None:
            events.append(facts.claimed(call, lease, now))
        if approval is not None:
            record = replace(record, approval=approval.id, joined=approval.leader)
        return record, [*events, *joined]

    def _joined(
        self,
        connection: Connection,
        proposal: Proposal,
        approval: ApprovalRecord,
        totals: Totals,
    ) -> tuple[ApprovalRecord, list[Event]]:
        """Let a request join one that waits because of the same sum, where there is one.

        Return it with the facts that this adds to its own run.
        """
        reached = _reached(proposal, approval.rule, totals)
        approval = replace(approval, demand=raised(approval.demand, reached))
        leader = self._leader(connection, approval, proposal.draws)
        if leader is None:
            return approval, []
        joined = replace(approval, leader=leader.id, expires_at=leader.expires_at)
        now, words = approval.requested_at, (approval.message, reached)
        event = self._regroup(connection, leader, (*leader.members, joined), now, words)
        if leader.run == approval.run:
            return joined, [event]
        self._hold_runs(connection, [leader.run, approval.run])
        self._note(connection, leader.run, [event])
        return joined, []

    def _circuit(
        self, connection: Connection, proposal: Proposal, now: datetime
    ) -> Standing | None:
        if proposal.breaker is None:
            return None
        tool = proposal.call.tool
        return circuits.look(self._store, connection, tool, proposal.breaker, now)

    def _insert(
        self,
        connection: Connection,
        record: CallRecord,
        approval: ApprovalRecord | None,
        asked: str | None,
    ) -> None:
        values = {**call_rows.call_values(record), "asked": asked}
        connection.execute(_CALL, values)
        if approval is not None:
            connection.execute(_APPROVAL, call_rows.approval_values(approval))

    def record_read(
        self, proposal: Proposal, settlement: Settlement, *, earlier: Sequence[Event] = ()
    ) -> CallRecord:
        """Record an allowed read with its result after the fact, in one transaction."""
        record, events = self.looked(proposal, settlement)
        with self._store.write(durable=False) as connection:
            self._note(connection, record.call.run, [*earlier, *events])
        return record

    def looked(
        self, proposal: Proposal, settlement: Settlement
    ) -> tuple[CallRecord, Sequence[Event]]:
        """Return an allowed read as it ended, with its facts; whoever writes them records it."""
        call, now = proposal.call, self._clock.now()
        ruling, began = proposal.rule(proposal.snapshot), proposal.at or now
        record = replace(
            _ruled(call, ruling, began),
            state=target(settlement.move),
            result=settlement.result,
            error=settlement.error,
        )
        *ended, last = settled_facts(record, settlement, now)
        told = _proposed_facts(proposal, proposal.snapshot, record, began)
        return record, [*told, *ended, replace(last, call=record)]

    def _request(
        self, proposal: Proposal, record: CallRecord, now: datetime
    ) -> ApprovalRecord | None:
        if record.state is not CallState.PENDING:
            return None
        return ApprovalRecord(
            id=ApprovalId(self._ids.new("apr")),
            run=record.call.run,
            call=record.call,
            state=record.state,
            rule=record.ruling.rule,
            message=record.ruling.message,
            digest=record.call.digest,
            requested_at=now,
            expires_at=now + proposal.demand.expires_after,
            requested_by=_upstream(proposal, record),
            approvers=proposal.demand.approvers,
            preview=proposal.bound.preview,
            bound=proposal.bound,
            demand=proposal.demand,
            replaces=record.replaces,
            edited_by=record.edited_by,
            draws=reservations.plan(proposal.of_approver),
        )


def _reached(proposal: Proposal, rule: str, totals: Totals) -> Decimal:
    """Return the sum that a rule asks because of, or zero where none is behind it."""
    sums = (totals[d.slot] + d.amount for d in proposal.draws if d.budget == rule)
    return next(sums, Decimal(0))


def _same(known: CallRecord, call: ToolCall) -> CallRecord:
    mine = (call.digest, call.subject, call.agent)
    if (known.call.digest, known.call.subject, known.call.agent) != mine:
        raise KeyReused(key=call.key)
    return known


def _ruled(call: ToolCall, ruling: Ruling, now: datetime) -> CallRecord:
    state = move(CallState.PROPOSED, _RULED[ruling.severity])
    return CallRecord(call, state or CallState.DENIED, ruling, now)


def _proposed_facts(
    proposal: Proposal,
    seen: Snapshot,
    record: CallRecord,
    now: datetime,
    editor: Actor | None = None,
    requested: Sequence[Event] = (),
) -> list[Event]:
    call, label = record.call, proposal.label
    return [
        facts.proposed(call, now, label, proposal.traced, editor, record.replaces),
        facts.ruled(call, record.ruling, now, label, seen.as_json()),
        *requested,
    ]


def _upstream(proposal: Proposal, record: CallRecord) -> frozenset[str]:
    """Return everybody who may not decide: whoever changed a call, too, is upstream of it."""
    editor = {record.edited_by} if record.edited_by else set[str]()
    return proposal.upstream | editor | {record.call.subject, f"agent:{record.call.agent}"}
