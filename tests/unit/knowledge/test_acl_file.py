"""The acl file: first match wins, nothing guessed, every mistake named with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from staid.domain.errors import LabelInvalid
from staid.domain.label import EVERYONE, NOBODY, Label
from staid.knowledge.acl_file import AclFile

FINANCE = Label.of([["group:finance"]])


def parsed(text: str) -> AclFile:
    """Read a text as the acl file."""
    return AclFile.parse(text, Path("acl.yaml"))


def refused(text: str | bytes) -> str:
    """Return why a text is no acl file."""
    with pytest.raises(LabelInvalid) as caught:
        AclFile.parse(text, Path("acl.yaml"))
    return caught.value.message


def test_first_match_wins_in_file_order() -> None:
    """The first pattern that matches decides, however specific the later ones are."""
    acl = parsed(
        '"finance/**": {allow: [[group:finance]]}\n"finance/open.md": [[public]]\n"**": [[public]]'
    )
    assert acl.label("finance/open.md") == FINANCE
    assert acl.label("finance/2024/q1.md") == FINANCE
    assert acl.label("help.md") == EVERYONE
    assert acl.pattern("help.md") == "**"
    assert acl.unused(["finance/a.md", "b.md"]) == ("finance/open.md",)


def test_no_match_is_nobody_or_the_default() -> None:
    """Where nothing matches, nobody may see it, unless the file names a default."""
    assert parsed('"a": [[public]]').label("b") == NOBODY
    acl = parsed('"a": []\ndefault: {allow: [[public]], deny: [user:x]}')
    assert acl.label("b") == Label.of([["public"]], ["user:x"])
    assert acl.label("a") == NOBODY
    assert acl.pattern("b") is None


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("*.md", ["a.md"], ["x/a.md", "a.mdx", "a.txt"]),
        ("**/*.md", ["a.md", "x/y/a.md"], ["a.txt"]),
        ("hr/**", ["hr/a", "hr/b/c"], ["hr", "hrx/a", "x/hr/a"]),
        ("doc_business_*", ["doc_business_a_(b)_001"], ["doc_x", "Doc_business_a"]),
        ("a?c", ["abc"], ["ac", "a/c"]),
        ("a.c", ["a.c"], ["abc"]),
        ("a[b]", ["a[b]"], ["ab"]),
        ("**", ["a\nb/c"], []),
    ],
)
def test_patterns(pattern: str, matching: list[str], others: list[str]) -> None:
    """`*` stays within a folder, `**` does not, everything else stands for itself."""
    acl = parsed(f'"{pattern}": [[public]]')
    assert [acl.label(name) for name in matching] == [EVERYONE] * len(matching)
    assert [acl.label(name) for name in others] == [NOBODY] * len(others)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('"a": {alow: [[public]]}', "acl.yaml, pattern 'a': unknown key 'alow'"),
        ('"a": public', "pattern 'a'"),
        ('"a": [[finance]]', "'finance' is not a token"),
        ("defualt: [[public]]", "did you mean 'default'?"),
        ("allow: [[public]]", "a pattern belongs here"),
        ('"/a": [[public]]', "without a leading /"),
        ('"a": [[public]]\n"b": []\n"a": []', "line 3: the key 'a' stands twice"),
        ('"a": {allow: [], allow: [[public]]}', "line 1: the key 'allow' stands twice"),
        ('"a": [[public]', "line 1"),
        ("- a", "not a mapping"),
        ("", "not a mapping"),
        ("5: [[public]]", "put it in quotes"),
        ('"a": !!python/object:os.system x', "line 1"),
        ("<<: {a: [[public]]}", "is not supported"),
        ("[" * 5000, "not YAML"),
        (b"caf\xe9: []", "not UTF-8"),
    ],
)
def test_mistakes_are_named(text: str | bytes, reason: str) -> None:
    """A typo never becomes a right: the file is refused whole, and the message names the place."""
    assert reason in refused(text)


def test_file_is_read_and_missing_is_an_error(tmp_path: Path) -> None:
    """A missing acl file stops everything: without it nobody's rights are known."""
    path = tmp_path / "acl.yaml"
    with pytest.raises(LabelInvalid, match="cannot be read"):
        AclFile.read(path)
    path.write_text("\ufeff'a': [[public]]", "utf-8")
    assert AclFile.read(path).label("a") == EVERYONE
