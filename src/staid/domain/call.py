"""Tool calls, what was ruled about them, and the states they move through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum

from staid.domain.bound import Bound, Change, Vote
from staid.domain.canonical import Json, digest
from staid.domain.demand import Demand
from staid.domain.ids import ApprovalId, CallId, RunId


class Effect(StrEnum):
    """What a tool does to the world."""

    READ = "read"
    WRITE = "write"
    IRREVERSIBLE = "irreversible"


class Severity(IntEnum):
    """How severe a ruling is; the most severe wins, so the order of rules cannot matter."""

    ALLOW = 0
    ASK = 1
    DENY = 2

    @property
    def word(self) -> str:
        """`allow`, `ask` or `deny`."""
        return _WORDS[self]


_WORDS = ("allow", "ask", "deny")


class CallState(StrEnum):
    """Where a call is in its life; moved only by compare-and-set."""

    PROPOSED = "proposed"
    DENIED = "denied"
    PENDING = "pending"
    APPROVED = "approved"
    EXECUTING = "executing"
    DONE = "done"
    FAILED = "failed"
    IN_DOUBT = "in_doubt"
    EXPIRED = "expired"
    REVOKED = "revoked"
    UNDONE = "undone"


@dataclass(frozen=True, slots=True)
class Ruling:
    """What the gate decided about one call, and the rule that decided."""

    severity: Severity
    rule: str
    """Stable name of the deciding rule: `allowlist`, `schema`, `constraint:amount`, …"""
    message: str
    """Plain words for the model, the approver and the story."""
    steps: tuple[tuple[str, str], ...] = field(default=(), compare=False)
    """Every check that was asked, in order, and its own word: `("allowlist", "allow")`."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One proposed use of a tool with canonical arguments."""

    id: CallId
    run: RunId
    agent: str
    tool: str
    arguments: Mapping[str, Json]
    """As they will run: validated, defaults filled in, canonical."""
    key: str
    """Ours and stable over every retry: goes to the handler as idempotency key."""
    provider_id: str = ""
    """The model's id of the proposal; pairs the result with it."""
    subject: str = ""
    """Token of the principal whom the run acts for."""

    @property
    def digest(self) -> str:
        """Hash of tool and arguments: what an approval binds to."""
        return call_digest(self.tool, self.arguments)


def call_digest(tool: str, arguments: Mapping[str, Json]) -> str:
    """Return the hash of a call as it will run, as 64 hex digits."""
    return digest({"tool": tool, "arguments": arguments})


@dataclass(frozen=True, slots=True)
class CallRecord:
    """A call as the ledger holds it."""

    call: ToolCall
    state: CallState
    ruling: Ruling
    proposed_at: datetime
    approval: ApprovalId | None = None
    result: Json = None
    error: str | None = None
    executor: str | None = None
    lease_until: datetime | None = None
    replaces: CallId | None = None
    """The call that a person changed into this one."""
    replaced_by: CallId | None = None
    """What a person changed this call into; it never runs itself."""
    edited_by: str | None = None
    """Who changed an earlier call into this one; upstream of it from then on."""
    joined: ApprovalId | None = None
    """The request of another call that it is decided with."""

    @property
    def request(self) -> ApprovalId | None:
        """The request that a human decides: its own, or the one it joined."""
        return self.joined or self.approval


class UndoState(StrEnum):
    """Where the undoing of a call is; moved only by compare-and-set."""

    EXECUTING = "executing"
    UNDONE = "undone"
    FAILED = "failed"
    """Nothing was taken back; it may be tried again."""
    IN_DOUBT = "in_doubt"


@dataclass(frozen=True, slots=True)
class UndoRecord:
    """The undoing of one call, as the ledger holds it."""

    call: CallId
    state: UndoState
    asked_by: str
    """Token of the person who asked for it; its alias where nobody is behind it any more."""
    at: datetime
    executor: str
    lease_until: datetime


@dataclass(frozen=True, slots=True)
class ApprovalRecord:
    """One request for a human decision, and its life."""

    id: ApprovalId
    run: RunId
    call: ToolCall
    state: CallState
    """The state of its call."""
    rule: str
    message: str
    digest: str
    """What was shown to the approver: the claim compares it with what will run."""
    requested_at: datetime
    expires_at: datetime
    requested_by: frozenset[str] = field(default_factory=frozenset[str])
    """Tokens of everybody upstream of the request; none of them may decide it."""
    approvers: frozenset[str] = field(default_factory=frozenset[str])
    """The approver holds one of these tokens; empty: any user who is not upstream."""
    decided_by: str | None = None
    decided_at: datetime | None = None
    decision: str | None = None
    reason: str | None = None
    preview: str | None = None
    bound: Bound | None = None
    """What it is bound to beside the arguments; None: of a release that did not record it."""
    demand: Demand | None = None
    """What it asks of approvers; None: of a release that did not record it, or erased."""
    round: int = 1
    """Counts up whenever a decision became void."""
    changes: tuple[Change, ...] = ()
    """Why the last decision became void: what was not any more as it had been shown."""
    votes: tuple[Vote, ...] = ()
    """What people said so far, in every round."""
    replaces: CallId | None = None
    """The call that a person changed into this one."""
    replaced_by: CallId | None = None
    """What a person changed this call into."""
    edited_by: str | None = None
    leader: ApprovalId | None = None
    """The request it joined: while that waits, it is decided there."""
    draws: str | None = None
    """What whoever approves it draws, as the ledger keeps it; None: nothing."""
    members: tuple[ApprovalRecord, ...] = ()
    """The requests that joined it: decided with it, all or none."""

    @property
    def runs(self) -> tuple[RunId, ...]:
        """The runs that wait for the decision, its own first."""
        return tuple(dict.fromkeys((self.run, *(each.run for each in self.members))))

    @property
    def binding(self) -> str:
        """Digest of everything that was shown: a decision on anything else decides nothing."""
        return self.digest if self.bound is None else self.bound.digest(self.digest)

    @property
    def asks(self) -> Demand:
        """What it asks of approvers."""
        return self.demand or Demand(self.approvers)

    @property
    def said_yes(self) -> tuple[Vote, ...]:
        """The approvals that count: of this round, on what is shown now."""
        return tuple(
            vote
            for vote in self.votes
            if (vote.round, vote.binding, vote.decision) == (self.round, self.binding, "approve")
        )
