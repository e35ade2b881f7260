"""What parsing gives, its bounds, and the outline that every format with headings writes into."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from staid.domain.document import Section
from staid.domain.errors import DocumentUnreadable

MAX_BYTES = 20 * 1024 * 1024
"""Larger files are refused: an export that size is many documents, not one."""
MAX_CHARACTERS = 10_000_000
"""Text of one document; about twice the Bible."""
MAX_SECTIONS = 20_000
MAX_HEADING = 200
"""A longer "heading" is a paragraph: it would be repeated with every chunk below it."""
_CONTROL = re.compile(r"[\x01-\x08\x0e-\x1f\x7f]")
_NEWLINE = re.compile(r"\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
_BLANK_LINES = re.compile(r"\n(?:[ \t]*\n)+")
_FOREIGN = (
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
    (b"%PDF-", "PDF"),
    (b"PK\x03\x04", "ZIP"),
)


@dataclass(frozen=True, slots=True)
class Parsed:
    """The title and the sections of one document, in reading order."""

    title: str
    sections: tuple[Section, ...]


def decode(document: str, data: bytes) -> str:
    r"""Return the text of UTF-8 bytes, byte order mark dropped, line ends as `\n`.

    Raises `DocumentUnreadable` for other encodings, binary content and too much of it.
    """
    bound(document, data)
    for magic, name in _FOREIGN:
        if data.startswith(magic):
            raise DocumentUnreadable(document=document, detail=f"it is {name}, not UTF-8 text")
    if b"\x00" in data:
        raise DocumentUnreadable(
            document=document, detail="it holds NUL bytes, so it is binary, not text"
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = f"byte 0x{data[error.start]:02X} at offset {error.start}"
        detail = f"it is not UTF-8 ({place}); save it as UTF-8"
        raise DocumentUnreadable(document=document, detail=detail) from error
    return clean(text)


def bound(document: str, data: bytes) -> None:
    """Raise `DocumentUnreadable` unless the bytes are some, and not too many."""
    if not data:
        raise DocumentUnreadable(document=document, detail="it is empty")
    if len(data) > MAX_BYTES:
        detail = f"it has {len(data):,} bytes; at most {MAX_BYTES:,} are read"
        raise DocumentUnreadable(document=document, detail=detail)


def clean(text: str) -> str:
    r"""Return the text with `\n` as the only line end and without control characters."""
    return _CONTROL.sub(" ", _NEWLINE.sub("\n", text))


def line(text: str) -> str:
    """Return the text on one line with single spaces."""
    return " ".join(text.split())


def row(cells: Iterable[str]) -> str:
    """Return the cells of a table's row as the one line that stands for it in every format."""
    return f"| {' | '.join(cell for cell in cells if cell)} |"


class Outline:
    """Sections under their heading paths. Every word written in comes out, in order.

    The first heading of level 1 is the document's title, unless the document names another one.
    """

    def __init__(self, document: str, title: str | None = None) -> None:
        self._document = document
        self._title = line(title or "") or None
        self._opened = False
        self._path: list[tuple[int, str]] = []
        self._lines: list[str] = []
        self._sections: list[Section] = []
        self._characters = 0

    def heading(self, level: int, text: str) -> None:
        """Start the section of a heading; level 1 is the highest."""
        text = line(text)
        if len(text) > MAX_HEADING:
            self.write(text)
        elif text:
            self._flush(below=level)
            while self._path and self._path[-1][0] >= level:
                self._path.pop()
            if not self._takes_title(level, text):
                self._path.append((level, text))
            self._opened = True

    def write(self, text: str) -> None:
        """Add lines to the present section; an empty line parts paragraphs."""
        self._characters += len(text)
        if self._characters > MAX_CHARACTERS:
            detail = f"it has more than {MAX_CHARACTERS:,} characters of text"
            raise DocumentUnreadable(document=self._document, detail=detail)
        self._lines.append(text)

    def parsed(self, *, fallback: str = "") -> Parsed:
        """Return what was written; a document without any text is refused."""
        self._flush(below=0)
        if not self._sections:
            raise DocumentUnreadable(document=self._document, detail="it has no text")
        return Parsed(self._title or fallback, tuple(self._sections))

    def _takes_title(self, level: int, text: str) -> bool:
        if level != 1 or self._opened:
            return False
        if self._title is None:
            self._title = text
        return self._title.casefold() == text.casefold()

    def _flush(self, below: int) -> None:
        text = _BLANK_LINES.sub("\n\n", "\n".join(self._lines)).strip()
        self._lines.clear()
        # A heading without text of its own lives on in the paths of the sections below it.
        if text or (self._path and self._path[-1][0] >= below):
            if len(self._sections) >= MAX_SECTIONS:
                detail = f"it has more than {MAX_SECTIONS:,} sections"
                raise DocumentUnreadable(document=self._document, detail=detail)
            self._sections.append(Section(tuple(name for _, name in self._path), text))
