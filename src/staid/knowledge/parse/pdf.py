"""PDF: the text of each page, one section a page. Scans and locked files are refused."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

from staid.domain.errors import DocumentUnreadable
from staid.knowledge.parse.parsed import MAX_HEADING, Outline, Parsed, bound, clean, line

if TYPE_CHECKING:
    from pypdf import PdfReader

MAX_PAGES = 2_000
_NO_TITLES = ("untitled", "microsoft word", "(anonymous)", "unspecified")


def parse(document: str, data: bytes) -> Parsed:
    """Return the title and one section per page with text; raise `DocumentUnreadable`."""
    from pypdf import PdfReader
    from pypdf.errors import PyPdfError

    bound(document, data)
    if b"%PDF-" not in data[:1024]:
        raise DocumentUnreadable(document=document, detail="it is not a PDF in spite of its name")
    try:
        return _read(document, PdfReader(BytesIO(data)))
    except DocumentUnreadable:
        raise
    except PyPdfError as error:
        detail = f"its PDF structure is broken ({line(str(error))[:120] or type(error).__name__})"
        raise DocumentUnreadable(document=document, detail=detail) from error


def _read(document: str, reader: PdfReader) -> Parsed:
    _unlock(document, reader)
    if len(reader.pages) > MAX_PAGES:
        detail = f"it has {len(reader.pages):,} pages; at most {MAX_PAGES:,} are read"
        raise DocumentUnreadable(document=document, detail=detail)
    outline = Outline(document, _title(reader))
    texts = [_storable(page.extract_text()) for page in reader.pages]
    if not any(text.strip() for text in texts):
        detail = (
            "it has pages but no text, so it is probably a scan; make its text readable (OCR) first"
        )
        raise DocumentUnreadable(document=document, detail=detail)
    for number, text in enumerate(texts, 1):
        if text.strip():
            outline.heading(2, f"Page {number}")
            outline.write(text)
    return outline.parsed()


def _unlock(document: str, reader: PdfReader) -> None:
    """Open files that restrict printing but not reading; refuse those that need a password."""
    from pypdf.errors import DependencyError, PyPdfError

    if not reader.is_encrypted:
        return
    detail = "it is encrypted; save it without a password"
    try:
        opened = bool(reader.decrypt(""))
    except (DependencyError, PyPdfError, NotImplementedError) as error:
        raise DocumentUnreadable(document=document, detail=detail) from error
    if not opened:
        raise DocumentUnreadable(document=document, detail=detail)


def _title(reader: PdfReader) -> str | None:
    title = line(_storable(str((reader.metadata and reader.metadata.title) or "")))
    junk = title.lower().startswith(_NO_TITLES) or len(title) > MAX_HEADING
    return None if junk else title or None


def _storable(text: str) -> str:
    # Broken character maps give NUL and lone surrogates, which no database takes.
    return clean(text.replace("\x00", " ").encode("utf-8", "replace").decode())
