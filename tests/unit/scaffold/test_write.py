"""What `write` promises: a new or empty folder, whole or not at all."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from staid.domain.errors import UsageInvalid
from staid.scaffold import write as scaffold
from staid.scaffold.write import project_name, write


def names(folder: Path) -> list[str]:
    """Every file below a folder, by its path."""
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_a_new_folder_gets_the_whole_template(tmp_path: Path) -> None:
    """Every file of the template arrives, `dot-` names with a dot, caches left out."""
    made = write(tmp_path / "deep" / "shop")
    template = Path(scaffold.__file__).parent / "project"
    expected = [
        "/".join(f".{p.removeprefix('dot-')}" if p.startswith("dot-") else p for p in n.split("/"))
        for n in names(template)
        if "__pycache__" not in n
    ]
    assert made == tmp_path / "deep" / "shop"
    assert names(made) == sorted(expected)
    assert {".gitignore", ".github/workflows/staid.yml", "staid.toml"} <= set(expected)
    assert not list(tmp_path.rglob(".staid-init-*"))


def test_an_empty_folder_is_filled_in_place(tmp_path: Path) -> None:
    """An empty folder, perhaps a shell's working directory, stays the same folder."""
    target = tmp_path / "here"
    target.mkdir()
    before = target.stat().st_ino
    write(target)
    assert target.stat().st_ino == before
    assert names(target) == names(write(tmp_path / "there"))


@pytest.mark.parametrize("name", ["notes.txt", ".git"])
def test_an_occupied_folder_is_left_alone(tmp_path: Path, name: str) -> None:
    """One file, even a hidden one, and nothing is written; the hint names the next step."""
    (tmp_path / name).write_text("mine")
    with pytest.raises(UsageInvalid, match="not empty") as caught:
        write(tmp_path)
    assert names(tmp_path) == [name]
    assert "staid init" in caught.value.hint_text
    assert caught.value.exit_code == 2


def test_a_file_is_not_a_folder(tmp_path: Path) -> None:
    """A target that is a file is refused and keeps its content."""
    target = tmp_path / "file"
    target.write_text("mine")
    with pytest.raises(UsageInvalid, match="is a file"):
        write(target)
    assert target.read_text() == "mine"


@pytest.mark.parametrize("existing", [False, True])
@pytest.mark.parametrize("fail_at", [1, 20])
def test_a_failure_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, existing: bool, fail_at: int
) -> None:
    """A disk that fills up while copying: no project, no half of one, the error says why."""
    target = tmp_path / "shop"
    if existing:
        target.mkdir()
    real, count = Path.write_bytes, 0

    def full(self: Path, data: bytes) -> int:
        nonlocal count
        count += 1
        if count == fail_at:
            raise OSError(28, "No space left on device")
        return real(self, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UsageInvalid, match="No space left"):
        write(target)
    assert target.exists() is existing
    assert list(tmp_path.rglob("*")) == ([target] if existing else [])


def test_a_failed_move_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the last move into an empty folder fails, what was moved before it goes again."""
    real = Path.rename

    def stuck(self: Path, target: Path) -> Path:
        if self.name == "staid.toml":
            raise OSError(5, "Input/output error")
        return real(self, target)

    monkeypatch.setattr(Path, "rename", stuck)
    with pytest.raises(UsageInvalid, match="Input/output"):
        write(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_staid_toml_moves_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until everything else is in place an existing folder is not yet a project."""
    moved: list[str] = []
    real = Path.rename

    def watched(self: Path, target: Path) -> Path:
        moved.append(self.name)
        return real(self, target)

    monkeypatch.setattr(Path, "rename", watched)
    write(tmp_path)
    assert moved[-1] == "staid.toml"
    assert len(moved) > 5


def test_somebody_else_writing_here_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that appears while we stage is kept, and our own files are not mixed with it."""
    real = scaffold._copy_all

    def crowded(stage: Path, name: str) -> None:
        real(stage, name)
        (tmp_path / "theirs").write_text("x")

    monkeypatch.setattr(scaffold, "_copy_all", crowded)
    with pytest.raises(UsageInvalid, match="something else"):
        write(tmp_path)
    assert names(tmp_path) == ["theirs"]


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("shop", "shop"),
        ("My Bakery!", "my-bakery"),
        ('a"]\nb', "a-b"),
        ("Кухня", "staid-project"),
        ("x" * 99, "x" * 60),
    ],
)
def test_the_name_comes_from_the_folder(tmp_path: Path, folder: str, name: str) -> None:
    """Whatever the folder is called, `staid.toml` stays valid and carries a plain name."""
    assert project_name(Path(folder)) == name
    made = write(tmp_path / folder)
    settings = tomllib.loads((made / "staid.toml").read_text("utf-8"))
    assert settings["project"]["name"] == name
    assert (made / "README.md").read_text("utf-8").startswith(f"# {name}\n")
