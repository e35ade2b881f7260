"""A FAKE model provider on the loopback interface. It is no model: it plays what a test scripts.

What is real is the wire: HTTP, the bodies of OpenAI's chat completions (`/v1/chat/completions`) and
responses (`/v1/responses`) and of Anthropic's messages (`/v1/messages`), tool calls included, and
some of the checks the real ones make: the key, tool names, and that every tool call is followed by
its result. Providers' own client libraries talk to it when their base URL is set to it:

    with FakeProvider(Reply(text="Thirty days."), Reply(status=500)) as provider:
        monkeypatch.setenv("OPENAI_BASE_URL", provider.openai_url)
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from staid.testing.provider_protocols import PROTOCOLS, Body, Reply, error_body

KEY = "fake-key-of-a-test"
"""The one key that the fake accepts; it repeats any other in its error, as real providers do."""


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it came over the wire."""

    path: str
    headers: Mapping[str, str]
    """Names in lower case."""
    raw: bytes
    body: Body


class FakeProvider:
    """Serves the scripted replies in order, keeps every request it got, and ends with the block.

    A request after the last reply gets an error 400 that says so; it is never answered by a guess.
    """

    def __init__(self, *replies: Reply) -> None:
        """Bind a free loopback port; it serves from `__enter__` on."""
        self.requests: list[Received] = []
        self._replies = list(replies)
        self._lock = threading.Condition()
        self._open: set[socket.socket] = set()
        self._closing = threading.Event()
        fake = self

        class Handler(_Handler):
            provider = fake

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = False
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    @property
    def url(self) -> str:
        """The base URL that Anthropic's client expects."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def openai_url(self) -> str:
        """The base URL that OpenAI's client expects."""
        return f"{self.url}/v1"

    def __enter__(self) -> Self:
        """Start to serve."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop, and wait for what is still being answered."""
        self._closing.set()
        self._server.shutdown()
        with self._lock:
            for connection in self._open:
                # A client that keeps its connection open must not keep the test from ending.
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._server.server_close()

    def take(self, received: Received) -> tuple[Reply, Body | bytes]:
        """Record a request and return its reply with what to send: a body, or a stream's bytes."""
        protocol = PROTOCOLS.get(received.path)
        with self._lock:
            self.requests.append(received)
            self._lock.notify_all()
            problem = (
                f"the fake has no {received.path}"
                if protocol is None
                else protocol.check(received.body)
            )
            key = received.headers.get("x-api-key", received.headers.get("authorization", ""))
            if key.removeprefix("Bearer ") != KEY:
                reply = Reply(status=401, error_code="invalid_api_key")
                return reply, error_body(
                    401, f"Incorrect API key provided: {key}", reply.error_code
                )
            if problem is None and not self._replies:
                problem = "the script of the fake is at its end"
            if protocol is None or problem is not None:
                return Reply(status=400), error_body(400, str(problem), "fake_refused")
            reply = self._replies.pop(0)
        if reply.status >= 400:  # HTTP's first error
            return reply, error_body(reply.status, "scripted error", reply.error_code)
        answer = protocol.answer(reply, str(received.body.get("model", "")))
        return reply, protocol.stream(answer) if received.body.get("stream") else answer

    def await_requests(self, count: int, timeout: float = 30) -> bool:
        """Wait until so many requests have come; return whether they have."""
        with self._lock:
            return self._lock.wait_for(lambda: len(self.requests) >= count, timeout)

    def connected(self, connection: socket.socket, *, is_open: bool) -> None:
        """Remember which connections are open."""
        with self._lock:
            (self._open.add if is_open else self._open.discard)(connection)

    def pause(self, seconds: float) -> None:
        """Wait as long as a reply says, or until the provider closes."""
        if seconds > 0:
            self._closing.wait(seconds)


class _Handler(BaseHTTPRequestHandler):
    provider: FakeProvider
    protocol_version = "HTTP/1.1"
    """Connections are kept open between requests, as real providers keep them."""

    def setup(self) -> None:
        super().setup()
        self.provider.connected(self.connection, is_open=True)

    def finish(self) -> None:
        self.provider.connected(self.connection, is_open=False)
        with suppress(OSError):
            super().finish()

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length", "0")))
        headers = {name.lower(): value for name, value in self.headers.items()}
        received = Received(self.path.partition("?")[0], headers, raw, json.loads(raw or b"{}"))
        reply, body = self.provider.take(received)
        self.provider.pause(reply.wait)
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        kind = "text/event-stream" if isinstance(body, bytes) else "application/json"
        if reply.raw is not None:
            data = reply.raw
        try:
            self.send_response(reply.status)
            for name, value in {"content-type": kind, **reply.headers}.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
        except OSError:
            # The client gave up waiting, which is what a slow reply is scripted for.
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class names it
        """Write nothing: a test reads `requests`."""
