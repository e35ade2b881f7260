"""Deciding: what humans say to a request, and to a call nobody knows the end of."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, delete, insert, update

from staid.domain.call import (
    ApprovalRecord,
    CallRecord,
    CallState,
)
from staid.domain.errors import (
    ApproverNotAllowed,
    CallMoved,
)
from staid.domain.events import Event
from staid.domain.ids import ApprovalId, CallId
from staid.domain.principal import Actor, Principal
from staid.gates import facts
from staid.gates.approval import Decision, Move, check_decision, sufficient
from staid.gates.ledger import Settlement
from staid.store import reservations, tables
from staid.store.ledger_moves import LedgerMoves, moved_on, settled_values
from staid.store.reservations import take_turns

_DECIDED = {"approve": Move.APPROVE, "deny": Move.DENY}


class Decisions(LedgerMoves):
    """Records the decisions of humans."""

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
            # Two people who decide at once: the second one counts the vote of the first.
            take_turns(self._store, connection, f"approval:{approval}")
            now = self._clock.now()
            found = self._approval(connection, approval)
            check_decision(found, approver, now, seen, decision=decision)
            self._check_witnessed(connection, found)
            self._vote(connection, found, approver, decision, reason, now)
            found = self._approval(connection, approval)
            who = facts.human(approver, via)
            if decision == "approve" and not sufficient(found):
                event = facts.voted(found, now, who, reason)
            else:
                event = self._conclude(connection, found, decision, approver, reason, now, who)
            self._note(connection, found.run, [*earlier, event])
            return self._approval(connection, approval)

    def _vote(
        self,
        connection: Connection,
        found: ApprovalRecord,
        approver: Principal,
        decision: Decision,
        reason: str,
        now: datetime,
    ) -> None:
        vote = tables.vote
        mine = (vote.c.approval == found.id) & (vote.c.round == found.round)
        # Whoever approved may still say no; the journal keeps both.
        connection.execute(delete(vote).where(mine, vote.c.voter == approver.token))
        connection.execute(
            insert(vote).values(
                approval=found.id,
                round=found.round,
                voter=approver.token,
                decision=decision,
                at=now,
                reason=reason,
                binding=found.binding,
            )
        )

    def _conclude(
        self,
        connection: Connection,
        found: ApprovalRecord,
        decision: Decision,
        approver: Principal,
        reason: str,
        now: datetime,
        who: Actor,
    ) -> Event:
        happened = _DECIDED[decision]
        if not self._move(connection, found.call.id, happened):
            check_decision(self._approval(connection, found.id), approver, now)
            raise CallMoved(call=found.call.id, found="moving", expected=CallState.PENDING)
        connection.execute(
            update(tables.approval)
            .where(tables.approval.c.id == found.id, tables.approval.c.decision.is_(None))
            .values(decision=decision, decided_by=approver.token, decided_at=now, reason=reason)
        )
        reservations.end(connection, found.call.id, happened, now)
        return facts.decided(found, decision, now, who, reason)

    def resolve(
        self, call: CallId, by: Principal, settlement: Settlement, *, via: str | None = None
    ) -> CallRecord:
        """Record what a human found out about a call in doubt."""
        with self._store.write() as connection:
            now = self._clock.now()
            found = self._get(connection, call)
            self._check_resolver(connection, found, by)
            unknown = tables.call.c.state == CallState.IN_DOUBT.value
            values = settled_values(settlement, now)
            if not self._move(connection, call, settlement.move, where=unknown, **values):
                raise moved_on(self._get(connection, call), CallState.IN_DOUBT)
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
