"""A run's journal read as what a replay needs: who asked, what was found, said, called, decided."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import Any, TypeVar, cast

from staid.domain.call import CallRecord, CallState, Ruling, Severity, ToolCall
from staid.domain.canonical import Json
from staid.domain.errors.replay import RecordErased, RecordIncomplete
from staid.domain.events import Event, EventKind, JournalRow
from staid.domain.ids import ApprovalId, CallId, RunId
from staid.domain.message import Message, ModelResponse, ProposedCall, Usage
from staid.domain.passage import Retrieval
from staid.domain.prompt import Pin
from staid.gates.policy import Snapshot
from staid.runtime.searched import retrieval_of

GIVEN = frozenset(
    {
        EventKind.RUN_STARTED,
        EventKind.APPROVAL_REQUESTED,
        EventKind.APPROVAL_VOTED,
        EventKind.APPROVAL_EDITED,
        EventKind.APPROVAL_DECIDED,
        EventKind.APPROVAL_RECONSIDERED,
        EventKind.APPROVAL_ESCALATED,
        EventKind.CALL_CLAIMED,
        EventKind.CALL_EXECUTED,
        EventKind.CALL_SETTLED,
        EventKind.CALL_IN_DOUBT,
        EventKind.UNDO_CLAIMED,
        EventKind.UNDO_ENDED,
        EventKind.HANDOFF_ANSWERED,
        EventKind.FEEDBACK_GIVEN,
        EventKind.GRADE_GIVEN,
        EventKind.RUN_FAILED,
        EventKind.ERASED,
    }
)
"""What the outside contributes: answered from the record, never made again."""

_WORDS = {severity.word: severity for severity in Severity}
_DECIDED = {
    "approve": CallState.APPROVED,
    "deny": CallState.DENIED,
    "expire": CallState.EXPIRED,
    "edit": CallState.REVOKED,
    "reconsider": CallState.PENDING,
}


Noted = TypeVar("Noted", JournalRow, Event)
"""A fact as it is recorded, or as a replay makes it again."""


@dataclass(frozen=True, slots=True)
class PastCall:
    """One recorded call with everything that became of it."""

    id: CallId
    tool: str
    arguments: Mapping[str, Json]
    digest: str
    ruling: Ruling
    snapshot: Snapshot | None
    """None where the record does not hold it: an earlier release, or another system."""
    approval: ApprovalId | None
    rows: tuple[JournalRow, ...]
    """The call's own facts in order, then those of what people changed it into."""

    def record(self, call: ToolCall, until: int) -> CallRecord:
        """Return the call as it stood before fact number `until`."""
        state, error, result = CallState.PROPOSED, None, None
        ruled = False
        for row in self.rows:
            if row.seq >= until:
                break
            body = cast("Mapping[str, Any]", row.body or {})
            match row.kind:
                case EventKind.CALL_RULED if ruled:  # a bound that was tightened meanwhile
                    state, error = CallState.REVOKED, body["message"]
                case EventKind.CALL_RULED:
                    ruled, state = True, _ruled(_WORDS[str(row.fact["ruling"])])
                case EventKind.CALL_PROPOSED if row.fact["call"] != self.id:  # by who changed it
                    changed = CallId(str(row.fact["call"]))
                    call = replace(call, id=changed, arguments=body["arguments"])
                    ruled, error = False, None
                case EventKind.APPROVAL_DECIDED | EventKind.APPROVAL_RECONSIDERED:
                    state = _DECIDED[str(row.fact["decision"])]
                case EventKind.CALL_EXECUTED if not row.fact.get("late"):
                    result, error = body.get("result"), body.get("error")
                case EventKind.CALL_CLAIMED | EventKind.CALL_SETTLED:
                    state = CallState(row.fact.get("state", CallState.EXECUTING))
                case EventKind.CALL_IN_DOUBT:
                    state, error = CallState.IN_DOUBT, body.get("error", error)
                case _:
                    pass
        return CallRecord(
            call=call,
            state=state,
            ruling=self.ruling,
            proposed_at=datetime.fromisoformat(self.rows[0].at),
            approval=self.approval,
            result=result,
            error=error,
        )

    def became(self, call: str) -> bool:
        """Return whether this is it, or what people changed it into."""
        return any(row.fact.get("call") == call for row in self.rows)


@dataclass(frozen=True)
class Recorded:
    """One run as it was recorded. Build it with `read`."""

    run: RunId
    rows: tuple[JournalRow, ...]

    @cached_property
    def passes(self) -> list[tuple[JournalRow, ...]]:
        """The facts of the first pass and of every resume, each from its `scope.resolved` on."""
        starts = [row.seq for row in self.rows if row.kind is EventKind.SCOPE_RESOLVED]
        ends = [*starts[1:], self.rows[-1].seq + 1] if starts else []
        return [self.rows[a - 1 : b - 1] for a, b in zip(starts, ends, strict=True)]

    @cached_property
    def retrievals(self) -> list[Retrieval]:
        """What each pass found."""
        found = [retrieval_of(rows) for rows in self.passes]
        if None in found:
            detail = "what its search found is not recorded whole"
            raise RecordIncomplete(run=self.run, detail=detail)
        return cast("list[Retrieval]", found)

    @cached_property
    def calls(self) -> list[PastCall]:
        """The calls in the order they were proposed."""
        return list(_calls(self.rows))

    @cached_property
    def responses(self) -> list[ModelResponse]:
        """What the model returned, request by request."""
        return [_response(row) for row in self.rows if row.kind is EventKind.MODEL_RETURNED]

    @cached_property
    def requests(self) -> list[Mapping[str, Any]]:
        """The facts of what the model was sent."""
        sent = (row for row in self.rows if row.kind is EventKind.MODEL_REQUESTED)
        return [cast("Mapping[str, Any]", row.fact) for row in sent]

    @cached_property
    def pins(self) -> list[Pin]:
        """Every version of a text that its requests were made of."""
        rendered = [
            cast("Mapping[str, Any]", row.fact)
            for row in self.rows
            if row.kind is EventKind.PROMPT_RENDERED and "pins" in row.fact
        ]
        told = [pin for fact in rendered for pin in (fact, *fact["pins"])]
        return [Pin(pin["name"], pin["version"], pin["sha256"]) for pin in told]

    @property
    def numbered(self) -> bool:
        """Whether a registry of prompts was kept."""
        return any(pin.version is not None for pin in self.pins)

    @property
    def started(self) -> Mapping[str, Any]:
        """Fact and content of the run's start."""
        first = self.rows[0]
        return {**first.fact, **(first.body or {})}

    @property
    def scope(self) -> Mapping[str, Any] | None:
        """Whose rights it ran with; None where it never got so far."""
        return self.first(EventKind.SCOPE_RESOLVED)

    @property
    def outcome(self) -> Mapping[str, Any] | None:
        """Fact and content of the last outcome; None for a run that has none."""
        decided = [row for row in self.rows if row.kind is EventKind.OUTCOME_DECIDED]
        return {**decided[-1].fact, **(decided[-1].body or {})} if decided else None

    def first(self, kind: EventKind) -> Mapping[str, Any] | None:
        """Return fact and content of the first fact of a kind."""
        found = next((row for row in self.rows if row.kind is kind), None)
        return {**found.fact, **(found.body or {})} if found else None

    @cached_property
    def history(self) -> list[Message]:
        """What the model was shown of earlier turns, then the question."""
        question = Message("user", self.started["question"])
        sent = self.first(EventKind.MODEL_REQUESTED)
        if sent is not None:
            messages = [message_of(m) for m in sent["messages"]]
            asked = [place for place, message in enumerate(messages) if message.role == "user"]
            return messages[: asked[-1] + 1]
        # No model was asked: earlier questions matter only where one was searched with this one.
        done = self.first(EventKind.RETRIEVAL_DONE)
        query = (done or {}).get("query") or question.text
        before = str(query).removesuffix(f" {question.text}")
        return [Message("user", before), question] if before != query else [question]


def read(run: str, rows: Sequence[JournalRow]) -> Recorded:
    """Return a run's record; raise `RecordErased` and `RecordIncomplete` where it cannot do."""
    if not rows:
        raise RecordIncomplete(run=run, detail="it has no facts")
    for row in rows:
        if row.content is not None and row.body is None:
            raise RecordErased(run=run, seq=row.seq, kind=row.kind.value)
    if rows[0].fact.get("external"):
        raise RecordIncomplete(run=run, detail="its turn was another system's: only calls are here")
    return Recorded(RunId(run), tuple(rows))


def made(rows: Sequence[Noted]) -> list[Noted]:
    """Return the facts that the turn itself makes, and makes again in a replay."""
    ruled: set[object] = set()
    found: list[Noted] = []
    for row in rows:
        if row.kind is EventKind.CALL_PROPOSED and row.fact.get("replaces"):
            ruled.add(row.fact["call"])  # a person proposed it
            continue
        if row.kind in GIVEN:
            continue
        if row.kind is EventKind.CALL_RULED:
            if row.fact["call"] in ruled:  # right before an execution, which no replay has
                continue
            ruled.add(row.fact["call"])
        found.append(row)
    return found


def _calls(rows: Sequence[JournalRow]) -> Iterator[PastCall]:
    for row in rows:
        if row.kind is not EventKind.CALL_PROPOSED or row.fact.get("replaces"):
            continue
        own = _own(rows, str(row.fact["call"]))
        ruled = next(r for r in own if r.kind is EventKind.CALL_RULED)
        asked = next((r for r in own if r.kind is EventKind.APPROVAL_REQUESTED), None)
        body = cast("Mapping[str, Any]", ruled.body or {})
        severity = _WORDS[str(ruled.fact["ruling"])]
        snapshot = body.get("snapshot")
        yield PastCall(
            id=CallId(str(row.fact["call"])),
            tool=str(row.fact["tool"]),
            arguments=cast("Mapping[str, Any]", row.body or {})["arguments"],
            digest=str(row.fact["digest"]),
            ruling=Ruling(severity, str(ruled.fact["rule"]), body["message"]),
            snapshot=Snapshot.from_json(snapshot) if snapshot is not None else None,
            approval=ApprovalId(str(asked.fact["approval"])) if asked else None,
            rows=own,
        )


def _own(rows: Sequence[JournalRow], call: str) -> tuple[JournalRow, ...]:
    own = tuple(row for row in rows if row.fact.get("call") == call)
    became = next((row for row in rows if row.fact.get("replaces") == call), None)
    return (*own, *_own(rows, str(became.fact["call"]))) if became else own


def _ruled(severity: Severity) -> CallState:
    return {
        Severity.ALLOW: CallState.APPROVED,
        Severity.ASK: CallState.PENDING,
        Severity.DENY: CallState.DENIED,
    }[severity]


def _response(row: JournalRow) -> ModelResponse:
    fact = cast("Mapping[str, Any]", row.fact)
    body = cast("Mapping[str, Any]", row.body or {})
    return ModelResponse(
        text=body["text"],
        calls=tuple(
            ProposedCall(c.get("id", ""), c["tool"], c["arguments"]) for c in body["calls"]
        ),
        model=fact["model"],
        usage=Usage(fact["input_tokens"], fact["output_tokens"], Decimal(fact["cost"])),
        reasoning=body["reasoning"],
        labelled=fact["labelled"],
        sent=fact.get("sent"),
        prompt=tuple(fact["template"]) if fact["template"] else None,
    )


def message_of(value: Mapping[str, Any]) -> Message:
    """Return a message from the form that `runtime.prompt.message_json` gives it."""
    calls = tuple(ProposedCall(c["id"], c["tool"], c["arguments"]) for c in value["calls"])
    return Message(value["role"], value["text"], calls, value["call_id"], value["tool"])
