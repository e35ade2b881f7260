"""Why not: every reason a document, an answer or a call is missing, and whether it is of then."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from staid.domain.events import EventKind
from staid.tracing.record import Record
from staid.tracing.why_not import (
    Present,
    reasons_json,
    why_not_answer,
    why_not_call,
    why_not_document,
)

K = EventKind
HERE = Present("help", "z.md", "v1", True, True, (), True)


def changed(facts: Any, kind: EventKind, **values: Any) -> list[Any]:
    """Return the facts with these values in one kind of them."""
    return [(k, {**f, **values} if k is kind else f) for k, f in facts]


def test_a_document_that_was_found_says_what_became_of_it(journal: Any, answered: Any) -> None:
    """Cited, given but not cited, found below the floor: by id or `source/id`."""
    record = Record.of("run_1", journal(*answered))
    for name in ("a.md", "help/a.md"):
        (reason,) = why_not_document(record, name, None)
        assert (reason.verdict, reason.facts, reason.as_of) == ("cited", (4, 9), "then")
    uncited = changed(answered, K.STATEMENT_CHECKED, chunk=None)
    assert verdict(journal(*uncited), "a.md") == "not cited"
    weak = changed(answered, K.FLOOR_COMPARED, evidence=[])
    assert verdict(journal(*weak), "a.md") == "below floor"


def verdict(rows: Any, document: str, present: Present | None = None) -> str:
    """Return the first reason's word."""
    return why_not_document(Record.of("run_1", rows), document, present)[0].verdict


def test_a_document_that_was_cut_says_why(journal: Any, answered: Any) -> None:
    """The rank and the reason recorded then are told."""
    record = Record.of("run_1", journal(*answered))
    (below,) = why_not_document(record, "b.md", None)
    (named,) = why_not_document(record, "help/x.md", None)
    assert (below.verdict, "ranked higher" in below.text) == ("cut", True)
    assert "does not carry the name" in named.text


@pytest.mark.parametrize(
    ("present", "first"),
    [
        (None, "absent"),
        (replace(HERE, asker_may=False, path=("none of group:x is held",)), "may not read"),
        (replace(HERE, agent_may=False), "agent may not read"),
        (replace(HERE, vetted=False), "unvetted"),
        (HERE, "ranked below"),
    ],
)
def test_a_document_that_was_not_found_is_told_as_of_now(
    journal: Any, answered: Any, present: Present | None, first: str
) -> None:
    """What the journal does not say comes from the present, and says so."""
    reasons = why_not_document(Record.of("run_1", journal(*answered)), "z.md", present)
    assert (reasons[0].verdict, reasons[0].as_of) == (first, "now")


def test_a_view_that_was_found_whole_did_not_have_it_then(journal: Any, answered: Any) -> None:
    """Fewer passages than asked for: the document came into the view later, and that is certain."""
    small = changed(answered, K.RETRIEVAL_DONE, k=10)
    (reason,) = why_not_document(Record.of("run_1", journal(*small)), "z.md", HERE)
    assert (reason.verdict, reason.as_of) == ("not in view then", "then")


@pytest.mark.parametrize(
    "kept_out", [{"asker_may": False}, {"agent_may": False}, {"vetted": False}]
)
def test_what_is_not_in_the_view_is_never_said_to_be(
    journal: Any, answered: Any, kept_out: Any
) -> None:
    """A document that is kept out today is not ranked, nor told to have come into the view."""
    present = replace(HERE, **kept_out)
    (reason,) = why_not_document(Record.of("run_1", journal(*answered)), "z.md", present)
    assert "in the asker's view" not in reason.text
    small = changed(answered, K.RETRIEVAL_DONE, k=10)
    _, then = why_not_document(Record.of("run_1", journal(*small)), "z.md", present)
    assert (then.verdict, then.as_of) == ("not in view then", "then")
    assert then.text == "It was not in what was searched then."


def test_dropped_winners_and_unsearched_runs_are_told(journal: Any, answered: Any) -> None:
    """A recheck that dropped something may have dropped it; small talk searches nothing."""
    dropped = changed(answered, K.RETRIEVAL_DONE, withheld=1)
    assert verdict(journal(*dropped), "z.md", HERE) == "dropped"
    assert verdict(journal(answered[0]), "z.md", HERE) == "not searched"


def test_why_no_answer(journal: Any, answered: Any) -> None:
    """The deciding fact is told with what was missing."""
    (yes,) = why_not_answer(Record.of("run_1", journal(*answered)))
    assert yes.verdict == "answered"
    weak = changed(answered, K.FLOOR_COMPARED, decision="weak", confidence=0.35)
    weak = changed(weak, K.OUTCOME_DECIDED, outcome="abstention", reason="weak")
    (reason,) = why_not_answer(Record.of("run_1", journal(*weak)))
    assert (reason.verdict, reason.facts) == ("abstention", (5,))
    assert "It lacked 0.20." in reason.text
    (cut_off,) = why_not_answer(Record.of("run_1", journal(*answered[:4])))
    assert (cut_off.verdict, cut_off.facts) == ("interrupted", (4,))
    (hidden,) = why_not_answer(Record.of("run_1", journal(*weak), frozenset({5})))
    assert "lacked" not in hidden.text


CALL = {"call": "cal_1", "tool": "refund.issue"}
RULED = {**CALL, "ruling": "deny", "rule": "constraint:amount"}
STEPS = [["kill_switch", "allow"], ["allowlist", "allow"], ["constraint:amount", "deny"]]
ASKED = (K.APPROVAL_REQUESTED, {**CALL, "approval": "apr_1"})
ALLOWED = (K.CALL_RULED, {**CALL, "ruling": "ask", "rule": "approval"})


@pytest.mark.parametrize(
    ("facts", "word"),
    [
        ([(K.CALL_RULED, {**RULED, "steps": STEPS, "body": {"message": "Too much"}})], "denied"),
        ([ALLOWED, ASKED], "pending"),
        ([ALLOWED, ASKED, (K.APPROVAL_DECIDED, {**CALL, "decision": "deny"})], "deny"),
        ([ALLOWED, ASKED, (K.APPROVAL_DECIDED, {**CALL, "decision": "expire"})], "expire"),
        ([ALLOWED, (K.CALL_IN_DOUBT, CALL)], "in_doubt"),
        ([ALLOWED, (K.CALL_SETTLED, {**CALL, "state": "done"})], "done"),
        ([ALLOWED, (K.CALL_SETTLED, {**CALL, "state": "revoked"})], "revoked"),
        ([ALLOWED, (K.APPROVAL_DECIDED, {**CALL, "decision": "approve"})], "not executed"),
    ],
)
def test_what_became_of_a_call(journal: Any, facts: Any, word: str) -> None:
    """Every way a call ends, or does not."""
    record = Record.of("run_1", journal((K.CALL_PROPOSED, CALL), *facts))
    (reason,) = why_not_call(record, "refund.issue")
    assert reason.verdict == word
    assert reason.facts == tuple(range(1, len(facts) + 2))
    if word == "denied":
        assert "No objection: kill_switch, allowlist." in reason.text


def test_a_call_that_was_never_proposed(journal: Any, answered: Any) -> None:
    """Offered and not proposed, not offered, and no model asked are three different things."""
    record = Record.of("run_1", journal(*answered))
    assert why_not_call(record, "refund.issue")[0].verdict == "never proposed"
    assert why_not_call(record, "payroll.pay")[0].verdict == "not offered"
    small = Record.of("run_1", journal(answered[0]))
    assert why_not_call(small, "payroll.pay")[0].verdict == "no model asked"


def test_reasons_as_json(journal: Any, answered: Any) -> None:
    """The first reason is the verdict."""
    reasons = why_not_document(Record.of("run_1", journal(*answered)), "b.md", None)
    value = reasons_json("run_1", "document:b.md", reasons)
    assert (value["verdict"], value["not"], value["run"]) == ("cut", "document:b.md", "run_1")
