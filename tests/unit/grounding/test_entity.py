"""The entity rule tells look-alike products apart by name, and asks nothing of other questions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from staid.domain.passage import Signals
from staid.grounding.entity import closeness, named, names, nearest

Make = Callable[..., Any]
SOMEWHERE = Signals((0.5,), 0.1, 0.1, (1.0,), (), 100)
ZOOM_NOWHERE = Signals((0.5,), 0.1, 0.1, (1.0,), (("zoom", 5.30827),), 100)


def asked(question: str, signals: Signals = SOMEWHERE) -> list[str]:
    """Return the names the rule insists on, as the question writes them."""
    return [entity.text for entity in named(question, signals) if entity.sure]


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("What is the fee of the Cobalt Blue Account?", ["Cobalt Blue Account"]),
        ("Silver Plus Account: how is interest paid?", ["Silver Plus Account"]),
        ("Cobalt Blue: No Overdraft Fees", ["Cobalt Blue"]),
        ("How do Gold Card and Platinum Card differ?", ["Gold Card", "Platinum Card"]),
        ("What is your refund policy?", []),
        ("How do I replace my credit card?", []),
        ("Where is my card?", []),
        ("What does the Privacy Policy say?", []),
        ("FAQ: what is open on Sunday?", []),
        ("When did William the Conqueror land in England?", []),
        ("Who plans the garden?", []),
        ("", []),
    ],
)
def test_which_names_a_question_insists_on(question: str, expected: list[str]) -> None:
    """Capitalised names before a generic noun or a colon count; categories and people do not."""
    assert asked(question) == expected


def test_a_name_in_lower_case_that_occurs_nowhere() -> None:
    """A word before `card` that the asker's view does not hold at all names an unknown product."""
    assert asked("fee of the zoom card", ZOOM_NOWHERE) == ["zoom card"]
    assert asked("fee of the zoom card", SOMEWHERE) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The Gold Card costs $5.", 2),
        ("Gold card holders pay nothing.", 2),
        ("GOLD: what you get", 2),
        ("The Business Gold Card costs $9.", 1),
        ("The Gold Plus Card costs $7.", 0),
        ("The Silver Card costs $3.", 0),
        ("Marigold cards are pretty.", 0),
    ],
)
def test_how_close_a_passage_comes(passage: Make, text: str, expected: int) -> None:
    """The very name is 2, the name inside a longer one 1, another name that begins alike 0."""
    (entity,) = named("What does the Gold Card cost?", SOMEWHERE)
    assert closeness(passage(text), entity) == expected


def test_the_title_names_it_too(passage: Make) -> None:
    """A body that never repeats its product's name is found by title."""
    entities = named("What does the Gold Card cost?", SOMEWHERE)
    assert names(passage("It costs $5.", title="Gold Card fees"), entities)
    assert not names(passage("It costs $5.", title="Silver Card fees"), entities)


def test_what_stands_in_brackets_tells_apart(passage: Make) -> None:
    """`Green Account (savings)` is not answered from `Green Account (checking)`."""
    entities = named("Fees of the Green Account (savings)?", SOMEWHERE)
    kept = nearest(
        [
            passage("No fees.", 1, title="Green Account (checking)"),
            passage("One fee.", 2, title="Green Account (savings)"),
        ],
        entities,
    )
    assert [p.document for p in kept] == ["doc-2"]


def test_the_very_name_beats_a_longer_one(passage: Make) -> None:
    """Where the product itself is there, one whose name contains it is left out."""
    entities = named("What does the Gold Card cost?", SOMEWHERE)
    business = passage("The Business Gold Card costs $9.", 1)
    gold = passage("The Gold Card costs $5.", 2)
    assert nearest([business, gold], entities) == (gold,)
    assert nearest([business], entities) == (business,)


def test_half_of_a_comparison_is_no_answer(passage: Make) -> None:
    """When one of two named products is nowhere, nothing is kept."""
    entities = named("How do Gold Card and Platinum Card differ?", SOMEWHERE)
    gold = passage("The Gold Card costs $5.", 1)
    platinum = passage("The Platinum Card costs $50.", 2)
    assert nearest([gold], entities) == ()
    assert nearest([gold, platinum], entities) == (gold, platinum)


def test_no_name_asks_nothing(passage: Make) -> None:
    """A question without a name leaves the passages as they are."""
    some = [passage("Anything.", 1), passage("Else.", 2)]
    assert nearest(some, named("When are you open?", SOMEWHERE)) == tuple(some)


def test_a_name_in_lower_case_is_known_by_a_passage(passage: Make) -> None:
    """`cobalt blue account` counts as a name once a passage writes `Cobalt Blue`."""
    entities = named("what is the fee of the cobalt blue account", SOMEWHERE)
    cobalt = passage("The Cobalt Blue Account costs $5.", 1)
    true = passage("The True Blue Account costs $9.", 2)
    assert nearest([true, cobalt], entities) == (cobalt,)
    assert nearest([true], entities) == (true,)
