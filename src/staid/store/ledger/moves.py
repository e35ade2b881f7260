"""The primitives of the ledger: a compare-and-set, its facts, and what the journal witnessed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any, cast

from sqlalchemy import ColumnElement, Connection, Update, bindparam, select, update

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
    FactAltered,
)
from staid.domain.events import Event, EventKind
from staid.domain.ids import Ids
from staid.domain.ports import Clock
from staid.gates import facts
from staid.gates.approval import Move, sources, target, terms_digest
from staid.gates.ledger import Lease, Settlement
from staid.store import tables
from staid.store.engine import Store
from staid.store.journal import Journal
from staid.store.ledger.rows import LedgerRows
from staid.store.verifying import columns
from staid.tracing.chain import Link

_WITNESSES = [
    EventKind.CALL_PROPOSED.value,
    EventKind.CALL_RULED.value,
    EventKind.APPROVAL_REQUESTED.value,
    EventKind.APPROVAL_VOTED.value,
    EventKind.APPROVAL_DECIDED.value,
    EventKind.APPROVAL_RECONSIDERED.value,
    EventKind.CALL_CLAIMED.value,
]

_WITNESSED = (
    select(*columns(tables.journal, Link))
    .where(tables.journal.c.run == bindparam("wanted"), tables.journal.c.kind.in_(_WITNESSES))
    .order_by(tables.journal.c.seq)
)
_STATE = select(tables.run.c.state).where(tables.run.c.id == bindparam("wanted"))


@lru_cache(maxsize=256)
def _moving(
    happened: Move, names: tuple[str, ...], where: ColumnElement[bool] | None = None
) -> Update:
    """Return the compare-and-set of a move that also sets these columns, each as `new_NAME`."""
    table = tables.call
    expected = [state.value for state in sources(happened)]
    values = {name: bindparam(f"new_{name}", type_=table.c[name].type) for name in names}
    moved = update(table).where(table.c.id == bindparam("wanted"), table.c.state.in_(expected))
    moved = moved if where is None else moved.where(where)
    return moved.values(state=target(happened).value, **values)


_ASKED = ("binding", "quorum", "terms")


@dataclass(slots=True)
class Said:
    """What the journal says about one call and the request for it."""

    digests: set[str] = field(default_factory=set[str])
    """Of the call, wherever it was proposed, ruled on, shown or decided."""
    consent: str = "deny"
    """The last ruling or decision."""
    by: str | None = None
    """Alias of the person whose decision that is."""
    claims: list[str] = field(default_factory=list[str])
    """The digest of each claim."""
    asked: dict[str, object] = field(default_factory=dict[str, object])
    """What was asked of a human last: binding, quorum and terms; empty where nobody was asked."""
    round: int = 1
    votes: int = 0
    """How many approved in this round where it takes more."""
    policy: str | None = None
    """Version of the policy that ruled last; None where nobody noted it."""

    def hear(self, kind: EventKind, fact: Mapping[str, Any], actor: str) -> None:
        """Take a fact into account; they come in order."""
        if kind is EventKind.APPROVAL_VOTED:
            self.votes += 1
            return
        self.digests.add(fact["digest"])
        self.consent = fact.get("ruling") or fact.get("decision") or self.consent
        self.asked |= {name: fact[name] for name in _ASKED if name in fact}
        if kind is EventKind.CALL_RULED:
            self.policy = fact.get("policy")
        if kind is EventKind.CALL_CLAIMED:
            self.claims.append(fact["digest"])
        if kind is EventKind.APPROVAL_DECIDED:
            self.by = actor
        if kind is EventKind.APPROVAL_RECONSIDERED:
            self.round, self.votes = fact["round"], 0


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
        where: ColumnElement[bool] | None = None,
        given: Mapping[str, object] = MappingProxyType({}),
        /,
        **values: object,
    ) -> bool:
        """Compare and set: True for exactly one of any number of processes that try.

        `where` is built once, for a statement is kept for each; `given` is what it binds.
        """
        statement = _moving(happened, tuple(values), where)
        new = {f"new_{name}": value for name, value in values.items()}
        return connection.execute(statement, {"wanted": call, **given, **new}).rowcount == 1

    def _note(self, connection: Connection, run: str, events: Sequence[Event]) -> None:
        self._journal.append(connection, run, events)
        if events and connection.execute(_STATE, {"wanted": run}).scalar() == "released":
            # A fact that comes after the outcome moves the head that was sealed.
            self._journal.seal(connection, run)

    def _said(self, connection: Connection, call: ToolCall) -> Said:
        """Return everything the journal says about what a call is; raise on a forged fact."""
        said = Said()
        for row in connection.execute(_WITNESSED, {"wanted": call.run}):
            fact = _fact(row.fact)
            if fact is None or fact.get("call") == call.id:
                # Whoever can write rows but has no key can neither put one here nor change one.
                if fact is None or not self._journal.wrote(Link(*row)):
                    raise FactAltered(call=call.id, run=row.run, seq=row.seq)
                said.hear(EventKind(row.kind), fact, json.loads(row.actor)["name"])
        return said

    def _terms(self, approval: ApprovalRecord) -> str:
        return terms_digest(approval, self._journal.alias)

    def _as_asked(self, said: Said, approval: ApprovalRecord | None) -> bool:
        """Whether a request is what was asked and shown; None where nobody should have been."""
        if approval is None:
            return not said.asked
        asks = {
            "binding": approval.binding,
            "quorum": approval.asks.quorum,
            "terms": self._terms(approval),
        }
        # What an earlier release did not record cannot be compared.
        known = {name: asks[name] for name in said.asked}
        return said.asked == known and said.round == approval.round

    def _check_witnessed(self, connection: Connection, found: ApprovalRecord) -> None:
        """Raise unless what is shown, asked and voted is what the journal says it is."""
        said = self._said(connection, found.call)
        counted = (said.digests, said.votes) == ({found.digest}, len(found.said_yes))
        if not (counted and self._as_asked(said, found)):
            raise ApprovalMismatch(approval=found.id)


def _fact(text: str) -> dict[str, Any] | None:
    """Return a fact of the journal; None for what the journal never wrote."""
    try:
        found: object = json.loads(text)
    except ValueError:
        return None
    return cast("dict[str, Any]", found) if isinstance(found, dict) else None


def moved_on(record: CallRecord, expected: CallState) -> CallMoved:
    """Return the error for a call that is not where it was expected."""
    return CallMoved(call=record.call.id, found=record.state.value, expected=expected.value)


def leased(record: CallRecord, lease: Lease, now: datetime) -> CallRecord:
    """Return a call as its executor holds it."""
    return replace(
        record,
        state=CallState.EXECUTING,
        executor=lease.executor,
        lease_until=now + lease.length,
    )


def settled_values(settlement: Settlement, now: datetime) -> dict[str, object]:
    """Return the columns that say how a call ended."""
    result = canonical(settlement.result) if settlement.result is not None else None
    return {"result": result, "error": settlement.error, "settled_at": now}


def settled_facts(record: CallRecord, settlement: Settlement, now: datetime) -> list[Event]:
    """Return the facts of how a call ended."""
    if settlement.move is Move.DOUBT:
        return [facts.in_doubt(record.call, now, "handler", settlement)]
    return [facts.executed(record.call, settlement, now), facts.settled(record, now)]
