"""The ledger of calls: every move is one compare-and-set in one transaction with its facts.

The promise rests on two things. A call leaves a state only by `UPDATE … WHERE state IN (…)`, so of
any number of processes one wins. And the claim is committed, durably, before the effect: after a
crash the row says `executing`, nobody may claim it again, and the sweep calls it `in_doubt`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, insert, select, update

from staid.domain.call import (
    ApprovalRecord,
    CallRecord,
    CallState,
    Ruling,
    Severity,
    ToolCall,
)
from staid.domain.canonical import canonical
from staid.domain.errors import (
    ApprovalMismatch,
    ApproverNotAllowed,
    CallMoved,
    KeyReused,
)
from staid.domain.events import Event, EventKind
from staid.domain.ids import ApprovalId, CallId, Ids
from staid.domain.ports import Clock
from staid.domain.principal import Principal
from staid.gates import facts
from staid.gates.approval import Decision, Move, check_decision, move, sources, target
from staid.gates.budget import Totals
from staid.gates.ledger import Lease, Proposal, Settlement, Swept
from staid.store import call_rows, reservations, tables
from staid.store.engine import Store
from staid.store.journal import Journal
from staid.store.ledger_rows import LedgerRows
from staid.store.reservations import take_turns

_RULED = {Severity.ALLOW: Move.ALLOW, Severity.ASK: Move.ASK, Severity.DENY: Move.REFUSE}
_WITNESSES = [
    EventKind.CALL_PROPOSED.value,
    EventKind.CALL_RULED.value,
    EventKind.APPROVAL_REQUESTED.value,
    EventKind.APPROVAL_DECIDED.value,
    EventKind.CALL_CLAIMED.value,
]
_DECIDED = {"approve": Move.APPROVE, "deny": Move.DENY}


class SqlLedger(LedgerRows):
    """Implements `staid.gates.ledger.Ledger` on SQLite and PostgreSQL."""

    def __init__(self, store: Store, journal: Journal, clock: Clock, ids: Ids) -> None:
        """Keep calls in `store` and their facts in `journal`."""
        super().__init__(store)
        self._journal = journal
        self._clock = clock
        self._ids = ids

    # --- proposing -------------------------------------------------------------------------

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
            now = self._clock.now()
            totals = reservations.totals(
                self._store, connection, proposal.draws, now, self._journal.alias
            )
            record = _ruled(call, proposal.rule(totals), now)
            if record.state is CallState.APPROVED and lease is not None:
                record = _leased(record, lease, now)
            approval = self._request(proposal, record, now)
            self._insert(connection, record, approval)
            if record.state is not CallState.DENIED:
                reservations.reserve(connection, call.id, proposal.draws, now)
            events = _proposed_facts(proposal, record, approval, lease, now, totals)
            self._note(connection, call.run, [*earlier, *events])
        return replace(record, approval=approval.id) if approval else record

    def _insert(
        self, connection: Connection, record: CallRecord, approval: ApprovalRecord | None
    ) -> None:
        connection.execute(insert(tables.call).values(**call_rows.call_values(record)))
        if approval is not None:
            values = call_rows.approval_values(approval)
            connection.execute(insert(tables.approval).values(**values))

    def record_read(
        self, proposal: Proposal, settlement: Settlement, *, earlier: Sequence[Event] = ()
    ) -> CallRecord:
        """Record an allowed read with its result after the fact, in one transaction."""
        call, now = proposal.call, self._clock.now()
        ruling, began = proposal.rule({}), proposal.at or now
        record = replace(
            _ruled(call, ruling, began),
            state=target(settlement.move),
            result=settlement.result,
            error=settlement.error,
        )
        events = [
            *earlier,
            *_proposed_facts(proposal, record, None, None, began, {}),
            *_settled_facts(record, settlement, now),
        ]
        with self._store.write(durable=False) as connection:
            values = call_rows.call_values(record)
            connection.execute(insert(tables.call).values(**values, settled_at=now))
            self._note(connection, call.run, events)
        return record

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
            expires_at=now + proposal.expires_after,
            requested_by=proposal.upstream | {record.call.subject, f"agent:{record.call.agent}"},
            approvers=proposal.approvers,
            preview=proposal.preview,
        )

    # --- deciding --------------------------------------------------------------------------

    def decide(
        self,
        approval: ApprovalId,
        approver: Principal,
        decision: Decision,
        *,
        reason: str = "",
        seen: str | None = None,
        via: str | None = None,
        earlier: Sequence[Event] = (),
    ) -> ApprovalRecord:
        """Record a human decision; executes nothing."""
        if decision not in _DECIDED:
            message = f'a decision is "approve" or "deny", not {decision!r}'
            raise ValueError(message)
        with self._store.write() as connection:
            now = self._clock.now()
            found = self._approval(connection, approval)
            check_decision(found, approver, now, seen)
            if {fact["digest"] for _, fact in self._witnesses(connection, found.call)} != {
                found.digest
            }:
                raise ApprovalMismatch(approval=approval)
            happened = _DECIDED[decision]
            if not self._move(connection, found.call.id, happened):
                check_decision(self._approval(connection, approval), approver, now, seen)
                raise CallMoved(call=found.call.id, found="moving", expected=CallState.PENDING)
            connection.execute(
                update(tables.approval)
                .where(tables.approval.c.id == approval, tables.approval.c.decision.is_(None))
                .values(decision=decision, decided_by=approver.token, decided_at=now, reason=reason)
            )
            reservations.end(connection, found.call.id, happened, now)
            event = facts.decided(found, decision, now, facts.human(approver, via), reason)
            self._note(connection, found.run, [*earlier, event])
            return self._approval(connection, approval)

    # --- executing -------------------------------------------------------------------------

    def claim(
        self, call: CallId, lease: Lease, *, digest: str, earlier: Sequence[Event] = ()
    ) -> CallRecord:
        """Take the one right to execute; durable when this returns."""
        with self._store.write(durable=True) as connection:
            now = self._clock.now()
            until = now + lease.length
            if not self._move(
                connection, call, Move.CLAIM, executor=lease.executor, lease_until=until
            ):
                raise _moved(self._get(connection, call), CallState.APPROVED)
            record = self._get(connection, call)
            self._check_bound(connection, record, digest)
            self._note(
                connection, record.call.run, [*earlier, facts.claimed(record.call, lease, now)]
            )
        return record

    def _check_bound(self, connection: Connection, record: CallRecord, digest: str) -> None:
        """Raise unless what will run is what was proposed, shown, approved and recorded."""
        query = select(tables.call.c.digest).where(tables.call.c.id == record.call.id)
        bound = {record.call.digest, connection.execute(query).scalar_one()}
        consent = "deny"
        for kind, fact in self._witnesses(connection, record.call):
            # The journal cannot be rewritten without its key: it says what was allowed or approved
            # and that nobody claimed it yet, whatever somebody did to the ledger's own rows.
            bound.add(fact["digest"])
            if kind == EventKind.CALL_CLAIMED.value:
                bound.add("claimed before")
            consent = fact.get("ruling") or fact.get("decision") or consent
        if record.approval is not None:
            approval = self._approval(connection, record.approval)
            bound |= {approval.digest, digest if approval.decision == "approve" else "not approved"}
        if bound != {digest} or consent not in {"allow", "approve"}:
            raise ApprovalMismatch(approval=record.approval or record.call.id)

    def _witnesses(
        self, connection: Connection, call: ToolCall
    ) -> Iterable[tuple[str, dict[str, Any]]]:
        """Return kind and fact of everything the journal says about what a call is."""
        journal = tables.journal.c
        query = select(journal.kind, journal.fact).where(
            journal.run == call.run, journal.kind.in_(_WITNESSES)
        )
        for row in connection.execute(query.order_by(journal.seq)):
            fact = json.loads(row.fact)
            if fact.get("call") == call.id:
                yield row.kind, fact

    def heartbeat(self, call: CallId, lease: Lease) -> bool:
        """Prolong a lease; False where the call is no longer ours."""
        table = tables.call
        with self._store.write(durable=False) as connection:
            prolonged = connection.execute(
                update(table)
                .where(
                    table.c.id == call,
                    table.c.state == CallState.EXECUTING.value,
                    table.c.executor == lease.executor,
                )
                .values(lease_until=self._clock.now() + lease.length)
            )
            return prolonged.rowcount == 1

    def settle(
        self,
        call: CallId,
        executor: str,
        settlement: Settlement,
        *,
        earlier: Sequence[Event] = (),
        unclaimed: bool = False,
    ) -> CallRecord:
        """Record how an execution ended, also a late one; raises `CallMoved`."""
        with self._store.write(durable=False) as connection:
            now = self._clock.now()
            mine = tables.call.c.executor == executor
            if unclaimed:
                self._move(connection, call, Move.CLAIM, executor=executor)
            moved = self._move(
                connection, call, settlement.move, where=mine, **_settled_values(settlement, now)
            )
            record = self._get(connection, call)
            if moved:
                reservations.end(connection, call, settlement.move, now)
                events = _settled_facts(record, settlement, now)
            else:
                # What the handler saw stays true: keep it beside what was settled before.
                late = settlement.move is not Move.DOUBT
                events = [facts.executed(record.call, settlement, now, late=True)] if late else []
            self._note(connection, record.call.run, [*earlier, *events])
        if not moved:
            raise _moved(record, CallState.EXECUTING)
        return record

    def resolve(
        self, call: CallId, by: Principal, settlement: Settlement, *, via: str | None = None
    ) -> CallRecord:
        """Record what a human found out about a call in doubt."""
        with self._store.write() as connection:
            now = self._clock.now()
            found = self._get(connection, call)
            self._check_resolver(connection, found, by)
            unknown = tables.call.c.state == CallState.IN_DOUBT.value
            values = _settled_values(settlement, now)
            if not self._move(connection, call, settlement.move, where=unknown, **values):
                raise _moved(self._get(connection, call), CallState.IN_DOUBT)
            reservations.end(connection, call, settlement.move, now)
            record = self._get(connection, call)
            event = facts.settled(record, now, facts.human(by, via), settlement.error or "")
            self._note(connection, record.call.run, [event])
        return record

    def _check_resolver(self, connection: Connection, record: CallRecord, by: Principal) -> None:
        upstream = {record.call.subject, f"agent:{record.call.agent}"}
        if record.approval is not None:
            upstream |= self._approval(connection, record.approval).requested_by
        if by.kind != "user" or by.token in upstream:
            detail = "somebody who is not upstream of the request says what happened"
            raise ApproverNotAllowed(
                approver=by.token, approval=record.approval or record.call.id, detail=detail
            )

    def revoke(self, call: CallId, ruling: Ruling, *, earlier: Sequence[Event] = ()) -> CallRecord:
        """Record that a call that waits, or was approved, may no longer run."""
        with self._store.write() as connection:
            now = self._clock.now()
            if not self._move(connection, call, Move.REVOKE, error=ruling.message, settled_at=now):
                raise _moved(self._get(connection, call), CallState.APPROVED)
            reservations.end(connection, call, Move.REVOKE, now)
            record = self._get(connection, call)
            events = [facts.ruled(record.call, ruling, now, None), facts.settled(record, now)]
            self._note(connection, record.call.run, [*earlier, *events])
        return record

    # --- sweeping --------------------------------------------------------------------------

    def sweep(self) -> Swept:
        """Put calls with an expired lease in doubt, and expire approvals nobody decided."""
        now = self._clock.now()
        call, approval = tables.call.c, tables.approval.c
        lost = select(call.id).where(
            call.state == CallState.EXECUTING.value, call.lease_until < now
        )
        old = (
            select(call.id)
            .join_from(tables.call, tables.approval, approval.call == call.id)
            .where(call.state == CallState.PENDING.value, approval.expires_at <= now)
        )
        in_doubt = [self._doubt(CallId(one), now) for one in self._ids_of(lost)]
        expired = [self._expire(CallId(one), now) for one in self._ids_of(old)]
        return Swept(_present(in_doubt), _present(expired))

    def _doubt(self, call: CallId, now: datetime) -> CallRecord | None:
        # Asked again in the WHERE: a heartbeat may have arrived since.
        silent = tables.call.c.lease_until < now
        with self._store.write() as connection:
            if not self._move(connection, call, Move.DOUBT, where=silent):
                return None
            record = self._get(connection, call)
            self._note(connection, record.call.run, [facts.in_doubt(record.call, now, "lease")])
        return record

    def _expire(self, call: CallId, now: datetime) -> CallRecord | None:
        with self._store.write() as connection:
            if not self._move(connection, call, Move.EXPIRE, settled_at=now):
                return None
            reservations.end(connection, call, Move.EXPIRE, now)
            record = self._get(connection, call)
            if record.approval is not None:
                approval = self._approval(connection, record.approval)
                event = facts.decided(approval, "expire", now, facts.GATE, "")
                self._note(connection, record.call.run, [event])
        return record

    # --- the two primitives ----------------------------------------------------------------

    def _move(
        self,
        connection: Connection,
        call: str,
        happened: Move,
        *,
        where: ColumnElement[bool] | None = None,
        **values: object,
    ) -> bool:
        """Compare and set: True for exactly one of any number of processes that try."""
        table = tables.call
        expected = [state.value for state in sources(happened)]
        statement = update(table).where(table.c.id == call, table.c.state.in_(expected))
        if where is not None:
            statement = statement.where(where)
        moved = connection.execute(statement.values(state=target(happened).value, **values))
        return moved.rowcount == 1

    def _note(self, connection: Connection, run: str, events: Sequence[Event]) -> None:
        self._journal.append(connection, run, events)
        state = select(tables.run.c.state).where(tables.run.c.id == run)
        if events and connection.execute(state).scalar() == "released":
            # A fact that comes after the outcome moves the head that was sealed.
            self._journal.seal(connection, run)


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
    record: CallRecord,
    approval: ApprovalRecord | None,
    lease: Lease | None,
    now: datetime,
    totals: Totals,
) -> list[Event]:
    call, label = record.call, proposal.label
    seen = proposal.snapshot.as_json(totals) if proposal.snapshot else None
    ruled = facts.ruled(call, record.ruling, now, label, seen)
    events = [facts.proposed(call, now, label), ruled]
    if approval is not None:
        events.append(facts.requested(approval, now, label))
    if record.state is CallState.EXECUTING and lease is not None:
        events.append(facts.claimed(call, lease, now))
    return events


def _leased(record: CallRecord, lease: Lease, now: datetime) -> CallRecord:
    return replace(
        record,
        state=CallState.EXECUTING,
        executor=lease.executor,
        lease_until=now + lease.length,
    )


def _moved(record: CallRecord, expected: CallState) -> CallMoved:
    return CallMoved(call=record.call.id, found=record.state.value, expected=expected.value)


def _settled_values(settlement: Settlement, now: datetime) -> dict[str, object]:
    result = canonical(settlement.result) if settlement.result is not None else None
    return {"result": result, "error": settlement.error, "settled_at": now}


def _settled_facts(record: CallRecord, settlement: Settlement, now: datetime) -> list[Event]:
    if settlement.move is Move.DOUBT:
        return [facts.in_doubt(record.call, now, "handler", settlement)]
    return [facts.executed(record.call, settlement, now), facts.settled(record, now)]


def _present(records: Iterable[CallRecord | None]) -> tuple[CallRecord, ...]:
    return tuple(record for record in records if record is not None)
