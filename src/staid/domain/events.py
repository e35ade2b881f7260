"""Facts, as they happen in a turn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from staid.domain.call import CallRecord
from staid.domain.canonical import Json
from staid.domain.label import EVERYONE, Label
from staid.domain.principal import Actor


class EventKind(StrEnum):
    """Every kind of fact the journal knows (seams.md, "Journal")."""

    RUN_STARTED = "run.started"
    SCOPE_RESOLVED = "scope.resolved"
    RETRIEVAL_DONE = "retrieval.done"
    PASSAGE_KEPT = "passage.kept"
    PASSAGE_WITHHELD = "passage.withheld"
    FLOOR_COMPARED = "floor.compared"
    PROMPT_RENDERED = "prompt.rendered"
    MODEL_REQUESTED = "model.requested"
    MODEL_RETURNED = "model.returned"
    CALL_PROPOSED = "call.proposed"
    CALL_RULED = "call.ruled"
    APPROVAL_REQUESTED = "approval.requested"
    APPROVAL_VOTED = "approval.voted"
    APPROVAL_EDITED = "approval.edited"
    APPROVAL_DECIDED = "approval.decided"
    APPROVAL_RECONSIDERED = "approval.reconsidered"
    APPROVAL_ESCALATED = "approval.escalated"
    CALL_CLAIMED = "call.claimed"
    CALL_EXECUTED = "call.executed"
    CALL_SETTLED = "call.settled"
    CALL_IN_DOUBT = "call.in_doubt"
    UNDO_CLAIMED = "undo.claimed"
    UNDO_ENDED = "undo.ended"
    STATEMENT_CHECKED = "statement.checked"
    ANSWER_REVISED = "answer.revised"
    OUTCOME_DECIDED = "outcome.decided"
    OUTCOME_RELEASED = "outcome.released"
    HANDOFF_OPENED = "handoff.opened"
    HANDOFF_ANSWERED = "handoff.answered"
    RUN_INTERRUPTED = "run.interrupted"
    RUN_FAILED = "run.failed"
    FEEDBACK_GIVEN = "feedback.given"
    GRADE_GIVEN = "grade.given"
    ERASED = "erased"
    RUN_READ = "run.read"
    POLICY_SIGNED = "policy.signed"
    TOOL_STOPPED = "tool.stopped"
    TOOL_STARTED = "tool.started"


@dataclass(frozen=True, slots=True)
class Content:
    """What is personal or restricted in a fact: kept apart, erasable, addressed by keyed hash."""

    body: Mapping[str, Json]
    label: Label = EVERYONE
    """Who may read it: the conjunction of the labels of everything it derives from."""
    subject: str = ""
    """Token of the principal it is about: what an erasure selects by."""


@dataclass(frozen=True, slots=True)
class Event:
    """One fact of a run: ids and numbers in `fact`, everything else in `content`."""

    kind: EventKind
    at: datetime
    actor: Actor
    fact: Mapping[str, Json] = field(default_factory=dict[str, Json])
    content: Content | None = None
    call: CallRecord | None = None
    """An allowed read that this fact ends: its row is written with the fact, in one transaction."""


@dataclass(frozen=True, slots=True)
class JournalRow:
    """An event as the journal holds it, linked to the one before."""

    run: str
    seq: int
    """1 for the first fact of a run, without gaps."""
    kind: EventKind
    at: str
    actor: Actor
    fact: Mapping[str, Json]
    content: str | None
    """Keyed hash of the content row, or None."""
    prev: str
    hash: str
    body: Mapping[str, Json] | None = None
    """The content, where it was asked for and is still there."""
    label: Label = EVERYONE
