"""Calls that are decided together: the request of the first, and those that joined it.

Every call keeps a request of its own, bound by its own digest. While the request of the first one
waits, the others are decided with it: all or none, in one transaction. What joined is part of what
the first request is bound to, so that nobody decides about a list they have not seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import Connection, func, select, update

from staid.domain.bound import Change
from staid.domain.call import ApprovalRecord, CallState
from staid.domain.canonical import canonical, digest
from staid.domain.demand import Demand
from staid.domain.errors import ApprovalMismatch
from staid.domain.events import Event
from staid.domain.ids import ApprovalId
from staid.gates import facts
from staid.gates.budget import Draw
from staid.gates.ledger import Added
from staid.gates.structuring import PREFIX, window_of
from staid.store import tables
from staid.store.ledger import call_rows, reservations
from staid.store.ledger.moves import LedgerMoves
from staid.store.ledger.reservations import CAPTURED, RESERVED, take_turns


class Groups(LedgerMoves):
    """Lets calls join a request that waits, and keeps what it is bound to in step."""

    def adding_up(self, approval: ApprovalId) -> list[Added]:
        """Return every call that the sum behind a request is made of, oldest first.

        Those that ran without a human are among them; none where no sum is behind it.
        """
        with self._store.read() as connection:
            found = self._approval(connection, approval)
            held = tables.reservation.c
            mine = (held.call == found.call.id) & (held.budget == found.rule)
            key = connection.execute(select(held.key).where(mine)).scalar()
            if key is None or not found.rule.startswith(PREFIX):
                return []
            same = (held.budget == found.rule) & (held.key == key)
            since = found.requested_at - window_of(found.rule)
            counts = (held.state == RESERVED) | (held.call == found.call.id)
            counts |= (held.state == CAPTURED) & (held.at > since)
            amounts = {
                row.call: Decimal(row.amount)
                for row in connection.execute(select(held.call, held.amount).where(same, counts))
            }
            records = [self._get(connection, call) for call in amounts]
        ordered = sorted(records, key=lambda each: (each.proposed_at, each.call.id))
        return [Added(record, amounts[record.call.id]) for record in ordered]

    def running(self, budget: str, window: timedelta) -> dict[str, Decimal]:
        """Return key -> running total of one budget, or of one sum, as of now."""
        with self._store.read() as connection:
            return reservations.running(connection, budget, self._clock.now() - window)

    def _leader(
        self, connection: Connection, approval: ApprovalRecord, draws: Sequence[Draw]
    ) -> ApprovalRecord | None:
        """Return the waiting request that a new one joins, held until the commit."""
        draw = next((each for each in draws if each.budget == approval.rule), None)
        if draw is None:
            return None
        call, asked, held = tables.call.c, tables.approval.c, tables.reservation.c
        keys = [draw.key, self._journal.alias(draw.key)]
        query = (
            select(asked.id)
            .join_from(tables.approval, tables.call, asked.call == call.id)
            .join(tables.reservation, held.call == call.id)
            .where(call.state == CallState.PENDING.value, asked.rule == approval.rule)
            .where(asked.leader.is_(None), held.budget == draw.budget, held.key.in_(keys))
            .order_by(asked.requested_at, asked.id)
            .limit(1)
        )
        named = connection.execute(query).scalar()
        if named is None:
            return None
        take_turns(self._store, connection, f"approval:{named}")
        found = self._approval(connection, named)
        waits = found.state is CallState.PENDING and approval.requested_at < found.expires_at
        return found if waits and found.bound and _alike(found, approval) else None

    def _regroup(
        self,
        connection: Connection,
        leader: ApprovalRecord,
        members: tuple[ApprovalRecord, ...],
        now: datetime,
        words: tuple[str, Decimal] | None = None,
    ) -> Event:
        """Bind a request to these members; every vote so far is void. `words`: message and sum."""
        bound = leader.bound
        if bound is None:
            raise ApprovalMismatch(approval=leader.id)
        reservations.withdraw(connection, [each.call.id for each in (leader, *leader.members)])
        bound = replace(bound, calls=listed(members))
        changes = (Change("calls", _counted(leader.members), _counted(members)),)
        again = replace(
            leader, members=members, bound=bound, round=leader.round + 1, changes=changes
        )
        if words is not None:
            again = replace(again, message=words[0], demand=raised(leader.demand, words[1]))
        asked = tables.approval
        connection.execute(
            update(asked)
            .where(asked.c.id == leader.id)
            .values(
                bound=call_rows.bound_text(bound),
                round=again.round,
                changes=call_rows.changes_text(changes),
                message=again.message,
                demand=canonical(again.demand.as_json()) if again.demand else None,
            )
        )
        return facts.reconsidered(again, now, self._terms(again))

    def _heal(self, connection: Connection, leader: ApprovalRecord, now: datetime) -> bool:
        """Take out of a waiting request what left it alone; True where something had."""
        gone = [each.id for each in leader.members if each.state is not CallState.PENDING]
        if not gone or leader.state is not CallState.PENDING:
            return False
        asked = tables.approval
        connection.execute(update(asked).where(asked.c.id.in_(gone)).values(leader=None))
        left = tuple(each for each in leader.members if each.id not in gone)
        self._note(connection, leader.run, [self._regroup(connection, leader, left, now)])
        return True

    def _part(self, connection: Connection, approval: ApprovalRecord) -> None:
        """Let what joined a request stand alone: that one is asked anew, for itself."""
        asked = tables.approval
        connection.execute(update(asked).where(asked.c.leader == approval.id).values(leader=None))
        reservations.withdraw(connection, [approval.call.id])

    def _check_listed(self, leader: ApprovalRecord) -> None:
        """Raise unless the members are those that the request is bound to."""
        bound = leader.bound.calls if leader.bound else None
        if bound != listed(leader.members):
            raise ApprovalMismatch(approval=leader.id)

    def _hold_runs(self, connection: Connection, runs: Iterable[str]) -> None:
        """Hold the journals of several runs, in an order that is the same everywhere."""
        if self._store.dialect == "postgresql":
            for run in sorted(set(runs)):
                lock = func.pg_advisory_xact_lock(func.hashtextextended(run, 0))
                connection.execute(select(lock))


def listed(members: Sequence[ApprovalRecord]) -> str | None:
    """Return what stands for these members in what a request is bound to; None for none."""
    if not members:
        return None
    return digest(sorted([each.id, each.binding] for each in members))


def _counted(members: Sequence[ApprovalRecord]) -> str:
    return f"{len(members) + 1} calls" if members else "1 call"


def raised(demand: Demand | None, reached: Decimal) -> Demand | None:
    """Return what is asked of approvers where all of this is at stake."""
    if demand is None or demand.amount is None:
        return demand
    return replace(demand, amount=max(demand.amount, reached))


def _alike(one: ApprovalRecord, other: ApprovalRecord) -> bool:
    """Whether two requests ask the same of the same people, so that one decision can be both."""
    asks = [replace(each.asks, amount=None) for each in (one, other)]
    return asks[0] == asks[1] and one.call.tool == other.call.tool
