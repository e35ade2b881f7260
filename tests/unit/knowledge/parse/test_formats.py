"""Names to parsers, and the child process that no document outlives."""

from __future__ import annotations

import sys
import time

import pytest

from staid.domain.errors import DocumentUnreadable
from staid.knowledge.parse import child, confined, formats


def test_every_format_has_its_parser() -> None:
    """Each suffix that is promised leads to a module that can parse."""
    for suffix, name in formats.SUFFIXES.items():
        assert formats.format_of(f"a/b{suffix.upper()}") == name
    assert formats.format_of("a.png") is None
    assert formats.format_of("README") is None


def test_title_is_never_empty() -> None:
    """A document without a title is called by its file name, without folder and suffix."""
    assert formats.parse("hr/leave rules.txt", b"25 days").title == "leave rules"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a.png", "files of type .png"),
        ("LICENSE", "without a type"),
        ("a.jsonl", "rows are ingested"),
    ],
)
def test_unknown_types_say_what_is_read(name: str, reason: str) -> None:
    """A file that cannot be read says so, and what can."""
    with pytest.raises(DocumentUnreadable, match=reason):
        formats.parse(name, b"x")


def test_broken_html_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """HTML on which Python's parser needs minutes is stopped in time and refused."""
    monkeypatch.setattr(confined.parse_confined, "__kwdefaults__", {"seconds": 1.0})
    began = time.monotonic()
    with pytest.raises(DocumentUnreadable, match="took longer than 1 s"):
        formats.parse("a.html", b"<a " * 20_000)
    assert time.monotonic() - began < 20


def test_large_html_is_the_same_in_the_child() -> None:
    """A page read in the child process comes out as one read here."""
    page = b"<h1>T</h1><p>x</p><h2>\xc3\xa9</h2><p>y</p>" + b"<p>more</p>" * 7000
    assert formats.parse("a.html", page) == formats.parse_as("html", "a.html", page)


def test_a_dead_child_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that dies without an answer (killed for memory, say) refuses the document."""
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(DocumentUnreadable, match="too much memory or failed"):
        confined.parse_confined("pdf", "a.pdf", b"%PDF-")


def test_any_error_of_a_library_is_a_refusal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever a parser raises becomes one plain reason, and too little memory another."""
    import io

    def fails(error: Exception) -> str:
        def parse(*_: object) -> None:
            raise error

        monkeypatch.setattr(child, "parse_as", parse)
        monkeypatch.setattr(child, "_bound_memory", lambda: None)
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"x")))
        child.main("pdf", "a.pdf")
        return capsys.readouterr().out

    assert fails(RecursionError()) == '{"refused": "it cannot be read as pdf (RecursionError)"}'
    assert "too much memory" in fails(MemoryError())
