"""Settings: found upward, strict, overridable, secrets by reference only."""

from __future__ import annotations

from pathlib import Path

import pytest

from staid.domain.errors import ProjectNotFound, SecretMissing, SettingsInvalid
from staid.project.settings import load, secret


def write(folder: Path, text: str) -> Path:
    """Write the settings of a project."""
    (folder / "staid.toml").write_text(text, "utf-8")
    return folder


def test_found_upward(tmp_path: Path) -> None:
    """The nearest file upward counts; without any the error names where was looked."""
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    with pytest.raises(ProjectNotFound):
        load(deep, {})
    write(tmp_path, '[project]\nname = "outer"\n')
    assert load(deep, {}).project.name == "outer"
    write(tmp_path / "a", '[project]\nname = "inner"\n')
    assert load(deep, {}).project.name == "inner"
    assert load(deep, {}).directory_path == (tmp_path / "a").resolve()


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[projct]", "projct"),
        ('[agents.a]\nmodell = "quote"', "agents.a.modell"),
        ('[agents.a]\ntimeout = "soon"', "agents.a.timeout"),
        ('[agents.a]\ntimeout = "-3s"', "agents.a.timeout"),
        ("[agents.a]\ntimeout = 0", "agents.a.timeout"),
        ("[grounding]\nfloor = 1.5", "grounding.floor"),
        ("[grounding]\nfloor = 0.4", "grounding.floor"),
        ('[grounding]\nfloor = 0.4\nfloor_reason = " "', "grounding.floor"),
        ('[grounding]\nsignal = "cosine"', "grounding.signal"),
        ("[sources.a]\nvetted = true", "sources.a.path"),
        ("[project", "(file)"),
        ('[project]\nbusy_timeout = "0s"', "project.busy_timeout"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, key: str) -> None:
    """Unknown keys and values that cannot be are errors that name the key."""
    with pytest.raises(SettingsInvalid) as caught:
        load(write(tmp_path, text), {})
    assert f"setting {key} in" in str(caught.value)


def test_a_lower_floor_needs_its_reason(tmp_path: Path) -> None:
    """With a reason the floor may be lowered; raising it needs none."""
    low = '[grounding]\nfloor = 0.4\nfloor_reason = "a forum"\n'
    assert load(write(tmp_path, low), {}).grounding.floor == 0.4
    assert load(write(tmp_path, "[grounding]\nfloor = 0.9\n"), {}).grounding.floor == 0.9


def test_the_environment_overrides(tmp_path: Path) -> None:
    """Every key has its variable; lists are split; other variables are left alone."""
    write(tmp_path, '[agents.front-desk]\nmodel = "quote"\n[sources.kb]\npath = "kb"\n')
    given = {
        "STAID_NAME": "other",
        "STAID_STORE": "sqlite:///x.db",
        "STAID_BUSY_TIMEOUT": "250ms",
        "STAID_GROUNDING_FLOOR": "0.7",
        "STAID_AGENTS_FRONT_DESK_ALLOW_TOOLS": "a.b, c.d",
        "STAID_SOURCES_KB_VETTED": "false",
        "STAID_GATES_APPROVERS": "group:leads",
        "STAID_DATA": "/somewhere",
        "STAID_UNKNOWN": "ignored",
    }
    loaded = load(tmp_path, given)
    assert (loaded.project.name, loaded.project.busy_timeout) == ("other", 0.25)
    assert loaded.grounding.floor == 0.7
    assert loaded.agents["front-desk"].allow_tools == ["a.b", "c.d"]
    assert loaded.sources["kb"].vetted is False
    assert loaded.gates.approvers == ["group:leads"]
    with pytest.raises(SettingsInvalid):
        load(tmp_path, {"STAID_GROUNDING_FLOOR": "0.1"})


@pytest.mark.parametrize(
    ("text", "seconds"),
    [('"30s"', 30), ('"5m"', 300), ('"0.5h"', 1800), ('"180d"', 15_552_000), ("12", 12)],
)
def test_durations(tmp_path: Path, text: str, seconds: float) -> None:
    """A duration is a number with a unit, or seconds."""
    assert (
        load(write(tmp_path, f"[agents.a]\ntimeout = {text}\n"), {}).agents["a"].timeout == seconds
    )


def test_secrets_are_references(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`env:` and `file:` are resolved when needed, and a missing one is named, never its value."""
    monkeypatch.setenv("TEST_SECRET", "s3cret")
    (tmp_path / "key").write_text("from a file\n")
    assert secret("env:TEST_SECRET", tmp_path) == "s3cret"
    assert secret("file:key", tmp_path) == "from a file"
    assert secret("plain", tmp_path) == "plain"
    monkeypatch.delenv("TEST_SECRET")
    for missing in ("env:TEST_SECRET", "file:none"):
        with pytest.raises(SecretMissing, match=missing):
            secret(missing, tmp_path)


def test_sqlite_paths_are_of_the_project(tmp_path: Path) -> None:
    """A relative store lies in the project's folder, wherever the command was started."""
    assert load(write(tmp_path, ""), {}).store_url() == f"sqlite:///{tmp_path}/.staid/staid.db"
    write(tmp_path, '[project]\nstore = "sqlite:////var/x.db"\n')
    assert load(tmp_path, {}).store_url() == "sqlite:////var/x.db"
