"""Chunks: nothing lost, small enough, along the sections, the same every time."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from staid.domain.document import Chunk, Document, Section, Source
from staid.domain.ids import DocumentId
from staid.domain.label import NOBODY
from staid.knowledge.chunk import (
    MAX_CHARACTERS,
    MAX_TOKENS,
    cut,
    embedded_text,
    tokens,
)


def document(
    *sections: tuple[tuple[str, ...], str], title: str = "Refunds", name: str = "a"
) -> Document:
    """Make a document of these sections."""
    parts = tuple(Section(path, text) for path, text in sections)
    return Document(Source("help"), DocumentId(name), title, parts, NOBODY)


def squeezed(text: str) -> str:
    """Return a text without its white space."""
    return "".join(text.split())


_text = st.one_of(
    st.text(max_size=300),
    st.lists(st.text("abc 漢字.\n", min_size=1, max_size=40), max_size=120).map("".join),
    st.integers(1, 400).map(lambda n: "The fee is $4.50 per transfer. " * n),
)
_heading = st.text("abcdefgh ", min_size=1, max_size=12).filter(str.strip).map(str.strip)
_sections = st.lists(
    st.tuples(st.lists(_heading, max_size=3).map(tuple), _text), min_size=1, max_size=6
)


@settings(max_examples=150, deadline=None)
@given(_sections)
def test_every_word_occurs_in_order(sections: list[tuple[tuple[str, ...], str]]) -> None:
    """Sections are found again in the chunks to the last character, and every heading is there."""
    doc = document(*sections)
    chunks = cut(doc)
    everything = squeezed("".join(c.text for c in chunks))
    at = 0
    for path, text in sections:
        found = everything.find(squeezed(text), at)
        assert found >= 0
        at = found + len(squeezed(text))
        for heading in path:
            assert any(heading in c.section or heading in c.text for c in chunks)


@settings(max_examples=100, deadline=None)
@given(_sections, st.text("abc defgh", max_size=500))
def test_chunks_fit_the_embedder(sections: list[tuple[tuple[str, ...], str]], title: str) -> None:
    """Title, section and text together stay below what the embedder reads, whatever the script."""
    for chunk in cut(document(*sections, title=title)):
        assert len(chunk.text) <= MAX_CHARACTERS
        assert tokens(embedded_text("", "", chunk.text)) <= MAX_TOKENS
        header = tokens(f"{title} {chunk.section}")
        assert tokens(embedded_text(title, chunk.section, chunk.text)) <= max(
            MAX_TOKENS, header + 80
        )


@settings(max_examples=50, deadline=None)
@given(_sections)
def test_equal_content_gives_equal_chunks(sections: list[tuple[tuple[str, ...], str]]) -> None:
    """The chunks and their ids depend on source, id and content alone; ordinals count from 0."""
    chunks = cut(document(*sections))
    assert chunks == cut(document(*sections))
    assert [c.ordinal for c in chunks] == list(range(len(chunks)))
    assert not {c.id for c in chunks} & {c.id for c in cut(document(*sections, name="b"))}


def test_ids_are_the_domain_s() -> None:
    """An id is what `Chunk.identify` makes of source, document, version and ordinal."""
    doc = document(((), "text"))
    assert cut(doc)[0].id == Chunk.identify("help", "a", doc.version, 0)


def test_small_neighbours_are_joined_under_their_headings() -> None:
    """Small sections share a chunk; the path they share is its section, their own headings stay."""
    chunks = cut(document((("Plans", "Basic"), "Costs $5."), (("Plans", "Pro"), "Costs $9.")))
    assert [(c.section, c.text) for c in chunks] == [
        ("Plans", "## Basic\nCosts $5.\n\n## Pro\nCosts $9.")
    ]


def test_large_neighbours_stay_apart() -> None:
    """Two sections that each say enough are two chunks, each under its own heading path."""
    text = "A sentence of some words. " * 12
    chunks = cut(document((("A",), text), (("B", "C"), text)))
    assert [c.section for c in chunks] == ["A", "B > C"]


def test_long_sections_split_at_paragraphs_and_sentences() -> None:
    """A long section is cut between sentences, and each part keeps the section's path."""
    sentence = "Transfers above the daily limit are declined and shown in the activity list."
    chunks = cut(document((("Limits",), "\n\n".join([" ".join([sentence] * 6)] * 4))))
    assert len(chunks) >= 3
    assert {c.section for c in chunks} == {"Limits"}
    assert all(c.text.startswith("Transfers") and c.text.endswith("list.") for c in chunks)


def test_heading_alone_is_a_chunk() -> None:
    """A document of headings alone still has something to find."""
    assert [(c.section, c.text) for c in cut(document((("Coming soon",), "")))] == [
        ("Coming soon", "# Coming soon")
    ]


def test_a_very_long_line_costs_linear_time() -> None:
    """One line of 2 MB without a space is cut at once; the splitter alone needs a minute."""
    import time

    began = time.process_time()
    chunks = cut(document(((), "a" * 2_000_000)))
    assert sum(len(c.text) for c in chunks) == 2_000_000
    assert time.process_time() - began < 10
