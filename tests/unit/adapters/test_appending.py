"""Lines appended after a kill: cut off at any byte, nothing but the line in question is lost."""

from __future__ import annotations

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from staid.adapters.anchors import FileAnchors
from staid.adapters.sinks.file import FileSink
from staid.domain.errors import SinkUnreachable
from staid.domain.errors.record import AnchorFailed
from staid.domain.exports import WireSpan
from staid.tracing.anchor import Anchor

AT = datetime(2026, 5, 1, tzinfo=UTC)
SPAN = WireSpan("a" * 32, "b" * 16, None, "run", AT, AT, {"input.value": "Grüße,\n{1}"})
ANCHOR = Anchor("desk", 7, "run_7", "ab" * 32, "2026-01-05T09:00:00.000000Z")


def spans(file: Path) -> list[str]:
    """Return the ids of the spans in a file, as a reader that skips what is no JSON gets them."""
    found: list[str] = []
    for line in file.read_bytes().split(b"\n"):
        try:
            found.append(json.loads(line)["span"])
        except ValueError:
            continue
    return found


def test_a_span_that_was_cut_off_spoils_no_other(tmp_path: Path) -> None:
    """Cut off after any byte of its last line, a file takes the next span on a line of its own."""
    file = tmp_path / "spans.jsonl"
    sink = FileSink("log", file)
    sink.send([replace(SPAN, span="1")])
    first = len(file.read_bytes())
    sink.send([replace(SPAN, span="2")])
    whole = file.read_bytes()
    for end in range(first, len(whole) + 1):
        file.write_bytes(whole[:end])
        sink.send([replace(SPAN, span="3")])
        kept = ["1", "2", "3"] if end >= len(whole) - 1 else ["1", "3"]
        assert spans(file) == kept
        assert file.read_bytes().startswith(whole[:end])  # what was there is not touched


def test_an_anchor_that_was_cut_off_spoils_no_other(tmp_path: Path) -> None:
    """Cut off after any byte of its last line, a file of anchors is read, and told the next."""
    file = tmp_path / "anchors.jsonl"
    anchors = FileAnchors(file)
    one, two, three = (replace(ANCHOR, seq=number) for number in (1, 2, 3))
    anchors.write(one)
    first = len(file.read_bytes())
    anchors.write(two)
    whole = file.read_bytes()
    for end in range(first, len(whole) + 1):
        file.write_bytes(whole[:end])
        kept = [one, two] if end >= len(whole) - 1 else [one]
        assert list(anchors.read()) == kept
        anchors.write(three)
        assert list(anchors.read()) == [*kept, three]


class Filling:
    """A disk that takes some bytes and is full then."""

    def __init__(self, room: int) -> None:
        """Have this much room left."""
        self.room = room
        self._write = os.write

    def write(self, file: int, data: Any) -> int:
        """Take what fits; raise when there is no room at all."""
        if not self.room:
            raise OSError(28, "No space left on device")
        done = self._write(file, bytes(data[: self.room]))
        self.room -= done
        return done


@pytest.mark.parametrize("room", [0, 1, 40])
def test_a_disk_that_fills_up_in_a_line_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    """A line that is on the disk in part was not told; with room again it is told whole."""
    sink, anchors = FileSink("log", tmp_path / "s"), FileAnchors(tmp_path / "a")
    sink.send([replace(SPAN, span="1")])
    anchors.write(ANCHOR)
    with monkeypatch.context() as full:
        full.setattr(os, "write", Filling(room).write)
        with pytest.raises(SinkUnreachable):
            sink.send([replace(SPAN, span="2")])
    with monkeypatch.context() as full:
        full.setattr(os, "write", Filling(room).write)
        with pytest.raises(AnchorFailed):
            anchors.write(replace(ANCHOR, seq=8))
    sink.send([replace(SPAN, span="2")])
    anchors.write(replace(ANCHOR, seq=8))
    assert spans(tmp_path / "s") == ["1", "2"]
    assert [anchor.seq for anchor in anchors.read()] == [7, 8]


def test_writers_at_one_time_take_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a disk takes lines in pieces, those of one writer do not fall into another's."""
    whole = os.write

    def pieces(file: int, data: Any) -> int:
        time.sleep(0.0005)
        return whole(file, bytes(data[:60]))

    monkeypatch.setattr(os, "write", pieces)
    names = [f"{number:02}" for number in range(24)]

    def send(name: str) -> None:
        FileSink("log", tmp_path / "s").send([replace(SPAN, span=name)])

    with ThreadPoolExecutor(8) as writers:
        list(writers.map(send, names))
    assert sorted(spans(tmp_path / "s")) == names
    assert len((tmp_path / "s").read_bytes().splitlines()) == len(names)
