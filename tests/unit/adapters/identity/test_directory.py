"""The directory in a file: closure, revokes at once, fail closed, every mistake named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from staid.adapters.identity.directory import FileDirectory
from staid.domain.errors import AskerDisabled, AskerMalformed, AskerUnknown, DirectoryInvalid
from staid.domain.ports import Directory

TEXT = """
principals:
  user:ada: {name: Ada Park, groups: [group:support], aliases: [ada@acme.example]}
  user:old: {disabled: true, groups: [group:support]}
  user:okta/eve: {groups: [group:a]}
  service:billing:
groups:
  group:support: {groups: [group:employees]}
  group:a: {groups: [group:b]}
  group:b: {groups: [group:a, group:c]}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Write the usual directory."""
    file = tmp_path / "directory.yaml"
    file.write_text(TEXT, "utf-8")
    return file


@pytest.fixture
def directory(path: Path) -> FileDirectory:
    """Open the usual directory."""
    return FileDirectory(path)


def test_it_is_a_directory(directory: FileDirectory) -> None:
    """The port's type fits, and nothing is read before the first question."""
    port: Directory = directory
    assert port.resolve("user:ada").issuer == "local"
    FileDirectory(Path("nowhere"))


def test_groups_within_groups(directory: FileDirectory) -> None:
    """A principal holds the groups it is in and those that they are in."""
    ada = directory.resolve("user:ada")
    assert (ada.token, ada.kind, ada.id) == ("user:ada", "user", "ada")
    assert ada.groups == {"group:support", "group:employees"}
    assert directory.resolve("service:billing").groups == frozenset()


def test_cycles_end(directory: FileDirectory) -> None:
    """Groups that contain each other are all held, and the question ends."""
    eve = directory.resolve("user:okta/eve")
    assert (eve.issuer, eve.id, eve.token) == ("okta", "eve", "user:okta/eve")
    assert eve.groups == {"group:a", "group:b", "group:c"}


def test_aliases_are_the_principal(directory: FileDirectory) -> None:
    """An alias resolves to its principal, exactly as written; another case is nobody."""
    assert directory.resolve("ada@acme.example") == directory.resolve("user:ada")
    with pytest.raises(AskerMalformed):
        directory.resolve("Ada@acme.example")


def test_unknown_and_disabled(directory: FileDirectory) -> None:
    """Who is not there is unknown, who is disabled gets nothing."""
    with pytest.raises(AskerUnknown):
        directory.resolve("user:nobody")
    with pytest.raises(AskerDisabled):
        directory.resolve("user:old")


@pytest.mark.parametrize(
    "token",
    [
        "",
        "ada",
        "user:",
        "group:support",
        "user: ada",
        "user:a\n",
        "user:/a",
        "user:x/",
        "user:local/a",
        "agent:" + "a" * 400,
    ],
)
def test_malformed_askers(directory: FileDirectory, token: str) -> None:
    """What is no principal's token is refused before anything is looked up."""
    with pytest.raises(AskerMalformed):
        directory.resolve(token)
    with pytest.raises(AskerMalformed):
        directory.asserted(token, [])


def test_asserted_groups_are_never_widened(directory: FileDirectory) -> None:
    """Asserted groups are the whole closure: nesting and own groups add nothing."""
    assert directory.asserted("user:ada", ["group:support"]).groups == {"group:support"}
    assert directory.asserted("user:ada", []).groups == frozenset()
    assert directory.asserted("ada@acme.example", ["group:x"]).token == "user:ada"
    assert directory.asserted("user:guest", ["group:x"]).groups == {"group:x"}


def test_disabled_stays_disabled_with_asserted_groups(directory: FileDirectory) -> None:
    """An assertion does not bring a disabled principal back."""
    with pytest.raises(AskerDisabled):
        directory.asserted("user:old", ["group:support"])


@pytest.mark.parametrize("group", ["support", "user:ada", "group:", "public", "group: x", ""])
def test_asserted_groups_are_groups(directory: FileDirectory, group: str) -> None:
    """Only well-formed group tokens can be asserted, never another principal's own token."""
    with pytest.raises(AskerMalformed):
        directory.asserted("user:ada", [group])


def test_revoke_holds_on_the_next_question(directory: FileDirectory, path: Path) -> None:
    """A change holds at once, even one of equal length within one tick of the clock."""
    before = path.stat()
    assert "group:support" in directory.resolve("user:ada").groups
    path.write_text(TEXT.replace("[group:support], aliases", "[group:suppers], aliases"), "utf-8")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert "group:support" not in directory.resolve("user:ada").groups


def test_unchanged_file_is_parsed_once(
    directory: FileDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is parsed again only when its bytes change."""
    import yaml

    directory.resolve("user:ada")
    monkeypatch.setattr(yaml, "load", None)
    directory.resolve("user:ada")


def test_broken_or_missing_file_answers_nothing(directory: FileDirectory, path: Path) -> None:
    """A file that becomes wrong, or goes away, fails closed for everybody until it is mended."""
    directory.resolve("user:ada")
    path.write_text("principals: [")
    for _ in range(2):
        with pytest.raises(DirectoryInvalid, match=r"line \d"):
            directory.resolve("user:ada")
    with pytest.raises(DirectoryInvalid):
        directory.asserted("user:guest", [])
    path.unlink()
    with pytest.raises(DirectoryInvalid, match="cannot be read"):
        directory.resolve("user:ada")
    path.write_text(TEXT)
    directory.resolve("user:ada")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "principals:\n  user:a: {}\n  user:a: {disabled: true}",
            "line 3: the key 'user:a' stands",
        ),
        ("groups:\n  group:a: {groups: [], groups: []}", "line 2: the key 'groups' stands twice"),
        ("roles: {}", "the file: unknown key 'roles'"),
        ("principals: {user:a: {disbled: true}}", "user:a: unknown key 'disbled'"),
        ("principals: {user:a: {disabled: 'yes'}}", "user:a: disabled is neither true nor false"),
        ("principals: {user:a: {groups: group:x}}", "user:a: groups is not a list"),
        ("principals: {user:a: {groups: [finance]}}", "user:a: 'finance' is not a group"),
        ("principals: {user:a: {groups: [user:b]}}", "'user:b' is not a group"),
        ("principals: {user:a: {groups: [5]}}", "groups is not a list of texts"),
        ("principals: {user:a: {name: [x]}}", "name is not a text"),
        ("principals: {ada: {}}", "principals: 'ada' is not a token"),
        ("principals: {5: {}}", "is not a text"),
        ("principals: [user:a]", "principals is not a mapping"),
        ("principals: {user:a: x}", "user:a is not a mapping"),
        ("groups: {finance: {}}", "groups: 'finance' is not a token"),
        ("groups: {group:a: {members: [user:x]}}", "unknown key 'members'"),
        ("principals: {user:a: {aliases: [x]}, user:b: {aliases: [x]}}", "alias 'x' means user:a"),
        ("principals: {user:a: {aliases: [user:b]}, user:b: {}}", "alias 'user:b' means user:b"),
        ("- a", "the file is not a mapping"),
        ("principals: {<<: {user:a: {}}}", "is not supported"),
        ("x: !!python/object:os.system y", "line 1"),
        ("[" * 5000, "not YAML"),
        ("a: \x00", "not YAML"),
    ],
)
def test_mistakes_are_named(path: Path, text: str, reason: str) -> None:
    """A typo is an error with its place, never a right that silently is or is not there."""
    path.write_text(text)
    with pytest.raises(DirectoryInvalid) as caught:
        FileDirectory(path).principals()
    assert reason in caught.value.message


def test_not_text_and_too_large(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes that are no UTF-8, or too many, are refused."""
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(DirectoryInvalid, match="not UTF-8"):
        FileDirectory(path).groups()
    monkeypatch.setattr("staid.adapters.identity.directory.MAX_BYTES", 1)
    with pytest.raises(DirectoryInvalid, match="more than 1 bytes"):
        FileDirectory(path).groups()


def test_empty_directory_knows_nobody(path: Path) -> None:
    """An empty file is a directory without anybody in it."""
    path.write_text("")
    assert FileDirectory(path).principals() == ()


def test_no_directory_at_all() -> None:
    """A project without a directory knows nobody, and takes asserted groups all the same."""
    nothing = FileDirectory(None)
    with pytest.raises(AskerUnknown):
        nothing.resolve("user:ada")
    assert nothing.asserted("user:ada", ["group:x"]).groups == {"group:x"}
    assert nothing.principals() == ()


def test_listing(directory: FileDirectory) -> None:
    """Principals and groups are listed with what the file states, disabled ones included."""
    members = {m.token: m for m in directory.principals()}
    assert list(members) == ["service:billing", "user:ada", "user:okta/eve", "user:old"]
    assert (members["user:ada"].name, members["user:ada"].aliases) == (
        "Ada Park",
        {"ada@acme.example"},
    )
    assert members["user:old"].disabled
    assert directory.groups()["group:support"] == {"user:ada", "user:old"}
    assert directory.groups()["group:employees"] == {"group:support"}


def test_paths_say_how_a_group_is_reached(directory: FileDirectory) -> None:
    """Each group of a principal comes with the way to it; together they are its closure."""
    assert directory.paths("ada@acme.example") == {
        "group:employees": ("user:ada", "group:support", "group:employees"),
        "group:support": ("user:ada", "group:support"),
    }
    assert set(directory.paths("user:okta/eve")) == directory.resolve("user:okta/eve").groups
    with pytest.raises(AskerDisabled):
        directory.paths("user:old")


_groups = st.sampled_from([f"group:{c}" for c in "abcdef"])


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(_groups, st.sets(_groups)), st.sets(_groups))
def test_closure_is_reachability(
    tmp_path_factory: pytest.TempPathFactory, nesting: dict[str, set[str]], direct: set[str]
) -> None:
    """For any nesting, cycles included, the closure is what can be reached, by our own walk."""
    import json

    path = tmp_path_factory.mktemp("d") / "directory.yaml"
    path.write_text(
        json.dumps(
            {
                "principals": {"user:a": {"groups": sorted(direct)}},
                "groups": {g: {"groups": sorted(inner)} for g, inner in nesting.items()},
            }
        )
    )
    reached = set(direct)
    for _ in range(6):
        reached |= {outer for group in reached for outer in nesting.get(group, ())}
    assert FileDirectory(path).resolve("user:a").groups == reached
