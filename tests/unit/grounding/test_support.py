"""The support check blocks foreign facts and flipped statements, and cites what backs the rest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from staid.domain.passage import Signals
from staid.grounding.entity import named
from staid.grounding.quoting import compose
from staid.grounding.support import check

Make = Callable[..., Any]
POLICY = (
    "Refunds for annual plans are paid within 10 days to the card that was used. "
    "Monthly plans are not refunded. Write to help@acme.example or call the support team."
)


def hard(draft: str, *evidence: Any, extra: tuple[str, ...] = ()) -> list[str]:
    """Return the names of the hard findings."""
    checked = check(draft, evidence, extra)
    return [finding.name for finding in checked.findings if finding.hard]


def test_a_quotation_is_supported_and_cited(passage: Make) -> None:
    """A verbatim sentence has full support and a citation whose span is that sentence."""
    source = passage(POLICY)
    draft = "Monthly plans are not refunded."
    checked = check(draft, [source])
    assert (checked.score, checked.blocked, checked.supported()) == (1.0, False, True)
    (citation,) = checked.citations
    assert source.text[citation.start : citation.end] == citation.quote == draft
    assert (citation.document, citation.chunk, citation.version) == ("doc-1", "chunk-1", "v1")


@pytest.mark.parametrize(
    ("draft", "finding"),
    [
        ("Refunds for annual plans are paid within 14 days.", "number"),
        ("Refunds for annual plans cost $5.", "amount"),
        ("Refunds for annual plans are paid on March 3, 2024.", "date"),
        ("Refunds are explained at https://acme.example/refunds.", "url"),
        ("Write to refunds@acme.example about annual plans.", "email"),
        ("Refunds for annual plans are not paid within 10 days.", "negation"),
        ("Monthly plans are refunded.", "negation"),
    ],
)
def test_a_foreign_fact_or_a_flip_blocks(passage: Make, draft: str, finding: str) -> None:
    """Each hard rule finds its own fault and blocks, however well the words fit."""
    assert hard(draft, passage(POLICY)) == [finding]
    assert not check(draft, [passage(POLICY)]).supported(0.0)


@pytest.mark.parametrize(
    "draft",
    [
        "Annual plans: refunds are paid within ten days.",
        "No, monthly plans aren't refunded.",
        "1. Refunds for annual plans are paid within 10 days.\n2. Monthly plans are not refunded.",
        "You cannot get a refund on monthly plans.",
        "Refunds for annual plans are paid no later than 10 days.",
    ],
)
def test_a_paraphrase_is_not_blocked(passage: Make, draft: str) -> None:
    """Other words, number words, list markers and a leading `No,` are no hard findings."""
    assert hard(draft, passage(POLICY)) == []


def test_a_number_of_the_question_is_not_evidence(passage: Make) -> None:
    """`Is the fee $50?` does not make `Yes, the fee is $50.` true."""
    checked = check("Yes, the fee is $50.", [passage("The fee is $30.")])
    assert [f.name for f in checked.findings if f.hard] == ["amount"]


def test_an_invented_policy_is_not_supported(passage: Make) -> None:
    """A fluent statement in words of its own falls below the threshold without a hard finding."""
    draft = "Customers enjoy complimentary lifetime coverage through our Platinum Guarantee."
    checked = check(draft, [passage(POLICY)])
    assert not checked.blocked
    assert not checked.supported()
    assert {finding.name for finding in checked.findings} == {"name", "words"}


def test_a_foreign_name_lowers_support(passage: Make) -> None:
    """The same statement with a name of its own has less support, and the finding names it."""
    plain = check("The support team pays refunds.", [passage(POLICY)])
    named_ = check("The support team of Zorbex pays refunds.", [passage(POLICY)])
    assert named_.score < plain.score
    assert any("Zorbex" in finding.message for finding in named_.findings)


def test_results_of_tools_are_evidence(passage: Make) -> None:
    """A number that only a tool's result holds is backed by it, and not cited as a passage."""
    draft = "Order 4711 was paid back: 80 dollars."
    assert "number" in hard(draft, passage(POLICY))
    assert hard(draft, passage(POLICY), extra=('{"order": 4711, "paid back": "80 dollars"}',)) == []
    alone = check(draft, [], ['{"order": 4711, "paid back": "80 dollars"}'])
    assert alone.supported()
    assert alone.citations == ()


def test_unvetted_passages_back_nothing(passage: Make) -> None:
    """What only an unvetted passage says is foreign."""
    wild = replace(passage(POLICY), vetted=False)
    assert not check("Monthly plans are not refunded.", [wild]).supported()


def test_the_named_product_has_to_be_cited(passage: Make) -> None:
    """An answer about another product than the question's is blocked even when verbatim."""
    signals = Signals((0.5,), 0.1, 0.1, (1.0,), (), 10)
    asked = "What does the Gold Card cost?"
    silver, gold = passage("The Silver Card costs $3.", 1), passage("The Gold Card costs $5.", 2)
    names = named(asked, signals)
    wrong = check("The Silver Card costs $3.", [silver, gold], (), names)
    right = check("The Gold Card costs $5.", [silver, gold], (), names)
    assert [f.name for f in wrong.findings if f.hard] == ["named"]
    assert right.supported()


@pytest.mark.parametrize("draft", ["", "   ", "Would you like more?", "---", "the of and"])
def test_what_asserts_nothing_is_never_supported(passage: Make, draft: str) -> None:
    """An empty draft, a question back or mere punctuation is no answer."""
    checked = check(draft, [passage(POLICY)])
    assert (checked.statements, checked.score, checked.supported(0.0)) == ((), 0.0, False)


def test_a_question_back_is_no_statement(passage: Make) -> None:
    """A closing offer is neither checked nor counted."""
    checked = check("Monthly plans are not refunded. Anything else?", [passage(POLICY)])
    assert [statement.text for statement in checked.statements] == [
        "Monthly plans are not refunded."
    ]


def test_spans_point_into_the_draft(passage: Make) -> None:
    """Every statement's span is its text in the draft, lists in running text included."""
    draft = "Do this: 1. log in 2. open plans 3. ask for refunds. Monthly plans are not refunded."
    for statement in check(draft, [passage(POLICY)]).statements:
        assert draft[statement.start : statement.end] == statement.text


WORDS = st.sampled_from(
    ["refunds", "plans", "annual", "monthly", "paid", "not", "never", "10", "ten", ".", "\n", "$5"]
)


@given(st.lists(WORDS, min_size=1, max_size=30).map(" ".join))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_quoted_is_supported(passage: Make, text: str) -> None:
    """Sentences quoted from a passage are never blocked by that passage and fully supported."""
    source = passage(text)
    draft = compose("refunds plans?", [source])
    checked = check(draft, [source])
    assert not checked.blocked
    assert not checked.statements or checked.supported()


@given(st.text(max_size=300), st.text(max_size=300))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_draft_can_be_checked(passage: Make, draft: str, evidence: str) -> None:
    """No draft and no evidence raises; scores stay within 0..1; same input, same verdict."""
    first = check(draft, [passage(evidence)])
    assert first == check(draft, [passage(evidence)])
    assert 0.0 <= first.score <= 1.0
    assert all(0.0 <= statement.support <= 1.0 for statement in first.statements)


def test_the_words_of_a_question_back_nothing(passage: Make) -> None:
    """A draft that says yes to what the asker made up is not supported by the asker's words."""
    evidence = [passage("Annual plans can be refunded within 30 days. Every plan is prepaid.")]
    for draft in (
        "Yes, annual plans come with a lifetime money-back guarantee.",
        "Every plan comes with a lifetime money-back guarantee.",
    ):
        assert not check(draft, evidence).supported()


def test_one_invented_sentence_sinks_a_true_draft(passage: Make) -> None:
    """An invented statement does not ride on the average of true ones."""
    true = "Annual plans can be refunded within 30 days. Every plan is prepaid."
    invented = f"{true} Loyal members receive complimentary hardware replacements worldwide."
    assert check(true, [passage(true)]).supported()
    assert not check(invented, [passage(true)]).supported()
