"""HTML: what a reader sees, with headings, lists, tables as rows and links that say something."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from staid.domain.errors import DocumentUnreadable
from staid.knowledge.parse.markdown import linked
from staid.knowledge.parse.parsed import MAX_HEADING, Outline, Parsed, decode, line, row

MAX_DEPTH = 512
"""Deeper nesting is refused; browsers stop at 512 as well."""


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_VOID = _names("area base br col embed hr img input link meta param source track wbr keygen frame")
_DROPPED = _names(
    "script style nav template noscript svg math iframe object audio video canvas select datalist "
    "dialog textarea"
)
_BLOCK = _names(
    "address article aside blockquote body caption dd details div dl dt fieldset figcaption figure "
    "footer form h1 h2 h3 h4 h5 h6 header hr html legend li main ol p pre section summary table "
    "tbody td tfoot th thead tr ul"
)
_ENDS = {  # an opening tag ends these, when they are the innermost element
    "li": {"li"},
    "dt": {"dt", "dd"},
    "dd": {"dt", "dd"},
    "tr": {"tr", "td", "th"},
    "td": {"td", "th"},
    "th": {"td", "th"},
}
_INVISIBLE = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)


def parse(document: str, data: bytes) -> Parsed:
    """Return title and sections of UTF-8 HTML; raise `DocumentUnreadable`."""
    reader = _Reader(document)
    text = decode(document, data)
    try:
        reader.feed(text)
        reader.close()
    except (AssertionError, ValueError, IndexError) as error:
        raise DocumentUnreadable(
            document=document, detail="its HTML is too broken to read"
        ) from error
    return reader.parsed()


class _Reader(HTMLParser):
    """Keeps the open elements, and whether the innermost one is seen by a reader."""

    def __init__(self, document: str) -> None:
        super().__init__(convert_charrefs=True)
        self._document = document
        self._outline = Outline(document)
        self._open: list[tuple[str, bool]] = []
        self._count: dict[str, int] = {}
        self._line: list[str] = []
        self._cells: list[str] = []
        self._links: list[tuple[int, str]] = []
        self._title: list[str] = []
        self._heading = 0

    def parsed(self) -> Parsed:
        """Return what was read; the first `<h1>` is the title, `<title>` where there is none."""
        self._end_line()
        return self._outline.parsed(fallback=line("".join(self._title))[:MAX_HEADING])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open an element."""
        self._imply_ends(tag)
        if tag in _VOID:
            if tag in {"br", "hr"}:
                self._break(tag)
            return
        if len(self._open) >= MAX_DEPTH:
            detail = f"its elements are nested deeper than {MAX_DEPTH}"
            raise DocumentUnreadable(document=self._document, detail=detail)
        seen = self._seen and tag not in _DROPPED and not _hidden(dict(attrs))
        self._open.append((tag, seen))
        self._count[tag] = self._count.get(tag, 0) + 1
        if seen:
            self._begin(tag, dict(attrs))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take `<x/>` for `<x>`, as browsers do."""
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        """Close an element and those left open within it; an end without a beginning is nothing."""
        while self._count.get(tag):
            if self._close() == tag:
                break

    def handle_data(self, data: str) -> None:
        """Take text in."""
        if self._open and self._open[-1][0] == "title" and "svg" not in self._count:
            self._title.append(data)
        elif self._seen and not self._count.get("head"):
            kept = data if self._count.get("pre") else re.sub(r"\s+", " ", data)
            self._line.append(kept)

    def parse_html_declaration(self, i: int) -> int:
        """Skip declarations; unknown ones (`<![if …]>`, from word processors) as browsers do."""
        if self.rawdata.startswith("<![", i):
            return self.parse_bogus_comment(i)
        return super().parse_html_declaration(i)

    @property
    def _seen(self) -> bool:
        return not self._open or self._open[-1][1]

    def _imply_ends(self, tag: str) -> None:
        if tag in _BLOCK and self._open and self._open[-1][0] == "p":
            self._close()
        while self._open and self._open[-1][0] in _ENDS.get(tag, ()):
            self._close()
        if tag in _BLOCK and self._count.get("head"):
            self.handle_endtag("head")

    def _begin(self, tag: str, attributes: dict[str, str | None]) -> None:
        if tag in _HEADINGS:
            self._end_line()
            self._heading = _HEADINGS[tag]
        elif tag in {"td", "th"}:
            self._end_cell()
        elif tag == "a":
            self._links.append((len(self._line), attributes.get("href") or ""))
        elif tag in _BLOCK:
            self._break(tag)
        if tag == "li":
            self._line.append("- ")

    def _close(self) -> str:
        tag, seen = self._open.pop()
        if seen:
            self._finish(tag)
        self._count[tag] -= 1
        return tag

    def _finish(self, tag: str) -> None:
        if tag in _HEADINGS and self._heading:
            self._end_heading()
        elif tag == "a" and self._links:
            self._end_link()
        elif tag in {"td", "th"}:
            self._end_cell()
        elif tag in _BLOCK:
            self._break(tag)

    def _end_heading(self) -> None:
        text, level = "".join(self._line), self._heading
        self._line.clear()
        self._heading = 0
        self._outline.heading(level, text)

    def _end_link(self) -> None:
        start, target = self._links.pop()
        if start <= len(self._line):
            text = "".join(self._line[start:])
            self._line[start:] = [linked(text, target.strip())]

    def _end_cell(self) -> None:
        text = line("".join(self._line))
        self._line.clear()
        self._links.clear()
        if text:
            self._cells.append(text)

    def _break(self, tag: str) -> None:
        if self._count.get("td") or self._count.get("th"):
            if tag != "tr":
                self._line.append(" ")
                return
            self._end_cell()
        self._end_line()
        if tag in {
            "p",
            "table",
            "ul",
            "ol",
            "pre",
            "div",
            "section",
            "article",
            "blockquote",
            "hr",
        }:
            self._outline.write("")

    def _end_line(self) -> None:
        if self._heading:  # a block within a heading does not end it
            self._line.append(" ")
            return
        if self._cells:
            self._end_cell()
            self._outline.write(row(self._cells))
            self._cells.clear()
        text = "".join(self._line)
        self._line.clear()
        self._links.clear()
        if text.strip() not in {"", "-"}:
            self._outline.write(text.rstrip() if self._count.get("pre") else line(text))


def _hidden(attributes: dict[str, str | None]) -> bool:
    style = attributes.get("style") or ""
    return (
        "hidden" in attributes
        or (attributes.get("aria-hidden") or "").lower() == "true"
        or bool(_INVISIBLE.search(style))
    )
