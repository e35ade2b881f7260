"""OTLP over HTTP: any OpenTelemetry backend, and the way in that every receiver shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from staid.adapters.sinks.encoding import batches, encode
from staid.adapters.sinks.http import Receiver
from staid.domain.errors import BatchRejected, SinkCannot
from staid.domain.exports import Attribute, Delivery, Rejected, Score, Seen, WireSpan

_KEPT_IN_STUB = (
    "openinference.span.kind",
    "gen_ai.operation.name",
    "langfuse.observation.type",
    "langsmith.span.kind",
    "langsmith.trace.id",
    "langsmith.span.id",
    "langsmith.span.parent_id",
    "langsmith.span.dotted_order",
    "langsmith.metadata.thread_id",
    "session.id",
    "staid.run",
    "staid.fact",
)
"""What a span that was rejected keeps, so that its children still have a parent."""


class OtlpSink:
    """Delivers spans by OTLP; a rejected request is halved until the span at fault stands alone."""

    reads_back = False

    def __init__(
        self,
        name: str,
        receiver: Receiver,
        *,
        path: str = "/v1/traces",
        resource: Mapping[str, Attribute] | None = None,
        joined: bool = True,
    ) -> None:
        """Post to `path`; `joined` lets several runs share a request."""
        self.name = name
        self.receiver = receiver
        self._path = path
        self._resource = dict(resource or {})
        self._joined = joined

    def send(self, spans: Sequence[WireSpan]) -> Delivery:
        """Hand spans over; what the receiver will never take is named, the rest arrives."""
        accepted = 0
        rejected: list[Rejected] = []
        for batch in batches(spans, joined=self._joined):
            done = self._deliver(batch)
            accepted += done.accepted
            rejected += done.rejected
        return Delivery(accepted, tuple(rejected))

    def _deliver(self, batch: Sequence[WireSpan]) -> Delivery:
        try:
            return self._post(batch)
        except BatchRejected as error:
            if len(batch) == 1:
                return self._give_up(batch[0], error)
        middle = len(batch) // 2
        parts = [self._deliver(batch[:middle]), self._deliver(batch[middle:])]
        return Delivery(
            sum(part.accepted for part in parts),
            tuple(found for part in parts for found in part.rejected),
        )

    def _give_up(self, span: WireSpan, error: BatchRejected) -> Delivery:
        """Leave an empty span in the place of one that is not taken: its children need it."""
        reason = str(error.values["detail"])
        kept = {k: v for k, v in span.attributes.items() if k in _KEPT_IN_STUB}
        stub = replace(span, attributes={**kept, "staid.rejected": reason}, error=None)
        found = Rejected(span.span, span.name, reason)
        try:
            return Delivery(self._post([stub]).accepted, (found,))
        except BatchRejected:
            return Delivery(0, (found,))

    def _post(self, batch: Sequence[WireSpan]) -> Delivery:
        answer = self.receiver.post_protobuf(self._path, encode(batch, self._resource))
        lost, said = _partly(answer)
        if not lost:
            return Delivery(len(batch))
        # OTLP forbids to send again what was accepted in part, and does not say which part.
        told = Rejected("", f"{lost} of {len(batch)} spans", said)
        return Delivery(len(batch) - lost, (told,))

    def score(self, score: Score) -> None:
        """Raise `SinkCannot`: OTLP carries no scores."""
        raise SinkCannot(sink=self.name, what=f"take the score {score.name}", detail="OTLP only")

    def forget(self, run: str) -> None:
        """Raise `SinkCannot`: OTLP deletes nothing."""
        raise SinkCannot(sink=self.name, what=f"delete {run}", detail="OTLP only")

    def seen(self, run: str) -> Seen:
        """Raise `SinkCannot`: OTLP reads nothing back."""
        raise SinkCannot(sink=self.name, what=f"show {run}", detail="OTLP only")

    def close(self) -> None:
        """Close every connection."""
        self.receiver.close()


def _partly(answer: bytes) -> tuple[int, str]:
    """Return how many spans the receiver says it left out, and why."""
    try:
        said = ExportTraceServiceResponse.FromString(answer).partial_success
    except DecodeError:  # a receiver that answers in JSON took everything
        return 0, ""
    return said.rejected_spans, said.error_message
