"""Two runs side by side: every aspect is seen, and the earliest difference comes first."""

from __future__ import annotations

from typing import Any

import pytest

from staid.domain.events import EventKind
from staid.tracing.difference import compare, compare_json
from staid.tracing.record import Record

K = EventKind
CHANGES: dict[str, tuple[EventKind, dict[str, Any]]] = {
    "question": (K.RUN_STARTED, {"body": {"question": "Else?"}}),
    "asker": (K.SCOPE_RESOLVED, {"groups": []}),
    "agent": (K.RUN_STARTED, {"agent": "desk"}),
    "search": (K.RETRIEVAL_DONE, {"view": 31}),
    "evidence": (K.PASSAGE_KEPT, {"version": "v2"}),
    "floor": (K.FLOOR_COMPARED, {"floor": 0.6}),
    "measured": (K.FLOOR_COMPARED, {"confidence": 0.91}),
    "prompt": (K.PROMPT_RENDERED, {"sha256": "cd" * 32}),
    "model": (K.MODEL_RETURNED, {"model": "other"}),
    "statements": (K.STATEMENT_CHECKED, {"support": 0.5}),
    "outcome": (K.OUTCOME_DECIDED, {"reason": "canned"}),
    "text": (K.OUTCOME_DECIDED, {"body": {"text": "Unpaid."}}),
}


@pytest.mark.parametrize("name", CHANGES)
def test_each_aspect_is_seen(journal: Any, answered: Any, name: str) -> None:
    """A change in one fact shows in exactly its aspect, with both sides and their facts."""
    kind, values = CHANGES[name]
    other = [(k, {**f, **values} if k is kind else f) for k, f in answered]
    first, second = Record.of("a", journal(*answered)), Record.of("b", journal(*other))
    assert [a.name for a in compare(first, second) if a.differs] == [name]
    value: Any = compare_json(("a", "b"), compare(first, second))
    assert value["differences"][0]["first"] != value["differences"][0]["second"]
    assert value["differences"][0]["facts"][0] == value["differences"][0]["facts"][1] != []


def test_the_same_run_differs_in_nothing(journal: Any, answered: Any) -> None:
    """A run compared with itself is the same in every aspect."""
    record = Record.of("a", journal(*answered))
    value: Any = compare_json(("a", "a"), compare(record, record))
    assert (value["differences"], len(value["same"])) == ([], len(compare(record, record)))


def test_calls_rulings_and_decisions_are_listed(journal: Any, answered: Any) -> None:
    """What one run did and the other did not is shown as its list against an empty one."""
    call = {"call": "cal_1", "tool": "t"}
    acted = [
        (K.CALL_PROPOSED, {**call, "body": {"arguments": {"a": 1}}}),
        (K.CALL_RULED, {**call, "ruling": "ask", "rule": "approval"}),
        (K.APPROVAL_DECIDED, {**call, "decision": "approve"}),
        (K.CALL_SETTLED, {**call, "state": "done"}),
    ]
    both = compare(Record.of("a", journal(*answered)), Record.of("b", journal(*answered, *acted)))
    told = {a.name: a.second for a in both if a.differs}
    assert told == {
        "calls": [{"tool": "t", "arguments": {"a": 1}}],
        "rulings": [{"tool": "t", "ruling": "ask", "rule": "approval"}],
        "decisions": [{"decision": "approve"}],
        "settled": [{"tool": "t", "state": "done"}],
    }
