"""A file of JSON lines: the sink that needs nobody's server."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from staid.domain.canonical import canonical
from staid.domain.errors import SinkCannot, SinkUnreachable
from staid.domain.exports import Delivery, Score, Seen, WireSpan


class FileSink:
    """Appends one line for each span and score; on disk when a call returns.

    A repeat after a crash appends lines again under the same ids: readers keep the first.
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
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8", errors="replace") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise SinkUnreachable(sink=self.name, detail=str(error)) from error
