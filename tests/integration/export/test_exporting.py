"""Runs of a real project on their way to receivers: down for days, poisoned, raced, sampled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from staid.adapters.sinks.otlp import OtlpSink
from staid.domain.errors import SettingsInvalid, SinkNotFound
from staid.domain.events import Content, Event, EventKind
from staid.domain.exports import WireSpan
from staid.domain.label import EVERYONE, Label
from staid.domain.principal import Actor
from staid.project import exporting as exporting_module
from staid.project.exporting import LONGEST_WAIT
from staid.project.working import work_once
from staid.testing.otlp_server import OtlpServer
from staid.tracing.disclosure import NOT_EXPORTED, WITHHELD
from staid.tracing.spans import ROOT, span_id, trace_id

POLICY = "Annual plans are refunded within 30 days of the purchase."
CEILING = "The discount ceiling of annual plans is 37 percent of the list price."
FULL = 'content = "full"'
Make = Callable[..., Any]


def traces(server: OtlpServer) -> list[str]:
    """Return the traces that arrived, each once, in order of first arrival."""
    return list(dict.fromkeys(span.trace for span in server.spans))


def root(server: OtlpServer, run: str) -> WireSpan:
    """Return a run's own span as it arrived."""
    return next(s for s in server.spans if s.span == span_id(run, ROOT))


def vote(exporting: Any, run: str, comment: str = "") -> None:
    """Record feedback as Ada."""
    content = Content({"comment": comment}, EVERYONE, "user:ada") if comment else None
    given = Event(
        EventKind.FEEDBACK_GIVEN,
        exporting.clock.now(),
        Actor("human", "user:ada"),
        {"vote": "up"},
        content,
    )
    exporting.project.wiring.records.note(run, [given])


# --- what leaves -----------------------------------------------------------------------------


def test_an_answered_run_arrives(exporting: Make, server: OtlpServer) -> None:
    """Question, answer, person, conversation and passages reach a sink that may have them."""
    here = exporting(("there", "phoenix", FULL, 'label = [["group:staff"]]'))
    here.learn("refunds", POLICY, Label.of([["group:customers", "group:staff"]]))
    [run] = here.ask("When are annual plans refunded?")
    [done] = here.export()
    assert (done.sent, done.rejected, done.error) == (1, 0, None)
    told = root(server, run).attributes
    assert told["input.value"] == "When are annual plans refunded?"
    assert told["output.value"] == POLICY
    assert told["user.id"] == "user:ada"
    assert told["session.id"] == here.project.wiring.records.run(run).conversation
    retrieval = next(s for s in server.spans if s.name == "retrieval")
    assert retrieval.attributes["retrieval.documents.0.document.content"] == POLICY


def test_a_passage_that_the_sink_does_not_hold_stays(exporting: Make, server: OtlpServer) -> None:
    """Without a declared label neither the passage nor the answer that quotes it leaves."""
    here = exporting(("there", "otlp", FULL))
    here.learn("ceiling", CEILING, Label.of([["group:customers"]]))
    [run] = here.ask("What is the discount ceiling of annual plans?")
    assert CEILING in here.project.wiring.records.rows(run)[-2].body["text"]
    here.export()
    assert root(server, run).attributes["output.value"] == WITHHELD
    assert not any("37 percent" in str(span.attributes) for span in server.spans)


def test_by_default_personal_data_is_masked(exporting: Make, server: OtlpServer) -> None:
    """Words leave with numbers and addresses replaced, and people under the journal's alias."""
    here = exporting()
    [run] = here.ask("Is ada@example.org or 0171 2345678 my number?")
    here.export()
    told = root(server, run).attributes
    assert str(told["input.value"]).startswith("Is [email:")
    assert str(told["user.id"]).startswith("sub_")
    sent = " ".join(str(s.attributes) for s in server.spans)
    for mine in ("ada@example.org", "0171", "2345678", "user:ada"):
        assert mine not in sent


def test_each_sink_gets_its_own(exporting: Make, server: OtlpServer) -> None:
    """Two sinks of one project each get the run in their words, at their own content level."""
    here = exporting(("a", "otlp", FULL), ("b", "otlp", 'content = "none"'))
    [run] = here.ask("What of it?")
    here.export()
    inputs = [s.attributes["input.value"] for s in server.spans if s.span == span_id(run, ROOT)]
    assert inputs == ["What of it?", NOT_EXPORTED]


def test_a_sandbox_exports_nothing(exporting: Make, server: OtlpServer) -> None:
    """What an eval runs in a sandbox is nobody's record."""
    here = exporting()
    with here.project.sandbox() as copy:
        copy.wiring.__dict__["embedder"] = here.project.wiring.embedder
        copy.agent_named("support").ask_sync("What of it?", asker="user:ada")
        assert copy.wiring.outbox.rows() == []
    assert here.export()[0].sent == 0


def test_a_sample_is_the_same_runs_everywhere(exporting: Make, server: OtlpServer) -> None:
    """Left out runs are told as skipped, and two sinks with one share get the same runs."""
    here = exporting(("a", "otlp", "sample = 0.5"), ("b", "otlp", "sample = 0.5"))
    here.ask(*[f"Question {n}?" for n in range(12)])
    here.export("a")
    first = traces(server)
    here.export("b")
    assert traces(server) == first
    assert 0 < len(first) < 12
    assert here.states("a") == here.states("b")
    assert here.states("a").count("skipped") == 12 - len(first)


# --- trouble ---------------------------------------------------------------------------------


def test_a_sink_that_is_down_for_days(exporting: Make, server: OtlpServer) -> None:
    """Attempts become rare, nothing is lost or overtakes, and everything arrives in order."""
    here = exporting()
    server.judge = lambda _: 503
    here.ask("First?", "Second?")
    attempts = 0
    for hour in range(72):
        if hour == 30:
            here.ask("Third?")
        attempts += sum(bool(one.error) for one in here.export())
        here.clock.wait(hours=1)
    assert len(server.exports) == attempts
    assert 70 <= attempts <= 72  # the longest wait is an hour
    assert set(here.states("there")) == {"waiting"}
    assert here.project.wiring.outbox.standing()["there"].error is not None
    server.judge = lambda _: 200
    here.ask("Fourth?")
    here.clock.wait(hours=1)
    here.export()
    assert traces(server) == [trace_id(run) for run in here.runs]
    assert len(server.spans) == len({span.span for span in server.spans})
    assert set(here.states("there")) == {"sent"}


def test_waits_double_and_the_receivers_word_counts(exporting: Make, server: OtlpServer) -> None:
    """The pause doubles up to an hour; before it is over the receiver is left alone."""
    here = exporting()
    server.judge = lambda _: 429
    here.ask("What of it?")
    pauses: list[float] = []
    for _ in range(14):
        here.export()
        [row] = here.project.wiring.outbox.rows()
        pause = row.next_at - here.clock.now()
        pauses.append(pause.total_seconds())
        tried = len(server.exports)
        here.clock.at = row.next_at - timedelta(microseconds=1)
        here.export()
        assert len(server.exports) == tried
        here.clock.at = row.next_at
    assert pauses[:6] == [1, 2, 4, 8, 16, 32]
    assert pauses[-1] == LONGEST_WAIT


def test_a_poisoned_span_is_named_and_the_rest_arrives(exporting: Make, server: OtlpServer) -> None:
    """The run with the span that is refused says which and why; the other runs are whole."""
    here = exporting(("there", "otlp", FULL))
    runs = here.ask("Well?", "Poison?", "And?")
    server.judge = lambda got: 400 if any(_poisoned(span) for span in got) else 200
    [done] = here.export()
    assert here.states("there") == ["sent", "rejected", "sent"]
    assert (done.sent, done.rejected) == (2, 1)
    [row] = here.project.wiring.outbox.rows(states=["rejected"])
    assert "400: scripted" in row.error
    assert span_id(runs[1], ROOT) in {one["span"] for one in row.receipt["rejected"]}
    wanted = {s for r in here.project.wiring.outbox.rows() for s in r.receipt["spans"]}
    assert {span.span for span in server.spans} == wanted
    server.judge = lambda _: 200
    here.project.wiring.outbox.retry("there", ["rejected"])
    here.export()
    assert set(here.states("there")) == {"sent"}
    assert {span.span for span in server.spans} == wanted


def _poisoned(span: WireSpan) -> bool:
    return "Poison?" in str(span.attributes)


def test_a_run_that_cannot_be_told_does_not_stop_the_rest(
    exporting: Make, server: OtlpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A defect of the projection costs one run its export, and says so."""
    here = exporting()
    runs = here.ask("First?", "Second?")
    told = exporting_module.project_run

    def broken(record: Any, *rest: Any) -> Any:
        if record.run == runs[0]:
            message = "odd"
            raise ValueError(message)
        return told(record, *rest)

    monkeypatch.setattr(exporting_module, "project_run", broken)
    here.export()
    assert here.states("there") == ["rejected", "sent"]
    assert here.project.wiring.outbox.rows()[0].error == "cannot be told: ValueError: odd"


def test_two_exporters_never_send_the_same(exporting: Make, server: OtlpServer) -> None:
    """Eight rounds at once: every span arrives once."""
    here = exporting()
    here.ask(*[f"Question {n}?" for n in range(30)])
    with ThreadPoolExecutor(8) as pool:
        for future in [pool.submit(here.export) for _ in range(8)]:
            future.result()
    here.export()
    ids = [span.span for span in server.spans]
    assert len(ids) == len(set(ids))
    assert traces(server) == [trace_id(run) for run in here.runs]


def test_an_exporter_that_was_too_slow_leaves_the_rest_alone(
    exporting: Make, server: OtlpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When its claim lapses while it sends, another one goes on, and it sends no further row."""
    here, other = exporting(), exporting()
    other.project.wiring.clock = here.clock
    vote(here, here.ask("First?")[0])
    here.ask("Second?")
    send = OtlpSink.send

    def slow(self: OtlpSink, spans: Any) -> Any:
        monkeypatch.setattr(OtlpSink, "send", send)
        done = send(self, spans)
        here.clock.wait(minutes=5)
        other.export()
        return done

    monkeypatch.setattr(OtlpSink, "send", slow)
    here.export()
    assert here.states("there") == ["sent", "skipped", "sent"]
    arrived = [span.trace for span in server.spans if span.parent is None]
    assert arrived.count(trace_id(here.runs[0])) == 2  # nobody knows that it had arrived
    assert arrived.count(trace_id(here.runs[1])) == 1


def test_a_missing_secret_concerns_its_own_sink_alone(exporting: Make, server: OtlpServer) -> None:
    """The sink whose key is not set says so; the other one gets its runs."""
    here = exporting(("a", "otlp", 'key = "env:STAID_TEST_NOT_SET"'), ("b", "otlp"))
    here.ask("What of it?")
    first, second = here.export()
    assert "ST-116" in first.error
    assert (second.sent, here.states("a")) == (1, ["waiting"])


def test_an_unknown_sink(exporting: Make) -> None:
    """A sink that is not configured is named."""
    with pytest.raises(SinkNotFound):
        exporting().export("nowhere")


def test_a_finder_of_names_works_on_every_masked_sink(exporting: Make, server: OtlpServer) -> None:
    """A project's own finder masks names; one that cannot be loaded lets nothing out, and waits."""
    names = '[redaction]\nnames = "finds_zuckerkandl:names"'
    here = exporting(("there", "otlp", names))
    here.ask("Is the order of Zuckerkandl late?")
    [done] = here.export()
    assert ("ST-102" in done.error, server.spans, here.states("there")) == (True, [], ["waiting"])
    finder = here.project.settings.directory_path / "finds_zuckerkandl.py"
    finder.write_text(
        "def names(text):\n    at = text.find('Zuckerkandl')\n    return [(at, at + 11)]\n"
    )
    again = exporting(("there", "otlp", names))
    again.project.wiring.clock = here.clock
    assert again.export()[0].sent == 1
    told = str([span.attributes for span in server.spans])
    assert "Zuckerkandl" not in told
    assert "Is the order of [name:11] late?" in told


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (('kind = "otlp"', 'url = "u"', 'key = "sk-123"'), "a key is a reference"),
        (('kind = "langfuse"',), "needs key"),
        (('kind = "file"',), "needs path"),
        (('kind = "otlp"',), "needs url"),
        (('kind = "otlp"', 'url = "u"', "passages = true"), "passages_reason"),
        (('kind = "otlp"', 'url = "u"', 'label = ["x"]'), "clause"),
        (('kind = "otlp"', 'url = "u"', 'lable = [["group:a"]]'), "Extra inputs"),
    ],
)
def test_settings_that_are_refused(
    make_project: Callable[..., Any], lines: tuple[str, ...], said: str
) -> None:
    """A key in plain text, a missing address, a wrong label or a misspelt key stop the project."""
    text = "\n".join(["[project]", "[sinks.there]", *lines])
    with pytest.raises(SettingsInvalid, match=said):
        make_project("refused", text)


# --- scores, receipts, backfill --------------------------------------------------------------


def test_feedback_arrives_after_its_run(
    exporting: Make, server: OtlpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A vote goes to the receiver's own interface, after the run it is about."""
    here = exporting(("there", "langfuse", FULL, 'key = "env:STAID_TEST_KEY"'))
    monkeypatch.setenv("STAID_TEST_KEY", "pk:sk")
    server.answers["POST", "/api/public/scores"] = (200, {})
    [run] = here.ask("What of it?")
    vote(here, run, "Good")
    [done] = here.export()
    assert done.sent == 2
    [score] = server.asked
    assert (score.body["traceId"], score.body["value"]) == (trace_id(run), 1)
    assert score.body["comment"] == "Good"


def test_what_a_receiver_cannot_do_is_skipped_with_the_reason(
    exporting: Make, server: OtlpServer
) -> None:
    """A plain OTLP backend takes no score and deletes nothing; both are told, nothing waits."""
    here = exporting()
    [run, other] = here.ask("What of it?", "And of that?")
    vote(here, run)
    with here.project.wiring.store.write() as connection:
        connection.exec_driver_sql(
            f"INSERT INTO outbox (sink, run, kind) VALUES ('there', '{other}', 'forget')"
        )
    here.export()
    assert here.states("there") == ["sent", "sent", "skipped", "skipped"]
    errors = [row.error for row in here.project.wiring.outbox.rows()]
    assert "cannot take the score" in errors[2]
    assert "cannot delete" in errors[3]


def test_a_score_of_a_run_that_never_shows_is_given_up(exporting: Make, server: OtlpServer) -> None:
    """A receiver that lost the run does not keep the sink waiting for ever."""
    here = exporting(("there", "phoenix"))
    [run] = here.ask("What of it?")
    vote(here, run)
    here.ask("And after it?")
    for _ in range(8):
        here.export()
        here.clock.wait(minutes=5)
    assert here.states("there") == ["sent", "rejected", "sent"]


def test_receipts_confirm_what_is_there(exporting: Make, server: OtlpServer) -> None:
    """A run is confirmed when every span is read back, looked at again until then, then differs."""
    here = exporting(("there", "phoenix"))
    here.ask("There?", "Lost?")
    path = ("GET", "/v1/projects/export/spans")
    here.export()
    rows = here.project.wiring.outbox.rows()
    page = [{"context": {"span_id": s}, "attributes": {}} for s in rows[0].receipt["spans"]]
    server.answers[path] = (200, {"data": page, "next_cursor": None})
    assert here.export()[0].confirmed == 0  # it gets a moment
    for _ in range(10):
        here.clock.wait(minutes=10)
        here.export()
    first, second = here.project.wiring.outbox.rows()
    assert (first.state, first.receipt["seen"]) == ("confirmed", len(page))
    assert second.state == "sent"
    assert second.receipt["differs"] is True
    assert set(second.receipt["missing"]) == set(second.receipt["spans"])
    asked = len(server.asked)
    here.clock.wait(days=1)
    here.export()
    assert len(server.asked) == asked


def test_a_sink_of_today_gets_the_runs_of_before(
    exporting: Make, make_project: Callable[..., Any], server: OtlpServer
) -> None:
    """Backfill brings earlier runs under the ids they would have had, oldest first."""
    before = exporting(("other", "otlp"))
    runs = before.ask("First?", "Second?")
    before.export()
    usual = {span.span for span in server.spans}
    server.exports.clear()
    after = exporting(("there", "otlp"))
    outbox = after.project.wiring.outbox
    assert after.export()[0].sent == 0
    assert outbox.backfill("there", after.clock.now(), None) == 2
    after.export()
    assert traces(server) == [trace_id(run) for run in runs]
    assert {span.span for span in server.spans} == usual


def test_the_worker_empties_the_outbox(exporting: Make, server: OtlpServer) -> None:
    """A round of the worker sends what is due, and says so."""
    here = exporting()
    [run] = here.ask("What of it?")
    done = asyncio.run(work_once(here.project))
    assert [(one.sink, one.sent) for one in done.exported] == [("there", 1)]
    assert traces(server) == [trace_id(run)]
    assert asyncio.run(work_once(here.project)).exported == ()
