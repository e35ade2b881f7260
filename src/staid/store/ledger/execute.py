"""Executing: the claim, its heartbeat, and how it ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection, bindparam, select, update

from staid.domain.bound import Reading
from staid.domain.call import (
    ApprovalRecord,
    CallRecord,
    CallState,
    Ruling,
    ToolCall,
)
from staid.domain.errors import (
    ApprovalMismatch,
    RulingOutdated,
)
from staid.domain.events import Event
from staid.domain.ids import CallId
from staid.gates import facts
from staid.gates.approval import Move
from staid.gates.breaker import Breaker
from staid.gates.ledger import Lease, Settlement
from staid.store import tables
from staid.store.ledger import call_rows, circuits, reservations, stops
from staid.store.ledger.groups import Groups
from staid.store.ledger.moves import Said, leased, moved_on, settled_facts, settled_values

_HELD = select(tables.call.c.id).where(tables.call.c.id == bindparam("wanted")).with_for_update()
_MINE = tables.call.c.executor == bindparam("mine")


class Executions(Groups):
    """Gives the one right to execute, and records how each execution ended."""

    def claim(
        self,
        call: CallId,
        lease: Lease,
        *,
        digest: str,
        reading: Reading | None = None,
        breaker: Breaker | None = None,
        policy: str = "",
        earlier: Sequence[Event] = (),
    ) -> CallRecord:
        """Take the one right to execute; durable when this returns.

        The call is `PENDING` again, and nothing runs, where an approval rested on something else
        than what `reading` says now.
        """
        with self._store.write(durable=True) as connection:
            now = self._clock.now()
            self._hold(connection, call)
            record, found, kept = self._requested(connection, call)
            if record.state is not CallState.APPROVED:
                raise moved_on(record, CallState.APPROVED)
            stops.check(self._store, connection, record.call.tool)
            said = self._check_bound(connection, record, found, {digest, kept})
            if found is None and said.policy != policy:
                raise RulingOutdated(call=call)
            if found is not None and (changed := _changed(found, reading or Reading())):
                event = self._reconsider(connection, changed, now)
                record = self._get(connection, call)
            else:
                if breaker is not None:
                    circuits.enter(self._store, connection, record.call, breaker, now)
                event = self._take(connection, record.call, lease, now)
                record = leased(record, lease, now)
            self._note(connection, record.call.run, [*earlier, event])
        return record

    def _hold(self, connection: Connection, call: CallId) -> None:
        """Wait until nobody else moves this call, and let nobody until the commit."""
        # SQLite has one writer at a time already.
        if self._store.dialect == "postgresql":
            connection.execute(_HELD, {"wanted": call})

    def _take(self, connection: Connection, call: ToolCall, lease: Lease, now: datetime) -> Event:
        until = now + lease.length
        if not self._move(
            connection, call.id, Move.CLAIM, executor=lease.executor, lease_until=until
        ):
            raise moved_on(self._get(connection, call.id), CallState.APPROVED)
        return facts.claimed(call, lease, now)

    def _reconsider(self, connection: Connection, changed: ApprovalRecord, now: datetime) -> Event:
        """Ask again, bound to what is now; every vote so far is void."""
        if not self._move(connection, changed.call.id, Move.RECONSIDER):
            raise moved_on(self._get(connection, changed.call.id), CallState.APPROVED)
        bound = changed.bound
        connection.execute(
            update(tables.approval)
            .where(tables.approval.c.id == changed.id)
            .values(
                bound=call_rows.bound_text(bound),
                preview=bound.preview if bound else None,
                round=changed.round,
                changes=call_rows.changes_text(changed.changes),
                decision=None,
                decided_by=None,
                decided_at=None,
                reason=None,
                leader=None,
            )
        )
        self._part(connection, changed)
        return facts.reconsidered(changed, now, self._terms(changed))

    def _check_bound(
        self,
        connection: Connection,
        record: CallRecord,
        approval: ApprovalRecord | None,
        digests: set[str],
    ) -> Said:
        """Return what the journal says; raise unless that, shown and approved, is what will run.

        `digests` are that of what will run, and the one that is stored.
        """
        # The journal cannot be rewritten without its key: it says what was allowed or approved, of
        # whom it was asked, and that nobody claimed it yet, whatever was done to the ledger's rows.
        said = self._said(connection, record.call)
        digests = digests | said.digests | {record.call.digest}
        if approval is not None:
            digests.add(approval.digest)
        same = len(digests) == 1 and not said.claims
        if approval is not None:
            same &= approval.decision == "approve"
            same &= said.by == self._journal.alias(approval.decided_by or "")
        allowed = said.consent in {"allow", "approve"}
        if not (same and allowed and self._as_asked(said, approval)):
            raise ApprovalMismatch(approval=record.approval or record.call.id)
        return said

    def ruled_under(self, call: ToolCall) -> str | None:
        """Return the version of the policy that a call was ruled by; None where nobody noted it."""
        with self._store.read() as connection:
            return self._said(connection, call).policy

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
            if unclaimed:
                self._move(connection, call, Move.CLAIM, executor=executor)
            values = settled_values(settlement, now)
            moved = self._move(
                connection, call, settlement.move, _MINE, {"mine": executor}, **values
            )
            record = self._get(connection, call)
            if settlement.ended is not None:
                tool, ended = record.call.tool, settlement.ended
                circuits.note(self._store, connection, tool, call, ended, now)
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


def _changed(approval: ApprovalRecord, reading: Reading) -> ApprovalRecord | None:
    """Return the request as it has to be asked anew, or None where nothing changed."""
    before = approval.bound
    if before is None:  # of a release that recorded nothing but the arguments
        return None
    changes = reading.against(before)
    if not changes:
        return None
    again = {"state": CallState.PENDING, "round": approval.round + 1, "changes": changes}
    return replace(approval, bound=reading.known(before), **again)
