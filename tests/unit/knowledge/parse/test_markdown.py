"""Markdown: headings, marks, code, front matter, and what a reader does not see."""

from __future__ import annotations

import contextlib
import time

import pytest

from staid.domain.errors import DocumentUnreadable
from staid.knowledge.parse import markdown
from staid.knowledge.parse.parsed import Parsed


def read(text: str) -> Parsed:
    """Parse text as a file would be."""
    return markdown.parse("a.md", text.encode())


def body(text: str) -> str:
    """Return the text of the only section."""
    (section,) = read(text).sections
    return section.text


def test_headings_become_paths() -> None:
    """Each text lies under the headings above it, and the first level-1 heading is the title."""
    parsed = read("# Guide\nintro\n## Refunds\na\n### Annual\nb\n## Billing\nc\n")
    assert parsed.title == "Guide"
    assert [(s.path, s.text) for s in parsed.sections] == [
        ((), "intro"),
        (("Refunds",), "a"),
        (("Refunds", "Annual"), "b"),
        (("Billing",), "c"),
    ]


def test_underlined_headings() -> None:
    """A line underlined with = or - is a heading; a rule below a list or a paragraph is not."""
    parsed = read("Guide\n=====\n\nPart\n----\ntext\n\n- item\n---\n\none\ntwo\n---\n")
    assert parsed.title == "Guide"
    assert [(s.path, s.text) for s in parsed.sections] == [
        (("Part",), "text\n\n- item\n\none\ntwo")
    ]


def test_heading_without_text_is_kept() -> None:
    """A heading with nothing below it stays a section; above others it lives in their paths."""
    parsed = read("## Empty\n## Outer\n### Inner\nx\n")
    assert [s.path for s in parsed.sections] == [("Empty",), ("Outer", "Inner")]


def test_second_title_is_a_section() -> None:
    """Only the first level-1 heading is the title; a later one is a path, so no word is lost."""
    parsed = read("# One\na\n# Two\nb")
    assert (parsed.title, parsed.sections[1].path) == ("One", ("Two",))


def test_front_matter_gives_the_title() -> None:
    """Front matter is metadata: its title is used, and a different heading stays a section."""
    parsed = read('---\ntitle: "Leave policy"\ntags: [hr]\n---\n# Overview\ntext')
    assert parsed.title == "Leave policy"
    assert [(s.path, s.text) for s in parsed.sections] == [(("Overview",), "text")]


def test_rule_at_the_top_is_not_front_matter() -> None:
    """A document that begins with a rule keeps its text."""
    assert body("---\nSome prose\nhere\n---\nmore") == "Some prose\nhere\nmore"
    assert body("---\nkey: never closed\n\ntext") == "key: never closed\n\ntext"


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("see [the page](https://a.example/x)", "see the page (https://a.example/x)"),
        ("see [the page](../other.md)", "see the page"),
        ("[https://a.example](https://a.example)", "https://a.example"),
        ("write [us](mailto:help@a.example)", "write us (help@a.example)"),
        ("![a chart](chart.png) below", "a chart below"),
        ("as [said][1] before", "as said before"),
        ("**Fee**: *none* and ***now***", "Fee: none and now"),
        ("**a *b* c**", "a b c"),
        ("2 * 3 * 4 and snake_case_name", "2 * 3 * 4 and snake_case_name"),
        ("`a_b_c` and `x*y*z`", "a_b_c and x*y*z"),
        (r"\*not\* marked, costs \$5", "*not* marked, costs $5"),
        ("> quoted\n> text", "quoted\ntext"),
        ("one<br>two <b>three</b> <name>", "one two three <name>"),
        ("| Plan | Price |\n|---|--:|\n| **Pro** | $5 |", "| Plan | Price |\n| Pro | $5 |"),
        ("a\n\n***\n\nb", "a\n\nb"),
        ("## Closed ##\nx # y", "x # y"),
    ],
)
def test_marks_go_and_words_stay(source: str, text: str) -> None:
    """Marks become the words they mark; an address is kept where it says something."""
    assert body(source) == text


def test_code_is_kept_as_it_is() -> None:
    """Nothing inside a fence is taken for a heading, a mark, a table or a comment."""
    code = "```python\n# not a heading\nx = a*b*c  <!-- kept -->\n|---|\n\n\ny\n```"
    assert body(code) == code.replace("\n\n\n", "\n\n")


def test_unseen_parts_are_left_out() -> None:
    """Comments, scripts and styles are dropped across lines, what surrounds them stays."""
    source = (
        "a <!-- no\nno\nno --> b\n<script>\nno\n</SCRIPT>\nc <style>no</style>d <!-- to the end"
    )
    assert body(source) == "a\n b\nc d"


def test_long_heading_is_text() -> None:
    """A heading longer than 200 characters is a paragraph: it would be repeated in every chunk."""
    parsed = read("# " + "word " * 100 + "\ntext")
    assert parsed.title == ""
    assert parsed.sections[0].path == ()
    assert parsed.sections[0].text.startswith("word word")


def test_given_title_wins() -> None:
    """A row's title is not replaced by a heading; an equal heading is not repeated."""
    parsed = markdown.parse_text("r", "# Refunds\ntext", title="refunds")
    assert (parsed.title, parsed.sections[0].path) == ("refunds", ())


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "it is empty"),
        (b"  \n\n", "it has no text"),
        (b"<!-- only a comment -->", "it has no text"),
        (b"a\x00b", "NUL bytes"),
        (b"caf\xe9", "byte 0xE9 at offset 3"),
        ("a".encode("utf-16"), "UTF-16"),
        (b"%PDF-1.7 ...", "it is PDF"),
        (b"PK\x03\x04...", "it is ZIP"),
        (b"x" * (20 * 1024 * 1024 + 1), "20,971,521 bytes"),
        (b"# a\n" * 30_000, "more than 20,000 sections"),
    ],
)
def test_refusals_say_why(data: bytes, reason: str) -> None:
    """What is no text in UTF-8, or too much, is refused with a reason a person understands."""
    with pytest.raises(DocumentUnreadable) as caught:
        markdown.parse("a.md", data)
    assert reason in caught.value.message


def test_byte_order_mark_and_line_ends() -> None:
    """A UTF-8 byte order mark is dropped and every kind of line end is one."""
    assert body("\ufeffa\r\nb\rc\u2028d\x07e") == "a\nb\nc\nd e"


@pytest.mark.parametrize(
    "unit", ["[", "[a](", "*a ", "`a``", ">", "<!--", "<b ", "_a", "[a][b", '[a](b "']
)
def test_hostile_lines_cost_linear_time(unit: str) -> None:
    """A line of 400 kB made of half-open marks is read at once, not in quadratic time."""
    began = time.process_time()
    with contextlib.suppress(DocumentUnreadable):
        read(unit * (400_000 // len(unit)) + " end")
    assert time.process_time() - began < 5  # quadratic time would be minutes
