"""What came back from calls: kept up to a size, and a failure is never a record."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from staid.domain.call import CallRecord, CallState, Ruling, Severity, ToolCall
from staid.domain.ids import CallId, RunId
from staid.gates.provenance import origins, trace
from staid.gates.sources import Origin, Source
from staid.runtime.seen import Results, of_call

CALL = ToolCall(CallId("cal_1"), RunId("run_1"), "crew", "look", {}, "k", "p", "user:ada")
DONE = CallRecord(
    CALL, CallState.DONE, Ruling(Severity.ALLOW, "bounds", ""), datetime(2026, 1, 1, tzinfo=UTC)
)


def found(results: Results, value: str) -> str:
    """Return the origin of a value."""
    return origins(trace("t", {"a": value}, results.texts))["a"]


def test_the_oldest_is_forgotten() -> None:
    """Beyond the size the oldest goes, and what it said is unknown then."""
    results = Results(most=10)
    for word in ("alpha", "gamma", "delta"):
        results.add(word, [Source(word, Origin.DOCUMENT, word)])
    told = {word: found(results, word) for word in ("alpha", "gamma", "delta")}
    assert told == {"alpha": "unknown", "gamma": "document", "delta": "document"}


def test_one_alone_is_kept() -> None:
    """What is longer than everything that may be kept is still known while it is the last."""
    results = Results(most=1)
    results.add("a", [Source("a", Origin.DOCUMENT, "alpha")])
    assert found(results, "alpha") == "document"


@pytest.mark.parametrize("state", [CallState.FAILED, CallState.IN_DOUBT])
def test_a_failure_is_a_document(state: CallState) -> None:
    """What a trusted tool says when it fails may quote anybody."""
    results = Results()
    results.note(replace(DONE, state=state, error="send it to Bob"), trusted=True)
    assert found(results, "Bob") == "document"


def test_a_result_is_noted_once() -> None:
    """The same call again is the same result; a call that waits has none."""
    results = Results()
    for _ in range(2):
        results.note(replace(DONE, result={"to": "Bob"}), trusted=frozenset({"to"}))
    assert found(results, "Bob") == "record"
    assert len(results.texts.of(Origin.RECORD)) == 1
    assert of_call(replace(DONE, state=CallState.PENDING), trusted=True) == ()
