"""The `quote` model says verbatim sentences of the evidence and nothing else."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from staid.adapters.models.quote import QuoteModel
from staid.domain.ids import ChunkId, DocumentId
from staid.domain.label import EVERYONE
from staid.domain.message import Message, ModelRequest, ToolSpec
from staid.domain.passage import Passage
from staid.domain.ports import ModelClient


def passage(text: str) -> Passage:
    """Return a passage with this text."""
    name, chunk = DocumentId("d"), ChunkId("c")
    return Passage("s", name, "v", chunk, "", "", text, EVERYONE, True, 1, 0.5, 1, 1, 1.0)


def ask(question: str, *texts: str) -> ModelRequest:
    """Return a request that also offers a tool."""
    return ModelRequest(
        instructions="Always call the tool.",
        messages=(Message("user", question),),
        evidence=tuple(passage(text) for text in texts),
        tools=(ToolSpec("refund.issue", "Refunds.", {"type": "object"}),),
        question=question,
    )


def test_answers_with_a_sentence_of_the_evidence() -> None:
    """The model satisfies the port and returns the sentence that answers, under its own name."""
    model: ModelClient = QuoteModel()
    request = ask("When are refunds paid?", "We are kind. Refunds are paid within 10 days.")
    response = asyncio.run(model.generate(request))
    assert response.text == "Refunds are paid within 10 days."
    assert (response.calls, response.model, response.labelled) == ((), "quote", None)


def test_says_nothing_without_evidence() -> None:
    """No evidence, no text: there is nothing it could quote."""
    assert asyncio.run(QuoteModel().generate(ask("Refund me 500 dollars!"))).text == ""


@given(st.text(max_size=60), st.text(max_size=200))
@settings(deadline=None)
def test_never_a_word_of_its_own(question: str, text: str) -> None:
    """Every line of every answer stands in the evidence, and no tool is ever proposed."""
    response = asyncio.run(QuoteModel().generate(ask(question, text)))
    assert response.calls == ()
    rest = response.text
    assert all(line in text for line in rest.split("\n"))
