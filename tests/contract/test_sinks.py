"""The wire contract of every sink, against a loopback server that decodes what arrives."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from staid.adapters.sinks.encoding import LARGEST_REQUEST
from staid.adapters.sinks.presets import SinkPlan, sink_of
from staid.domain.errors import BatchRejected, SinkCannot, SinkRefused, SinkUnreachable
from staid.domain.exports import Rejected, Score, Sink, WireSpan
from staid.testing.otlp_server import OtlpServer
from staid.testing.recorded import record, whole_run
from staid.tracing.dialects.destination import wire
from staid.tracing.disclosure import Disclosure
from staid.tracing.projection import project
from staid.tracing.spans import ROOT, score_id, span_id, span_uuid, trace_id

KINDS = ["otlp", "phoenix", "arize", "langfuse", "langsmith", "mlflow", "logfire"]
RUN = record().run
SCORE = Score(
    score_id(RUN, 9), RUN, "feedback", 1.0, "Good", True, datetime(2026, 5, 1, tzinfo=UTC)
)
PATHS = {"langfuse": "/api/public/otel/v1/traces", "langsmith": "/otel/v1/traces"}
HEADERS = {
    "otlp": {"authorization": "Bearer k:s", "x-more": "1"},
    "phoenix": {"authorization": "Bearer k:s", "x-project-name": "mine"},
    "arize": {"space_id": "sp", "arize-space-id": "sp", "api_key": "k:s"},
    "langfuse": {
        "authorization": f"Basic {base64.b64encode(b'k:s').decode()}",
        "x-langfuse-ingestion-version": "4",
    },
    "langsmith": {"x-api-key": "k:s", "langsmith-project": "mine"},
    "mlflow": {"authorization": "Bearer k:s", "x-mlflow-experiment-id": "mine"},
    "logfire": {"authorization": "k:s"},
}


@pytest.fixture
def server() -> Iterator[OtlpServer]:
    """Give a receiver on the loopback interface."""
    with OtlpServer() as running:
        yield running


@pytest.fixture
def open_sink(server: OtlpServer) -> Iterator[Callable[..., Any]]:
    """Return a function that opens a sink of a kind on that receiver."""
    opened: list[Sink] = []

    def make(kind: str = "otlp", **more: Any) -> Sink:
        given: dict[str, Any] = {
            "url": server.url,
            "project": "mine",
            "key": "k:s",
            "space": "sp",
            "headers": {"x-more": "1"},
            **more,
        }
        opened.append(sink_of(SinkPlan("there", kind, **given)))
        return opened[-1]

    yield make
    for sink in opened:
        sink.close()


def spans_of(kind: str = "otlp") -> list[WireSpan]:
    """Return a run as it goes out."""
    rules = Disclosure(level="full", passages=True)
    return wire(project(record(), whole_run(), rules), kind, {})


@pytest.mark.parametrize("kind", KINDS)
def test_what_arrives_is_what_was_sent(
    kind: str, server: OtlpServer, open_sink: Callable[..., Sink]
) -> None:
    """Ids, parents, times, attributes and errors survive the wire, at the receiver's own path."""
    spans = spans_of(kind)
    assert open_sink(kind).send(spans).accepted == len(spans)
    assert server.spans == spans
    [request] = server.exports
    assert request.path == PATHS.get(kind, "/v1/traces")
    assert request.headers["content-encoding"] == "gzip"
    assert {k: request.headers.get(k) for k in HEADERS[kind]} == HEADERS[kind]


@pytest.mark.parametrize("kind", ["phoenix", "arize"])
def test_resource_names_the_project(
    kind: str, server: OtlpServer, open_sink: Callable[..., Sink]
) -> None:
    """Phoenix and AX find the project in the resource."""
    open_sink(kind).send(spans_of(kind))
    assert server.exports[0].resource["openinference.project.name"] == "mine"


def test_a_file_gets_a_line_for_each_span(tmp_path: Path) -> None:
    """The file sink needs no receiver, writes JSON lines, and says that nothing can be deleted."""
    sink = sink_of(SinkPlan("there", "file", path="out/spans.jsonl", folder=tmp_path))
    assert sink.send(spans_of("file")).accepted == len(spans_of("file"))
    sink.score(SCORE)
    lines = [json.loads(line) for line in (tmp_path / "out/spans.jsonl").read_text().splitlines()]
    assert [line["span"] for line in lines[:-1]] == [span.span for span in spans_of("file")]
    assert (lines[-1]["kind"], lines[-1]["value"]) == ("score", 1)
    for refuse in (sink.forget, sink.seen):
        with pytest.raises(SinkCannot):
            refuse(RUN)
    sink.close()


def test_a_file_that_cannot_be_written_is_tried_again(tmp_path: Path) -> None:
    """A folder in the place of the file is told as a sink that cannot be reached."""
    sink = sink_of(SinkPlan("there", "file", path=".", folder=tmp_path))
    with pytest.raises(SinkUnreachable):
        sink.send(spans_of("file"))


# --- size, poison, failures ------------------------------------------------------------------


def test_requests_are_cut_by_bytes(server: OtlpServer, open_sink: Callable[..., Sink]) -> None:
    """Many spans go in requests of at most 1 MB, in order; a larger span goes alone."""
    small = replace(spans_of()[0], attributes={"text": "x" * 90_000})
    large = replace(small, attributes={"text": "y" * 2_000_000})
    spans = [*[small] * 30, large, small]
    assert open_sink().send(spans).accepted == len(spans)
    assert server.spans == spans
    alone = [one for one in server.exports if one.size > LARGEST_REQUEST + 1000]
    assert [len(one.spans) for one in alone] == [1]
    assert len(server.exports) == 5


def test_langfuse_gets_one_run_in_a_request(
    server: OtlpServer, open_sink: Callable[..., Sink]
) -> None:
    """A malformed id would reject every run of the request, so each goes on its own."""
    first = spans_of("langfuse")
    second = [replace(span, trace="f" * 32) for span in first]
    open_sink("langfuse").send([*first, *second])
    open_sink("phoenix").send([*first, *second])
    assert [len({s.trace for s in one.spans}) for one in server.exports] == [1, 1, 2]


@pytest.mark.parametrize("status", [400, 413, 415, 422])
def test_a_poisoned_span_is_found_and_the_rest_arrives(
    status: int, server: OtlpServer, open_sink: Callable[..., Sink]
) -> None:
    """A rejected request is halved down to the span at fault; an empty one keeps its place."""
    spans = spans_of("langsmith")
    poisoned = next(span for span in spans if span.name == "refund.issue")
    server.judge = lambda got: (
        status
        if any("input.value" in s.attributes and s.name == "refund.issue" for s in got)
        else 200
    )
    done = open_sink("langsmith").send(spans)
    assert done.rejected == (Rejected(poisoned.span, "refund.issue", f"{status}: scripted"),)
    arrived = {span.span: span for span in server.spans}
    assert set(arrived) == {span.span for span in spans}
    assert all(span.parent in arrived for span in arrived.values() if span.parent)
    stub = arrived[poisoned.span]
    assert stub.attributes["staid.rejected"] == f"{status}: scripted"
    assert (
        stub.attributes["langsmith.span.parent_id"]
        == poisoned.attributes["langsmith.span.parent_id"]
    )
    assert [arrived[s.span] for s in spans if s is not poisoned] == [
        s for s in spans if s is not poisoned
    ]


def test_a_span_that_is_refused_even_empty_is_given_up(
    server: OtlpServer, open_sink: Callable[..., Sink]
) -> None:
    """When its empty stand-in is refused too, the span is counted as lost and named."""
    server.judge = lambda got: 400 if any(s.name == "floor" for s in got) else 200
    spans = spans_of()
    done = open_sink().send(spans)
    assert (done.accepted, [r.name for r in done.rejected]) == (len(spans) - 1, ["floor"])


def test_partial_success_is_told_and_not_repeated(
    server: OtlpServer, open_sink: Callable[..., Sink]
) -> None:
    """A receiver that took only a part is believed, and asked no second time."""
    server.partly = 2
    spans = spans_of()
    done = open_sink().send(spans)
    assert (done.accepted, done.rejected[0].error) == (len(spans) - 2, "scripted")
    assert len(server.exports) == 1


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_may_work_later(
    status: int, server: OtlpServer, open_sink: Callable[..., Sink]
) -> None:
    """An overloaded receiver is unreachable, and its spans are not taken apart."""
    server.judge = lambda _: status
    with pytest.raises(SinkUnreachable):
        open_sink().send(spans_of())
    assert len(server.exports) == 1


@pytest.mark.parametrize("status", [301, 401, 403, 404, 405])
def test_what_an_operator_has_to_mend(
    status: int, server: OtlpServer, open_sink: Callable[..., Sink]
) -> None:
    """A wrong key or address is refused, never taken for a poisoned span, and never followed."""
    server.judge = lambda _: status
    with pytest.raises(SinkRefused):
        open_sink().send(spans_of())
    assert len(server.exports) == 1


def test_nobody_listens(open_sink: Callable[..., Sink]) -> None:
    """A dead port is unreachable; a address that is none is refused."""
    with pytest.raises(SinkUnreachable):
        open_sink(url="http://127.0.0.1:9").send(spans_of())
    with pytest.raises(SinkRefused):
        open_sink(url="ftp://127.0.0.1").send(spans_of())


def test_broken_text_and_numbers_out_of_range(
    server: OtlpServer, open_sink: Callable[..., Sink]
) -> None:
    """Half a surrogate pair, a number of 70 bits and a time before 1970 do not stop an export."""
    early = datetime(1960, 1, 1, tzinfo=UTC)
    odd = replace(spans_of()[0], start=early, attributes={"text": "a\ud800b", "number": 2**70})
    open_sink().send([odd])
    assert server.spans[0].attributes == {"text": "a?b", "number": str(2**70)}
    assert server.spans[0].start == datetime(1970, 1, 1, tzinfo=UTC)


# --- scores, reading back, forgetting --------------------------------------------------------


def test_a_score_for_langfuse(server: OtlpServer, open_sink: Callable[..., Sink]) -> None:
    """Langfuse gets a score under an id of ours, on the run's trace and root."""
    server.answers["POST", "/api/public/scores"] = (200, {"id": SCORE.id})
    open_sink("langfuse").score(SCORE)
    body = server.asked[0].body
    assert (body["id"], body["traceId"]) == (SCORE.id, trace_id(RUN))
    assert (body["observationId"], body["name"], body["value"]) == (
        span_id(RUN, ROOT),
        "feedback",
        1,
    )


def test_a_score_for_langsmith(server: OtlpServer, open_sink: Callable[..., Sink]) -> None:
    """LangSmith gets feedback on the run's own id there, never on OpenTelemetry's."""
    server.answers["POST", "/feedback"] = (200, {})
    open_sink("langsmith").score(SCORE)
    body = server.asked[0].body
    assert (body["run_id"], body["key"], body["score"]) == (
        str(span_uuid(RUN, ROOT)),
        "feedback",
        1,
    )


def test_a_score_for_phoenix(server: OtlpServer, open_sink: Callable[..., Sink]) -> None:
    """Phoenix gets an annotation by a person under an identifier; before the span: later."""
    server.answers["POST", "/v1/span_annotations"] = (200, {"data": []})
    open_sink("phoenix").score(SCORE)
    [annotation] = server.asked[0].body["data"]
    assert (annotation["span_id"], annotation["annotator_kind"]) == (span_id(RUN, ROOT), "HUMAN")
    assert annotation["identifier"] == SCORE.id
    server.answers.clear()
    with pytest.raises(SinkUnreachable) as caught:
        open_sink("phoenix").score(SCORE)
    assert caught.value.values["missing"] is True


def test_a_score_for_mlflow_is_recorded_once(
    server: OtlpServer, open_sink: Callable[..., Sink]
) -> None:
    """MLflow counts every repeat, so it is asked whether it has the score."""
    traces = "/api/3.0/mlflow/traces"
    info: dict[str, Any] = {}
    server.answers["GET", f"{traces}/get"] = (200, {"trace": {"trace_info": info, "spans": []}})
    server.answers["POST", f"{traces}/tr-{trace_id(RUN)}/assessments"] = (200, {})
    sink = open_sink("mlflow")
    sink.score(SCORE)
    assert server.asked[-1].body["assessment"]["feedback"] == {"value": 1}
    info["assessments"] = [server.asked[-1].body["assessment"]]
    sink.score(SCORE)
    assert [one.method for one in server.asked] == ["GET", "POST", "GET"]
    server.answers.clear()
    with pytest.raises(SinkUnreachable):
        sink.score(SCORE)


def test_what_receivers_show_is_read_page_by_page(
    server: OtlpServer, open_sink: Callable[..., Sink]
) -> None:
    """Phoenix, Langfuse and MLflow are asked for the run's spans; a run they have not is empty."""
    page: dict[str, Any] = {"context": {"span_id": "a" * 16}, "attributes": {"input.value": "?"}}
    server.answers["GET", "/v1/projects/mine/spans"] = (200, {"data": [page], "next_cursor": None})
    assert open_sink("phoenix").seen(RUN).spans == ("a" * 16,)
    observations: dict[str, Any] = {
        "data": [{"id": "b" * 16, "input": "?"}, {"id": "c" * 16}],
        "meta": {},
    }
    server.answers["GET", "/api/public/v2/observations"] = (200, observations)
    seen = open_sink("langfuse").seen(RUN)
    assert (seen.spans, seen.inputs) == (("b" * 16, "c" * 16), 1)
    spans: list[dict[str, Any]] = [
        {"span_id": base64.b64encode(b"\x01" * 8).decode(), "attributes": []}
    ]
    server.answers["GET", "/api/3.0/mlflow/traces/get"] = (200, {"trace": {"spans": spans}})
    assert open_sink("mlflow").seen(RUN).spans == ("01" * 8,)
    server.answers.clear()
    assert open_sink("phoenix").seen(RUN).spans == ()
    assert open_sink("mlflow").seen(RUN).spans == ()


def test_forgetting(server: OtlpServer, open_sink: Callable[..., Sink]) -> None:
    """Each receiver is asked in its own way; what has no such interface says so."""
    server.answers["DELETE", f"/v1/traces/{trace_id(RUN)}"] = (204, None)
    server.answers["DELETE", f"/api/public/traces/{trace_id(RUN)}"] = (200, {})
    server.answers["GET", "/sessions"] = (200, [{"id": "the-project"}])
    server.answers["POST", "/api/v1/runs/delete"] = (200, {})
    server.answers["GET", "/api/3.0/mlflow/traces/get"] = (200, {"trace": {"spans": []}})
    server.answers["POST", "/api/2.0/mlflow/traces/delete-traces"] = (200, {"traces_deleted": 1})
    for kind in ("phoenix", "langfuse", "langsmith", "mlflow"):
        open_sink(kind).forget(RUN)
    bodies = [one.body for one in server.asked if one.method == "POST"]
    assert bodies == [
        {"session_id": "the-project", "trace_ids": [str(span_uuid(RUN, ROOT))]},
        {"experiment_id": "mine", "request_ids": [f"tr-{trace_id(RUN)}"]},
    ]
    server.answers.clear()
    for kind in ("phoenix", "langfuse", "mlflow"):
        open_sink(kind).forget(RUN)  # it is not there: that is what was asked for
    for kind in ("otlp", "logfire", "arize"):
        with pytest.raises(SinkCannot):
            open_sink(kind).forget(RUN)
        with pytest.raises(SinkCannot):
            open_sink(kind).score(SCORE)


def test_a_rejected_score_is_not_tried_for_ever(
    server: OtlpServer, open_sink: Callable[..., Sink]
) -> None:
    """A score that the receiver will never take is told apart from one to try again."""
    server.answers["POST", "/feedback"] = (422, {"detail": "no"})
    with pytest.raises(BatchRejected):
        open_sink("langsmith").score(SCORE)
