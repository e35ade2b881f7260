"""The story of a run: which fact decided, for every way a run can end; words from facts alone."""

from __future__ import annotations

from typing import Any

import pytest

from staid.domain.events import EventKind, JournalRow
from staid.domain.principal import Actor
from staid.tracing.story import Story, story_json, tell

STAID = Actor("service", "staid")
K = EventKind


def said(story: Story) -> str:
    """Return every step of a story in one text."""
    return " ".join(step.text for step in story.steps)


def rows(*facts: tuple[EventKind, dict[str, Any]]) -> list[JournalRow]:
    """Return journal rows of one run; the key `body` becomes their content."""
    return [
        JournalRow(
            "run_1",
            seq,
            kind,
            "2026-05-01T12:00:00.000000Z",
            Actor("human", "user:lead") if kind is K.APPROVAL_DECIDED else STAID,
            {key: value for key, value in fact.items() if key != "body"},
            None,
            "",
            "",
            fact.get("body"),
        )
        for seq, (kind, fact) in enumerate(facts, 1)
    ]


START = (K.RUN_STARTED, {"agent": "support", "body": {"question": "What?"}})
FLOOR = (
    K.FLOOR_COMPARED,
    {"decision": "weak", "message": "m", "confidence": 0.1, "similarity": 0.2, "floor": 0.55},
)


def call(number: int, ruling: str) -> list[tuple[EventKind, dict[str, Any]]]:
    """Return the facts of a proposed and ruled call."""
    base = {"call": f"cal_{number}", "tool": "refund.issue"}
    return [
        (K.CALL_PROPOSED, base),
        (K.CALL_RULED, {**base, "ruling": ruling, "rule": "approval"}),
    ]


def settled(number: int, state: str) -> tuple[EventKind, dict[str, Any]]:
    """Return the fact that a call ended."""
    return (K.CALL_SETTLED, {"call": f"cal_{number}", "tool": "t", "state": state})


def request(number: int) -> tuple[EventKind, dict[str, Any]]:
    """Return the fact that a human was asked."""
    return (K.APPROVAL_REQUESTED, {"call": f"cal_{number}", "approval": f"apr_{number}"})


def decision(number: int, word: str) -> tuple[EventKind, dict[str, Any]]:
    """Return the fact that a human decided."""
    fact = {"call": f"cal_{number}", "approval": f"apr_{number}", "decision": word}
    return (K.APPROVAL_DECIDED, fact)


def statement(number: int, support: float, *, blocked: bool = False) -> Any:
    """Return the fact of one checked statement."""
    findings: list[str] = []
    fact = {"statement": number, "support": support, "findings": findings, "blocked": blocked}
    return (K.STATEMENT_CHECKED, {**fact, "document": None})


def outcome(word: str, reason: str | None, *approvals: str) -> tuple[EventKind, dict[str, Any]]:
    """Return the fact of an outcome."""
    fact = {"outcome": word, "reason": reason, "approvals": list(approvals)}
    return (K.OUTCOME_DECIDED, fact)


DOUBT = (K.CALL_IN_DOUBT, {"call": "cal_1", "tool": "t", "why": "handler"})
CASES: dict[str, tuple[list[Any], int | None]] = {
    "canned": ([START, outcome("answer", "canned")], 2),
    "answer": ([START, statement(1, 0.9), statement(2, 0.8), outcome("answer", None)], 3),
    "revised": ([START, statement(1, 0.1), statement(1, 0.9), outcome("answer", None)], 3),
    "weak": ([START, FLOOR, outcome("abstention", "weak")], 2),
    "resumed": ([START, FLOOR, FLOOR, outcome("abstention", "empty")], 3),
    "blocked": (
        [START, statement(1, 0.1), statement(2, 0.9, blocked=True), statement(3, 0.9),
         outcome("abstention", "unsupported")],
        3,
    ),
    "blocked first, weak after revision": (
        [START, statement(1, 0.9, blocked=True), statement(1, 0.9), statement(2, 0.2),
         outcome("abstention", "unsupported")],
        4,
    ),
    "no draft": ([START, FLOOR, outcome("abstention", "unsupported")], 3),
    "done, then failed": (
        [START, *call(1, "allow"), settled(1, "done"), *call(2, "allow"), settled(2, "failed"),
         outcome("answer", "tool_result")],
        4,
    ),
    "denied": ([START, *call(1, "allow"), *call(2, "deny"), outcome("refusal", "x")], 5),
    "human first": (
        [START, *call(1, "ask"), request(1), *call(2, "deny"), decision(1, "deny"),
         outcome("refusal", "approval")],
        7,
    ),
    "rule first": (
        [START, *call(1, "deny"), *call(2, "ask"), request(2), decision(2, "deny"),
         outcome("refusal", "x")],
        3,
    ),
    "revoked": (
        [START, *call(1, "ask"), request(1), decision(1, "approve"), call(1, "deny")[1],
         settled(1, "revoked"), outcome("refusal", "x")],
        6,
    ),
    "waits for the first of two": (
        [START, *call(1, "ask"), request(1), *call(2, "ask"), request(2),
         outcome("pending", "approval", "apr_1", "apr_2"), decision(2, "approve"),
         outcome("pending", "approval", "apr_1")],
        4,
    ),
    "in doubt": ([START, *call(1, "allow"), DOUBT, outcome("pending", "in_doubt")], 4),
    "in doubt after approval": (
        [START, *call(1, "ask"), request(1), decision(1, "approve"), DOUBT,
         outcome("pending", "in_doubt", "apr_1")],
        6,
    ),
    "interrupted": ([START, FLOOR], None),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_deciding_fact(name: str) -> None:
    """For every way to end, the fact that the rules of the turn decided by is the one named."""
    facts, seq = CASES[name]
    told = tell("run_1", rows(*facts))
    deciding = told.deciding
    assert (deciding.facts[-1] if deciding else None) == seq
    assert sum(step.decided for step in told.steps) == (0 if seq is None else 1)


def test_the_last_outcome_is_the_one_told() -> None:
    """After a resume the story's outcome is the new one; else it says so."""
    facts = [START, outcome("pending", "approval"), outcome("answer", "canned")]
    assert tell("run_1", rows(*facts)).outcome == "answer"
    assert tell("run_1", rows(START)).outcome == "interrupted"
    guarded = (K.RUN_STARTED, {"agent": "crew", "external": True})
    assert tell("run_1", rows(guarded, *call(1, "deny"))).outcome == "external"
    assert tell("run_1", []).steps == ()


def test_erased_content_is_told_as_erased() -> None:
    """Without its content a run is still told, from ids and numbers alone."""
    facts = [
        (K.RUN_STARTED, {"agent": "support"}),
        FLOOR,
        statement(1, 0.5),
        outcome("abstention", "weak"),
    ]
    told = tell("run_1", rows(*facts))
    assert said(told).count("(erased)") == 3
    assert told.deciding is not None


def test_story_json_has_the_promised_keys() -> None:
    """`why --json` carries run, outcome, steps with facts, the deciding one, and the story."""
    value = story_json(tell("run_1", rows(START, FLOOR, outcome("abstention", "weak"))))
    assert value.keys() == {
        "run", "outcome", "steps", "deciding", "story", "sentences",
        "evidence", "results", "passages", "waterfall",
    }  # fmt: skip
    assert "← this decided" in str(value["story"])
    steps: Any = value["steps"]
    assert [step["facts"] for step in steps] == [[1], [2], [3]]


def test_what_a_resume_found_again_is_said_once() -> None:
    """Equal sentences are one step that rests on both facts."""
    told = tell("run_1", rows(START, FLOOR, FLOOR, outcome("abstention", "weak")))
    assert [step.facts for step in told.steps] == [(1,), (2, 3), (4,)]


def test_every_kind_a_turn_records_can_be_told() -> None:
    """No teller fails on the least that its fact holds."""
    kept = {"rank": 1, "document": "a.md", "similarity": 0.5}
    scope = {"asker": "user:ada", "groups": [], "asserted": True, "may_read": ["group:a"]}
    returned = {"model": "quote", "calls": 0, "labelled": "scripted"}
    facts = [
        START,
        (K.SCOPE_RESOLVED, scope),
        (K.RETRIEVAL_DONE, {"view": 3, "found": 1}),
        (K.PASSAGE_KEPT, kept),
        (K.PASSAGE_KEPT, {**kept, "rank": 2}),
        (K.MODEL_RETURNED, returned),
        (K.MODEL_RETURNED, {**returned, "calls": 2, "labelled": None}),
        (K.HANDOFF_OPENED, {"handoff": "hof_1"}),
        (K.FEEDBACK_GIVEN, {"vote": "up"}),
    ]
    told = tell("run_1", rows(*facts))
    assert len(told.steps) == 8
    assert "proposed 2 tool calls" in said(told)
    assert "wrote a draft" in said(told)
