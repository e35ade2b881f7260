"""LangSmith: OTLP in, its REST interface for feedback and deleting."""

from __future__ import annotations

from uuid import UUID

from staid.adapters.sinks.http import Receiver
from staid.adapters.sinks.otlp import OtlpSink
from staid.domain.errors import SinkUnreachable
from staid.domain.exports import Score
from staid.tracing.spans import ROOT, span_uuid


class LangSmithSink(OtlpSink):
    """Delivers under ids of ours; a span without its parent would vanish, so none is left out."""

    def __init__(self, name: str, receiver: Receiver, *, project: str) -> None:
        """Deliver into `project`; the receiver's headers name it too."""
        super().__init__(name, receiver, path="/otel/v1/traces")
        self._project = project

    def score(self, score: Score) -> None:
        """Record feedback under the score's own id; a repeat is the same feedback."""
        told = {
            "id": str(UUID(score.id)),
            "run_id": str(span_uuid(score.run, ROOT)),
            "trace_id": str(span_uuid(score.run, ROOT)),
            "key": score.name,
            "score": score.value,
            "comment": score.comment or None,
            "feedback_source": {"type": "api", "metadata": {"human": score.human}},
        }
        self.receiver.json("POST", "/feedback", json=told)

    def forget(self, run: str) -> None:
        """Ask for the trace's deletion; LangSmith does it at the weekend and confirms nothing."""
        found = self.receiver.json("GET", "/sessions", params={"name": self._project})
        if not found:
            detail = f"it has no project {self._project}"
            raise SinkUnreachable(sink=self.name, detail=detail, missing=True)
        told = {"session_id": found[0]["id"], "trace_ids": [str(span_uuid(run, ROOT))]}
        self.receiver.json("POST", "/api/v1/runs/delete", json=told)
