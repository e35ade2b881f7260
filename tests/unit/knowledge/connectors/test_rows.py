"""JSON lines: bad rows are skipped with their line, the rest is taken, labels fail closed."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from staid.domain.document import Document, Source
from staid.domain.errors import RowMalformed, SourceNotFound
from staid.domain.label import EVERYONE, NOBODY, Label
from staid.knowledge.acl_file import AclFile
from staid.knowledge.connectors import rows
from staid.knowledge.skipped import Skipped

SOURCE = Source("kb")
HR = Label.of([["group:hr"]])


def lines(*items: Any) -> bytes:
    """Write objects as JSON lines; bytes stand as they are."""
    return b"\n".join(i if isinstance(i, bytes) else json.dumps(i).encode() for i in items) + b"\n"


def read(
    tmp_path: Path, data: bytes, acl: AclFile | None = None, **mapping: str
) -> list[Document | Skipped]:
    """Read rows from a file of these bytes."""
    path = tmp_path / ("a.jsonl.gz" if data.startswith(b"\x1f\x8b") else "a.jsonl")
    path.write_bytes(data)
    return list(rows.read(path, SOURCE, mapping, acl))


def row(name: str, **more: object) -> dict[str, object]:
    """Make a good row."""
    return {"id": name, "title": name.upper(), "text": f"about {name}", **more}


def test_good_rows_plain_and_gzipped(tmp_path: Path) -> None:
    """Rows become documents in file order, gzipped or not, blank lines and BOM aside."""
    data = b"\xef\xbb\xbf" + lines(row("a", metadata={"k": 1}), b"", b"  ", row("b"))
    plain, zipped = read(tmp_path, data), read(tmp_path, gzip.compress(data))
    assert plain == zipped
    first, second = plain
    assert isinstance(first, Document)
    assert (first.id, first.title, first.metadata, second.id) == ("a", "A", {"k": 1}, "b")


def test_text_is_markdown_and_fields_are_renamed(tmp_path: Path) -> None:
    """Headings of a row's text become sections; --map takes the text from another field."""
    (item,) = read(tmp_path, lines({"id": "a", "content": "# T\n## S\nx"}), text="content")
    assert isinstance(item, Document)
    assert (item.title, item.sections[0].path, item.sections[0].text) == ("T", ("S",), "x")


def test_title_falls_back_to_the_id(tmp_path: Path) -> None:
    """A row without title and heading is called by its id."""
    (item,) = read(tmp_path, lines({"id": "a", "text": "x"}))
    assert isinstance(item, Document)
    assert item.title == "a"


def test_own_label_first_then_the_acl_file(tmp_path: Path) -> None:
    """A row's own rights win over the file's; null is a statement: nobody."""
    acl = AclFile.parse('"a*": [[group:hr]]\n"**": [[public]]', Path("acl.yaml"))
    items = read(
        tmp_path, lines(row("a"), row("a1", acl=[["public"]]), row("b"), row("c", acl=None)), acl
    )
    assert [i.label for i in items] == [HR, EVERYONE, EVERYONE, NOBODY]
    assert [i.label for i in read(tmp_path, lines(row("a")))] == [NOBODY]


def test_bad_rows_name_their_line(tmp_path: Path) -> None:
    """A bad row is skipped with its line and reason, the others are taken."""
    data = lines(row("a"), b"{broken", row("b", text=""), b"caf\xe9", {"text": "no id"}, row("c"))
    good = [i.id for i in read(tmp_path, data) if isinstance(i, Document)]
    bad = [i for i in read(tmp_path, data) if isinstance(i, Skipped)]
    assert good == ["a", "c"]
    assert [(i.id, i.known) for i in bad] == [
        ("line 2", False),
        ("b", True),
        ("line 4", False),
        ("line 5", False),
    ]
    assert bad[1].reason == 'line 3: "text" is empty'
    assert "not UTF-8" in bad[2].reason
    assert '"id" is missing' in bad[3].reason


def test_repeated_id_takes_the_first_under_both_labels(tmp_path: Path) -> None:
    """Of two rows with one id the first is taken, and only those whom both allow may see it."""
    first, second, third = read(
        tmp_path, lines(row("a", acl=[["public"]]), row("a", acl=[["group:hr"]]), row("a"))
    )
    assert isinstance(first, Document)
    assert isinstance(second, Skipped)
    assert second.reason == "line 2: its id was used on line 1 already"
    assert second.label == EVERYONE & HR
    assert third.label == NOBODY


def test_unreadable_label_is_nobody(tmp_path: Path) -> None:
    """A row whose label cannot be read is skipped, and what is stored of it goes to nobody."""
    _, bad = read(tmp_path, lines(row("a"), row("b", acl={"alow": []})))
    assert isinstance(bad, Skipped)
    assert (bad.id, bad.label) == ("b", NOBODY)


def test_bad_text_keeps_the_label(tmp_path: Path) -> None:
    """A row whose text is bad still carries its label, from the row or from the file."""
    acl = AclFile.parse('"b": [[group:hr]]', Path("acl.yaml"))
    _, bad, marks = read(
        tmp_path,
        lines(row("a"), row("b", text=""), row("c", text="<!-- x -->", acl=[["group:hr"]])),
        acl,
    )
    assert bad.label == marks.label == HR
    assert isinstance(marks, Skipped)
    assert marks.reason == "line 3: it has no text"


@pytest.mark.parametrize(
    ("data", "line", "reason"),
    [
        (b"", 1, "the file has no rows"),
        (b"\n\n", 1, "the file has no rows"),
        (b"\nnonsense\n{}\n", 2, "not JSON"),
        (gzip.compress(b"{}", mtime=0), 1, '"id" is missing'),
        (gzip.compress(lines(row("a")), mtime=0)[:20], 1, "cannot be read further"),
    ],
)
def test_no_usable_row_is_an_error(tmp_path: Path, data: bytes, line: int, reason: str) -> None:
    """A file in which no row is usable is refused, so nothing is taken for gone because of it."""
    with pytest.raises(RowMalformed) as caught:
        read(tmp_path, data)
    assert caught.value.values["line"] == line
    assert reason in caught.value.message


def test_damage_in_the_middle_keeps_what_came_before(tmp_path: Path) -> None:
    """A gzip file that breaks off gives its whole rows, and says that the rest is unknown."""
    import random

    letters = random.Random(1)
    many = [row(f"d{n}", text="".join(letters.choices("abcdef ", k=300))) for n in range(300)]
    items = read(tmp_path, gzip.compress(lines(*many))[:-2000])
    assert 0 < sum(isinstance(i, Document) for i in items) < 300
    assert isinstance(items[-1], Skipped)
    assert not items[-1].known
    assert "cannot be read further" in items[-1].reason


def test_huge_lines_and_files_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line over the bound is skipped whole in bounded memory, a file over it is left."""
    monkeypatch.setattr(rows, "MAX_LINE", 1000)
    data = lines(row("a"), row("b", text="x" * 5000), row("c"))
    first, huge, last = read(tmp_path, gzip.compress(data))
    assert isinstance(huge, Skipped)
    assert (first.id, huge.id, huge.reason, last.id) == (
        "a",
        "line 2",
        "it has more than 1,000 bytes",
        "c",
    )
    monkeypatch.setattr(rows, "MAX_UNPACKED", 3000)
    _, left = read(tmp_path, gzip.compress(data))
    assert isinstance(left, Skipped)
    assert "unpacks to more than 3,000" in left.reason
    assert not left.known


def test_no_such_file(tmp_path: Path) -> None:
    """A file that does not exist is an error before anything is read."""
    with pytest.raises(SourceNotFound):
        rows.read(tmp_path / "none.jsonl", SOURCE)
