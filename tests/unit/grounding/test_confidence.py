"""Confidence is a pure function of the asker's view, monotone where it must be, always 0..1."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from staid.domain.errors import CalibrationMissing
from staid.domain.passage import Retrieval, Signals
from staid.grounding.calibration import Calibration, packaged, required
from staid.grounding.confidence import NAMES, confidence, features

Make = Callable[..., Any]
QUESTION = "When are refunds for annual plans paid?"
ANSWER = "Refunds for annual plans are paid within 10 days. Monthly plans have none."
OTHER = "Our office in Lisbon is open on weekdays."


def measured(passage: Make, retrieval: Make, *texts: str, question: str = QUESTION) -> Any:
    """Return the features of a retrieval of these texts."""
    return features(question, retrieval(question, [passage(t, n) for n, t in enumerate(texts, 1)]))


def test_an_answer_is_covered_and_a_stranger_is_not(passage: Make, retrieval: Make) -> None:
    """The passage that answers scores above one that shares no word, on every word feature."""
    good = measured(passage, retrieval, ANSWER)
    bad = measured(passage, retrieval, OTHER)
    assert good.coverage > 0.7
    assert bad.coverage < 0.2
    assert good.sentence > bad.sentence
    assert good.pairs > bad.pairs
    assert good.uncovered < bad.uncovered
    assert (good.kind, bad.kind) == (1.0, -1.0)


def test_an_absent_name_is_seen(passage: Make, retrieval: Make) -> None:
    """A name or number of the question that the best passage lacks is a feature of its own."""
    with_name = measured(passage, retrieval, ANSWER, question="When are Zorbex refunds paid?")
    without = measured(passage, retrieval, ANSWER, question="When are zorbex refunds paid?")
    assert with_name.unnamed > 0.2
    assert without.unnamed == 0.0


def test_nothing_found_measures_nothing() -> None:
    """An empty view gives finite features and no coverage."""
    empty = Retrieval((), Signals((), 0.0, 0.0, (), (), 0), 0)
    values = features("anything at all?", empty).by_name()
    assert values["coverage"] == values["cosine"] == values["agreement"] == 0.0
    assert all(abs(value) < 100 for value in values.values())


@pytest.mark.parametrize("question", ["", "?", "the of and", "12", "x" * 5000, "é" * 50])
def test_any_question_can_be_measured(question: str, passage: Make, retrieval: Make) -> None:
    """A question without a single term, or of one huge word, is measured like any other."""
    values = measured(passage, retrieval, ANSWER, question=question).by_name()
    assert all(abs(value) < 100 for value in values.values())


def test_what_is_beyond_the_view_changes_nothing(passage: Make, retrieval: Make) -> None:
    """Equal retrievals give equal features: count withheld and position play no part."""
    one = retrieval(QUESTION, [passage(ANSWER)])
    other = replace(one, position=99, withheld=7)
    assert features(QUESTION, one) == features(QUESTION, other)


@given(
    st.fixed_dictionaries({name: st.floats(-50, 50) for name in NAMES}),
    st.floats(-5, 5),
    st.floats(0.01, 5),
)
@settings(deadline=None)
def test_confidence_is_a_probability_and_monotone(
    values: dict[str, float], intercept: float, step: float
) -> None:
    """Whatever the features, 0 < confidence < 1, and a heavier feature never lowers it."""
    from staid.grounding.confidence import Features

    calibration = Calibration(
        id="c",
        embedder="e",
        index_version="i",
        fitted_on="f",
        at="a",
        intercept=intercept,
        coefficients={"cosine": 1.0, "unnamed": -1.0},
        means=dict.fromkeys(NAMES, 0.0),
        scales=dict.fromkeys(NAMES, 1.0),
    )
    low = Features(**values)
    high = replace(low, cosine=low.cosine + step)
    worse = replace(low, unnamed=low.unnamed + step)
    assert 0.0 < confidence(low, calibration) < 1.0
    assert confidence(high, calibration) >= confidence(low, calibration)
    assert confidence(worse, calibration) <= confidence(low, calibration)


def test_the_packaged_calibration_fits_this_release() -> None:
    """The committed coefficients name exactly the features of this release, and say whence."""
    found = packaged("all-minilm-l6-v2-int8")
    assert found is not None
    assert set(found.coefficients) == set(found.means) == set(found.scales) == set(NAMES)
    assert all(scale > 0 for scale in found.scales.values())
    assert found.id.startswith("cal_")
    assert Calibration.parse(found.as_row()) == found


def test_an_unknown_embedder_is_refused() -> None:
    """A cosine of another model never becomes a confidence by the wrong coefficients."""
    assert packaged("somebody-elses-model") is None
    with pytest.raises(CalibrationMissing) as caught:
        required("somebody-elses-model")
    assert "similarity" in caught.value.hint_text


def test_the_packaged_calibration_tells_good_from_bad(
    passage: Make, retrieval: Make, found: Make
) -> None:
    """With the committed coefficients an answer lies above the floor and a stranger far below."""
    calibration = required("all-minilm-l6-v2-int8")
    good = measured(passage, retrieval, ANSWER, OTHER)
    weak = found(cosines=(0.2, 0.19, 0.18), bm25=())
    bad = features(QUESTION, retrieval(QUESTION, [passage(OTHER)], weak))
    assert confidence(good, calibration) > 0.55
    assert confidence(bad, calibration) < 0.2
