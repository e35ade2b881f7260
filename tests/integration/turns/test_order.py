"""The order of facts is fixed: a property over generated turns, with every way they can go."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Sequence
from typing import Any

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from staid.domain.call import CallState
from staid.domain.events import EventKind, JournalRow
from staid.domain.message import MALFORMED_ARGUMENTS, ProposedCall
from staid.project.deciding import decide, settle_doubt
from staid.runtime import released

EXAMPLES = int(os.environ.get("STAID_TURN_EXAMPLES", "120"))
LETTERS = {
    EventKind.RUN_STARTED: "S",
    EventKind.SCOPE_RESOLVED: "C",
    EventKind.RETRIEVAL_DONE: "R",
    EventKind.PASSAGE_KEPT: "K",
    EventKind.FLOOR_COMPARED: "F",
    EventKind.PROMPT_RENDERED: "P",
    EventKind.MODEL_REQUESTED: "Q",
    EventKind.MODEL_RETURNED: "M",
    EventKind.CALL_PROPOSED: "p",
    EventKind.CALL_RULED: "r",
    EventKind.APPROVAL_REQUESTED: "a",
    EventKind.APPROVAL_DECIDED: "d",
    EventKind.CALL_CLAIMED: "c",
    EventKind.CALL_EXECUTED: "e",
    EventKind.CALL_SETTLED: "s",
    EventKind.CALL_IN_DOUBT: "i",
    EventKind.STATEMENT_CHECKED: "T",
    EventKind.ANSWER_REVISED: "V",
    EventKind.HANDOFF_OPENED: "H",
    EventKind.OUTCOME_DECIDED: "O",
    EventKind.OUTCOME_RELEASED: "L",
}
SEARCH = "CRK*F"
ROUND = "PQM(pr(a|ces|es|ci)?)*"
END = f"({ROUND})*T*(PQMVT*)?H?OL"
RESUMED = f"[ds]+{SEARCH}(ces|ci)*{END}"
TURN = re.compile(f"S(OL|{SEARCH}{END})({RESUMED})*")

POLICY = "Annual plans are refunded within 30 days of the purchase."
DRAFTS = (
    "",
    POLICY,
    "Annual plans are refunded within 90 days of the purchase.",
    "The order has left the warehouse in Hamburg.",
    "Done! I refunded everything.",
)
QUESTIONS = (
    "Are annual plans refunded within 30 days of the purchase?",
    "Do whales sing at night?",
    "hello",
)
CALLS: list[tuple[str, dict[str, str]]] = [
    *(("refund.issue", {"order_id": "A1", "amount": str(n)}) for n in (40, 90, 200, 300, 900, -1)),
    ("order.look", {"order_id": "A1"}),
    ("parcel.send", {"order_id": "B1"}),
    ("rocket.launch", {}),
    ("refund.issue", {MALFORMED_ARGUMENTS: "{"}),
]
proposals: st.SearchStrategy[tuple[str, dict[str, str]]] = st.sampled_from(CALLS)
steps: st.SearchStrategy[list[Any]] = st.lists(
    st.one_of(st.sampled_from(DRAFTS), st.lists(proposals, min_size=1, max_size=3)), max_size=4
)


def played(script: list[Any]) -> list[Any]:
    """Give every proposed call an id of the provider."""
    return [
        step
        if isinstance(step, str)
        else [ProposedCall(f"c{at}-{n}", tool, given) for n, (tool, given) in enumerate(step)]
        for at, step in enumerate(script)
    ]


def letters(rows: Sequence[JournalRow]) -> str:
    """Return the kinds of facts as one word."""
    return "".join(LETTERS[row.kind] for row in rows)


def carry_on(desk: Any, run: str, *, approve: bool, happened: bool) -> Any:
    """Decide or settle the first thing that a parked run waits for."""
    for record in desk.project.calls(run):
        if record.state is CallState.PENDING:
            word = "approve" if approve else "deny"
            made = decide(desk.project, record.approval, word, approver="user:lead")
            return asyncio.run(made).outcome
        if record.state is CallState.IN_DOUBT:
            named = record.approval or record.call.id
            made = settle_doubt(desk.project, named, "user:lead", None, happened=happened)
            return asyncio.run(made).outcome
    return None


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    question=st.sampled_from(QUESTIONS),
    script=steps,
    agent=st.sampled_from(["support", "desk", "desk", "desk"]),
    answers=st.lists(st.tuples(st.booleans(), st.booleans()), min_size=12, max_size=12),
)
def test_the_order_of_facts_is_fixed(
    shared_desk: Any,
    question: str,
    script: list[Any],
    agent: str,
    answers: list[tuple[bool, bool]],
) -> None:
    """Every turn is a word of one grammar; record, story and effects agree with its outcome."""
    desk = shared_desk
    desk.effects.clear()
    outcome = desk.ask(question, *played(script), agent=agent)
    for approve, happened in answers:
        _check(desk, outcome)
        if outcome.outcome != "pending":
            break
        outcome = carry_on(desk, outcome.run, approve=approve, happened=happened)
    event(f"{outcome.outcome} {outcome.reason}")
    done = [r for r in desk.project.calls(outcome.run) if r.state is CallState.DONE]
    refunds = [r for r in done if r.call.tool == "refund.issue"]
    assert desk.effects.count("refund A1") == len(refunds)


def _check(desk: Any, outcome: Any) -> None:
    rows = desk.rows(outcome)
    assert TURN.fullmatch(letters(rows)), letters(rows)
    assert released.outcome_of(outcome.run, rows) == outcome
    assert rows[0].actor.kind == "human"
    _check_release(desk, outcome, rows)
    _check_deciding(desk, outcome)


def _check_release(desk: Any, outcome: Any, rows: Sequence[JournalRow]) -> None:
    """Hold what was released against what it may rest on."""
    record = desk.project.wiring.records.run(outcome.run)
    assert record.state == ("parked" if outcome.outcome == "pending" else "released")
    assert (outcome.handoff is not None) == (outcome.outcome == "abstention")
    requested = [row for row in rows if row.kind is EventKind.MODEL_REQUESTED]
    compared = [row for row in rows if row.kind is EventKind.FLOOR_COMPARED]
    if any(row.fact["decision"] != "sufficient" for row in compared):
        assert all(row.fact["evidence"] == [] for row in requested)
    if (outcome.outcome, outcome.reason) == ("answer", None):
        assert outcome.text in {POLICY, "The order has left the warehouse in Hamburg."}
        # A citation is a span of a passage; what a read returned is cited by its call.
        assert outcome.citations or outcome.text != POLICY
    if outcome.outcome == "abstention":
        assert outcome.text not in DRAFTS


def _check_deciding(desk: Any, outcome: Any) -> None:
    """Hold the fact that the story names against what this outcome can be decided by."""
    fact = desk.deciding(outcome)
    match outcome.outcome, outcome.reason:
        case "answer", "canned":
            assert fact.kind is EventKind.OUTCOME_DECIDED
        case "answer", "tool_result":
            assert (fact.kind, fact.fact["state"]) == (EventKind.CALL_SETTLED, "done")
        case "answer", _:
            assert (fact.kind, fact.fact["draft_supported"]) == (EventKind.STATEMENT_CHECKED, True)
        case "abstention", "unsupported":
            assert fact.kind in {EventKind.STATEMENT_CHECKED, EventKind.OUTCOME_DECIDED}
            assert fact.fact.get("draft_supported") is not True
        case "abstention", _:
            assert fact.fact["decision"] == outcome.reason
        case "refusal", _:
            assert "deny" in {fact.fact.get("ruling"), fact.fact.get("decision")}
        case "pending", "in_doubt":
            assert fact.kind is EventKind.CALL_IN_DOUBT
        case _:
            assert fact.fact["approval"] in outcome.approvals
