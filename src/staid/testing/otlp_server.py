"""A FAKE receiver on the loopback interface: takes OTLP as protobuf, decodes it, keeps it.

What is real is the wire: HTTP, gzip, `ExportTraceServiceRequest`. What it answers is scripted:

    with OtlpServer() as server:
        server.judge = lambda spans: 400 if any(s.name == "poison" for s in spans) else 200

Requests that are no OTLP are kept as JSON and answered from `answers`.
"""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self, cast
from urllib.parse import urlsplit

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as OtlpSpan
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from staid.domain.exports import Attribute, WireSpan

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Exported:
    """One export request as it came over the wire."""

    path: str
    headers: Mapping[str, str]
    """Names in lower case."""
    resource: Mapping[str, Attribute]
    spans: tuple[WireSpan, ...]
    size: int
    """Bytes before compression."""
    status: int
    """What it was answered with."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One other request."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any


Judge = Callable[[tuple[WireSpan, ...]], int]


@dataclass(slots=True)
class OtlpServer:
    """Serves from `__enter__` to the end of the block; every request is kept in order."""

    judge: Judge = field(default=lambda _spans: 200)
    """Decides the status of an export request."""
    answers: dict[tuple[str, str], tuple[int, Any]] = field(
        default_factory=dict[tuple[str, str], tuple[int, Any]]
    )
    """(method, path) -> status and JSON of other requests; anything else is 404."""
    partly: int = 0
    """Spans that the next accepted request is said to have lost."""
    exports: list[Exported] = field(default_factory=list[Exported])
    asked: list[Asked] = field(default_factory=list[Asked])
    _server: ThreadingHTTPServer | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        """The base address."""
        return f"http://127.0.0.1:{self._running.server_address[1]}"

    @property
    def spans(self) -> list[WireSpan]:
        """Every span of the requests that were accepted, in order of arrival."""
        return [span for one in self.exports if one.status == 200 for span in one.spans]

    def __enter__(self) -> Self:
        """Begin to serve."""
        owner = self

        class Handler(_Handler):
            server_of = owner

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop serving."""
        self._running.shutdown()
        self._running.server_close()

    @property
    def _running(self) -> ThreadingHTTPServer:
        if self._server is None:
            message = "the server runs inside its `with` block"
            raise RuntimeError(message)
        return self._server

    def take(self, path: str, headers: Mapping[str, str], raw: bytes) -> tuple[int, bytes]:
        """Keep an export request and return how it is answered."""
        request = ExportTraceServiceRequest.FromString(raw)
        group = request.resource_spans[0]
        spans = tuple(_span(span) for part in group.scope_spans for span in part.spans)
        resource = {pair.key: _value(pair.value) for pair in group.resource.attributes}
        with self._lock:
            status = self.judge(spans)
            self.exports.append(Exported(path, headers, resource, spans, len(raw), status))
            if status != 200:
                return status, b"scripted"
            answer = ExportTraceServiceResponse()
            if self.partly:
                answer.partial_success.rejected_spans = self.partly
                answer.partial_success.error_message = "scripted"
                self.partly = 0
            return 200, answer.SerializeToString()

    def reply(
        self, method: str, path: str, headers: Mapping[str, str], raw: bytes
    ) -> tuple[int, bytes]:
        """Keep any other request and return its scripted answer."""
        with self._lock:
            self.asked.append(Asked(method, path, headers, json.loads(raw) if raw else None))
            status, body = self.answers.get((method, urlsplit(path).path), (404, {}))
            return status, json.dumps(body).encode() if body is not None else b""


class _Handler(BaseHTTPRequestHandler):
    server_of: OtlpServer
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self._answer("POST")

    def do_GET(self) -> None:
        self._answer("GET")

    def do_DELETE(self) -> None:
        self._answer("DELETE")

    def _answer(self, method: str) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        if headers.get("content-encoding") == "gzip":
            raw = gzip.decompress(raw)
        if headers.get("content-type") == "application/x-protobuf":
            status, body = self.server_of.take(self.path, headers, raw)
        else:
            status, body = self.server_of.reply(method, self.path, headers, raw)
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the library's
        """Say nothing."""


def _span(span: OtlpSpan) -> WireSpan:
    failed = span.status.code == Status.STATUS_CODE_ERROR
    return WireSpan(
        trace=span.trace_id.hex(),
        span=span.span_id.hex(),
        parent=span.parent_span_id.hex() or None,
        name=span.name,
        start=_EPOCH + timedelta(microseconds=span.start_time_unix_nano // 1000),
        end=_EPOCH + timedelta(microseconds=span.end_time_unix_nano // 1000),
        attributes={pair.key: _value(pair.value) for pair in span.attributes},
        error=span.status.message if failed else None,
    )


def _value(value: AnyValue) -> Attribute:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return tuple(item.string_value for item in value.array_value.values)
    return cast("Attribute", getattr(value, kind or "string_value"))
