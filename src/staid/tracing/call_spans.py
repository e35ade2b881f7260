"""Tool calls as spans: one for each call's whole life, its ruling and approval below it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from staid.domain.canonical import Json
from staid.domain.events import EventKind, JournalRow
from staid.tracing.disclosure import View
from staid.tracing.spans import Span, SpanKind, ToolPart, body, step


def call_spans(rows: Sequence[JournalRow], view: View) -> list[Span]:
    """Return the spans of every call of a run, in the order in which they were proposed."""
    lives: dict[str, list[JournalRow]] = {}
    for row in rows:
        call = row.fact.get("call")
        if isinstance(call, str) and row.kind.value.startswith(("call.", "approval.")):
            lives.setdefault(call, []).append(row)
    root = rows[0].seq
    return [
        span
        for call, life in lives.items()
        for span in (_tool(call, life, view, root), *_gates(life, view))
    ]


def _tool(call: str, life: Sequence[JournalRow], view: View, root: int) -> Span:
    first = life[0]
    name = next((str(row.fact["tool"]) for row in life if row.fact.get("tool")), "tool")
    done = _last(life, EventKind.CALL_EXECUTED)
    state, error = _end_of(life)
    arguments = view.derived(first, body(first).get("arguments"))
    result: Json = None
    if done is not None:
        told = body(done)
        result = view.derived(done, told.get("result") or told.get("error"))
    return step(
        SpanKind.TOOL,
        name,
        first,
        life[-1],
        parent=root,
        input=arguments,
        output=state if done is None else result,
        error=error,
        metadata={"call": call, "state": state},
        tool=ToolPart(name, call, arguments, result),
    )


def _gates(life: Sequence[JournalRow], view: View) -> Iterator[Span]:
    asked: JournalRow | None = None
    for row in life:
        if row.kind is EventKind.CALL_RULED:
            yield _gate("ruling", row, row, life[0].seq, view)
        elif row.kind is EventKind.APPROVAL_REQUESTED:
            asked = row
        elif row.kind is EventKind.APPROVAL_DECIDED:
            yield _gate("approval", asked or row, row, life[0].seq, view)
            asked = None
    if asked is not None:
        yield _gate("approval", asked, asked, life[0].seq, view)


def _gate(name: str, first: JournalRow, last: JournalRow, tool: int, view: View) -> Span:
    asked = {n: first.fact[n] for n in ("call", "tool", "approval", "rule") if first.fact.get(n)}
    output = {n: last.fact[n] for n in ("ruling", "decision") if last.fact.get(n)}
    word = "reason" if last.kind is EventKind.APPROVAL_DECIDED else "message"
    if said := view.derived(last, body(last).get(word)):
        output[word] = said
    if last.actor.kind == "human":
        output["by"] = view.rules.person(last.actor.name)
    return step(SpanKind.GATE, name, first, last, parent=tool, input=asked, output=output)


def _end_of(life: Sequence[JournalRow]) -> tuple[str, str | None]:
    """Return the state in which a call was left, and the error where it is one.

    A denied call is no error: the gate did what it is there for.
    """
    for row in reversed(life):
        if row.kind is EventKind.CALL_SETTLED:
            state = str(row.fact.get("state"))
            return state, "the tool failed" if state == "failed" else None
        if row.kind is EventKind.CALL_IN_DOUBT:
            return "in_doubt", "nobody knows whether it took effect"
    ruled = _last(life, EventKind.CALL_RULED)
    decided = _last(life, EventKind.APPROVAL_DECIDED)
    if decided is not None:
        return f"decided: {decided.fact.get('decision')}", None
    return f"ruled: {ruled.fact.get('ruling')}" if ruled else "proposed", None


def _last(rows: Sequence[JournalRow], kind: EventKind) -> JournalRow | None:
    return next((row for row in reversed(rows) if row.kind is kind), None)
