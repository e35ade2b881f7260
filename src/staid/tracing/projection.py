"""A finished run as spans: journal rows in, one tree out.

Parents are said, never taken from where the code runs; ids come from the run's id and the number of
the span's first fact, so that projecting again gives the same tree under the same ids.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from staid.domain.canonical import Json
from staid.domain.events import EventKind, JournalRow
from staid.domain.records import RunRecord
from staid.tracing.call_spans import call_spans
from staid.tracing.disclosure import Disclosure, View
from staid.tracing.spans import (
    Document,
    ModelPart,
    Said,
    Span,
    SpanKind,
    Trace,
    at,
    body,
    fact,
    step,
)

AFTERWARDS = frozenset(
    {
        EventKind.HANDOFF_ANSWERED,
        EventKind.FEEDBACK_GIVEN,
        EventKind.GRADE_GIVEN,
        EventKind.ERASED,
    }
)
"""Facts that come after a run and are no part of its tree."""


def project(
    record: RunRecord,
    rows: Sequence[JournalRow],
    rules: Disclosure,
    earlier: Sequence[JournalRow] = (),
) -> Trace:
    """Return the tree of a finished run, holding nothing that the sink's rules keep back.

    `earlier` are the facts of the conversation's earlier runs: a passage in view then may be quoted
    now. `rows` must not be empty.
    """
    told = finished(rows)
    view = View.of(rules, record.asker, [*earlier, *told])
    builder = _Builder(told, view)
    spans = [
        _root(record, told, view),
        *builder.retrievals(),
        *builder.floors(),
        *builder.models(),
        *call_spans(told, view),
        *builder.checks(),
    ]
    ordered = (spans[0], *sorted(spans[1:], key=lambda span: span.seq))
    return Trace(
        run=record.run,
        conversation=record.conversation,
        person=rules.person(record.asker),
        agent=record.agent,
        tags=tuple(filter(None, (record.agent, record.outcome or record.state))),
        spans=ordered,
        by_seq={span.seq: span for span in ordered},
    )


def finished(rows: Sequence[JournalRow]) -> list[JournalRow]:
    """Return the facts up to the run's end: what is appended later changes no exported span."""
    ends = [n for n, row in enumerate(rows, 1) if row.kind is EventKind.OUTCOME_RELEASED]
    upto = rows[: ends[-1]] if ends else rows
    return [row for row in upto if row.kind not in AFTERWARDS]


def _root(record: RunRecord, rows: Sequence[JournalRow], view: View) -> Span:
    first = rows[0]
    decided = next((r for r in reversed(rows) if r.kind is EventKind.OUTCOME_DECIDED), None)
    told = fact(decided)
    names = ("outcome", "reason", "confidence", "similarity", "floor", "handoff", "approvals")
    metadata = {name: told[name] for name in names if told.get(name) not in (None, [])}
    question = body(first).get("question")
    return Span(
        seq=first.seq,
        parent=None,
        kind=SpanKind.RUN,
        name=record.agent,
        start=at(first),
        end=max(map(at, rows)),
        input=view.said(question if first.body or first.content is None else "(erased)"),
        output=view.derived(decided, body(decided).get("text")) if decided else None,
        error=_failure(record),
        metadata={"run": record.run, "state": record.state, **metadata},
    )


def _failure(record: RunRecord) -> str | None:
    if record.state != "failed":
        return None
    code = f": {record.reason}" if record.reason else ""
    return f"the run ended without an outcome{code}"


class _Builder:
    """Cuts one run's facts into steps. Every step's parent is the run, unless it says another."""

    def __init__(self, rows: Sequence[JournalRow], view: View) -> None:
        self.rows = rows
        self.view = view
        self.root = rows[0].seq
        self.question = view.said(body(rows[0]).get("question"))

    def retrievals(self) -> list[Span]:
        """One span for each search, with the passages that were kept of it."""
        found: list[Span] = []
        for place, row in enumerate(self.rows):
            if row.kind is not EventKind.RETRIEVAL_DONE:
                continue
            kept = self._kept_after(place)
            documents = tuple(self._document(passage) for passage in kept)
            query = self.view.said(body(row).get("query")) or self.question
            span = step(
                SpanKind.RETRIEVAL,
                "retrieval",
                row,
                kept[-1] if kept else row,
                parent=self.root,
                input=query,
                output=[_document_json(document) for document in documents],
                metadata=dict(row.fact),
                documents=documents,
            )
            found.append(span)
        return found

    def _kept_after(self, place: int) -> list[JournalRow]:
        kept: list[JournalRow] = []
        for row in self.rows[place + 1 :]:
            if row.kind is not EventKind.PASSAGE_KEPT:
                break
            kept.append(row)
        return kept

    def _document(self, row: JournalRow) -> Document:
        told = row.fact
        names = ("source", "document", "version", "vector_rank", "lexical_rank")
        return Document(
            id=str(told.get("chunk", "")),
            rank=cast("int", told.get("rank", 0)),
            similarity=cast("float", told.get("similarity", 0.0)),
            metadata={name: told[name] for name in names if told.get(name) is not None},
            text=self.view.passage(row, body(row).get("text")),
        )

    def floors(self) -> list[Span]:
        """One span for each comparison with the floor: the numbers and what they decided."""
        return [
            step(
                SpanKind.GATE,
                "floor",
                row,
                row,
                parent=self.root,
                input={n: row.fact.get(n) for n in ("confidence", "similarity", "floor", "signal")},
                output={n: row.fact.get(n) for n in ("decision", "rule", "message")},
                metadata={
                    n: row.fact.get(n) for n in ("calibration", "features", "evidence", "cut")
                },
            )
            for row in self.rows
            if row.kind is EventKind.FLOOR_COMPARED
        ]

    def models(self) -> list[Span]:
        """One span for each request to a model; one that got no reply is an error."""
        found: list[Span] = []
        prompt: JournalRow | None = None
        asked: JournalRow | None = None
        for row in self.rows:
            if row.kind is EventKind.PROMPT_RENDERED:
                prompt = row
            elif row.kind is EventKind.MODEL_REQUESTED:
                if asked is not None:
                    found.append(self._model(prompt, asked, None))
                asked = row
            elif row.kind is EventKind.MODEL_RETURNED and asked is not None:
                found.append(self._model(prompt, asked, row))
                asked = None
        if asked is not None:
            found.append(self._model(prompt, asked, None))
        return found

    def _model(
        self, prompt: JournalRow | None, asked: JournalRow, reply: JournalRow | None
    ) -> Span:
        sent = self._sent(prompt, asked)
        received = self._received(reply) if reply else ()
        told = fact(reply)
        part = ModelPart(
            requested=str(asked.fact.get("model", "")),
            returned=str(told.get("model", "")),
            sent=sent,
            received=received,
            input_tokens=cast("int", told.get("input_tokens", 0)),
            output_tokens=cast("int", told.get("output_tokens", 0)),
            cost=str(told.get("cost", "0")),
            prompt=str(prompt.fact.get("name", "")) if prompt else "",
            prompt_version=str(prompt.fact.get("version") or prompt.fact.get("sha256") or "")
            if prompt
            else "",
        )
        names = ("evidence", "tools", "revision")
        metadata = {name: asked.fact[name] for name in names if asked.fact.get(name)}
        return step(
            SpanKind.MODEL,
            f"chat {part.requested}",
            asked,
            reply or asked,
            parent=self.root,
            input=[_said_json(message) for message in sent],
            output=[_said_json(message) for message in received],
            error=None if reply else "the model's reply was not recorded",
            metadata=metadata,
            model=part,
        )

    def _sent(self, prompt: JournalRow | None, asked: JournalRow) -> tuple[Said, ...]:
        """Leave earlier turns to the runs they belong to: their labels are not this run's."""
        told = cast("Sequence[Mapping[str, Json]]", body(asked).get("messages") or ())
        asks = [place for place, message in enumerate(told) if message.get("role") == "user"]
        instructions = body(prompt).get("instructions")
        system = [Said("system", self.view.said(instructions))] if instructions else []
        mine = told[asks[-1] :] if asks else told
        messages = [self._message(asked, message) for message in mine]
        revise = body(asked).get("revise")
        mend = [Said("user", self.view.derived(asked, revise))] if revise else []
        return (*system, *messages, *mend)

    def _message(self, row: JournalRow, message: Mapping[str, Json]) -> Said:
        role = str(message.get("role", ""))
        # The question is the asker's own; whatever follows it was written with passages in view.
        text = message.get("text")
        shown = self.view.said(text) if role == "user" else self.view.derived(row, text)
        call_id, tool = message.get("call_id"), message.get("tool")
        return Said(
            role=role,
            text=shown,
            calls=self._asked_for(row, message.get("calls")),
            call_id=str(call_id) if call_id else None,
            tool=str(tool) if tool else None,
        )

    def _received(self, reply: JournalRow) -> tuple[Said, ...]:
        said = body(reply)
        text = self.view.derived(reply, said.get("text"))
        return (Said("assistant", text, self._asked_for(reply, said.get("calls"))),)

    def _asked_for(self, row: JournalRow, calls: Json) -> tuple[Mapping[str, Json], ...]:
        asked = cast("Sequence[Mapping[str, Json]]", calls or ())
        return tuple(
            {
                "id": str(call.get("id") or ""),
                "tool": str(call.get("tool", "")),
                "arguments": self.view.derived(row, call.get("arguments")),
            }
            for call in asked
        )

    def checks(self) -> list[Span]:
        """One span for each draft that was held against the evidence."""
        drafts: list[list[JournalRow]] = []
        for row in self.rows:
            if row.kind is EventKind.STATEMENT_CHECKED:
                if row.fact.get("statement") == 1 or not drafts:
                    drafts.append([])
                drafts[-1].append(row)
        return [self._check(draft) for draft in drafts]

    def _check(self, draft: Sequence[JournalRow]) -> Span:
        names = ("statement", "support", "findings", "blocked", "document", "chunk")
        statements: list[Json] = [
            {
                "text": self.view.derived(row, body(row).get("text")),
                **{n: row.fact[n] for n in names if row.fact.get(n) not in (None, [])},
            }
            for row in draft
        ]
        supported = bool(draft[-1].fact.get("draft_supported"))
        return step(
            SpanKind.GATE,
            "support check",
            draft[0],
            draft[-1],
            parent=self.root,
            input=[cast("Mapping[str, Json]", s)["text"] for s in statements],
            output={"supported": supported, "statements": statements},
        )


def _document_json(document: Document) -> dict[str, Json]:
    told: dict[str, Json] = {
        "id": document.id,
        "rank": document.rank,
        "score": document.similarity,
        **document.metadata,
    }
    return told if document.text is None else {**told, "content": document.text}


def _said_json(message: Said) -> dict[str, Json]:
    told: dict[str, Json] = {"role": message.role, "content": message.text}
    if message.calls:
        told["tool_calls"] = list(message.calls)
    if message.call_id:
        told["tool_call_id"] = message.call_id
    return told
