"""Spans as OTLP protobuf, and requests cut by bytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as OtlpSpan
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from staid.domain.exports import Attribute, WireSpan

LARGEST_REQUEST = 1_000_000
"""Bytes of one request before compression: the least that all receivers take (traces.md, §3)."""
SCOPE = "staid"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def encode(spans: Sequence[WireSpan], resource: Mapping[str, Attribute]) -> bytes:
    """Return one export request that holds all of the spans."""
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    group.resource.attributes.extend(_pairs(resource))
    scope = group.scope_spans.add()
    scope.scope.name = SCOPE
    scope.spans.extend(otlp_span(span) for span in spans)
    return request.SerializeToString()


def batches(spans: Sequence[WireSpan], *, joined: bool) -> Iterator[list[WireSpan]]:
    """Cut spans into requests within `LARGEST_REQUEST`, in order; one trace each unless `joined`.

    A single span that is larger goes alone: the receiver decides.
    """
    batch: list[WireSpan] = []
    size = 0
    for span in spans:
        length = otlp_span(span).ByteSize()
        apart = bool(batch) and not joined and span.trace != batch[-1].trace
        if batch and (apart or size + length > LARGEST_REQUEST):
            yield batch
            batch, size = [], 0
        batch.append(span)
        size += length
    if batch:
        yield batch


def otlp_span(span: WireSpan) -> OtlpSpan:
    """Return one span as protobuf."""
    told = OtlpSpan(
        trace_id=bytes.fromhex(span.trace),
        span_id=bytes.fromhex(span.span),
        parent_span_id=bytes.fromhex(span.parent) if span.parent else b"",
        name=span.name,
        kind=OtlpSpan.SPAN_KIND_INTERNAL,
        start_time_unix_nano=_nanoseconds(span.start),
        end_time_unix_nano=_nanoseconds(span.end),
        attributes=_pairs(span.attributes),
    )
    if span.error:
        told.status.code = Status.STATUS_CODE_ERROR
        told.status.message = span.error
    else:
        told.status.code = Status.STATUS_CODE_OK
    return told


def _pairs(attributes: Mapping[str, Attribute]) -> list[KeyValue]:
    return [KeyValue(key=key, value=_value(value)) for key, value in attributes.items()]


def _value(value: Attribute) -> AnyValue:
    match value:
        case bool():
            return AnyValue(bool_value=value)
        case int() if abs(value) < 2**63:
            return AnyValue(int_value=value)
        case int():
            return AnyValue(string_value=str(value))
        case float():
            return AnyValue(double_value=value)
        case str():
            return AnyValue(string_value=_valid(value))
        case _:
            items = [AnyValue(string_value=_valid(item)) for item in value]
            return AnyValue(array_value=ArrayValue(values=items))


def _valid(text: str) -> str:
    # Protobuf takes no half of a surrogate pair; a model's broken text must not stop an export.
    return text.encode("utf-8", "replace").decode()


def _nanoseconds(moment: datetime) -> int:
    # A clock that was never set gives times before 1970, which the format cannot hold.
    return max(0, (moment - _EPOCH) // timedelta(microseconds=1) * 1000)
