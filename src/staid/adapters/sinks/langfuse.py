"""Langfuse: OTLP in, its public REST interface for scores, reading back and deleting."""

from __future__ import annotations

from typing import Any, cast

from staid.adapters.sinks.http import Receiver
from staid.adapters.sinks.otlp import OtlpSink
from staid.domain.canonical import timestamp
from staid.domain.errors import SinkRefused
from staid.domain.exports import Score, Seen
from staid.tracing.spans import ROOT, span_id, trace_id


class LangfuseSink(OtlpSink):
    """Keeps the last version of a span. One run for each request: a bad id rejects all of it."""

    reads_back = True

    def __init__(self, name: str, receiver: Receiver) -> None:
        """Deliver into the project that the keys belong to."""
        super().__init__(name, receiver, path="/api/public/otel/v1/traces", joined=False)

    def score(self, score: Score) -> None:
        """Create the score under its own id; a repeat replaces it."""
        told = {
            "id": score.id,
            "traceId": trace_id(score.run),
            "observationId": span_id(score.run, ROOT),
            "name": score.name,
            "value": score.value,
            "dataType": "NUMERIC",
            "comment": score.comment or None,
            "metadata": {"human": score.human, "at": timestamp(score.at)},
        }
        self.receiver.json("POST", "/api/public/scores", json=told)

    def forget(self, run: str) -> None:
        """Ask for the trace's deletion, done in the background; one that is not there is gone."""
        try:
            self.receiver.json("DELETE", f"/api/public/traces/{trace_id(run)}")
        except SinkRefused as error:
            if not str(error.values["detail"]).startswith("404"):
                raise

    def seen(self, run: str) -> Seen:
        """Return what Langfuse shows of a run."""
        spans: list[dict[str, Any]] = []
        query: dict[str, str | int] = {
            "traceId": trace_id(run),
            "fields": "core,io",
            "limit": 1000,
        }
        while True:
            page = self.receiver.json("GET", "/api/public/v2/observations", params=query)
            spans += cast("list[dict[str, Any]]", page["data"])
            cursor = page.get("meta", {}).get("cursor")
            if not cursor:
                break
            query["cursor"] = cursor
        inputs = sum(span.get("input") not in (None, "") for span in spans)
        return Seen(tuple(str(span["id"]) for span in spans), inputs)
