"""Sweeping: what lost its executor, and what nobody decided in time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection, bindparam, select, update

from staid.domain.call import (
    ApprovalRecord,
    CallRecord,
    CallState,
)
from staid.domain.ids import CallId
from staid.gates import facts
from staid.gates.approval import Move
from staid.gates.breaker import Ended
from staid.gates.ledger import Swept
from staid.store import tables
from staid.store.ledger import call_rows, circuits, reservations
from staid.store.ledger.groups import Groups
from staid.store.ledger.reservations import take_turns
from staid.store.ledger.undo import Undoing

_SILENT = tables.call.c.lease_until < bindparam("moment", type_=tables.call.c.lease_until.type)


class Sweeps(Groups, Undoing):
    """Moves what time alone moves."""

    def sweep(self) -> Swept:
        """Put calls and undos with an expired lease in doubt, and expire what nobody decided."""
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
        expired = [each for one in self._ids_of(old) for each in self._expire(CallId(one), now)]
        late = (
            select(call.id)
            .join_from(tables.call, tables.approval, approval.call == call.id)
            .where(call.state == CallState.PENDING.value, approval.escalates_at <= now)
        )
        for one in self._ids_of(late):
            self._escalate(CallId(one), now)
        undos = tuple(self.lost_undos(now))
        return Swept(tuple(_present(in_doubt)), tuple(expired), undos)

    def _doubt(self, call: CallId, now: datetime) -> CallRecord | None:
        with self._store.write() as connection:
            # Asked again in the WHERE: a heartbeat may have arrived since.
            if not self._move(connection, call, Move.DOUBT, _SILENT, {"moment": now}):
                return None
            record = self._get(connection, call)
            tool = record.call.tool
            circuits.note(self._store, connection, tool, call, Ended.FAILED, now)
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

    def _expire(self, call: CallId, now: datetime) -> list[CallRecord]:
        """Expire a call that nobody decided, with everything that is decided together with it."""
        with self._store.write() as connection:
            named = self._get(connection, call).request
            if named is None:
                return []
            take_turns(self._store, connection, f"approval:{named}")
            found = self._approval(connection, named)
            if found.state is not CallState.PENDING and call != found.call.id:
                found = self._own(connection, call)  # what it had joined was ended without it
            self._hold_runs(connection, found.runs)
            return _present(
                [self._ended(connection, each, now) for each in (found, *found.members)]
            )

    def _own(self, connection: Connection, call: CallId) -> ApprovalRecord:
        asked = tables.approval.c
        query = select(asked.id).where(asked.call == call)
        return self._approval(connection, connection.execute(query).scalar_one())

    def _ended(
        self, connection: Connection, approval: ApprovalRecord, now: datetime
    ) -> CallRecord | None:
        call = approval.call.id
        if not self._move(connection, call, Move.EXPIRE, settled_at=now):
            return None
        reservations.end(connection, call, Move.EXPIRE, now)
        event = facts.decided(approval, "expire", now, facts.GATE, "")
        self._note(connection, approval.run, [event])
        return self._get(connection, call)


def _present(records: Iterable[CallRecord | None]) -> list[CallRecord]:
    return [record for record in records if record is not None]
