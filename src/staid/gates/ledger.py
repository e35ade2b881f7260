"""The port through which calls are kept: every move is a compare-and-set with its facts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Protocol

from staid.domain.bound import Bound, Reading
from staid.domain.call import (
    ApprovalRecord,
    CallRecord,
    CallState,
    Ruling,
    ToolCall,
    UndoRecord,
)
from staid.domain.canonical import Json
from staid.domain.demand import Demand
from staid.domain.events import Event
from staid.domain.ids import ApprovalId, CallId, RunId
from staid.domain.label import Label
from staid.domain.principal import Principal
from staid.gates.approval import Decision, Move
from staid.gates.breaker import Breaker, Ended
from staid.gates.budget import Draw
from staid.gates.policy import Snapshot
from staid.gates.provenance import Traced


@dataclass(frozen=True, slots=True)
class Lease:
    """Who executes, and for how long it is believed without a heartbeat."""

    executor: str
    """Unique per process; a fork has its own."""
    length: timedelta = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Edit:
    """The request that a person takes back by proposing the call otherwise."""

    approval: ApprovalId
    editor: Principal
    reason: str = ""
    seen: str | None = None
    """Digest of what the editor looked at."""
    via: str | None = None


@dataclass(frozen=True, slots=True)
class Proposal:
    """A call to be recorded with its ruling."""

    call: ToolCall
    rule: Callable[[Snapshot], Ruling]
    """Pure; asked inside the transaction with what only the store knows filled in."""
    snapshot: Snapshot
    """What it is ruled from beside the call, as far as it was known before the transaction."""
    draws: tuple[Draw, ...] = ()
    of_approver: tuple[Draw, ...] = ()
    """What whoever approves it draws; the key is theirs."""
    breaker: Breaker | None = None
    """The circuit breaker of its tool."""
    upstream: frozenset[str] = frozenset()
    demand: Demand = field(default_factory=Demand)
    """What it asks of those who decide, where the ruling is to ask."""
    bound: Bound = field(default_factory=Bound)
    """What an approval of it is bound to beside the arguments."""
    label: Label | None = None
    """Who may read arguments and result; None: the asker alone."""
    at: datetime | None = None
    """When a read was proposed, which is recorded after the fact; None: when it is recorded."""
    effect: bool = True
    """Whether it changes the world: then the record is durable before anybody relies on it."""
    traced: tuple[Traced, ...] = ()
    """Where the arguments come from, as far as it is known."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """How an execution ended."""

    move: Move
    """`SUCCEED`, `FAIL` (nothing happened) or `DOUBT` (nobody knows)."""
    result: Json = None
    error: str | None = None
    label: Label | None = None
    """Who may read result and error; None: the asker alone."""
    ended: Ended | None = None
    """What it says about the health of its tool; None: nothing, as where somebody looked it up."""


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep moved."""

    in_doubt: tuple[CallRecord, ...] = field(default=())
    expired: tuple[CallRecord, ...] = field(default=())
    undo_in_doubt: tuple[UndoRecord, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Added:
    """One call that a sum is made of."""

    record: CallRecord
    amount: Decimal


class Ledger(Protocol):
    """The record of calls. `earlier` are facts of the run not flushed yet: they go first."""

    def propose(
        self, proposal: Proposal, *, lease: Lease | None = None, earlier: Sequence[Event] = ()
    ) -> CallRecord:
        """Record call, ruling, approval request and reservations in one transaction.

        With a `lease` an allowed call is claimed in the same transaction. A key that was used
        before returns the call recorded then, or raises `KeyReused` where it was another call.
        """
        ...

    def edit(self, proposal: Proposal, edit: Edit) -> CallRecord:
        """Record a call that a person makes of one that waits, which ends in its place.

        Raises what `decide` raises, and `EditDenied` where the changed call is out of bounds; then
        the request waits on as it was.
        """
        ...

    def record_read(
        self, proposal: Proposal, settlement: Settlement, *, earlier: Sequence[Event] = ()
    ) -> CallRecord:
        """Record an allowed read with its result after the fact, in one transaction."""
        ...

    def looked(
        self, proposal: Proposal, settlement: Settlement
    ) -> tuple[CallRecord, Sequence[Event]]:
        """Return an allowed read as it ended, with its facts; whoever writes them records it."""
        ...

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
        """Record what a person says; executes nothing. One no denies, enough yeses approve."""
        ...

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

        `reading` is what an approval is bound to as it is now: unless it is what was approved the
        call is `PENDING` again, with what changed. `policy` is the version that rules now: raises
        `RulingOutdated` for what another one allowed, and nobody approved. Raises `CallMoved` where
        somebody else has the right, `ToolStopped` where its tool is stopped or rests, and
        `ApprovalMismatch` unless `digest` is what was proposed, approved and recorded.
        """
        ...

    def ruled_under(self, call: ToolCall) -> str | None:
        """Return the version of the policy that a call was ruled by; None where nobody noted it."""
        ...

    def heartbeat(self, call: CallId, lease: Lease) -> bool:
        """Prolong a lease; False where the call is no longer ours."""
        ...

    def settle(
        self,
        call: CallId,
        executor: str,
        settlement: Settlement,
        *,
        earlier: Sequence[Event] = (),
        unclaimed: bool = False,
    ) -> CallRecord:
        """Record how an execution ended, also a late one; raises `CallMoved`.

        `unclaimed` is for reads the rules allow: claimed and settled in one transaction.
        """
        ...

    def resolve(
        self,
        call: CallId,
        by: Principal,
        settlement: Settlement,
        *,
        approvers: frozenset[str] = frozenset(),
        via: str | None = None,
    ) -> CallRecord:
        """Record what a human found out about a call in doubt.

        `approvers` may where nobody was asked about the call; empty: any user not upstream of it.
        """
        ...

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
        """Take the one right to take a done call back; durable when this returns.

        `approvers` may where nobody was asked about the call. Raises `UndoImpossible`,
        `ApproverNotAllowed`, `ApprovalMismatch`.
        """
        ...

    def settle_undo(self, call: CallId, executor: str, settlement: Settlement) -> UndoRecord:
        """Record how taking it back ended, also late; a row that moved on stays as it is."""
        ...

    def beat_undo(self, call: CallId, lease: Lease) -> bool:
        """Prolong the lease of an undo; False where it is no longer ours."""
        ...

    def undo_of(self, call: CallId) -> UndoRecord | None:
        """Return the undoing of a call; None where nobody asked for it."""
        ...

    def revoke(self, call: CallId, ruling: Ruling, *, earlier: Sequence[Event] = ()) -> CallRecord:
        """Record that a call that waits, or was approved, may no longer run."""
        ...

    def stopped(self) -> frozenset[str]:
        """Return the names of the stopped tools, as of now; raises where they are not known."""
        ...

    def sweep(self) -> Swept:
        """Put calls with an expired lease in doubt, and expire approvals nobody decided."""
        ...

    def get(self, call: CallId) -> CallRecord:
        """Return a call; raise `CallNotFound`."""
        ...

    def in_state(self, state: CallState) -> list[CallRecord]:
        """Return the calls in this state, oldest first."""
        ...

    def find(self, key: str) -> CallRecord | None:
        """Return the call with this key."""
        ...

    def open_like(self, subject: str, agent: str, digest: str) -> CallRecord | None:
        """Return the oldest such call that waits, may run, runs or is in doubt."""
        ...

    def calls(self, run: RunId) -> list[CallRecord]:
        """Return the calls of a run in the order they were proposed."""
        ...

    def approval(self, approval: ApprovalId) -> ApprovalRecord:
        """Return an approval; raise `ApprovalNotFound`."""
        ...

    def adding_up(self, approval: ApprovalId) -> list[Added]:
        """Return every call that the sum behind a request is made of, oldest first."""
        ...

    def approvals(self, state: CallState | None = CallState.PENDING) -> list[ApprovalRecord]:
        """Return approvals whose call is in this state (None: all), oldest first."""
        ...
