"""MLflow: OTLP in, its REST interface for assessments, reading back and deleting."""

from __future__ import annotations

from typing import Any, cast

from staid.adapters.sinks.http import Receiver
from staid.adapters.sinks.otlp import OtlpSink
from staid.domain.canonical import timestamp
from staid.domain.errors import SinkRefused, SinkUnreachable
from staid.domain.exports import Score, Seen
from staid.tracing.spans import trace_id

_TRACES = "/api/3.0/mlflow/traces"


class MlflowSink(OtlpSink):
    """Delivers into one experiment."""

    reads_back = True

    def __init__(self, name: str, receiver: Receiver, *, experiment: str) -> None:
        """Deliver into the experiment with this number; the receiver's headers name it too."""
        super().__init__(name, receiver)
        self._experiment = experiment

    def score(self, score: Score) -> None:
        """Record an assessment, unless the trace has it: MLflow counts every repeat."""
        trace = self._trace(score.run)
        if trace is None:
            raise SinkUnreachable(sink=self.name, detail="the run is not there yet", missing=True)
        info = cast("dict[str, Any]", trace.get("trace_info", {}))
        known = cast("list[dict[str, Any]]", info.get("assessments") or [])
        if any(a.get("metadata", {}).get("staid.score") == score.id for a in known):
            return
        source = "HUMAN" if score.human else "CODE"
        told: dict[str, Any] = {
            "assessment_name": score.name,
            "trace_id": _name(score.run),
            "source": {"source_type": source, "source_id": "staid"},
            "create_time": timestamp(score.at),
            "last_update_time": timestamp(score.at),
            "feedback": {"value": score.value},
            "metadata": {"staid.score": score.id},
        }
        if score.comment:
            told["rationale"] = score.comment
        path = f"{_TRACES}/{_name(score.run)}/assessments"
        self.receiver.json("POST", path, json={"assessment": told})

    def forget(self, run: str) -> None:
        """Delete the trace; one that is not there is forgotten."""
        told = {"experiment_id": self._experiment, "request_ids": [_name(run)]}
        if self._trace(run) is not None:
            self.receiver.json("POST", "/api/2.0/mlflow/traces/delete-traces", json=told)

    def seen(self, run: str) -> Seen:
        """Return what the experiment shows of a run."""
        trace = self._trace(run)
        spans = cast("list[dict[str, Any]]", (trace or {}).get("spans", []))
        inputs = sum(_has_input(span) for span in spans)
        return Seen(tuple(_hex(span["span_id"]) for span in spans), inputs)

    def _trace(self, run: str) -> dict[str, Any] | None:
        query = {"trace_id": _name(run), "allow_partial": "true"}
        try:
            return self.receiver.json("GET", f"{_TRACES}/get", params=query)["trace"]
        except SinkRefused as error:
            if str(error.values["detail"]).startswith("404"):
                return None
            raise


def _name(run: str) -> str:
    return f"tr-{trace_id(run)}"


def _hex(given: str) -> str:
    """Return a span's id in hex, however the answer spells its bytes."""
    if len(given) == 16:
        return given
    import base64

    return base64.b64decode(given).hex()


def _has_input(span: dict[str, Any]) -> bool:
    return any(pair.get("key") == "mlflow.spanInputs" for pair in span.get("attributes", []))
