"""Receivers on the loopback interface: HTTP that keeps what it got, and a real SMTP server."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from staid.project.project import Project

TOML = """
[project]
name = "desk"
address = "https://staid.example.com/"
[agents.support]
model = "quote"
[directory]
file = "directory.yaml"
[grounding]
signal = "similarity"
floor = 0.35
floor_reason = "the hashing embedder of the tests knows no meaning"
[gates]
approvers = ["group:leads"]
"""


@dataclass
class Got:
    """One request as it arrived."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)


@dataclass
class Endpoint:
    """An HTTP receiver that answers what it is told to, and keeps every request."""

    got: list[Got] = field(default_factory=list[Got])
    answers: list[tuple[int, bytes, dict[str, str]]] = field(
        default_factory=list[tuple[int, bytes, dict[str, str]]]
    )
    url: str = ""


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    """Give a receiver; without an answer set it says 200 and `ok`."""
    made = Endpoint()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            made.got.append(Got(self.path, dict(self.headers), self.rfile.read(length)))
            status, body, headers = made.answers.pop(0) if made.answers else (200, b"ok", {})
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
            """Stay quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


class Mailbox:
    """Keeps every message that the SMTP server took."""

    def __init__(self) -> None:
        self.letters: list[Any] = []
        self.answers: list[str] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - the library's name
        """Take one message."""
        if self.answers:
            return self.answers.pop(0)
        self.letters.append(envelope)
        return "250 OK"


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, str]]:
    """Give a real SMTP server on a free port, and its address."""
    box = Mailbox()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    yield box, f"smtp://127.0.0.1:{port}"
    controller.stop()


@dataclass
class Clock:
    """A clock that is moved."""

    at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def now(self) -> datetime:
        """Return where it stands."""
        return self.at

    def move(self, **by: float) -> None:
        """Move it on."""
        self.at += timedelta(**by)


@pytest.fixture
def clock() -> Clock:
    """Give a clock that stands at now."""
    return Clock()


@pytest.fixture
def desk(make_project: Callable[..., Project], clock: Clock) -> Callable[[str], Project]:
    """Open a project with channels, whose refunds above 100 wait for the lead."""

    def make(channels: str) -> Project:
        project = make_project(settings=TOML + channels)
        project.wiring.clock = clock

        @project.guard("refund.issue", effect="write", requires_approval=_large)
        def refund(order_id: str, amount: int) -> str:
            """Refund an order."""
            if order_id == "lost":
                raise ConnectionError
            return f"refunded {order_id} {amount}"

        project.__dict__["refund"] = refund
        return project

    return make


def _large(p: Any) -> bool:
    return p.amount > 100
