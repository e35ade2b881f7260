"""The `quote` model: answers with verbatim sentences of the evidence, and with nothing else."""

from __future__ import annotations

from staid.domain.message import ModelRequest, ModelResponse
from staid.grounding.quoting import compose


class QuoteModel:
    """Never says a word of its own, never proposes a call; without evidence it says nothing."""

    name = "quote"

    async def generate(self, request: ModelRequest) -> ModelResponse:
        """Return the sentences that answer the question, or an empty text."""
        text = compose(request.question, request.evidence)
        return ModelResponse(text=text, calls=(), model=self.name)
