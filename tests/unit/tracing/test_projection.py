"""A run as a tree of spans: whole, with said parents, the same on every repeat."""

from __future__ import annotations

from dataclasses import replace

from staid.domain.events import EventKind, JournalRow
from staid.domain.grading import Given
from staid.domain.principal import Actor
from staid.testing.recorded import GATE, Rows, record, whole_run
from staid.tracing.disclosure import Disclosure
from staid.tracing.projection import project
from staid.tracing.scores import score_of
from staid.tracing.spans import Span, SpanKind, Trace, score_id, span_id, span_uuid, trace_id

OPEN = Disclosure("full", passages=True)


def spans(rows: list[JournalRow]) -> list[Span]:
    """Return the spans of these facts."""
    return list(project(record(), rows, OPEN).spans)


def named(trace: Trace, name: str) -> Span:
    """Return the one span of this name."""
    [found] = [span for span in trace.spans if span.name == name]
    return found


def test_the_tree() -> None:
    """Retrieval, floor, model calls, tool and support check hang on the run, gates on the tool."""
    trace = project(record(), whole_run(), OPEN)
    names = [span.name for span in trace.spans]
    assert names == [
        "support",
        "retrieval",
        "floor",
        "chat openai:gpt-4o",
        "refund.issue",
        "ruling",
        "approval",
        "chat openai:gpt-4o",
        "support check",
    ]
    tool = named(trace, "refund.issue")
    assert {s.name for s in trace.spans if s.parent == tool.seq} == {"ruling", "approval"}
    assert {s.parent for s in trace.spans if s.name not in {"ruling", "approval"}} == {None, 1}
    assert len({span.seq for span in trace.spans}) == len(names)
    assert all(s.parent is None or s.parent in trace.by_seq for s in trace.spans)


def test_times_hold_their_children() -> None:
    """A run lasts as long as its facts, an approval from the request to the decision."""
    trace = project(record(), whole_run(), OPEN)
    assert trace.root.end == max(span.end for span in trace.spans)
    approval, tool = named(trace, "approval"), named(trace, "refund.issue")
    assert tool.start <= approval.start < approval.end <= tool.end


def test_facts_of_later_change_nothing() -> None:
    """Feedback, grades, answered hand-offs and erasures after the release are no part of it."""
    rows = whole_run()
    before = spans(rows)
    made = Rows(rows=list(rows))
    for kind in (
        EventKind.FEEDBACK_GIVEN,
        EventKind.GRADE_GIVEN,
        EventKind.HANDOFF_ANSWERED,
        EventKind.ERASED,
        EventKind.CALL_SETTLED,
    ):
        made.add(kind, {"call": "cal_1", "state": "undone"})
    assert spans(made.rows) == before


def test_ids_depend_on_run_and_fact_alone() -> None:
    """Equal runs and numbers give equal ids, different ones different ids, in the form of OTel."""
    ids = {span_id("run_1", n) for n in range(500)} | {span_id("run_2", n) for n in range(500)}
    assert len(ids) == 1000
    assert {len(one) for one in ids} == {16}
    assert trace_id("run_1") == trace_id("run_1") != trace_id("run_2")
    assert len(trace_id("run_1")) == len(score_id("run_1", 1)) == 32
    assert span_uuid("run_1", 1) != span_uuid("run_1", 2)


def test_a_request_without_a_reply_is_an_error() -> None:
    """A model call that was cut off is there, and says that its reply was not recorded."""
    rows = [row for row in whole_run() if row.kind is not EventKind.MODEL_RETURNED]
    calls = [span for span in spans(rows) if span.kind is SpanKind.MODEL]
    assert [call.error for call in calls] == ["the model's reply was not recorded"] * 2


def test_a_denied_call_is_no_error_and_a_failed_one_is() -> None:
    """What the gate is there for is not a failure; a tool that failed, or is in doubt, is."""
    made = Rows()
    made.add(EventKind.RUN_STARTED, {"agent": "support"}, {"question": "?"})
    for call in ("cal_1", "cal_2", "cal_3", "cal_4"):
        made.add(EventKind.CALL_PROPOSED, {"call": call, "tool": call}, {"arguments": {}})
    made.add(EventKind.CALL_RULED, {"call": "cal_1", "ruling": "deny", "rule": "allowlist"})
    made.add(EventKind.CALL_SETTLED, {"call": "cal_2", "state": "failed"})
    made.add(EventKind.CALL_IN_DOUBT, {"call": "cal_3", "why": "lease"})
    made.add(EventKind.APPROVAL_DECIDED, {"call": "cal_4", "decision": "deny"})
    told = {s.name: (s.output, s.error) for s in spans(made.rows) if s.kind is SpanKind.TOOL}
    assert told == {
        "cal_1": ("ruled: deny", None),
        "cal_2": ("failed", "the tool failed"),
        "cal_3": ("in_doubt", "nobody knows whether it took effect"),
        "cal_4": ("decided: deny", None),
    }


def test_a_failed_run_is_an_error_without_an_output() -> None:
    """A run that ended without an outcome is exported as what it is."""
    made = Rows()
    made.add(EventKind.RUN_STARTED, {"agent": "support"}, {"question": "?"})
    failed = replace(record(), state="failed", outcome=None)
    [root] = project(failed, made.rows, OPEN).spans
    assert (root.input, root.output, root.error) == ("?", None, "the run ended without an outcome")


def test_a_clock_that_was_set_back() -> None:
    """No span is of negative length, whatever the clock did."""
    rows = whole_run()
    late = [replace(row, at="2027-01-01T00:00:00.000000Z") if row.seq % 2 else row for row in rows]
    assert all(span.start <= span.end for span in spans(late))


def test_drafts_are_checked_apart() -> None:
    """A revised draft is a support check of its own."""
    made = Rows(rows=list(whole_run()[:1]))
    for statement in (1, 2, 1):
        checked = {"statement": statement, "support": 0.5, "draft_supported": statement == 1}
        made.add(EventKind.STATEMENT_CHECKED, checked, {"text": f"s{statement}"})
    checks = [span for span in spans(made.rows) if span.name == "support check"]
    assert [check.input for check in checks] == [["s1", "s2"], ["s1"]]


def test_earlier_turns_are_left_to_their_own_runs() -> None:
    """Only what this turn told the model goes out with it."""
    made = Rows(rows=list(whole_run()[:1]))
    messages = [
        {"role": "user", "text": "before"},
        {"role": "assistant", "text": "an earlier answer"},
        {"role": "user", "text": "now"},
    ]
    made.add(EventKind.MODEL_REQUESTED, {"model": "m"}, {"messages": messages})
    [call] = [span for span in spans(made.rows) if span.kind is SpanKind.MODEL]
    assert call.input == [{"role": "user", "content": "now"}]


def test_who_decided_is_told_of_people_alone() -> None:
    """An approval names who decided, by alias unless the level is full; a ruling names nobody."""
    rules = Disclosure("masked", passages=True, alias=lambda token: f"<{token}>")
    trace = project(record(), whole_run(), rules)
    assert isinstance(approval := named(trace, "approval").output, dict)
    assert approval["by"] == "<user:lead>"
    assert isinstance(ruling := named(trace, "ruling").output, dict)
    assert "by" not in ruling


def test_feedback_and_grades_as_scores() -> None:
    """A vote is 1 or 0, a grade its number under its criterion; without a number there is none."""
    made = Rows()
    ada = Actor("human", "user:ada")
    vote = made.add(EventKind.FEEDBACK_GIVEN, {"vote": "down"}, {"comment": "Wrong"}, actor=ada)
    grade = made.add(EventKind.GRADE_GIVEN, Given("tone", 0.5, "judge@3").fact(), actor=GATE)
    nothing = made.add(EventKind.GRADE_GIVEN, {"name": "tone", "value": "good", "grader": "x"})
    told = score_of("run_1", vote, OPEN)
    assert told is not None
    assert (told.name, told.value, told.comment, told.human) == ("feedback", 0.0, "Wrong", True)
    assert told.id == score_id("run_1", 1)
    tone = score_of("run_1", grade, OPEN)
    assert tone is not None
    assert (tone.name, tone.value, tone.comment, tone.human) == ("tone", 0.5, "", False)
    assert score_of("run_1", nothing, OPEN) is None
    kept_back = score_of("run_1", vote, Disclosure("none"))
    assert kept_back is not None
    assert "Wrong" not in kept_back.comment
