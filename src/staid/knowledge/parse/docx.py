"""DOCX: paragraphs under their headings, lists, tables as rows, without hidden or deleted text."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any, TypeAlias

from staid.domain.errors import DocumentUnreadable
from staid.knowledge.parse.parsed import MAX_HEADING, Outline, Parsed, bound, clean, line, row

if TYPE_CHECKING:
    from docx.document import Document as WordDocument

MAX_UNPACKED = 100 * 1024 * 1024
MAX_PARTS = 5_000
MAX_DEPTH = 50
"""Of tables and content controls within each other."""
_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_CONTAINERS = {f"{_W}sdt", f"{_W}sdtContent", f"{_W}customXml", f"{_W}ins", f"{_W}moveTo"}
# Deleted, moved away, and the second telling of the same drawing.
_LEFT_OUT = {
    f"{_W}del",
    f"{_W}moveFrom",
    f"{_W}instrText",
    "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback",
}
_ENCRYPTED = b"\xd0\xcf\x11\xe0"

Element: TypeAlias = Any  # lxml ships no types


def parse(document: str, data: bytes) -> Parsed:
    """Return title and sections of a Word document; raise `DocumentUnreadable`."""
    bound(document, data)
    _check_package(document, data)
    import docx
    from docx.opc.exceptions import OpcError

    try:
        return _read(document, docx.Document(BytesIO(data)))
    except (
        OpcError,
        SyntaxError,  # what lxml raises for broken XML
        zipfile.BadZipFile,
        KeyError,
        ValueError,
        AttributeError,
        OSError,
    ) as error:
        detail = f"its Word structure is broken ({type(error).__name__})"
        raise DocumentUnreadable(document=document, detail=detail) from error


def _check_package(document: str, data: bytes) -> None:
    """Refuse what is no ZIP, or would unpack to far more than a document."""
    if data.startswith(_ENCRYPTED):
        detail = "it is encrypted or an old .doc file; save it as .docx without a password"
        raise DocumentUnreadable(document=document, detail=detail)
    try:
        parts = zipfile.ZipFile(BytesIO(data)).infolist()
    except (zipfile.BadZipFile, ValueError, OSError) as error:
        raise DocumentUnreadable(
            document=document, detail="it is not a Word document (.docx)"
        ) from error
    unpacked = sum(part.file_size for part in parts)
    if unpacked > MAX_UNPACKED or len(parts) > MAX_PARTS:
        size = f"{unpacked:,} bytes in {len(parts):,} parts"
        detail = f"it would unpack to {size}, which no document needs"
        raise DocumentUnreadable(document=document, detail=detail)
    if any(part.flag_bits & 1 for part in parts):
        raise DocumentUnreadable(
            document=document, detail="it is encrypted; save it without a password"
        )


@dataclass(frozen=True, slots=True)
class _Styles:
    """Style id -> level of its heading; 0 is the document's title."""

    levels: dict[str, int]


def _read(document: str, word: WordDocument) -> Parsed:
    title = line(clean(word.core_properties.title or ""))
    outline = Outline(document, title if 0 < len(title) <= MAX_HEADING else None)
    styles = _styles(word)
    for block in _blocks(document, word.element.body, 0):
        if block.tag == f"{_W}tbl":
            _table(document, outline, block)
        else:
            _paragraph(outline, styles, block)
    return outline.parsed()


def _styles(word: WordDocument) -> _Styles:
    levels: dict[str, int] = {}
    for style in word.styles:
        name = (style.name or "").lower()
        if name == "title":
            levels[style.style_id] = 0
        elif name.startswith("heading ") and name[8:].isdigit():
            levels[style.style_id] = int(name[8:])
    return _Styles(levels)


def _blocks(document: str, parent: Element, depth: int) -> Iterator[Element]:
    """Yield paragraphs and tables in order, those inside content controls included."""
    if depth > MAX_DEPTH:
        detail = f"its parts are nested deeper than {MAX_DEPTH}"
        raise DocumentUnreadable(document=document, detail=detail)
    for child in parent:
        if child.tag in {f"{_W}p", f"{_W}tbl"}:
            yield child
        elif child.tag in _CONTAINERS:
            yield from _blocks(document, child, depth + 1)


def _paragraph(outline: Outline, styles: _Styles, paragraph: Element) -> None:
    text = _text(paragraph)
    style = paragraph.find(f"{_W}pPr/{_W}pStyle")
    level = styles.levels.get(style.get(f"{_W}val", "")) if style is not None else None
    if level is not None:
        outline.heading(max(level, 1), text)
        return
    if not text.strip():
        return
    listed = paragraph.find(f"{_W}pPr/{_W}numPr") is not None
    named = style is not None and style.get(f"{_W}val", "").lower().startswith("list")
    if listed or named:
        outline.write(f"- {line(text)}")
    else:
        outline.write(text)
        outline.write("")


def _text(paragraph: Element) -> str:
    """Return the visible words of a paragraph, insertions and text boxes included."""
    words: list[str] = []
    pending: list[Element] = [paragraph]
    while pending:  # a stack of our own: the nesting comes from outside
        node = pending.pop()
        if node.tag in _LEFT_OUT or (node.tag == f"{_W}r" and _vanished(node)):
            continue
        if node.tag == f"{_W}t":
            words.append(node.text or "")
        elif node.tag in {f"{_W}br", f"{_W}cr"}:
            words.append("\n")
        elif node.tag == f"{_W}tab":
            words.append("\t")
        elif node.tag in {f"{_W}noBreakHyphen", f"{_W}softHyphen"}:
            words.append("-" if node.tag == f"{_W}noBreakHyphen" else "")
        elif node.tag == f"{_W}p" and node is not paragraph:
            words.append(" ")
        pending.extend(reversed(node))
    return clean("".join(words))


def _vanished(run: Element) -> bool:
    mark = run.find(f"{_W}rPr/{_W}vanish")
    return mark is not None and mark.get(f"{_W}val", "true") not in {"0", "false", "off"}


def _table(document: str, outline: Outline, table: Element) -> None:
    outline.write("")
    for each in _within(document, table, "tr", 0):
        cells = [line(" ".join(_cell(document, cell))) for cell in _within(document, each, "tc", 0)]
        if any(cells):
            outline.write(row(cells))
    outline.write("")


def _within(document: str, parent: Element, name: str, depth: int) -> Iterator[Element]:
    if depth > MAX_DEPTH:
        detail = f"its tables are nested deeper than {MAX_DEPTH}"
        raise DocumentUnreadable(document=document, detail=detail)
    for child in parent:
        if child.tag == f"{_W}{name}":
            yield child
        elif child.tag in _CONTAINERS:
            yield from _within(document, child, name, depth + 1)


def _cell(document: str, cell: Element, depth: int = 0) -> Iterator[str]:
    for block in _blocks(document, cell, depth):
        if block.tag == f"{_W}p":
            yield _text(block)
            continue
        for each in _within(document, block, "tr", depth):
            for inner in _within(document, each, "tc", depth):
                yield from _cell(document, inner, depth + 1)
