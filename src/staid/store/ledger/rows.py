"""Reading the ledger: calls and approvals as they stand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Select, bindparam, func, select

from staid.domain.call import ApprovalRecord, CallRecord, CallState
from staid.domain.errors import ApprovalNotFound, CallNotFound
from staid.domain.ids import ApprovalId, CallId, RunId
from staid.store import tables
from staid.store.engine import Store
from staid.store.ledger import call_rows, stops

_OPEN = (CallState.PENDING, CallState.APPROVED, CallState.EXECUTING, CallState.IN_DOUBT)

_BY_ID = call_rows.CALLS.where(tables.call.c.id == bindparam("wanted"))
_ASKED = call_rows.ASKED.where(tables.call.c.id == bindparam("wanted"))
_BY_KEY = call_rows.CALLS.where(tables.call.c.key == bindparam("wanted"))
_APPROVAL = call_rows.APPROVALS.where(tables.approval.c.id == bindparam("wanted"))


class LedgerRows:
    """What can be asked of the ledger without moving anything."""

    def __init__(self, store: Store) -> None:
        """Read from `store`."""
        self._store = store

    def get(self, call: CallId) -> CallRecord:
        """Return a call; raise `CallNotFound`."""
        with self._store.read() as connection:
            return self._get(connection, call)

    def find(self, key: str) -> CallRecord | None:
        """Return the call with this key, or what a person put in its place."""
        with self._store.read() as connection:
            found = self._by_key(connection, key)
            while found is not None and found.replaced_by is not None:
                found = self._get(connection, found.replaced_by)
            return found

    def open_like(self, subject: str, agent: str, digest: str) -> CallRecord | None:
        """Return the oldest such call that waits, may run, runs or is in doubt.

        A call that a person changed is found under the digest of what was asked for.
        """
        call = tables.call.c
        query = call_rows.CALLS.where(
            call.subject == subject,
            call.agent == agent,
            func.coalesce(call.asked, call.digest) == digest,
            call.state.in_([state.value for state in _OPEN]),
        )
        return next(iter(self._records(query.order_by(call.proposed_at, call.id))), None)

    def calls(self, run: RunId) -> list[CallRecord]:
        """Return the calls of a run in the order they were proposed."""
        call = tables.call.c
        query = call_rows.CALLS.where(call.run == run)
        return self._records(query.order_by(call.proposed_at, call.id))

    def in_state(self, state: CallState) -> list[CallRecord]:
        """Return every call in this state, oldest first."""
        call = tables.call.c
        query = call_rows.CALLS.where(call.state == state.value)
        return self._records(query.order_by(call.proposed_at, call.id))

    def proposed(self, tool: str) -> bool:
        """Whether a tool of this name was ever proposed."""
        call = tables.call.c
        with self._store.read() as connection:
            found = connection.execute(select(call.id).where(call.tool == tool).limit(1))
            return found.first() is not None

    def stopped(self) -> frozenset[str]:
        """Return the names of the stopped tools, as of now."""
        with self._store.read() as connection:
            return stops.in_force(connection)

    def approval(self, approval: ApprovalId) -> ApprovalRecord:
        """Return an approval; raise `ApprovalNotFound`."""
        with self._store.read() as connection:
            return self._approval(connection, approval)

    def approvals(self, state: CallState | None = CallState.PENDING) -> list[ApprovalRecord]:
        """Return approvals whose call is in this state (None: all), oldest first.

        What joined a request that still waits is decided with it, and found in its `members`.
        """
        query = call_rows.APPROVALS.where(call_rows.on_its_own())
        if state is not None:
            query = query.where(tables.call.c.state == state.value)
        ordered = query.order_by(tables.approval.c.requested_at, tables.approval.c.id)
        with self._store.read() as connection:
            return self._approval_records(connection, ordered)

    def _records(self, query: Select[Any]) -> list[CallRecord]:
        with self._store.read() as connection:
            return [call_rows.call_record(row) for row in connection.execute(query)]

    def _ids_of(self, query: Select[Any]) -> list[str]:
        with self._store.read() as connection:
            return [row.id for row in connection.execute(query.order_by(tables.call.c.id))]

    def _get(self, connection: Connection, call: str) -> CallRecord:
        row = connection.execute(_BY_ID, {"wanted": call}).first()
        if row is None:
            raise CallNotFound(call=call)
        return call_rows.call_record(row)

    def _requested(
        self, connection: Connection, call: str
    ) -> tuple[CallRecord, ApprovalRecord | None, str]:
        """Return a call, its request without votes and members, and the digest that is stored."""
        row = connection.execute(_ASKED, {"wanted": call}).first()
        if row is None:
            raise CallNotFound(call=call)
        record = call_rows.call_record(row)
        return record, call_rows.approval_record(row, ()) if record.approval else None, row.digest

    def _by_key(self, connection: Connection, key: str) -> CallRecord | None:
        row = connection.execute(_BY_KEY, {"wanted": key}).first()
        return call_rows.call_record(row) if row is not None else None

    def _approval(self, connection: Connection, approval: str) -> ApprovalRecord:
        found = self._approval_records(connection, _APPROVAL, wanted=approval)
        if not found:
            raise ApprovalNotFound(approval=approval)
        return found[0]

    def _approval_records(
        self, connection: Connection, query: Select[Any], **given: str
    ) -> list[ApprovalRecord]:
        rows = connection.execute(query, given).all()
        said = call_rows.votes(connection, [row.a_id for row in rows])
        found = [call_rows.approval_record(row, said.get(row.a_id, ())) for row in rows]
        leading = [each.id for each in found if each.bound and each.bound.calls]
        members = call_rows.members(connection, leading)
        return [replace(each, members=members.get(each.id, ())) for each in found]
