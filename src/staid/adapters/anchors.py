"""Places outside that are told the newest seal: a file, a webhook."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from staid.adapters.appending import append_lines
from staid.domain.errors.record import AnchorFailed, AnchorUnreadable
from staid.tracing.anchor import Anchor, from_line, is_unfinished, to_line

SECONDS = 10.0
"""How long a webhook may take."""


class Place(Protocol):
    """Somewhere the administrator of the store cannot reach."""

    def write(self, anchor: Anchor) -> None:
        """Keep an anchor, after those before it; raise `AnchorFailed`."""
        ...

    def read(self) -> Iterator[Anchor]:
        """Give the anchors it keeps, oldest first; nothing where it can only be told."""
        ...


class FileAnchors:
    """One line for each anchor, appended and synced before `write` returns."""

    def __init__(self, path: Path) -> None:
        """Keep them in a file that should lie on another machine's disk."""
        self._path = path

    def write(self, anchor: Anchor) -> None:
        """Append an anchor; raise `AnchorFailed` when it is not on the disk."""
        try:
            append_lines(self._path, f"{to_line(anchor)}\n".encode())
        except OSError as error:
            raise AnchorFailed(target=f"file:{self._path}", detail=error.strerror) from error

    def read(self) -> Iterator[Anchor]:
        """Give every anchor in order; raise `AnchorUnreadable` at the first line that is none.

        A line that a killed writer left unfinished told nothing yet, and is passed over: whoever
        could put one in the place of an anchor could as well take the anchor away.
        """
        try:
            with self._path.open("r", encoding="utf-8") as file:
                for number, line in enumerate(file, 1):
                    if not is_unfinished(line):
                        yield _anchor(self._path, number, line)
        except (OSError, UnicodeDecodeError) as error:
            detail = getattr(error, "strerror", None) or "it is not UTF-8"
            raise AnchorUnreadable(file=self._path, detail=detail) from error


def _anchor(path: Path, number: int, line: str) -> Anchor:
    try:
        return from_line(line)
    except ValueError as error:
        detail = f"line {number} is no anchor"
        raise AnchorUnreadable(file=path, detail=detail) from error


class WebhookAnchors:
    """Each anchor is one POST of JSON; the receiver keeps it, and gives it back as a file."""

    def __init__(self, url: str) -> None:
        """Tell the receiver at this address."""
        self._url = url

    def write(self, anchor: Anchor) -> None:
        """Tell the receiver; raise `AnchorFailed` unless it answered 2xx."""
        import httpx

        try:
            answer = httpx.post(
                self._url,
                content=to_line(anchor),
                headers={"content-type": "application/json"},
                timeout=SECONDS,
            )
            answer.raise_for_status()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            # Not the address itself: it may hold a secret.
            detail = f"the receiver did not take it ({type(error).__name__})"
            raise AnchorFailed(target="webhook", detail=detail) from error

    def read(self) -> Iterator[Anchor]:
        """Give nothing: a webhook is told, not asked."""
        return iter(())
