"""One tracing client of another vendor in a process of its own, run by `.venv-peers`.

`peer_client.py cost CLIENT URL` prints the CPU microseconds that a span of 2 kB costs its caller,
and the whole process; `peer_client.py kill CLIENT URL` emits spans and dies by SIGKILL;
`peer_client.py sink` answers OTLP over HTTP on a loopback port and tells how many spans it was
given.
"""

# pyright: reportMissingImports=false, reportUnknownVariableType=false, reportUnknownMemberType=false
# pyright: reportUnknownArgumentType=false, reportUntypedFunctionDecorator=false
# The packages of this script are in another environment, on purpose.

from __future__ import annotations

import gzip
import os
import signal
import sys
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TEXT = "lorem ipsum dolor " * 114
ROUNDS, SPANS = 12, 150
EMITTED, APART = 300, 0.005


def otel(url: str) -> Callable[[int], None]:
    """OpenTelemetry's SDK with its batch processor and OTLP over HTTP."""
    tracer = _provider(url).get_tracer("bench")

    def emit(number: int) -> None:
        with tracer.start_as_current_span("model.returned") as span:
            span.set_attribute("input.value", f"{number} {TEXT}")
            span.set_attribute("gen_ai.request.model", "quote")
            span.set_attribute("gen_ai.usage.input_tokens", number)

    return emit


def _provider(url: str) -> Any:  # noqa: ANN401 - the package is in another environment
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{url}/v1/traces")))
    return provider


def langfuse(url: str) -> Callable[[int], None]:
    """Langfuse's SDK, pointed at the sink."""
    from langfuse import Langfuse

    client = Langfuse(public_key="pk-lf-bench", secret_key="sk-lf-bench", base_url=url)

    def emit(number: int) -> None:
        span = client.start_observation(
            name="model.returned",
            as_type="generation",
            model="quote",
            input=f"{number} {TEXT}",
            usage_details={"input": number},
        )
        span.end()

    return emit


def langsmith(url: str) -> Callable[[int], None]:
    """LangSmith's `traceable` in its OpenTelemetry mode, pointed at the sink."""
    os.environ.update(
        LANGSMITH_TRACING="true",
        LANGSMITH_OTEL_ENABLED="true",
        LANGSMITH_OTEL_ONLY="true",
        LANGSMITH_ENDPOINT=url,
        LANGSMITH_API_KEY="bench",
    )
    from langsmith import traceable

    @traceable(run_type="llm", name="model.returned")
    def model(text: str, tokens: int) -> str:
        return text[:10] + str(tokens)

    def emit(number: int) -> None:
        model(f"{number} {TEXT}", number)

    return emit


def logfire(url: str) -> Callable[[int], None]:
    """Logfire's SDK with a batch processor to the sink."""
    import logfire as sdk
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    exporter = BatchSpanProcessor(OTLPSpanExporter(f"{url}/v1/traces"))
    sdk.configure(
        send_to_logfire=False,
        console=False,
        additional_span_processors=[exporter],
        inspect_arguments=False,
    )

    def emit(number: int) -> None:
        with sdk.span("model.returned", text=f"{number} {TEXT}", model="quote", tokens=number):
            pass

    return emit


CLIENTS = {"otel": otel, "langfuse": langfuse, "langsmith": langsmith, "logfire": logfire}


def cost(emit: Callable[[int], None]) -> tuple[float, float]:
    """Return medians of rounds for one span: microseconds of CPU of the caller, and of all."""
    caller: list[float] = []
    process: list[float] = []
    for number in range(ROUNDS):
        started, together = time.thread_time(), time.process_time()
        for span in range(SPANS):
            emit(number * SPANS + span)
        caller.append((time.thread_time() - started) / SPANS * 1e6)
        time.sleep(0.2)  # lets the exporter keep up, as in production
        process.append((time.process_time() - together) / SPANS * 1e6)
    return tuple(sorted(found[1:])[len(found) // 2] for found in (caller, process))  # pyright: ignore[reportReturnType]  # two of them


def kill(emit: Callable[[int], None]) -> None:
    """Emit spans a few milliseconds apart and die without a word."""
    for number in range(EMITTED):
        emit(number)
        time.sleep(APART)
    os.kill(os.getpid(), signal.SIGKILL)


class _Sink(BaseHTTPRequestHandler):
    spans = 0

    def do_POST(self) -> None:
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
            ExportTraceServiceRequest,
        )

        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        if "traces" in self.path:
            request = ExportTraceServiceRequest.FromString(body)
            _Sink.spans += sum(
                len(scope.spans)
                for resource in request.resource_spans
                for scope in resource.scope_spans
            )
        self._answer(b"")

    def do_GET(self) -> None:
        self._answer(str(_Sink.spans).encode() if self.path == "/spans" else b"{}")

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as in the base
        """Say nothing."""


def main() -> None:
    """Do what the words say."""
    what, *rest = sys.argv[1:]
    if what == "sink":
        server = ThreadingHTTPServer(("127.0.0.1", 0), _Sink)
        print(server.server_port, flush=True)
        server.serve_forever()
        return
    client, url = rest
    emit = CLIENTS[client](url)
    if what == "kill":
        kill(emit)
        return
    print(*cost(emit), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
