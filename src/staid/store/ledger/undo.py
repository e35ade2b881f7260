"""Taking a call back: at most once, as the call itself.

One row per call, committed before the effect is touched. What lost its executor is in doubt, and
only a person says what became of it; the call stays `done` until it is known to be undone.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, insert, select, update

from staid.domain.call import ApprovalRecord, CallRecord, UndoRecord, UndoState
from staid.domain.errors import ApprovalMismatch, UndoImpossible
from staid.domain.events import EventKind
from staid.domain.ids import CallId
from staid.domain.principal import Actor, Principal
from staid.gates import facts
from staid.gates.approval import Move
from staid.gates.ledger import Lease, Settlement
from staid.gates.undoing import check_person, check_undo
from staid.store import subjects, tables
from staid.store.ledger import call_rows, reservations
from staid.store.ledger.moves import LedgerMoves
from staid.store.ledger.reservations import take_turns

_AFTER = {
    Move.SUCCEED: UndoState.UNDONE,
    Move.FAIL: UndoState.FAILED,
    Move.DOUBT: UndoState.IN_DOUBT,
}
_OPEN = (UndoState.EXECUTING, UndoState.IN_DOUBT)
_TOLD = "A person took it back."


class Undoing(LedgerMoves):
    """Gives the one right to take a call back, and records how that ended."""

    def claim_undo(
        self,
        call: CallId,
        by: Principal,
        lease: Lease,
        *,
        digest: str,
        approvers: frozenset[str],
        reason: str = "",
        via: str | None = None,
    ) -> CallRecord:
        """Take the one right to take a done call back; durable when this returns."""
        with self._store.write(durable=True) as connection:
            take_turns(self._store, connection, f"undo:{call}")
            now = self._clock.now()
            record, begun = self._get(connection, call), self._undo(connection, call)
            approval = self._approval(connection, record.approval) if record.approval else None
            check_person(record, approval, by, approvers)
            check_undo(record, begun)
            self._check_executed(connection, record, approval, digest)
            alias = self._journal.alias(by.token)
            subjects.keep(connection, {alias: by.token})
            values = {
                "state": UndoState.EXECUTING.value,
                "asked_by": alias,
                "at": now,
                "executor": lease.executor,
                "lease_until": now + lease.length,
                "settled_at": None,
            }
            table = tables.undo
            made = (
                insert(table).values(call=call, **values)
                if begun is None
                else update(table).where(table.c.call == call).values(values)
            )
            connection.execute(made)
            actor = facts.human(by, via)
            event = facts.undo_claimed(record.call, lease, now, actor, reason)
            self._note(connection, record.call.run, [event])
        return record

    def beat_undo(self, call: CallId, lease: Lease) -> bool:
        """Prolong the lease of an undo; False where it is no longer ours."""
        mine = tables.undo.c.executor == lease.executor
        with self._store.write(durable=False) as connection:
            until = self._clock.now() + lease.length
            executing = (UndoState.EXECUTING,)
            return self._move_undo(connection, call, executing, mine, lease_until=until)

    def settle_undo(self, call: CallId, executor: str, settlement: Settlement) -> UndoRecord:
        """Record how taking it back ended, also late; a row that moved on stays as it is."""
        with self._store.write() as connection:
            mine = tables.undo.c.executor == executor
            moved = self._end_undo(connection, call, settlement, facts.GATE, mine)
            if not moved and settlement.move is not Move.DOUBT:
                # What it saw stays true: keep it beside what was settled before.
                self._note_end(connection, call, settlement, facts.GATE, late=True)
            return self._known(connection, call)

    def resolve_undo(
        self,
        call: CallId,
        by: Principal,
        settlement: Settlement,
        *,
        approvers: frozenset[str] = frozenset(),
        via: str | None = None,
    ) -> UndoRecord:
        """Record what a human found out about an undo in doubt."""
        with self._store.write() as connection:
            record = self._get(connection, call)
            approval = self._approval(connection, record.approval) if record.approval else None
            check_person(record, approval, by, approvers)
            unknown = tables.undo.c.state == UndoState.IN_DOUBT.value
            if not self._end_undo(connection, call, settlement, facts.human(by, via), unknown):
                raise UndoImpossible(call=call, detail="its undoing is not in doubt")
            return self._known(connection, call)

    def undo_of(self, call: CallId) -> UndoRecord | None:
        """Return the undoing of a call; None where nobody asked for it."""
        with self._store.read() as connection:
            return self._undo(connection, call)

    def undos(self, state: UndoState) -> list[UndoRecord]:
        """Return what is being undone in this state, oldest first."""
        undo = tables.undo.c
        query = select(tables.undo).where(undo.state == state.value)
        with self._store.read() as connection:
            rows = connection.execute(query.order_by(undo.at, undo.call)).all()
            known = subjects.tokens(connection, {row.asked_by for row in rows})
        return [_record(row, known) for row in rows]

    def lost_undos(self, now: datetime) -> list[UndoRecord]:
        """Put every undo with an expired lease in doubt, and return what was."""
        undo = tables.undo.c
        silent = (undo.state == UndoState.EXECUTING.value) & (undo.lease_until < now)
        doubt = Settlement(Move.DOUBT, error="The process that took it back was lost.")
        found: list[UndoRecord] = []
        with self._store.read() as connection:
            lost = list(connection.execute(select(undo.call).where(silent)).scalars())
        for call in lost:
            with self._store.write() as connection:
                # Asked again in the WHERE: a heartbeat may have arrived since.
                if self._end_undo(connection, CallId(call), doubt, facts.GATE, silent):
                    found.append(self._known(connection, CallId(call)))
        return found

    def _end_undo(
        self,
        connection: Connection,
        call: CallId,
        settlement: Settlement,
        actor: Actor,
        where: ColumnElement[bool],
    ) -> bool:
        now, state = self._clock.now(), _AFTER[settlement.move]
        values: dict[str, object] = {"state": state.value, "settled_at": now}
        if not self._move_undo(connection, call, _OPEN, where, **values):
            return False
        if state is UndoState.UNDONE:
            self._move(connection, call, Move.UNDO, error=_TOLD)
            reservations.end(connection, call, Move.UNDO, now)
        self._note_end(connection, call, settlement, actor)
        return True

    def _note_end(
        self,
        connection: Connection,
        call: CallId,
        settlement: Settlement,
        actor: Actor,
        *,
        late: bool = False,
    ) -> None:
        now, state = self._clock.now(), _AFTER[settlement.move]
        record = self._get(connection, call)
        event = facts.undo_ended(record.call, state, now, actor, settlement.error, late=late)
        self._note(connection, record.call.run, [event])

    def _move_undo(
        self,
        connection: Connection,
        call: str,
        states: Sequence[UndoState],
        where: ColumnElement[bool],
        **values: object,
    ) -> bool:
        undo = tables.undo.c
        expected = [state.value for state in states]
        statement = update(tables.undo).where(undo.call == call, undo.state.in_(expected), where)
        return connection.execute(statement.values(**values)).rowcount == 1

    def _check_executed(
        self,
        connection: Connection,
        record: CallRecord,
        approval: ApprovalRecord | None,
        digest: str,
    ) -> None:
        """Raise unless the journal says that this very call was executed, and stands."""
        # The claim was held against all that was proposed, shown and approved.
        said = self._said(connection, record.call)
        same = said.claims == [digest] and record.call.digest == digest
        same &= self._as_asked(said, approval)
        if not same or self._undo_witnessed(connection, record):
            raise ApprovalMismatch(approval=record.approval or record.call.id)

    def _undo_witnessed(self, connection: Connection, record: CallRecord) -> bool:
        """Whether the journal knows of an undo that did not fail, whatever the row says."""
        journal = tables.journal.c
        kinds = [EventKind.UNDO_CLAIMED.value, EventKind.UNDO_ENDED.value]
        query = select(journal.fact).where(journal.run == record.call.run, journal.kind.in_(kinds))
        known = [json.loads(row.fact) for row in connection.execute(query.order_by(journal.seq))]
        mine = [fact for fact in known if fact["call"] == record.call.id]
        return bool(mine) and mine[-1].get("state") != UndoState.FAILED.value

    def _undo(self, connection: Connection, call: str) -> UndoRecord | None:
        query = select(tables.undo).where(tables.undo.c.call == call)
        row = connection.execute(query).first()
        return _record(row, subjects.tokens(connection, {row.asked_by})) if row else None

    def _known(self, connection: Connection, call: CallId) -> UndoRecord:
        found = self._undo(connection, call)
        if found is None:
            raise UndoImpossible(call=call, detail="nobody asked for it")
        return found


def _record(row: Row[Any], known: dict[str, str]) -> UndoRecord:
    return UndoRecord(
        call=CallId(row.call),
        state=UndoState(row.state),
        asked_by=known.get(row.asked_by) or row.asked_by,
        at=call_rows.aware(row.at) or row.at,
        executor=row.executor,
        lease_until=call_rows.aware(row.lease_until) or row.lease_until,
    )
