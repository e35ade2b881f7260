"""A file of JSON lines: the sink that needs nobody's server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from staid.adapters.appending import append_lines
from staid.domain.canonical import canonical
from staid.domain.errors import SinkCannot, SinkUnreachable
from staid.domain.exports import Delivery, Score, Seen, WireSpan


class FileSink:
    """Appends one line for each span and score; on disk when a call returns.

    A repeat after a crash appends lines again under the same ids: readers keep the first. A line
    that a crash cut off stands alone and is no JSON: readers skip it, for its run comes again.
    """

    reads_back = False

    def __init__(self, name: str, path: Path) -> None:
        """Write to `path`, made on first use."""
        self.name = name
        self._path = path

    def send(self, spans: Sequence[WireSpan]) -> Delivery:
        """Append every span."""
        self._append([{"kind": "span", **asdict(span)} for span in spans])
        return Delivery(len(spans))

    def score(self, score: Score) -> None:
        """Append the score."""
        self._append([{"kind": "score", **asdict(score)}])

    def forget(self, run: str) -> None:
        """Raise `SinkCannot`: what was written to a file belongs to whoever has it."""
        raise SinkCannot(sink=self.name, what=f"delete {run}", detail="it is a file")

    def seen(self, run: str) -> Seen:
        """Raise `SinkCannot`: a file is not read back."""
        raise SinkCannot(sink=self.name, what=f"show {run}", detail="it is a file")

    def close(self) -> None:
        """Nothing is open between calls."""

    def _append(self, lines: Sequence[Mapping[str, object]]) -> None:
        text = "".join(f"{canonical(line)}\n" for line in lines)
        try:
            append_lines(self._path, text.encode("utf-8", errors="replace"))
        except OSError as error:
            raise SinkUnreachable(sink=self.name, detail=str(error)) from error
