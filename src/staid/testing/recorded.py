"""A recorded run with a step of every kind, made without a store: what projections are tested on.

Two passages are kept, one public and one for finance only; the model proposes a refund, the gate
holds it, a person approves it, it is executed, and an answer is checked and released.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from staid.domain.canonical import Json, timestamp
from staid.domain.events import EventKind, JournalRow
from staid.domain.ids import ConversationId, RunId
from staid.domain.label import EVERYONE, Label
from staid.domain.principal import Actor
from staid.domain.records import RunRecord

START = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
ADA = Label.of([["user:ada"]])
FINANCE = Label.of([["group:finance"]])
STAID, GATE = Actor("service", "staid"), Actor("service", "gate")
SECRET = "the discount ceiling is 37 percent"  # noqa: S105 - a passage that finance alone may read
ANSWER = "Annual plans are refunded within 30 days."
QUESTION = "What is the refund policy on annual plans?"


@dataclass(slots=True)
class Rows:
    """Journal rows in the making: each a second after the one before."""

    run: str = "run_00000000000000000000000001"
    rows: list[JournalRow] = field(default_factory=list[JournalRow])

    def add(
        self,
        kind: EventKind,
        fact: Mapping[str, Json] | None = None,
        body: Mapping[str, Json] | None = None,
        *,
        label: Label = ADA,
        actor: Actor = STAID,
    ) -> JournalRow:
        """Append one fact and return its row."""
        seq = len(self.rows) + 1
        row = JournalRow(
            run=self.run,
            seq=seq,
            kind=kind,
            at=timestamp(START + timedelta(seconds=seq)),
            actor=actor,
            fact=fact or {},
            content=f"{seq:064x}" if body is not None else None,
            prev="",
            hash="",
            body=body,
            label=label,
        )
        self.rows.append(row)
        return row


def record(run: str = "run_00000000000000000000000001") -> RunRecord:
    """Return the run's own row."""
    return RunRecord(
        run=RunId(run),
        conversation=ConversationId("cnv_1"),
        agent="support",
        asker="user:ada",
        state="released",
        outcome="answer",
        reason=None,
        confidence=0.91,
        started_at=START,
        ended_at=START + timedelta(minutes=1),
    )


def whole_run(
    *, second: Label = FINANCE, text: str = SECRET, result: str = "Refunded 150."
) -> list[JournalRow]:
    """Return the facts of a run with a step of every kind; the second passage bears `second`."""
    made = Rows()
    label = ADA & second if second is not EVERYONE else ADA
    _begin(made)
    _retrieve(made, second, text)
    _ask_model(made, label, calls=True)
    _call(made, label, result)
    _ask_model(made, label, calls=False)
    _conclude(made, label)
    return made.rows


def _begin(made: Rows) -> None:
    asked = {"question": QUESTION, "asker": "user:ada"}
    made.add(EventKind.RUN_STARTED, {"agent": "support"}, asked, actor=Actor("human", "user:ada"))
    made.add(EventKind.SCOPE_RESOLVED, {"asker": "user:ada", "groups": ["group:customers"]})


def _retrieve(made: Rows, second: Label, text: str) -> None:
    made.add(EventKind.RETRIEVAL_DONE, {"found": 2, "view": 40, "position": 7, "embedder": "m"})
    passages = [("help/refunds.md", ANSWER, EVERYONE, 0.83), ("board/prices.md", text, second, 0.6)]
    for rank, (document, said, label, similarity) in enumerate(passages, 1):
        fact: dict[str, Json] = {
            "source": document.split("/", maxsplit=1)[0],
            "document": document,
            "version": f"{rank}" * 64,
            "chunk": f"{rank}" * 32,
            "rank": rank,
            "similarity": similarity,
            "vector_rank": rank,
            "lexical_rank": None,
        }
        body = {"title": document, "section": "", "text": said}
        made.add(EventKind.PASSAGE_KEPT, fact, body, label=label)
    compared: dict[str, Json] = {
        "decision": "sufficient",
        "rule": "floor",
        "message": "confidence 0.91 is at or above the floor 0.55",
        "confidence": 0.91,
        "similarity": 0.83,
        "floor": 0.55,
        "signal": "confidence",
        "calibration": "packaged",
        "features": {"margin": 0.2},
        "evidence": ["1" * 32, "2" * 32],
    }
    made.add(EventKind.FLOOR_COMPARED, compared)


def _ask_model(made: Rows, label: Label, *, calls: bool) -> None:
    prompt: dict[str, Json] = {"name": "prompts/support.md", "sha256": "a" * 64}
    made.add(
        EventKind.PROMPT_RENDERED,
        prompt,
        {"instructions": "You are the support agent."},
        label=EVERYONE,
    )
    messages: list[Json] = [{"role": "user", "text": QUESTION, "calls": []}]
    proposed: list[Json] = [{"id": "p1", "tool": "refund.issue", "arguments": {"order_id": 4711}}]
    if not calls:
        messages += [
            {"role": "assistant", "text": "", "calls": proposed},
            {"role": "tool", "text": "Refunded 150.", "call_id": "p1", "tool": "refund.issue"},
        ]
    asked: dict[str, Json] = {"model": "openai:gpt-4o", "messages": len(messages), "tools": ["t"]}
    made.add(EventKind.MODEL_REQUESTED, asked, {"messages": messages, "revise": None}, label=label)
    returned: dict[str, Json] = {
        "model": "openai:gpt-4o-2024-08-06",
        "calls": int(calls),
        "input_tokens": 120,
        "output_tokens": 30,
        "cost": "0.0006",
    }
    body: dict[str, Json] = {"text": "" if calls else ANSWER, "calls": proposed if calls else []}
    made.add(EventKind.MODEL_RETURNED, returned, body, label=label, actor=Actor("agent", "gpt-4o"))


def _call(made: Rows, label: Label, result: str) -> None:
    call: dict[str, Json] = {"call": "cal_1", "tool": "refund.issue", "digest": "d" * 64}
    arguments = {"arguments": {"order_id": 4711, "amount": "150"}}
    made.add(EventKind.CALL_PROPOSED, call, arguments, label=label, actor=Actor("agent", "support"))
    made.add(
        EventKind.CALL_RULED,
        {**call, "ruling": "ask", "rule": "requires_approval"},
        {"message": "above the threshold"},
        label=label,
        actor=GATE,
    )
    approval: dict[str, Json] = {"call": "cal_1", "approval": "apr_1", "rule": "requires_approval"}
    made.add(EventKind.APPROVAL_REQUESTED, approval, {"message": "m"}, label=label, actor=GATE)
    lead = Actor("human", "user:lead")
    made.add(EventKind.OUTCOME_DECIDED, {"outcome": "pending", "reason": "approval"}, {"text": "…"})
    made.add(EventKind.OUTCOME_RELEASED, {"outcome": "pending"})
    made.add(EventKind.APPROVAL_DECIDED, {**approval, "decision": "approve"}, actor=lead)
    made.add(EventKind.CALL_CLAIMED, {**call, "executor": "worker"}, actor=GATE)
    done = {"result": result, "error": None}
    made.add(EventKind.CALL_EXECUTED, {**call, "late": False}, done, label=label, actor=GATE)
    made.add(EventKind.CALL_SETTLED, {**call, "state": "done"}, actor=GATE)


def _conclude(made: Rows, label: Label) -> None:
    checked: dict[str, Json] = {
        "statement": 1,
        "support": 0.97,
        "findings": [],
        "blocked": False,
        "draft_supported": True,
        "document": "help/refunds.md",
        "chunk": "1" * 32,
    }
    body: dict[str, Json] = {"text": ANSWER, "quote": ANSWER, "messages": []}
    made.add(EventKind.STATEMENT_CHECKED, checked, body, label=label)
    decided: dict[str, Json] = {
        "outcome": "answer",
        "reason": None,
        "confidence": 0.91,
        "similarity": 0.83,
        "floor": 0.55,
        "handoff": None,
        "approvals": [],
    }
    made.add(EventKind.OUTCOME_DECIDED, decided, {"text": ANSWER, "citations": []}, label=label)
    made.add(EventKind.OUTCOME_RELEASED, {"outcome": "answer"})
