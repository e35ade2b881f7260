"""OpenInference: the vocabulary of Phoenix and Arize AX, read by MLflow and others too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from staid.domain.canonical import Json, canonical
from staid.domain.exports import Attribute
from staid.tracing.dialects.wording import MOST_MESSAGES, mime_of, text_of
from staid.tracing.spans import Document, ModelPart, Said, Span, SpanKind, Trace

_KIND = {
    SpanKind.RUN: "AGENT",
    SpanKind.MODEL: "LLM",
    SpanKind.TOOL: "TOOL",
    SpanKind.RETRIEVAL: "RETRIEVER",
    SpanKind.GATE: "GUARDRAIL",
}


def attributes(trace: Trace, span: Span) -> dict[str, Attribute]:
    """Return the span in this vocabulary; input and output are always said."""
    metadata: dict[str, Json] = {"run": trace.run, **span.metadata}
    told: dict[str, Attribute] = {
        "openinference.span.kind": _KIND[span.kind],
        "session.id": trace.conversation,
        "user.id": trace.person,
        "tag.tags": trace.tags,
        "metadata": canonical(metadata),
        "input.value": text_of(span.input),
        "input.mime_type": mime_of(span.input),
        "output.value": text_of(span.output),
        "output.mime_type": mime_of(span.output),
    }
    if span.kind is SpanKind.RUN:
        told["agent.name"] = trace.agent
    told.update(_special(span))
    return told


def _special(span: Span) -> Iterator[tuple[str, Attribute]]:
    if span.model is not None:
        yield from _model(span.model)
    if span.tool is not None:
        yield "tool.name", span.tool.name
        yield "tool.id", span.tool.call
        yield "tool.parameters", text_of(span.tool.arguments)
    yield from _documents(span.documents)


def _documents(documents: Sequence[Document]) -> Iterator[tuple[str, Attribute]]:
    for number, document in enumerate(documents):
        prefix = f"retrieval.documents.{number}.document"
        yield f"{prefix}.id", document.id
        yield f"{prefix}.score", float(document.similarity)
        # Some receivers keep nothing but content and metadata: so id and score are there again.
        again: dict[str, Json] = {"id": document.id, "score": document.similarity}
        yield f"{prefix}.metadata", canonical({**document.metadata, **again})
        if document.text is not None:
            yield f"{prefix}.content", text_of(document.text)


def _model(model: ModelPart) -> Iterator[tuple[str, Attribute]]:
    provider, _, name = (model.returned or model.requested).rpartition(":")
    yield "llm.model_name", name
    if provider:
        yield "llm.provider", provider
    yield from _messages("llm.input_messages", model.sent)
    yield from _messages("llm.output_messages", model.received)
    yield "llm.token_count.prompt", model.input_tokens
    yield "llm.token_count.completion", model.output_tokens
    yield "llm.token_count.total", model.input_tokens + model.output_tokens
    yield "llm.cost.total", float(model.cost)
    if model.prompt:
        yield "prompt.id", model.prompt
        yield "prompt.vendor", "staid"
        yield "llm.prompt_template.version", model.prompt_version


def _messages(prefix: str, messages: Sequence[Said]) -> Iterator[tuple[str, Attribute]]:
    for number, message in enumerate(messages[-MOST_MESSAGES:]):
        at = f"{prefix}.{number}.message"
        yield f"{at}.role", message.role
        yield f"{at}.content", text_of(message.text) if message.text is not None else ""
        if message.call_id:
            yield f"{at}.tool_call_id", message.call_id
        for place, call in enumerate(message.calls):
            where = f"{at}.tool_calls.{place}.tool_call"
            yield f"{where}.id", str(call["id"])
            yield f"{where}.function.name", str(call["tool"])
            yield f"{where}.function.arguments", text_of(call["arguments"])
