"""Sweeping: what lost its executor, and what nobody decided in time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import select, update

from staid.domain.call import (
    CallRecord,
    CallState,
)
from staid.domain.ids import CallId
from staid.gates import facts
from staid.gates.approval import Move
from staid.gates.ledger import Swept
from staid.store import call_rows, reservations, tables
from staid.store.ledger_moves import LedgerMoves


class Sweeps(LedgerMoves):
    """Moves what time alone moves."""

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
        late = (
            select(call.id)
            .join_from(tables.call, tables.approval, approval.call == call.id)
            .where(call.state == CallState.PENDING.value, approval.escalates_at <= now)
        )
        for one in self._ids_of(late):
            self._escalate(CallId(one), now)
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

    def _escalate(self, call: CallId, now: datetime) -> None:
        """Record that others may decide, too; that they may follows from the time alone."""
        table = tables.approval
        with self._store.write() as connection:
            record = self._get(connection, call)
            if record.approval is None or record.state is not CallState.PENDING:
                return
            approval = self._approval(connection, record.approval)
            due = (table.c.id == approval.id) & (table.c.escalates_at <= now)
            following = call_rows.next_escalation(approval, now)
            moved = connection.execute(
                update(table).where(due).values(escalates_at=following, escalated_at=now)
            )
            if moved.rowcount == 1:
                self._note(connection, approval.run, [facts.escalated(approval, now)])

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


def _present(records: Iterable[CallRecord | None]) -> tuple[CallRecord, ...]:
    return tuple(record for record in records if record is not None)
