"""What stands behind a project: the journal's key, entry modules, what closing opens."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from staid.domain.errors import EntryInvalid, JournalKeyMissing, StaidError
from staid.project.loading import load_project
from staid.project.project import Project

Make = Callable[..., Project]


def key_of(project: Project) -> bytes:
    """Return the journal's key as this project finds or makes it."""
    return project.wiring._journal_key()


def test_many_that_start_at_once_share_one_key(tmp_path: Path) -> None:
    """Whoever makes the key first, everybody hashes under the same whole one."""
    (tmp_path / "staid.toml").write_text("")
    projects = [Project(tmp_path) for _ in range(8)]
    projects[0].wiring.store.close()
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(key_of, projects))
    assert len(keys) == 1
    assert len(keys.pop()) == 64
    assert [path.name for path in (tmp_path / ".staid").glob("journal.key*")] == ["journal.key"]
    assert (tmp_path / ".staid/journal.key").stat().st_mode & 0o777 == 0o600
    for project in projects:
        project.close()


def test_a_key_from_the_environment(make_project: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """With STAID_JOURNAL_KEY no file is written, and another key finds the journal broken."""
    monkeypatch.setenv("STAID_JOURNAL_KEY", "from outside")
    project = make_project()
    project.agent_named("support").ask_sync("Hello?", asker="user:ada")
    assert project.wiring.journal.verify() == []
    assert not (project.settings.state / "journal.key").exists()
    monkeypatch.setenv("STAID_JOURNAL_KEY", "another")
    assert make_project().wiring.journal.verify() != []
    monkeypatch.delenv("STAID_JOURNAL_KEY")
    with pytest.raises(JournalKeyMissing):
        make_project().wiring.journal.verify()


def test_no_key_is_made_where_none_can_be_written(
    make_project: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that gets full while the key is written leaves nothing like a key."""
    project = make_project()
    assert project.wiring.store

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StaidError) as caught:
            project.agent_named("support").ask_sync("Hello?", asker="user:ada")
    assert caught.value.code == "ST-113"
    assert list(project.settings.state.glob("journal.key*")) == []
    assert project.agent_named("support").ask_sync("Hello?", asker="user:ada").run


def test_closing_opens_nothing(make_project: Make) -> None:
    """A project that was never used leaves no store behind when it is closed."""
    project = make_project()
    project.close()
    assert not project.settings.state.exists()


ENTRY = "from staid import Project\nproject = Project()\nproject.agent('a', model='quote')\n"


def test_an_edited_entry_is_run_as_it_is_now(tmp_path: Path) -> None:
    """Two versions of the same length within one second are two versions: no stale byte code."""
    (tmp_path / "staid.toml").write_text('[project]\nentry = "agent:project"\n')
    for name in ("a", "b", "c"):
        (tmp_path / "agent.py").write_text(ENTRY.replace("'a'", f"'{name}'"))
        assert load_project(tmp_path).agent_names == [name]
    assert not (tmp_path / "__pycache__").exists()


def test_two_projects_with_modules_of_one_name(tmp_path: Path) -> None:
    """Each project gets its own `agent`, and `Project()` in it means the folder it lies in."""
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "staid.toml").write_text('[project]\nentry = "agent:project"\n')
        (folder / "agent.py").write_text(ENTRY.replace("'a'", f"'{name}'"))
    for name in ("one", "two"):
        project = load_project(tmp_path / name)
        assert project.agent_names == [name]
        assert project.settings.directory_path == (tmp_path / name).resolve()


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        ("agent", ENTRY),
        ("agent:other", ENTRY),
        ("agent:project", "project = 1\n"),
        ("agent:project", "1 / 0\n"),
        ("agent:project", "def\n"),
        ("nowhere:project", ENTRY),
    ],
)
def test_an_entry_that_cannot_be_loaded(tmp_path: Path, entry: str, code: str) -> None:
    """Whatever is wrong with the entry is told as such, with its name."""
    (tmp_path / "staid.toml").write_text(f'[project]\nentry = "{entry}"\n')
    (tmp_path / "agent.py").write_text(code)
    with pytest.raises(EntryInvalid, match=entry):
        load_project(tmp_path)
