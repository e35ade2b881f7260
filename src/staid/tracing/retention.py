"""Classes of content: what is kept for how long is said for each of them."""

from __future__ import annotations

from collections.abc import Mapping

from staid.domain.events import EventKind

CLASSES: Mapping[str, frozenset[EventKind]] = {
    "conversation": frozenset(
        {
            EventKind.RUN_STARTED,
            EventKind.STATEMENT_CHECKED,
            EventKind.ANSWER_REVISED,
            EventKind.OUTCOME_DECIDED,
            EventKind.OUTCOME_RELEASED,
            EventKind.HANDOFF_OPENED,
            EventKind.HANDOFF_ANSWERED,
        }
    ),
    "passages": frozenset({EventKind.PASSAGE_KEPT, EventKind.PASSAGE_WITHHELD}),
    "model": frozenset(
        {EventKind.PROMPT_RENDERED, EventKind.MODEL_REQUESTED, EventKind.MODEL_RETURNED}
    ),
    "calls": frozenset(
        {
            EventKind.CALL_PROPOSED,
            EventKind.CALL_RULED,
            EventKind.APPROVAL_REQUESTED,
            EventKind.APPROVAL_VOTED,
            EventKind.APPROVAL_EDITED,
            EventKind.APPROVAL_DECIDED,
            EventKind.APPROVAL_RECONSIDERED,
            EventKind.CALL_CLAIMED,
            EventKind.CALL_EXECUTED,
            EventKind.CALL_SETTLED,
            EventKind.CALL_IN_DOUBT,
            EventKind.UNDO_CLAIMED,
            EventKind.UNDO_ENDED,
        }
    ),
    "feedback": frozenset({EventKind.FEEDBACK_GIVEN, EventKind.GRADE_GIVEN}),
}
"""Class -> the kinds of fact whose content belongs to it.

Every kind with content is in one, but for the acts of operators: why somebody stopped or started a
tool, or signed a policy, is kept with the act.
"""
