"""The floor: enough vetted evidence that names what the question names, or no answer."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from staid.domain.passage import Retrieval, Signals
from staid.grounding import abstention
from staid.grounding.calibration import Calibration
from staid.grounding.floor import FLOOR, KEPT, Empty, Sufficient, Weak, compare

Make = Callable[..., Any]
QUESTION = "When are refunds paid?"
SURE, UNSURE = 5.0, -5.0


def test_at_or_above_the_floor_the_vetted_passages_are_kept(
    passage: Make, retrieval: Make, calibration: Make
) -> None:
    """Sufficient evidence is the vetted passages in their order, at most as many as are kept."""
    some = [passage(f"Refunds are paid on day {n}.", n) for n in range(1, 9)]
    decision = compare(QUESTION, retrieval(QUESTION, some), calibration(SURE))
    assert isinstance(decision, Sufficient)
    assert decision.evidence == tuple(some[:KEPT])
    assert (decision.floor, decision.calibration, decision.rule) == (FLOOR, "cal_test", "floor")


def test_below_the_floor_nothing_is_kept(passage: Make, retrieval: Make, calibration: Make) -> None:
    """A confidence below the floor is weak, whatever the raw cosine says."""
    found = retrieval(QUESTION, [passage("Refunds are paid daily.")])
    decision = compare(QUESTION, found, calibration(UNSURE))
    assert isinstance(decision, Weak)
    assert decision.similarity > 0.55 > decision.confidence
    assert "below the floor" in decision.message


def test_unvetted_passages_never_ground(passage: Make, retrieval: Make, calibration: Make) -> None:
    """An unvetted passage is searchable but is no evidence: alone it leaves the evidence empty."""
    wild = passage("Refunds are paid daily.", 1, vetted=False)
    tame = passage("Refunds are paid monthly.", 2)
    both = compare(QUESTION, retrieval(QUESTION, [wild, tame]), calibration(SURE))
    alone = compare(QUESTION, retrieval(QUESTION, [wild]), calibration(SURE))
    assert isinstance(both, Sufficient)
    assert len(both.evidence) == 1
    assert both.evidence[0].chunk == tame.chunk
    assert isinstance(alone, Empty)
    assert (alone.confidence, alone.similarity, alone.rule) == (0.0, 0.0, "vetted")


def test_unvetted_passages_lend_no_confidence(
    passage: Make, retrieval: Make, calibration: Make
) -> None:
    """Words that only an unvetted passage has do not raise the confidence of the vetted rest."""
    asked = "When are refunds for annual plans paid?"
    wild = passage("Refunds for annual plans are paid within 10 days.", 1, vetted=False)
    tame = passage("Our office is in Lisbon.", 2)
    with_wild = compare(asked, retrieval(asked, [wild, tame]), calibration(0.0, coverage=1.0))
    tame_alone = compare(asked, retrieval(asked, [tame]), calibration(0.0, coverage=1.0))
    assert with_wild.features.coverage == tame_alone.features.coverage < 0.3


def test_nothing_found_is_empty(retrieval: Make, calibration: Make) -> None:
    """Without a single passage the decision is empty, not weak."""
    decision = compare(QUESTION, retrieval(QUESTION, []), calibration(SURE))
    assert isinstance(decision, Empty)
    assert decision.rule == "found"


def test_the_literal_rule_is_one_setting_away(passage: Make, retrieval: Make) -> None:
    """With `similarity` the raw cosine alone is compared, and no calibration is needed."""
    found = retrieval(QUESTION, [passage("Refunds are paid daily.")])
    assert isinstance(compare(QUESTION, found, None, signal="similarity"), Sufficient)
    strict = compare(QUESTION, found, None, signal="similarity", floor=0.9)
    assert isinstance(strict, Weak)
    assert strict.calibration == "none"


def test_without_calibration_confidence_never_suffices(passage: Make, retrieval: Make) -> None:
    """No coefficients, no confidence: the decision is weak instead of a guess."""
    found = retrieval(QUESTION, [passage("Refunds are paid daily.")])
    assert isinstance(compare(QUESTION, found, None), Weak)


def test_the_named_product_has_to_be_there(
    passage: Make, retrieval: Make, calibration: Make
) -> None:
    """A look-alike product's passage is no evidence, however confident retrieval is."""
    asked = "What is the fee of the Cobalt Blue Account?"
    other = passage("The True Blue Account has a monthly fee of $5.", 1)
    right = passage("The Cobalt Blue Account has a monthly fee of $9.", 2)
    refused = compare(asked, retrieval(asked, [other]), calibration(SURE))
    answered = compare(asked, retrieval(asked, [other, right]), calibration(SURE))
    assert isinstance(refused, Weak)
    assert (refused.rule, "Cobalt Blue" in refused.message) == ("named", True)
    assert isinstance(answered, Sufficient)
    assert answered.evidence == (right,)


@given(intercept=st.floats(-8, 8), floor=st.floats(0, 1))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_floor_is_compared_exactly(passage: Make, intercept: float, floor: float) -> None:
    """Sufficient if and only if confidence is at least the floor, for every floor."""
    one = passage("Paid daily.")
    found = Retrieval((one,), Signals((0.5,), 0.1, 0.1, (1.0,), (("paid", 1.0),), 9), 1)
    flat = Calibration("c", "e", "i", "f", "a", intercept, {}, {}, {})
    decision = compare("paid?", found, flat, floor=floor)
    assert isinstance(decision, Sufficient) == (1 / (1 + math.exp(-intercept)) >= floor)


@pytest.mark.parametrize("reason", ["empty", "weak", "unsupported"])
def test_an_abstention_tells_the_asker_nothing(reason: Any) -> None:
    """The asker reads the same words for every reason; the story has the reason in plain words."""
    assert abstention.MESSAGE == "I don't have that information. Let me get a teammate."
    assert abstention.explain(reason)
