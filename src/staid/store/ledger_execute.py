"""Executing: the claim, its heartbeat, and how it ended."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, select, update

from staid.domain.call import (
    CallRecord,
    CallState,
    Ruling,
)
from staid.domain.errors import (
    ApprovalMismatch,
)
from staid.domain.events import Event, EventKind
from staid.domain.ids import CallId
from staid.gates import facts
from staid.gates.approval import Move
from staid.gates.ledger import Lease, Settlement
from staid.store import reservations, tables
from staid.store.ledger_moves import LedgerMoves, moved_on, settled_facts, settled_values


class Executions(LedgerMoves):
    """Gives the one right to execute, and records how each execution ended."""

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
                raise moved_on(self._get(connection, call), CallState.APPROVED)
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
                connection, call, settlement.move, where=mine, **settled_values(settlement, now)
            )
            record = self._get(connection, call)
            if moved:
                reservations.end(connection, call, settlement.move, now)
                events = settled_facts(record, settlement, now)
            else:
                # What the handler saw stays true: keep it beside what was settled before.
                late = settlement.move is not Move.DOUBT
                events = [facts.executed(record.call, settlement, now, late=True)] if late else []
            self._note(connection, record.call.run, [*earlier, *events])
        if not moved:
            raise moved_on(record, CallState.EXECUTING)
        return record

    def revoke(self, call: CallId, ruling: Ruling, *, earlier: Sequence[Event] = ()) -> CallRecord:
        """Record that a call that waits, or was approved, may no longer run."""
        with self._store.write() as connection:
            now = self._clock.now()
            if not self._move(connection, call, Move.REVOKE, error=ruling.message, settled_at=now):
                raise moved_on(self._get(connection, call), CallState.APPROVED)
            reservations.end(connection, call, Move.REVOKE, now)
            record = self._get(connection, call)
            events = [facts.ruled(record.call, ruling, now, None), facts.settled(record, now)]
            self._note(connection, record.call.run, [*earlier, *events])
        return record
