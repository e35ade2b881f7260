"""An imported turn as facts of the journal, and back: nothing is asked, nothing is carried out.

The facts are those of a turn, so that story, search, impact and monitors read them as they read any
other run; what Staid did not see (retrieval, floor, rulings) has no fact, and the ruling of every
call says that no rule was asked. `turn_of` is the inverse of `events_of`: replay holds both against
the record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, cast

from staid.domain.call import CallRecord, CallState, Ruling, Severity, ToolCall
from staid.domain.canonical import Json
from staid.domain.events import Content, Event, EventKind, JournalRow
from staid.domain.grading import Given
from staid.domain.ids import CallId, ConversationId, RunId
from staid.domain.label import Label
from staid.domain.message import ProposedCall
from staid.domain.principal import Actor
from staid.domain.recorded import RecordedMessage, RecordedTurn, Times
from staid.gates import facts
from staid.gates.approval import Move
from staid.gates.ledger import Settlement

IMPORTED = "imported"
"""State of a run that another system carried out; also the rule and the reason named there."""
UNRULED = Ruling(
    Severity.ALLOW, IMPORTED, "It was made before it was imported: no rule of Staid was asked."
)


@dataclass(frozen=True, slots=True)
class ImportedRun:
    """One recorded turn with everything its facts say."""

    run: RunId
    conversation: ConversationId
    agent: str
    asker: str
    """Token of the principal."""
    turn: RecordedTurn
    number: int
    """Place in the conversation, 1 for the first."""
    at: datetime
    times: Times
    origin: Mapping[str, Json]
    """Format, file and line."""
    calls: tuple[CallId, ...]
    """One id for each call of the turn."""
    model: str = "unknown"
    metadata: Mapping[str, Json] = field(default_factory=dict[str, Json])
    grades: Mapping[str, float] = field(default_factory=dict[str, float])

    @property
    def label(self) -> Label:
        """Who may read what was said: the asker alone."""
        return Label.of([[self.asker]])

    def call(self, place: int) -> ToolCall:
        """Return a call of the turn as one of ours."""
        given = self.turn.calls[place]
        return ToolCall(
            id=self.calls[place],
            run=self.run,
            agent=self.agent,
            tool=given.tool,
            arguments=given.arguments,
            key=self.calls[place],
            provider_id=given.id,
            subject=self.asker,
        )

    def records(self) -> list[CallRecord]:
        """Return the calls as the ledger keeps them; one without a result stays `proposed`."""
        results = self.turn.results
        return [
            CallRecord(
                call=self.call(place),
                state=CallState.DONE if place in results else CallState.PROPOSED,
                ruling=UNRULED,
                # In the order they were made, also where a turn has one time for all of them.
                proposed_at=self.at + place * timedelta(microseconds=1),
                result=results.get(place),
            )
            for place in range(len(self.calls))
        ]


def events_of(run: ImportedRun) -> list[Event]:
    """Return the facts of an imported turn in the order of its messages; a pure function."""
    events = [_started(run)]
    made, opening = 0, True
    for message in run.turn.messages:
        match message.role:
            case "user":
                opening = False
            case "system":
                events.append(_instructed(run, message, opening=opening))
            case "assistant":
                events.append(_returned(run, message, opening=opening))
                for place in range(made, made + len(message.calls)):
                    call = run.call(place)
                    events.append(facts.proposed(call, run.at, run.label))
                    events.append(facts.ruled(call, UNRULED, run.at, run.label))
                made += len(message.calls)
            case "tool":
                events += _settled(run, message)
    return [*events, *_ended(run), *_graded(run)]


def turn_of(run: str, rows: Sequence[JournalRow]) -> ImportedRun:
    """Return the imported turn that these facts record; everything in it comes from them."""
    start, body = _fact(rows[0]), _body(rows[0])
    proposed = [str(r.fact["call"]) for r in rows if r.kind is EventKind.CALL_PROPOSED]
    asked = RecordedMessage("user", body["question"], extra=body["extra"])
    opening, later = _messages(rows, proposed)
    given = start["origin"]
    answered = next((r for r in rows if r.kind is EventKind.MODEL_RETURNED), None)
    return ImportedRun(
        run=RunId(run),
        conversation=ConversationId(start["conversation"]),
        agent=start["agent"],
        asker=body["asker"],
        turn=RecordedTurn((*opening, asked, *later)),
        number=given["turn"],
        at=datetime.fromisoformat(rows[0].at),
        times=start["times"],
        origin={name: value for name, value in given.items() if name != "turn"},
        calls=tuple(CallId(call) for call in proposed),
        model=str(answered.fact["model"]) if answered else "unknown",
        metadata=body["metadata"],
        grades={
            str(r.fact["name"]): float(str(r.fact["value"]))
            for r in rows
            if r.kind is EventKind.GRADE_GIVEN and r.fact.get(IMPORTED)
        },
    )


def _messages(
    rows: Sequence[JournalRow], proposed: Sequence[str]
) -> tuple[list[RecordedMessage], list[RecordedMessage]]:
    """Return what was said before the question, and what after it."""
    opening: list[RecordedMessage] = []
    later: list[RecordedMessage] = []
    for row in rows:
        body = _body(row)
        match row.kind:
            case EventKind.PROMPT_RENDERED:
                said = RecordedMessage("system", body["instructions"], extra=body["extra"])
            case EventKind.MODEL_RETURNED:
                calls = (ProposedCall(c["id"], c["tool"], c["arguments"]) for c in body["calls"])
                said = RecordedMessage("assistant", body["text"], tuple(calls), None, body["extra"])
            case EventKind.CALL_EXECUTED:
                place = proposed.index(str(row.fact["call"]))
                said = RecordedMessage("tool", body["result"], call=place, extra=body["extra"])
            case _:
                continue
        (opening if row.fact.get("opening") else later).append(said)
    return opening, later


def _content(run: ImportedRun, body: Mapping[str, Json]) -> Content:
    return Content(body, run.label, run.asker)


def _started(run: ImportedRun) -> Event:
    asked = next(message for message in run.turn.messages if message.role == "user")
    fact: dict[str, Json] = {
        "agent": run.agent,
        "conversation": run.conversation,
        "keyed": False,
        "characters": len(asked.text),
        IMPORTED: True,
        "origin": {**run.origin, "turn": run.number},
        "times": run.times,
    }
    body: dict[str, Json] = {
        "question": asked.text,
        "asker": run.asker,
        "metadata": dict(run.metadata),
        "extra": dict(asked.extra),
    }
    actor = Actor("human", run.asker)
    return Event(EventKind.RUN_STARTED, run.at, actor, fact, _content(run, body))


def _instructed(run: ImportedRun, message: RecordedMessage, *, opening: bool) -> Event:
    # Not shared content as ours are: a log's instructions may speak of the person who asks.
    fact: dict[str, Json] = {
        "name": IMPORTED,
        "version": None,
        "sha256": sha256(message.text.encode()).hexdigest(),
        "opening": opening,
    }
    body: dict[str, Json] = {"instructions": message.text, "extra": dict(message.extra)}
    return Event(EventKind.PROMPT_RENDERED, run.at, _ELSEWHERE, fact, _content(run, body))


def _returned(run: ImportedRun, message: RecordedMessage, *, opening: bool) -> Event:
    fact: dict[str, Json] = {
        "model": run.model,
        "calls": len(message.calls),
        "input_tokens": 0,
        "output_tokens": 0,
        "cost": "0",
        "labelled": None,
        "template": None,
        "sent": None,
        "opening": opening,
    }
    said = message.as_json()
    body: dict[str, Json] = {
        "text": message.text,
        "reasoning": None,
        "calls": said["calls"],
        "extra": dict(message.extra),
    }
    actor = Actor("agent", run.model)
    return Event(EventKind.MODEL_RETURNED, run.at, actor, fact, _content(run, body))


def _settled(run: ImportedRun, message: RecordedMessage) -> list[Event]:
    place = message.call or 0
    record = run.records()[place]
    executed = facts.executed(
        record.call, Settlement(Move.SUCCEED, message.text, label=run.label), run.at
    )
    kept = dict(executed.content.body) if executed.content else {}
    content = _content(run, {**kept, "extra": dict(message.extra)})
    return [replace(executed, content=content), facts.settled(record, run.at, _ELSEWHERE)]


def _ended(run: ImportedRun) -> list[Event]:
    """Say how the turn ended, where the log says it."""
    if run.turn.answer is None:
        return []
    fact: dict[str, Json] = {
        "outcome": "answer",
        "reason": IMPORTED,
        "confidence": 0.0,
        "similarity": 0.0,
        "floor": 0.0,
        "conversation": run.conversation,
        "approvals": [],
        "handoff": None,
        "evidence": [],
    }
    body: dict[str, Json] = {"text": run.turn.answer, "citations": []}
    decided = Event(EventKind.OUTCOME_DECIDED, run.at, _ELSEWHERE, fact, _content(run, body))
    released = Event(EventKind.OUTCOME_RELEASED, run.at, _ELSEWHERE, {"outcome": "answer"})
    return [decided, released]


def _graded(run: ImportedRun) -> list[Event]:
    return [
        Event(
            EventKind.GRADE_GIVEN,
            run.at,
            _ELSEWHERE,
            Given(name, value, "log").fact(**{IMPORTED: True}),
        )
        for name, value in sorted(run.grades.items())
    ]


_ELSEWHERE = Actor("service", IMPORTED)
"""Who performs what another system did."""


def _body(row: JournalRow) -> dict[str, Any]:
    return cast("dict[str, Any]", row.body or {})


def _fact(row: JournalRow) -> dict[str, Any]:
    return cast("dict[str, Any]", row.fact)
