"""A folder: ids, order, what is refused, and links that must not weaken a label."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from staid.domain.document import Document, Source
from staid.domain.errors import SourceNotFound
from staid.domain.label import EVERYONE, NOBODY, Label
from staid.knowledge.acl_file import AclFile
from staid.knowledge.connectors import folder
from staid.knowledge.skipped import Skipped

SOURCE = Source("help")


def written(root: Path, **files: str) -> Path:
    """Write files; `__` in a name parts folders and `_dot_` is a dot."""
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return root


def read(root: Path, acl: AclFile | None = None) -> dict[str, Document | Skipped]:
    """Read a folder by id."""
    items = list(folder.read(root, SOURCE, acl))
    assert len({item.id for item in items}) == len(items)
    return {item.id: item for item in items}


def reason(item: Document | Skipped) -> str:
    """Return why something was skipped."""
    assert isinstance(item, Skipped)
    return item.reason


def test_files_in_order_with_paths_as_ids(tmp_path: Path) -> None:
    """Every readable file is a document called by its path, in the order of the paths."""
    written(tmp_path, b_dot_md="# B\nb", a__z_dot_txt="z", a__b__c_dot_html="<p>c", A_dot_md="A")
    items = list(folder.read(tmp_path, SOURCE))
    assert [item.id for item in items] == ["A.md", "a/b/c.html", "a/z.txt", "b.md"]
    assert [item.title for item in items if isinstance(item, Document)] == ["A", "c", "z", "B"]


def test_no_acl_file_is_nobody(tmp_path: Path) -> None:
    """Without stated rights a document is visible to nobody."""
    item = read(written(tmp_path, a_dot_md="a"))["a.md"]
    assert isinstance(item, Document)
    assert item.label == NOBODY


def test_labels_come_from_the_acl_file(tmp_path: Path) -> None:
    """The acl file labels by path, also what was skipped, and is itself no document."""
    written(tmp_path, hr__a_dot_md="a", hr__b_dot_md="", c_dot_md="c")
    (tmp_path / "acl.yaml").write_text('"hr/**": [[group:hr]]\n"**": [[public]]\n')
    items = read(tmp_path, AclFile.read(tmp_path / "acl.yaml"))
    assert sorted(items) == ["c.md", "hr/a.md", "hr/b.md"]
    assert items["hr/a.md"].label == items["hr/b.md"].label == Label.of([["group:hr"]])
    assert items["c.md"].label == EVERYONE


def test_unknown_hidden_and_broken_files(tmp_path: Path) -> None:
    """Hidden files are passed over, others that cannot be read come out with their reason."""
    written(
        tmp_path, _dot_git__a_dot_md="x", _dot_a_dot_md="x", a_dot_png="x", LICENSE="x", e_dot_md=""
    )
    (tmp_path / "rows.jsonl").write_text("{}")
    (tmp_path / "binary.md").write_bytes(b"a\x00b")
    (tmp_path / "line\nbreak.md").write_text("x")
    os.mkfifo(tmp_path / "pipe.md")
    items = read(tmp_path)
    assert sorted(items) == [
        "LICENSE",
        "a.png",
        "binary.md",
        "e.md",
        "line\nbreak.md",
        "pipe.md",
        "rows.jsonl",
    ]
    assert "without a type" in reason(items["LICENSE"])
    assert "files of type .png" in reason(items["a.png"])
    assert "NUL bytes" in reason(items["binary.md"])
    assert reason(items["e.md"]) == "it is empty"
    assert "control characters" in reason(items["line\nbreak.md"])
    assert reason(items["pipe.md"]) == "it is not a file"
    assert "staid ingest FILE.jsonl" in reason(items["rows.jsonl"])


def test_names_that_are_no_text(tmp_path: Path) -> None:
    """A file name that is not UTF-8 is refused with a printable id."""
    with open(os.fsencode(tmp_path) + b"/caf\xe9.md", "w", encoding="utf-8") as file:  # noqa: PTH123 - pathlib takes no bytes
        file.write("x")
    (item,) = folder.read(tmp_path, SOURCE)
    assert "control characters" in reason(item)
    item.id.encode()


def test_links_cannot_weaken_a_label(tmp_path: Path) -> None:
    """A link out of the folder, to another document, to a folder or to nothing is not followed."""
    outside = tmp_path / "outside.md"
    outside.write_text("SECRET")
    root = written(tmp_path / "root", hr__a_dot_md="a")
    (root / "out.md").symlink_to(outside)
    (root / "open.md").symlink_to("hr/a.md")
    (root / "folder.md").symlink_to("hr")
    (root / "none.md").symlink_to("gone.md")
    (root / "self.md").symlink_to("self.md")
    items = read(root)
    assert "outside the folder" in reason(items["out.md"])
    assert "indexed under its own name" in reason(items["open.md"])
    assert "link to a folder" in reason(items["folder.md"])
    assert "link to nothing" in reason(items["none.md"])
    assert "link to nothing" in reason(items["self.md"])
    assert isinstance(items["hr/a.md"], Document)


def test_links_to_mounted_versions_are_followed(tmp_path: Path) -> None:
    """Files that are links into a hidden folder beside them (mounted configuration) are read."""
    (tmp_path / "..2024").mkdir()
    (tmp_path / "..2024" / "a.md").write_text("text")
    (tmp_path / "a.md").symlink_to("..2024/a.md")
    assert isinstance(read(tmp_path)["a.md"], Document)


def test_unreadable_parts_are_not_taken_for_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that cannot be entered, or lies too deep, says that its documents are unknown."""
    written(tmp_path, a__b__c_dot_md="x", d_dot_md="x")
    monkeypatch.setattr(folder, "MAX_DEPTH", 1)
    assert [(i.id, i.known) for i in read(tmp_path).values() if isinstance(i, Skipped)] == [
        ("a/b", False)
    ]

    scandir = os.scandir

    def refusing(path: Path) -> object:
        if path.name == "a":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    item = read(tmp_path)["a"]
    assert isinstance(item, Skipped)
    assert (item.known, item.reason) == (False, "the folder cannot be read (Permission denied)")


def test_unopenable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that may not be opened is skipped with the system's reason."""
    written(tmp_path, a_dot_md="x")

    def refusing(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refusing)
    assert "it cannot be opened (Permission denied)" in reason(read(tmp_path)["a.md"])


def test_no_such_folder(tmp_path: Path) -> None:
    """A folder that does not exist is an error before anything is read."""
    with pytest.raises(SourceNotFound):
        folder.read(tmp_path / "none", SOURCE)
