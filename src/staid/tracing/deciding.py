"""Which recorded fact decided a run, by the rules of the turn."""

from __future__ import annotations

from typing import cast

from staid.domain.events import EventKind, JournalRow
from staid.tracing.record import Record


def deciding(record: Record) -> JournalRow | None:
    """Return the fact that decided the outcome; None where there is none."""
    decided = record.last(EventKind.OUTCOME_DECIDED)
    if decided is None:
        return None
    return _found(record, decided) or decided


def _found(record: Record, decided: JournalRow) -> JournalRow | None:
    match decided.fact["outcome"], decided.fact["reason"]:
        case "answer", "tool_result":
            found = _done(record, decided)
        case "answer", "canned":
            found = decided
        case "answer", _:
            found = record.last(EventKind.STATEMENT_CHECKED)
        case "abstention", "unsupported":
            found = _unsupported(record)
        case "abstention", _:
            found = record.last(EventKind.FLOOR_COMPARED)
        case "refusal", _:
            found = _refused(record)
        case "pending", "in_doubt":
            found = record.last(EventKind.CALL_IN_DOUBT)
        case "pending", _:
            found = _waiting(record, decided)
        case _:
            found = None
    return found


def _done(record: Record, decided: JournalRow) -> JournalRow | None:
    """Return the last completed call that the answer tells of; a call that only looked is none."""
    told = cast("list[str] | None", decided.fact.get("calls"))
    done = record.all(EventKind.CALL_SETTLED, state="done")
    of_these = [r for r in done if told is None or r.fact["call"] in told]
    return next(reversed(of_these), None)


def _waiting(record: Record, decided: JournalRow) -> JournalRow | None:
    """Return the last request that the outcome still waits for, else the call that is in doubt."""
    waits: object = decided.fact.get("approvals")
    for approval in reversed(cast("list[str]", waits or [])):
        found = record.last(EventKind.APPROVAL_REQUESTED, approval=approval)
        if found is not None:
            return found
    return record.last(EventKind.CALL_IN_DOUBT)


def _unsupported(record: Record) -> JournalRow | None:
    """Return the statement that blocked the draft, else the weakest one."""
    checked = record.draft
    blocked = [row for row in checked if row.fact.get("blocked")]
    if blocked:
        return blocked[-1]
    return min(checked, key=lambda row: cast("float", row.fact["support"]), default=None)


def _refused(record: Record) -> JournalRow | None:
    """Return the no to the call that was proposed first, as the turn tells it."""
    ruled = record.all(EventKind.CALL_RULED, ruling="deny")
    human = record.all(EventKind.APPROVAL_DECIDED, decision="deny")
    proposed = [row.fact["call"] for row in record.all(EventKind.CALL_PROPOSED)]
    denied = (row for row in (*ruled, *human) if row.fact["call"] in proposed)
    return min(denied, key=lambda row: proposed.index(row.fact["call"]), default=None)
