"""MLflow, as measured on 3.17: OpenInference and GenAI keys, translated into its own."""

from __future__ import annotations

from staid.domain.exports import WireSpan
from staid.testing.receivers.shown import Shown, documents_in, parsed, text, tokens_of

# `retrieval` is not among them: a span that has nothing else stays without a type.
_GENAI = {"invoke_agent": "AGENT", "chat": "LLM", "execute_tool": "TOOL", "embeddings": "EMBEDDING"}


def show(span: WireSpan) -> Shown:
    """Return a span; there is no panel for documents, they are seen in the outputs."""
    told = span.attributes
    kind = str(told.get("openinference.span.kind") or "")
    output = parsed(told.get("output.value", told.get("gen_ai.output.messages")))
    return Shown(
        name=span.name,
        type=kind or _GENAI.get(str(told.get("gen_ai.operation.name")), "UNKNOWN"),
        input=parsed(told.get("input.value", told.get("gen_ai.input.messages"))),
        output=output,
        session=text(told, "session.id", "gen_ai.conversation.id"),
        user=text(told, "user.id"),
        documents=documents_in(output),
        tokens=tokens_of(
            told,
            ("llm.token_count.prompt", "llm.token_count.completion"),
            ("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"),
        ),
    )
