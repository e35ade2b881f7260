"""Editing: a person makes another call of one that waits, and that one ends in its place."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection, select, update

from staid.domain.call import ApprovalRecord, CallRecord, CallState, Ruling, Severity
from staid.domain.canonical import Json
from staid.domain.errors import ApprovalSummed, ApproverNotAllowed, EditDenied
from staid.domain.events import Event, EventKind
from staid.domain.label import Label
from staid.gates import facts
from staid.gates.approval import Move, check_decision, waited
from staid.gates.demand import objection
from staid.gates.ledger import Edit, Proposal
from staid.gates.structuring import PREFIX
from staid.store import tables
from staid.store.ledger import reservations
from staid.store.ledger.moves import moved_on
from staid.store.ledger.propose import Proposals, Taken
from staid.store.ledger.reservations import take_turns

TOLD = "A person changed this call, and the changed one takes its place."
_WAITS = tables.call.c.state == CallState.PENDING.value


class Edits(Proposals):
    """Records what people made of a call that waited."""

    def edit(self, proposal: Proposal, edit: Edit) -> CallRecord:
        """Record a call that a person makes of one that waits, which ends in its place.

        What the request had reserved is free before the changed call is ruled on, so that it counts
        once. Out of bounds nothing changes but the record, which says that it was tried.
        """
        proposal = replace(proposal, label=self._label(edit))
        try:
            with self._store.write() as connection:
                take_turns(self._store, connection, f"approval:{edit.approval}")
                return self._exchange(connection, proposal, edit, self._clock.now())
        except EditDenied as denied:
            self._refused(edit, denied)
            raise

    def _exchange(
        self, connection: Connection, proposal: Proposal, edit: Edit, now: datetime
    ) -> CallRecord:
        found = self._approval(connection, edit.approval)
        self._check_editor(connection, found, proposal, edit, now)
        self._take_back(connection, found, proposal, edit, now)
        taken = Taken(found, edit, self._asked(connection, found))
        wanted = replace(proposal, upstream=proposal.upstream | found.requested_by)
        record, events = self._put(connection, wanted, None, now, taken)
        if record.state is CallState.DENIED:
            ruling = record.ruling
            raise EditDenied(approval=edit.approval, rule=ruling.rule, detail=ruling.message)
        self._note(connection, found.run, [*_ended(found, edit, now), *events])
        return record

    def _check_editor(
        self,
        connection: Connection,
        found: ApprovalRecord,
        proposal: Proposal,
        edit: Edit,
        now: datetime,
    ) -> None:
        """Raise unless the editor might decide the request, and approve what it becomes."""
        check_decision(found, edit.editor, now, edit.seen, decision="deny")
        if found.rule.startswith(PREFIX):
            raise ApprovalSummed(approval=found.id)
        self._check_witnessed(connection, found)
        length = waited(found, now)
        for demand in (replace(found.asks, amount=proposal.demand.amount), proposal.demand):
            detail = objection(demand, edit.editor.tokens, length, approving=True)
            if detail:
                raise ApproverNotAllowed(
                    approver=edit.editor.token, approval=found.id, detail=detail
                )

    def _take_back(
        self,
        connection: Connection,
        found: ApprovalRecord,
        proposal: Proposal,
        edit: Edit,
        now: datetime,
    ) -> None:
        values = {"error": TOLD, "settled_at": now, "replaced_by": proposal.call.id}
        if not self._move(connection, found.call.id, Move.REVOKE, _WAITS, **values):
            raise moved_on(self._get(connection, found.call.id), CallState.PENDING)
        reservations.end(connection, found.call.id, Move.REVOKE, now)
        approval = tables.approval
        said = {"decision": "edit", "decided_by": edit.editor.token, "reason": edit.reason}
        connection.execute(
            update(approval).where(approval.c.id == found.id).values(**said, decided_at=now)
        )

    def _asked(self, connection: Connection, found: ApprovalRecord) -> str:
        query = select(tables.call.c.asked).where(tables.call.c.id == found.call.id)
        return connection.execute(query).scalar() or found.call.digest

    def _label(self, edit: Edit) -> Label | None:
        """Return who may read the arguments: the changed ones still derive from the same."""
        found = self.approval(edit.approval)
        rows = self._journal.rows(found.run)
        proposed = (row for row in rows if row.kind is EventKind.CALL_PROPOSED)
        return next((r.label for r in proposed if r.fact.get("call") == found.call.id), None)

    def _refused(self, edit: Edit, denied: EditDenied) -> None:
        with self._store.write(durable=False) as connection:
            found = self._approval(connection, edit.approval)
            rule, detail = str(denied.values["rule"]), str(denied.values["detail"])
            ruling = Ruling(Severity.DENY, rule, detail)
            actor = facts.human(edit.editor, edit.via)
            event = facts.edit_refused(found, ruling, self._clock.now(), actor)
            self._note(connection, found.run, [event])


def _ended(found: ApprovalRecord, edit: Edit, now: datetime) -> list[Event]:
    """Return the facts of the end of a request that a person changed."""
    actor = facts.human(edit.editor, edit.via)
    ended: dict[str, Json] = {"call": found.call.id, "tool": found.call.tool, "state": "revoked"}
    return [
        facts.decided(found, "edit", now, actor, edit.reason),
        Event(EventKind.CALL_SETTLED, now, facts.GATE, ended),
    ]
