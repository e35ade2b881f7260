"""PDF: pages to sections, scans and locked files refused."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any

import pytest
from reportlab.lib import pdfencrypt
from reportlab.pdfgen import canvas

from staid.domain.errors import DocumentUnreadable
from staid.knowledge.parse import pdf


def made(*pages: Sequence[str], title: str = "", encrypt: Any = None) -> bytes:
    """Draw a PDF with these lines on its pages."""
    file = BytesIO()
    drawing = canvas.Canvas(file, encrypt=encrypt)
    drawing.setTitle(title)
    for lines in pages:
        for number, text in enumerate(lines):
            drawing.drawString(72, 720 - 14 * number, text)
        drawing.showPage()
    drawing.save()
    return file.getvalue()


def test_pages_are_sections() -> None:
    """Each page with text is a section named by its number; an empty page is passed over."""
    parsed = pdf.parse("a.pdf", made(["Paid in 14 days.", "No fee."], [], ["End"], title="Refunds"))
    assert parsed.title == "Refunds"
    assert [(s.path, s.text) for s in parsed.sections] == [
        (("Page 1",), "Paid in 14 days.\nNo fee."),
        (("Page 3",), "End"),
    ]


def test_junk_titles_are_not_used() -> None:
    """A title that a program wrote in passing names no document."""
    assert pdf.parse("a.pdf", made(["x"], title="Microsoft Word - draft7.doc")).title == ""


def test_restricted_but_readable_is_read() -> None:
    """A file that restricts printing, not reading, opens without a password."""
    locked = pdfencrypt.StandardEncryption("", ownerPassword="owner")
    assert pdf.parse("a.pdf", made(["open"], encrypt=locked)).sections[0].text == "open"


_WHOLE = made(["text"])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (made([], []), "no text, so it is probably a scan"),
        (made(["x"], encrypt=pdfencrypt.StandardEncryption("secret")), "it is encrypted"),
        (_WHOLE[: len(_WHOLE) // 2], "its PDF structure is broken"),
        (b"%PDF-1.4 nothing", "its PDF structure is broken"),
        (b"hello", "not a PDF in spite of its name"),
        (b"", "it is empty"),
    ],
)
def test_refusals_say_why(data: bytes, reason: str) -> None:
    """Scans, passwords, torn and false files are refused with a reason a person understands."""
    with pytest.raises(DocumentUnreadable) as caught:
        pdf.parse("a.pdf", data)
    assert reason in caught.value.message


def test_too_many_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of pages is bounded, and the refusal names the bound."""
    monkeypatch.setattr(pdf, "MAX_PAGES", 1)
    with pytest.raises(DocumentUnreadable, match="2 pages; at most 1"):
        pdf.parse("a.pdf", made(["a"], ["b"]))
