"""Numbers, amounts, dates and addresses are compared as values, never as spellings."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from staid.grounding.facts import facts, known, plain_number, unnumbered


def unbacked(draft: str, *evidence: str) -> list[str]:
    """Return kind and words of what the evidence does not back."""
    ground = known(evidence)
    return [f"{fact.kind} {fact.text}" for fact in facts(draft) if not ground.backs(fact)]


@pytest.mark.parametrize(
    ("draft", "evidence"),
    [
        ("It costs $1,000.", "The fee is 1000 dollars."),
        ("It costs $1000.00.", "The fee is USD 1,000."),
        ("You pay 5%.", "It is 5 percent of the sum."),
        ("After 10 days.", "within ten days"),
        ("About 1,500,000 people.", "1.5 million people"),
        ("We paid $2k.", "We paid $2,000."),
        ("On March 5, 2024.", "It starts 2024-03-05."),
        ("On 5 March.", "It starts on March 5th, 2024."),
        ("In March 2024.", "From 5/3/2024 on."),
        ("In June 2010.", "Between May and June of 2010."),
        ("See https://www.example.com/help.", "Go to example.com/help for more"),
        ("Write to Help@Example.com!", "help@example.com"),
        ("Order ORD-12 of 10GB.", "order ord-12, 10 GB"),
        ("1. Log in.\n2. Pay.", "Log in, then pay."),
        ("Step 3: pay.", "pay"),
        ("As the handbook says [1].", "the handbook"),
        ("The 5th day, 20th floor.", "fifth day and floor 20"),
    ],
)
def test_the_same_value_in_another_spelling(draft: str, evidence: str) -> None:
    """A value backs every spelling of itself; list markers and citation marks are no numbers."""
    assert unbacked(draft, evidence) == []


@pytest.mark.parametrize(
    ("draft", "evidence", "expected"),
    [
        ("It takes 15 days.", "within 10 days", "number 15"),
        ("It costs $50.", "It costs €50.", "amount $50"),
        ("You pay 5%.", "You pay $5.", "number 5%"),
        ("On March 6, 2024.", "It starts March 5, 2024.", "date March 6, 2024"),
        ("On March 5, 2025.", "It starts March 5, 2024.", "date March 5, 2025"),
        ("In June 2010.", "In June 2011. It was 2010 before.", "date June 2010"),
        ("See example.com/refund.", "See example.com/help.", "url example.com/refund"),
        ("Write to a@evil.com.", "Write to a@good.com.", "email a@evil.com"),
        ("Model X200 works.", "Model X100 works.", "number X200"),
        ("It costs 3.", "It costs nothing.", "number 3"),
        ("It has 1,0000 parts", "It has 1,000 and 0 parts", "number 1"),
    ],
)
def test_another_value_is_found(draft: str, evidence: str, expected: str) -> None:
    """A value that the evidence does not hold is reported by kind and words."""
    found = unbacked(draft, evidence)
    assert found == [expected]


@given(st.decimals(0, 10**9, places=2))
@settings(deadline=None)
def test_one_spelling_a_value(value: Decimal) -> None:
    """Separators and trailing zeros never change a number; different values never share one."""
    assert plain_number(f"{value:,}") == plain_number(f"{value:f}")
    assert Decimal(plain_number(f"{value:,}")) == value


@given(st.integers(0, 10**7), st.integers(0, 10**7))
@settings(deadline=None)
def test_exactly_equal_values_back(said: int, known_value: int) -> None:
    """A number is backed if and only if the evidence holds the same value."""
    assert (unbacked(f"It is {said:,} long.", f"It is {known_value} long.") == []) == (
        said == known_value
    )


@given(st.text(max_size=120))
@settings(deadline=None)
def test_any_text_can_be_read(text: str) -> None:
    """No text raises, its own evidence backs all it says, and blanking keeps its length."""
    assert unbacked(text, text) == [] or "\n" in text or "[" in text
    assert len(unnumbered(text)) == len(text)


def test_a_second_list_in_running_text() -> None:
    """Two lists that each count up from 1 are both lists; a lone number is none."""
    text = "First 1. a 2. b 3. c and then 1. d 2. e 3. f 4. g"
    assert facts(unnumbered(text)) == ()
    assert unnumbered("It costs 3. Then 5.") == "It costs 3. Then 5."
