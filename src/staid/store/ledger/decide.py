"""Deciding: what humans say to a request, and to a call nobody knows the end of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection, bindparam, delete, insert, update

from staid.domain.bound import Vote
from staid.domain.call import (
    ApprovalRecord,
    CallRecord,
    CallState,
)
from staid.domain.canonical import decimal_text
from staid.domain.errors import (
    ApprovalJoined,
    ApprovalMismatch,
    ApproverSpent,
    CallMoved,
)
from staid.domain.events import Event
from staid.domain.ids import ApprovalId, CallId
from staid.domain.principal import Actor, Principal
from staid.gates import facts
from staid.gates.approval import Decision, Move, check_decision, sufficient, target
from staid.gates.ledger import Settlement
from staid.gates.structuring import span
from staid.gates.undoing import check_person
from staid.store import tables
from staid.store.ledger import call_rows, reservations
from staid.store.ledger.groups import Groups
from staid.store.ledger.moves import moved_on, settled_values
from staid.store.ledger.reservations import take_turns

_UNSAID = delete(tables.vote).where(
    tables.vote.c.approval == bindparam("wanted"),
    tables.vote.c.round == bindparam("in_round"),
    tables.vote.c.voter == bindparam("by"),
)
_SAID = insert(tables.vote)
_CONCLUDED = (
    update(tables.approval)
    .where(tables.approval.c.id == bindparam("wanted"), tables.approval.c.decision.is_(None))
    .values(
        decision=bindparam("new_decision"),
        decided_by=bindparam("new_by"),
        decided_at=bindparam("new_at"),
        reason=bindparam("new_reason"),
    )
)
_UNKNOWN = tables.call.c.state == CallState.IN_DOUBT.value
_DECIDED = {"approve": Move.APPROVE, "deny": Move.DENY}


@dataclass(frozen=True, slots=True)
class Said:
    """What one person says to a request."""

    by: Principal
    decision: Decision
    reason: str
    via: str | None

    @property
    def actor(self) -> Actor:
        """The person, and the operating-system user it came through."""
        return facts.human(self.by, self.via)


class Decisions(Groups):
    """Records the decisions of humans."""

    def decide(
        self,
        approval: ApprovalId,
        approver: Principal,
        decision: Decision,
        *,
        reason: str = "",
        seen: str | None = None,
        via: str | None = None,
        earlier: Sequence[Event] = (),
    ) -> ApprovalRecord:
        """Record a human decision; executes nothing."""
        if decision not in _DECIDED:
            message = f'a decision is "approve" or "deny", not {decision!r}'
            raise ValueError(message)
        said = Said(approver, decision, reason, via)
        with self._store.write() as connection:
            # Two people who decide at once: the second one counts the vote of the first.
            take_turns(self._store, connection, f"approval:{approval}")
            now = self._clock.now()
            found = self._approval(connection, approval)
            looked_away = self._heal(connection, found, now)
            if not looked_away:
                self._check(connection, found, said, now, seen)
                return self._say(connection, found, said, now, earlier)
        # Something left the list since anybody can have looked at it; that is kept.
        raise ApprovalMismatch(approval=approval)

    def _check(
        self,
        connection: Connection,
        found: ApprovalRecord,
        said: Said,
        now: datetime,
        seen: str | None,
    ) -> None:
        """Raise a coded error unless this may be said to a request and all that joined it."""
        if found.leader is not None and self._waits(connection, found.leader):
            raise ApprovalJoined(approval=found.id, leader=found.leader)
        check_decision(found, said.by, now, seen, decision=said.decision)
        for each in found.members:
            check_decision(each, said.by, now, decision=said.decision)
        for each in (found, *found.members):
            self._check_witnessed(connection, each)
        self._check_listed(found)

    def _waits(self, connection: Connection, approval: ApprovalId) -> bool:
        return self._approval(connection, approval).state is CallState.PENDING

    def _say(
        self,
        connection: Connection,
        found: ApprovalRecord,
        said: Said,
        now: datetime,
        earlier: Sequence[Event],
    ) -> ApprovalRecord:
        """Record what somebody may say; return the request as it stands then."""
        everything = (found, *found.members)
        self._hold_runs(connection, found.runs)
        if said.decision == "approve":
            self._draw(connection, everything, said.by, now)
        voted = self._vote(connection, found, said, now)
        self._note(connection, found.run, earlier)
        if said.decision == "approve" and not sufficient(voted):
            event = facts.voted(voted, now, said.actor, said.reason)
            self._note(connection, found.run, [event])
            return voted
        decided, *members = [
            self._conclude(connection, each, said, now) for each in (voted, *found.members)
        ]
        return replace(decided, members=tuple(members))

    def _draw(
        self,
        connection: Connection,
        everything: Sequence[ApprovalRecord],
        approver: Principal,
        now: datetime,
    ) -> None:
        """Draw what an approver may approve within a window; raise where that is not enough."""
        planned = {e.call.id: reservations.planned(e.draws, approver.token) for e in everything}
        draws = [draw for each in planned.values() for draw in each]
        held = reservations.look(self._store, connection, draws, now, self._journal.alias)
        for slot, before in held.items():
            mine = [draw for draw in draws if draw.slot == slot]
            limit = min(draw.limit for draw in mine)
            if before.total + sum(draw.amount for draw in mine) > limit:
                raise ApproverSpent(
                    approver=approver.token,
                    approval=everything[0].id,
                    limit=decimal_text(limit),
                    spent=decimal_text(before.total),
                    window=span(mine[0].window),
                )
        for call, each in planned.items():
            reservations.reserve(connection, call, each, now, held)

    def _vote(
        self,
        connection: Connection,
        found: ApprovalRecord,
        said: Said,
        now: datetime,
    ) -> ApprovalRecord:
        """Put this vote in the place of the person's earlier one; return the request with it."""
        mine = found.round, said.by.token
        others = tuple(vote for vote in found.votes if (vote.round, vote.by) != mine)
        if others != found.votes:
            # Whoever approved may still say no; the journal keeps both.
            values = {"wanted": found.id, "in_round": found.round, "by": said.by.token}
            connection.execute(_UNSAID, values)
        vote = Vote(*mine, said.decision, now, said.reason, found.binding)
        connection.execute(_SAID, call_rows.vote_values(found.id, vote))
        return replace(found, votes=(*others, vote))

    def _conclude(
        self,
        connection: Connection,
        found: ApprovalRecord,
        said: Said,
        now: datetime,
    ) -> ApprovalRecord:
        """Move the call of a request and note the decision; return the request as decided."""
        happened = _DECIDED[said.decision]
        if not self._move(connection, found.call.id, happened):
            check_decision(self._approval(connection, found.id), said.by, now)
            raise CallMoved(call=found.call.id, found="moving", expected=CallState.PENDING)
        values = {
            "wanted": found.id,
            "new_decision": said.decision,
            "new_by": said.by.token,
            "new_at": now,
            "new_reason": said.reason,
        }
        connection.execute(_CONCLUDED, values)
        reservations.end(connection, found.call.id, happened, now)
        event = facts.decided(found, said.decision, now, said.actor, said.reason)
        self._note(connection, found.run, [event])
        return replace(
            found,
            state=target(happened),
            decision=said.decision,
            decided_by=said.by.token,
            decided_at=now,
            reason=said.reason,
        )

    def resolve(
        self,
        call: CallId,
        by: Principal,
        settlement: Settlement,
        *,
        approvers: frozenset[str] = frozenset(),
        via: str | None = None,
    ) -> CallRecord:
        """Record what a human found out about a call in doubt."""
        with self._store.write() as connection:
            now = self._clock.now()
            found = self._get(connection, call)
            approval = self._approval(connection, found.approval) if found.approval else None
            check_person(found, approval, by, approvers)
            values = settled_values(settlement, now)
            if not self._move(connection, call, settlement.move, _UNKNOWN, **values):
                raise moved_on(self._get(connection, call), CallState.IN_DOUBT)
            reservations.end(connection, call, settlement.move, now)
            record = self._get(connection, call)
            event = facts.settled(record, now, facts.human(by, via), settlement.error or "")
            self._note(connection, record.call.run, [event])
        return record
