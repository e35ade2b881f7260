"""The primitives of the ledger: a compare-and-set, its facts, and what the journal witnessed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, select, update

from staid.domain.call import (
    ApprovalRecord,
    CallRecord,
    CallState,
    ToolCall,
)
from staid.domain.canonical import canonical
from staid.domain.errors import (
    ApprovalMismatch,
    CallMoved,
)
from staid.domain.events import Event, EventKind
from staid.domain.ids import Ids
from staid.domain.ports import Clock
from staid.gates import facts
from staid.gates.approval import Move, sources, target
from staid.gates.ledger import Settlement
from staid.store import tables
from staid.store.engine import Store
from staid.store.journal import Journal
from staid.store.ledger_rows import LedgerRows

_WITNESSES = [
    EventKind.CALL_PROPOSED.value,
    EventKind.CALL_RULED.value,
    EventKind.APPROVAL_REQUESTED.value,
    EventKind.APPROVAL_VOTED.value,
    EventKind.APPROVAL_DECIDED.value,
    EventKind.APPROVAL_RECONSIDERED.value,
    EventKind.CALL_CLAIMED.value,
]


class LedgerMoves(LedgerRows):
    """Moves calls from state to state; the steps of the ledger extend it."""

    def __init__(self, store: Store, journal: Journal, clock: Clock, ids: Ids) -> None:
        """Keep calls in `store` and their facts in `journal`."""
        super().__init__(store)
        self._journal = journal
        self._clock = clock
        self._ids = ids

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

    def _check_witnessed(self, connection: Connection, found: ApprovalRecord) -> None:
        """Raise unless what is shown, asked and voted is what the journal says it is."""
        digests, votes = set[str](), 0
        binding, quorum = found.binding, found.asks.quorum
        for kind, fact in self._witnesses(connection, found.call):
            if kind == EventKind.APPROVAL_VOTED.value:
                votes += 1
                continue
            digests.add(fact["digest"])
            binding, quorum = fact.get("binding", binding), fact.get("quorum", quorum)
            if kind == EventKind.APPROVAL_RECONSIDERED.value:
                votes = 0
        shown = (digests, binding, quorum, votes)
        if shown != ({found.digest}, found.binding, found.asks.quorum, len(found.said_yes)):
            raise ApprovalMismatch(approval=found.id)


def moved_on(record: CallRecord, expected: CallState) -> CallMoved:
    """Return the error for a call that is not where it was expected."""
    return CallMoved(call=record.call.id, found=record.state.value, expected=expected.value)


def settled_values(settlement: Settlement, now: datetime) -> dict[str, object]:
    """Return the columns that say how a call ended."""
    result = canonical(settlement.result) if settlement.result is not None else None
    return {"result": result, "error": settlement.error, "settled_at": now}


def settled_facts(record: CallRecord, settlement: Settlement, now: datetime) -> list[Event]:
    """Return the facts of how a call ended."""
    if settlement.move is Move.DOUBT:
        return [facts.in_doubt(record.call, now, "handler", settlement)]
    return [facts.executed(record.call, settlement, now), facts.settled(record, now)]
