"""Tool calls, what was ruled about them, and the states they move through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum

from staid.domain.canonical import Json, digest
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
        return self.name.lower()


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
