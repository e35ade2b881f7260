"""Places outside: what is written is read back; what cannot be written or read is said."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from staid.adapters.anchors import FileAnchors, WebhookAnchors
from staid.domain.errors.record import AnchorFailed, AnchorUnreadable
from staid.tracing.anchor import Anchor

ANCHOR = Anchor("desk", 7, "run_7", "ab" * 32, "2026-01-05T09:00:00.000000Z")


class Receiver(BaseHTTPRequestHandler):
    """Keeps what it is told; refuses below `/refuse`."""

    told: list[object]

    def do_POST(self) -> None:
        """Keep one anchor."""
        body = self.rfile.read(int(self.headers["content-length"]))
        self.told.append(json.loads(body))
        self.send_response(500 if self.path == "/refuse" else 204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as in the base
        """Say nothing."""


@pytest.fixture
def receiver() -> Iterator[HTTPServer]:
    """Give a receiver on loopback."""
    Receiver.told = []
    server = HTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_file_keeps_every_anchor_in_order(tmp_path: Path) -> None:
    """What was appended is read back, oldest first; nothing is ever overwritten."""
    anchors = FileAnchors(tmp_path / "far" / "anchors.jsonl")
    later = Anchor("desk", 9, "run_9", "cd" * 32, "2026-01-05T10:00:00.000000Z")
    anchors.write(ANCHOR)
    anchors.write(later)
    assert list(anchors.read()) == [ANCHOR, later]


def test_a_file_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """A place that is a folder takes no anchor, and the error names the place."""
    (tmp_path / "anchors.jsonl").mkdir()
    with pytest.raises(AnchorFailed, match=r"anchors\.jsonl"):
        FileAnchors(tmp_path / "anchors.jsonl").write(ANCHOR)


@pytest.mark.parametrize(
    "line", [b"not json\n", b'{"seq": "7"}\n', b"[]\n", b"\xff\xfe\n", b'{"seq": true}\n']
)
def test_a_line_that_is_no_anchor_is_an_error(tmp_path: Path, line: bytes) -> None:
    """A damaged file is never taken for one without findings."""
    file = tmp_path / "anchors.jsonl"
    FileAnchors(file).write(ANCHOR)
    file.write_bytes(file.read_bytes() + line)
    with pytest.raises(AnchorUnreadable):
        list(FileAnchors(file).read())


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    """A file that is gone is not the same as one without findings."""
    with pytest.raises(AnchorUnreadable):
        list(FileAnchors(tmp_path / "gone.jsonl").read())


def test_a_webhook_is_told_the_anchor(receiver: HTTPServer) -> None:
    """The receiver gets the seal's number, run, hash and time as JSON."""
    WebhookAnchors(f"http://127.0.0.1:{receiver.server_port}/anchors").write(ANCHOR)
    assert Receiver.told == [
        {"at": ANCHOR.at, "hash": ANCHOR.hash, "project": "desk", "run": "run_7", "seq": 7}
    ]


def test_a_webhook_that_refuses_is_an_error_without_its_address(receiver: HTTPServer) -> None:
    """Anything but 2xx is a failure, and the message does not repeat an address with a secret."""
    url = f"http://127.0.0.1:{receiver.server_port}/refuse"
    with pytest.raises(AnchorFailed) as error:
        WebhookAnchors(url).write(ANCHOR)
    assert "refuse" not in str(error.value)
