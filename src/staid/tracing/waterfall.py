"""What took how long: spans of a run, made from the times of its facts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from staid.domain.canonical import Json
from staid.domain.events import EventKind, JournalRow
from staid.tracing.record import Record, fact_of

_OVER = (EventKind.CALL_SETTLED, EventKind.CALL_IN_DOUBT)


@dataclass(frozen=True, slots=True)
class Span:
    """One stretch of a run."""

    id: int
    """1 for the run itself; parents come before their children."""
    parent: int | None
    name: str
    kind: str
    """`run`, `retrieval`, `floor`, `model`, `check`, `call`, `ruling`, `wait`, `tool`, `record`."""
    start: str
    """RFC 3339, as recorded."""
    offset: float
    """Milliseconds since the run began."""
    duration: float
    """Milliseconds; 0 where only one moment is known."""
    facts: tuple[int, ...]
    """First and last fact of the stretch."""
    detail: str = ""
    open: bool = False
    """Whether its end is not recorded: it lasts to the last fact."""


def waterfall(record: Record) -> tuple[Span, ...]:
    """Return the spans of a run, in order of start below their parents."""
    if not record.rows:
        return ()
    first, last = record.rows[0], record.rows[-1]
    ended = record.last(EventKind.OUTCOME_RELEASED)
    root = _span(record, "run", "run", first, ended or last)
    root = replace(root, detail=record.outcome, open=ended is None)
    found = [
        *_retrievals(record),
        *_models(record),
        *_checks(record),
        *_calls(record),
        *_endings(record),
    ]
    return tuple(_numbered([(root, ()), *sorted(found, key=lambda one: one[0].facts[0])]))


_Found = tuple[Span, tuple[Span, ...]]
"""A span below the run, with its own children."""


def _numbered(found: list[_Found]) -> Iterator[Span]:
    number = 0
    for span, children in found:
        number += 1
        parent = number
        yield _placed(span, number, 1 if number > 1 else None)
        for child in sorted(children, key=lambda one: one.facts[0]):
            number += 1
            yield _placed(child, number, parent)


def _placed(span: Span, number: int, parent: int | None) -> Span:
    # Not `replace`: three times the cost, and a long run has thousands of spans.
    return Span(
        *(number, parent, span.name, span.kind, span.start, span.offset, span.duration),
        *(span.facts, span.detail, span.open),
    )


def _retrievals(record: Record) -> Iterator[_Found]:
    before: JournalRow | None = None
    for row in record.rows:
        if row.kind is EventKind.RETRIEVAL_DONE:
            told = "" if record.silent(row) else f"found {row.fact['found']} of {row.fact['view']}"
            yield _span(record, "search", "retrieval", before or row, row, told), ()
        if row.kind is EventKind.FLOOR_COMPARED:
            told = "" if record.silent(row) else str(row.fact["decision"])
            yield _span(record, "floor", "floor", before or row, row, told), ()
        if row.kind in {EventKind.SCOPE_RESOLVED, EventKind.RETRIEVAL_DONE}:
            before = row


def _models(record: Record) -> Iterator[_Found]:
    asked: JournalRow | None = None
    for row in record.all(EventKind.MODEL_REQUESTED, EventKind.MODEL_RETURNED):
        if row.kind is EventKind.MODEL_REQUESTED:
            if asked is not None:
                yield _unanswered(record, asked), ()
            asked = row
        else:
            told = "" if row.seq in record.hidden else _spent(row)
            yield _span(record, str(row.fact["model"]), "model", asked or row, row, told), ()
            asked = None
    if asked is not None:
        yield _unanswered(record, asked), ()


def _unanswered(record: Record, asked: JournalRow) -> Span:
    later = (row for row in record.rows if row.seq > asked.seq)
    end = next(later, asked)
    span = _span(record, str(asked.fact["model"]), "model", asked, end, "nothing came back")
    return replace(span, open=True, facts=(asked.seq,))


def _spent(returned: JournalRow) -> str:
    fact = fact_of(returned)
    if not fact.get("input_tokens") and not fact.get("output_tokens"):
        return ""
    cost = f", cost {fact['cost']}" if fact.get("cost") not in {None, "0"} else ""
    return f"{fact['input_tokens']} tokens in, {fact['output_tokens']} out{cost}"


def _checks(record: Record) -> Iterator[_Found]:
    checked: list[JournalRow] = []
    before = record.rows[0]
    for row in (*record.rows, None):
        same = row is not None and row.kind is EventKind.STATEMENT_CHECKED
        if checked and (not same or (row is not None and row.fact["statement"] == 1)):
            count = f"{len(checked)} statement{'s' if len(checked) > 1 else ''}"
            told = "" if record.silent(checked[0]) else count
            span = _span(record, "support check", "check", before, checked[-1], told)
            yield replace(span, facts=(checked[0].seq, checked[-1].seq)), ()
            before, checked = checked[-1], []
        if row is not None and same:
            checked.append(row)
        elif row is not None:
            before = row


def _calls(record: Record) -> Iterator[_Found]:
    for life in record.calls.values():
        tool = str(life[0].fact["tool"])
        span = _span(record, tool, "call", life[0], life[-1], _state(life))
        open_ = not any(r.kind in _OVER or _denied(r) for r in life)
        yield replace(span, open=open_), tuple(_parts(record, life))


def _denied(row: JournalRow) -> bool:
    return row.fact.get("ruling") == "deny" or row.fact.get("decision") in {"deny", "expire"}


def _state(life: Sequence[JournalRow]) -> str:
    last = life[-1]
    match last.kind:
        case EventKind.CALL_SETTLED:
            return str(last.fact["state"])
        case EventKind.CALL_IN_DOUBT:
            return "in doubt"
        case EventKind.APPROVAL_DECIDED:
            return str(last.fact["decision"])
        case EventKind.CALL_RULED:
            return str(last.fact["ruling"])
        case _:
            return "waits"


def _parts(record: Record, life: Sequence[JournalRow]) -> Iterator[Span]:
    by = {row.kind: row for row in life}
    started = by.get(EventKind.CALL_CLAIMED) or by.get(EventKind.CALL_RULED)
    asked = by.get(EventKind.APPROVAL_REQUESTED)
    over = by.get(EventKind.CALL_EXECUTED) or by.get(EventKind.CALL_IN_DOUBT)
    ruled = next((row for row in life if row.kind is EventKind.CALL_RULED), None)
    if ruled is not None:
        told = f"{ruled.fact['ruling']} by {ruled.fact['rule']}"
        yield _span(record, "ruling", "ruling", life[0], ruled, told)
    if asked is not None:
        decided = by.get(EventKind.APPROVAL_DECIDED)
        who = decided.actor.name if decided else "nobody yet"
        span = _span(record, "approval", "wait", asked, decided or record.rows[-1], who)
        yield replace(span, open=decided is None)
    if over is not None and started is not None:
        yield _span(record, "execution", "tool", started, over)


def _endings(record: Record) -> Iterator[_Found]:
    decided: JournalRow | None = None
    for row in record.all(EventKind.OUTCOME_DECIDED, EventKind.OUTCOME_RELEASED):
        if row.kind is EventKind.OUTCOME_DECIDED:
            decided = row
        else:
            told = str(row.fact["outcome"])
            yield _span(record, "release", "record", decided or row, row, told), ()
    for opened in record.all(EventKind.HANDOFF_OPENED):
        answered = record.last(EventKind.HANDOFF_ANSWERED, handoff=opened.fact["handoff"])
        who = answered.actor.name if answered else "nobody yet"
        span = _span(record, "hand-off", "wait", opened, answered or opened, who)
        yield replace(span, open=answered is None), ()


def _span(
    record: Record, name: str, kind: str, first: JournalRow, last: JournalRow, detail: str = ""
) -> Span:
    start, began, end = _time(first), _time(record.rows[0]), _time(last)
    return Span(
        id=0,
        parent=None,
        name=name,
        kind=kind,
        start=first.at,
        offset=_milliseconds(began, start),
        duration=_milliseconds(start, end),
        facts=(first.seq, last.seq),
        detail=detail,
    )


def _time(row: JournalRow) -> datetime:
    return datetime.fromisoformat(row.at)


def _milliseconds(start: datetime, end: datetime) -> float:
    # A clock that was set back between two facts gives 0, never a negative length.
    return max(0.0, round((end - start).total_seconds() * 1000, 3))


def span_json(span: Span) -> dict[str, Json]:
    """Return a span as JSON; offset and duration in milliseconds."""
    return {
        "id": span.id,
        "parent": span.parent,
        "name": span.name,
        "kind": span.kind,
        "start": span.start,
        "offset_ms": span.offset,
        "duration_ms": span.duration,
        "facts": list(span.facts),
        "detail": span.detail,
        "open": span.open,
    }
