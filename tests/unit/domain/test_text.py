"""Words, terms and sentences: what retrieval, confidence and support all rest on."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from staid.domain.text import STOPWORDS, sentences, stem, terms, words


def cut(text: str) -> list[str]:
    """Return the sentences themselves."""
    return [text[start:end] for start, end in sentences(text)]


def test_terms_join_a_word_family() -> None:
    """Inflected forms share a term, so a question finds a passage that inflects otherwise."""
    assert terms("refunding") == terms("refunds") == terms("Refunded") == terms("refund")
    assert terms("the policies of it") == terms("policy")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1,000.50", "1000.5"),
        ("Zürich's café", "zurich cafe"),
        ("don’t", "don't"),
        ("10,000", "10000"),
    ],
)
def test_spellings_of_one_thing(one: str, other: str) -> None:
    """Separators in numbers, accents and typeset apostrophes change no term."""
    assert terms(one) == terms(other)


def test_versions_and_decimals_stay_whole() -> None:
    """A version or a decimal is one word, never two numbers that match something else."""
    assert words("v2 1.2.3 costs 2.50") == ["v2", "1.2.3", "costs", "2.50"]
    assert "2" not in terms("2.50 percent")


def test_stopwords_never_become_terms() -> None:
    """No stopword is a term, in whatever case it is written."""
    assert terms(" ".join(sorted(STOPWORDS)).title()) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It costs $2.50. Pay now.", ["It costs $2.50.", "Pay now."]),
        ("Dr. Smith lives in the U.S. today. He left.", 2),
        ("See No. 5 for more. No. That is wrong.", 3),
        ("We ship on Jan. 5 and later. Then we rest.", 2),
        ("Fees, e.g. For cards. Then none.", 2),
        ("Really?! Yes. “Quite.” So be it.", 4),
        ("J. R. Tolkien wrote it. I read it.", 2),
        ("", []),
        ("---\n***\n", []),
    ],
)
def test_sentences_end_where_a_reader_ends_them(text: str, expected: int | list[str]) -> None:
    """Abbreviations, initials and decimals do not end a sentence; marks and quotes do."""
    found = cut(text)
    assert (found if isinstance(expected, list) else len(found)) == expected


def test_headings_items_and_rows_stand_alone() -> None:
    """A heading, each list item and each table row is a span of its own; a ruler is none."""
    text = "# Fees\nText here\n- one item\n* two\n1. three\n| a | b |\n|---|---|\n| c | 5 |"
    assert cut(text) == [
        "# Fees",
        "Text here",
        "- one item",
        "* two",
        "1. three",
        "| a | b |",
        "| c | 5 |",
    ]


def test_a_wrapped_line_goes_on() -> None:
    """A sentence of a text file that is wrapped at 80 columns is one sentence."""
    text = (
        "Refunds for annual plans are paid back to the card that was used\nwithin ten days. Done."
    )
    assert len(cut(text)) == 2
    assert cut("Short heading\nThe first sentence.") == ["Short heading", "The first sentence."]


@given(st.text(alphabet=st.sampled_from("aB1é. \n!?-*#|:,\"'"), max_size=200))
@settings(deadline=None)
def test_no_letter_is_lost_or_told_twice(text: str) -> None:
    """Spans ascend without overlap, are trimmed, and hold every letter and digit of the text."""
    spans = list(sentences(text))
    assert all(start < end for start, end in spans)
    assert all(one[1] <= other[0] for one, other in pairwise(spans))
    assert all(text[start:end].strip() == text[start:end] for start, end in spans)
    kept = "".join(text[start:end] for start, end in spans)
    assert [c for c in kept if c.isalnum()] == [c for c in text if c.isalnum()]


@given(st.text(max_size=100))
@settings(deadline=None)
def test_any_text_has_terms(text: str) -> None:
    """No text, however odd, raises; terms are a function of the text alone."""
    assert terms(text) == terms(text)
    assert all(terms(text))


@pytest.mark.parametrize(
    "unit", [".", "1.1", "a-", ".*", "x", "a. b", "line that goes on and on\n"]
)
def test_time_grows_with_the_length(unit: str) -> None:
    """Text that is out to make the patterns backtrack is read in well under a second."""
    text = (unit * 100_000)[:100_000] + "a"
    begun = time.process_time()
    list(sentences(text))
    terms(text)
    assert time.process_time() - begun < 2


def test_stems_in_many_threads() -> None:
    """Threads that stem at the same time get what one alone gets."""
    some = [f"running{n} policies{n}" for n in range(300)]
    alone = [terms(text) for text in some]
    stem.cache_clear()
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(terms, some)) == alone
