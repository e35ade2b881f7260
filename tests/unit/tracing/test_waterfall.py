"""The waterfall: spans from the times of facts, and where they stand on the axis."""

from __future__ import annotations

from typing import Any

import pytest

from staid.domain.events import EventKind
from staid.tracing.record import Record
from staid.tracing.scale import placed
from staid.tracing.waterfall import span_json, waterfall

K = EventKind
CALL = {"call": "cal_1", "tool": "refund.issue"}
DAY = 86_400.0


def parked(after: float) -> list[tuple[EventKind, dict[str, Any]]]:
    """Return a run that waited so many seconds for a human."""
    return [
        (K.RUN_STARTED, {"agent": "desk"}),
        (K.MODEL_REQUESTED, {"model": "m"}),
        (K.MODEL_RETURNED, {"model": "m", "calls": 1, "input_tokens": 7, "output_tokens": 3}),
        (K.CALL_PROPOSED, CALL),
        (K.CALL_RULED, {**CALL, "ruling": "ask", "rule": "approval"}),
        (K.APPROVAL_REQUESTED, {**CALL, "approval": "apr_1"}),
        (K.APPROVAL_DECIDED, {**CALL, "approval": "apr_1", "decision": "approve", "after": after}),
        (K.CALL_CLAIMED, CALL),
        (K.CALL_EXECUTED, CALL),
        (K.CALL_SETTLED, {**CALL, "state": "done"}),
        (K.OUTCOME_DECIDED, {"outcome": "answer", "reason": "tool_result"}),
        (K.OUTCOME_RELEASED, {"outcome": "answer"}),
    ]


def test_a_span_lasts_from_its_first_to_its_last_fact(journal: Any) -> None:
    """Request to response, proposal to settlement, claim to execution, request to decision."""
    spans = waterfall(Record.of("run_1", journal(*parked(DAY))))
    told = {s.name: (s.offset, s.duration, s.facts) for s in spans}
    assert told["m"] == (1000.0, 1000.0, (2, 3))
    assert told["approval"] == (5000.0, DAY * 1000, (6, 7))
    assert told["execution"] == ((DAY + 6) * 1000, 1000.0, (8, 9))
    assert told["run"] == (0.0, (DAY + 10) * 1000, (1, 12))
    by_id = {s.id: s for s in spans}
    parents = {s.name: by_id[s.parent].name if s.parent else None for s in spans}
    assert parents["execution"] == parents["approval"] == parents["ruling"] == "refund.issue"
    assert parents["refund.issue"] == parents["m"] == "run"
    assert [s.id for s in spans] == list(range(1, len(spans) + 1))
    assert all(s.parent is None or s.parent < s.id for s in spans)
    assert next(s for s in spans if s.name == "m").detail == "7 tokens in, 3 out"


def test_what_did_not_end_is_open(journal: Any) -> None:
    """A run cut off after a request shows an open run, call and wait."""
    spans = waterfall(Record.of("run_1", journal(*parked(1)[:6])))
    assert {s.name for s in spans if s.open} == {"run", "refund.issue", "approval"}
    asked = waterfall(Record.of("run_1", journal(*parked(1)[:2])))
    assert [(s.name, s.open, s.detail) for s in asked[1:]] == [("m", True, "nothing came back")]
    assert waterfall(Record.of("run_1", [])) == ()


def test_hidden_facts_lend_their_times_and_nothing_else(journal: Any, answered: Any) -> None:
    """Counts, decisions and tokens are left out where the facts are withheld."""
    rows = journal(*answered)
    shown = {s.name: s.detail for s in waterfall(Record.of("run_1", rows))}
    hidden = frozenset({3, 4, 5, 8, 9})
    silent = {s.name: s.detail for s in waterfall(Record.of("run_1", rows, hidden))}
    assert shown["search"] == "found 3 of 30"
    assert (silent["search"], silent["floor"], silent["support check"]) == ("", "", "")


def test_a_clock_set_back_gives_no_negative_length(journal: Any) -> None:
    """Times that go backwards are drawn as moments."""
    spans = waterfall(Record.of("run_1", journal(*parked(-3600))))
    assert all(s.duration >= 0 and s.offset >= 0 for s in spans)
    assert all(0 <= left <= right <= 1 for left, right in placed(spans))


@pytest.mark.parametrize("wait", [0.0, 1.0, DAY, 90 * DAY])
def test_waiting_never_hides_the_work(journal: Any, wait: float) -> None:
    """However long a human takes, the model's second stays a good part of the axis."""
    spans = waterfall(Record.of("run_1", journal(*parked(wait))))
    at = dict(zip((s.name for s in spans), placed(spans), strict=True))
    assert at["run"] == (0.0, pytest.approx(1.0))
    left, right = at["m"]
    assert right - left > 0.05
    assert at["approval"][0] < at["execution"][0]


def test_a_span_as_json_is_in_milliseconds(journal: Any) -> None:
    """Every field has its unit in its name."""
    root = span_json(waterfall(Record.of("run_1", journal(*parked(1))))[0])
    assert (root["offset_ms"], root["duration_ms"], root["parent"]) == (0.0, 11_000.0, None)
