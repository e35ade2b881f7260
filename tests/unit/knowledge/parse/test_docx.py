"""DOCX: headings, lists, tables; hidden and deleted text out; hostile packages refused."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from io import BytesIO

import docx
import pytest

from staid.domain.errors import DocumentUnreadable
from staid.knowledge.parse import docx as parser


def handbook(title: str = "Handbook") -> bytes:
    """Write a small Word document with every kind of block."""
    word = docx.Document()
    word.core_properties.title = title
    word.add_heading("Handbook", 0)
    word.add_heading("Leave", 1)
    word.add_paragraph("You get 25 days.")
    word.add_paragraph("carry over", style="List Bullet")
    table = word.add_table(2, 2)
    for number, text in enumerate(("Kind", "Days", "Annual", "25")):
        table.cell(number // 2, number % 2).text = text
    word.add_heading("Sick", 2)
    word.add_paragraph("Call in.")
    file = BytesIO()
    word.save(file)
    return file.getvalue()


def changed(change: Callable[[bytes], bytes], part: str = "word/document.xml") -> bytes:
    """Return the handbook with one part of its package replaced."""
    source = zipfile.ZipFile(BytesIO(handbook()))
    file = BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, change(source.read(name)) if name == part else source.read(name))
    return file.getvalue()


def test_blocks_to_sections() -> None:
    """Headings make paths, list items and table rows stand each on their line."""
    parsed = parser.parse("a.docx", handbook())
    assert parsed.title == "Handbook"
    assert [(s.path, s.text) for s in parsed.sections] == [
        (("Leave",), "You get 25 days.\n\n- carry over\n\n| Kind | Days |\n| Annual | 25 |"),
        (("Leave", "Sick"), "Call in."),
    ]


def test_title_paragraph_where_no_property() -> None:
    """Without the title property the paragraph styled as title names the document."""
    assert parser.parse("a.docx", handbook(title="")).title == "Handbook"


@pytest.mark.parametrize(
    ("run", "text"),
    [
        (b"<w:ins><w:r><w:t>new words</w:t></w:r></w:ins>", "new words"),
        (b"<w:del><w:r><w:delText>SECRET</w:delText></w:r></w:del>", ""),
        (b"<w:moveFrom><w:r><w:t>SECRET</w:t></w:r></w:moveFrom>", ""),
        (b"<w:r><w:rPr><w:vanish/></w:rPr><w:t>SECRET</w:t></w:r>", ""),
        (b'<w:r><w:rPr><w:vanish w:val="0"/></w:rPr><w:t>shown</w:t></w:r>', "shown"),
        (b"<w:sdt><w:sdtContent><w:r><w:t>control</w:t></w:r></w:sdtContent></w:sdt>", "control"),
        (b"<w:r><w:t>a</w:t><w:br/><w:t>b</w:t><w:tab/><w:t>c</w:t></w:r>", "a\nb\tc"),
    ],
)
def test_inside_paragraphs(run: bytes, text: str) -> None:
    """Insertions and controls are text; deletions and hidden runs are not."""
    data = changed(lambda xml: xml.replace(b"<w:body>", b"<w:body><w:p>" + run + b"</w:p>"))
    parsed = parser.parse("a.docx", data)
    assert "SECRET" not in str(parsed)
    if text:
        assert parsed.sections[0].text == text


def test_paragraphs_in_content_controls() -> None:
    """Whole paragraphs inside a content control are read too."""
    wrapped = b"<w:sdt><w:sdtContent><w:p><w:r><w:t>inside</w:t></w:r></w:p></w:sdtContent></w:sdt>"
    data = changed(lambda xml: xml.replace(b"<w:body>", b"<w:body>" + wrapped))
    assert parser.parse("a.docx", data).sections[0].text == "inside"


_NESTED = b"<w:tbl><w:tr><w:tc>"
_UNNESTED = b"</w:tc></w:tr></w:tbl>"
_LAUGHS = b'<!DOCTYPE l [<!ENTITY a "aaaaaaaaaa">' + b"".join(
    b'<!ENTITY %c "%s">' % (98 + i, (b"&%c;" % (97 + i)) * 10) for i in range(9)
)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"hello", "not a Word document"),
        (b"PK\x03\x04 torn", "not a Word document"),
        (b"\xd0\xcf\x11\xe0" * 9, "encrypted or an old .doc"),
        (changed(lambda xml: xml[:-40]), "structure is broken"),
        (changed(lambda _: b"<x/>", "[Content_Types].xml"), "structure is broken"),
        (changed(lambda _: b"0" * 110_000_000), "it would unpack to 110,"),
        (
            changed(lambda x: x.replace(b"<w:body>", b"<w:body>" + _NESTED * 70 + _UNNESTED * 70)),
            "nested deeper than 50",
        ),
        (
            changed(
                lambda x: x.replace(b"<w:document ", _LAUGHS + b"]><w:document ", 1).replace(
                    b"You get", b"&j;"
                )
            ),
            "structure is broken",
        ),
    ],
    ids=["text", "torn", "encrypted", "cut", "types", "bomb", "deep", "laughs"],
)
def test_refusals_say_why(data: bytes, reason: str) -> None:
    """What is no Word document, or a trap, is refused with a reason and without a traceback."""
    with pytest.raises(DocumentUnreadable) as caught:
        parser.parse("a.docx", data)
    assert reason in caught.value.message


def test_cyclic_relationships_end() -> None:
    """A package whose parts refer to each other in a circle is read all the same."""
    circle = b'<Relationship Id="rIdX" Type="http://x.example/y" Target="document.xml"/></Rel'
    data = changed(lambda xml: xml.replace(b"</Rel", circle), "word/_rels/document.xml.rels")
    assert parser.parse("a.docx", data).title == "Handbook"
