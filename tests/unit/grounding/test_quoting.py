"""`quote` says the sentences that answer, verbatim and few, and never a heading or a question."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from staid.grounding.quoting import MOST, compose, quote

Make = Callable[..., Any]
NORMANS = (
    "The Normans gave their name to Normandy, a region in France. They were descended from Norse "
    "raiders from Denmark. Their leader Rollo swore fealty to King Charles III in 911. "
    "Their language was French."
)
STEPS = (
    "# Refunds\nWe like refunds.\n\n## How do I get a refund?\n\nTo get a refund:\n"
    "1. Open the app.\n2. Tap Orders.\n3. Tap Refund.\n\nMoney arrives in 5 days.\n"
)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Who was the leader of the Normans?", "Rollo"),
        ("When did the leader swear fealty?", "911"),
        ("What region in France has their name?", "Normandy"),
        ("What language was theirs?", "French"),
    ],
)
def test_the_sentence_that_answers(passage: Make, question: str, answer: str) -> None:
    """The answer is among the quoted sentences, and the whole passage is not."""
    text = compose(question, [passage(NORMANS)])
    assert answer in text
    assert len(text) < len(NORMANS)


def test_a_list_comes_with_its_lead_in(passage: Make) -> None:
    """How-to questions are answered with the lead-in and every step, not with one of them."""
    text = compose("How do I get a refund?", [passage(STEPS)])
    assert "To get a refund:\n1. Open the app.\n2. Tap Orders.\n3. Tap Refund." in text


def test_headings_and_questions_are_not_answers(passage: Make) -> None:
    """A heading that repeats the question is context for what stands below it."""
    faq = passage("# Shipping\n\n**What does shipping cost?**\n\nFive dollars.\n\n# Other\n\nNo.")
    assert compose("What does shipping cost?", [faq]) == "Five dollars."


def test_table_rows_answer(passage: Make) -> None:
    """One row of a table can be the answer."""
    table = passage("| Plan | Fee |\n| --- | --- |\n| Gold | $9 |\n| Silver | $5 |")
    assert compose("How much is Silver?", [table]) == "| Silver | $5 |"


def test_the_better_passage_is_quoted(passage: Make) -> None:
    """A sentence of a lower passage is quoted where it alone answers."""
    first = passage("Our office is in Lisbon.", 1)
    second = passage("Refunds are paid within 10 days.", 2)
    (only,) = quote("When are refunds paid?", [first, second])
    assert only.passage == second


def test_nothing_without_evidence() -> None:
    """No evidence, no word."""
    assert quote("When?", []) == ()
    assert compose("When?", []) == ""


TEXT = st.text(alphabet=st.sampled_from("ab A1.:?!\n-*#|0"), max_size=200)


@given(st.text(max_size=40), st.lists(TEXT, max_size=4))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_quotes_are_verbatim_few_and_in_order(
    passage: Make, question: str, texts: list[str]
) -> None:
    """Whatever the texts: every quote is a stretch of its passage, in reading order, none twice."""
    evidence = [passage(text, number) for number, text in enumerate(texts, 1)]
    quotes = quote(question, evidence)
    assert quotes == quote(question, evidence)
    assert all(each.text and each.text == each.text.strip() for each in quotes)
    places = [(each.passage.rank, each.start) for each in quotes]
    assert places == sorted(set(places))


def test_at_most_three_sentences(passage: Make) -> None:
    """Ten sentences that answer equally well give three, the first ones."""
    text = " ".join(f"Refund number{n} is paid." for n in range(10))
    assert len(quote("When is a refund paid?", [passage(text)])) == MOST
