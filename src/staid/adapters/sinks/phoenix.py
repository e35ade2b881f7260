"""Arize Phoenix: OTLP in, REST for annotations, reading back and deleting."""

from __future__ import annotations

from typing import Any, cast
from urllib.parse import quote

from staid.adapters.sinks.http import Receiver
from staid.adapters.sinks.otlp import OtlpSink
from staid.domain.errors import SinkRefused, SinkUnreachable
from staid.domain.exports import Score, Seen
from staid.tracing.spans import ROOT, span_id, trace_id


class PhoenixSink(OtlpSink):
    """Keeps the first version of a span: a repeat under the same id changes nothing."""

    reads_back = True

    def __init__(self, name: str, receiver: Receiver, *, project: str) -> None:
        """Deliver into `project`, which Phoenix makes on first use."""
        super().__init__(name, receiver, resource={"openinference.project.name": project})
        self._project = project

    def score(self, score: Score) -> None:
        """Annotate the run's root; the score's id makes a repeat an update."""
        annotation = {
            "span_id": span_id(score.run, ROOT),
            "name": score.name,
            "annotator_kind": "HUMAN" if score.human else "CODE",
            "result": {"score": score.value, "explanation": score.comment or None},
            "identifier": score.id,
        }
        try:
            self.receiver.json(
                "POST", "/v1/span_annotations?sync=true", json={"data": [annotation]}
            )
        except SinkRefused as error:
            if _missing(error):  # acknowledged and not inserted yet: it has a queue in memory
                detail = "the run is not there yet"
                raise SinkUnreachable(sink=self.name, detail=detail, missing=True) from error
            raise

    def forget(self, run: str) -> None:
        """Delete the trace with everything on it; one that is not there is forgotten."""
        try:
            self.receiver.json("DELETE", f"/v1/traces/{trace_id(run)}")
        except SinkRefused as error:
            if not _missing(error):
                raise

    def seen(self, run: str) -> Seen:
        """Return what the project shows of a run."""
        project = quote(self._project, safe="")
        spans: list[dict[str, Any]] = []
        query: dict[str, str | int] = {"trace_id": trace_id(run), "limit": 1000}
        while True:
            try:
                page = self.receiver.json("GET", f"/v1/projects/{project}/spans", params=query)
            except SinkRefused as error:
                if _missing(error):  # no span of the project has been inserted yet
                    return Seen(())
                raise
            spans += cast("list[dict[str, Any]]", page["data"])
            if not page.get("next_cursor"):
                break
            query["cursor"] = page["next_cursor"]
        inputs = sum("input.value" in span.get("attributes", {}) for span in spans)
        return Seen(tuple(span["context"]["span_id"] for span in spans), inputs)


def _missing(error: SinkRefused) -> bool:
    return str(error.values["detail"]).startswith("404")
