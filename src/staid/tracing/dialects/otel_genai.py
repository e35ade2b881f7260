"""The OpenTelemetry semantic conventions for generative AI, release 0.1.0 (development status)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from staid.domain.canonical import Json, canonical
from staid.domain.exports import Attribute
from staid.tracing.dialects.wording import text_of
from staid.tracing.spans import ModelPart, Said, Span, SpanKind, Trace

_OPERATION = {
    SpanKind.RUN: "invoke_agent",
    SpanKind.MODEL: "chat",
    SpanKind.TOOL: "execute_tool",
    SpanKind.RETRIEVAL: "retrieval",
}


def attributes(trace: Trace, span: Span) -> dict[str, Attribute]:
    """Return the span in this vocabulary. A gate has no operation in it, only what is common."""
    told: dict[str, Attribute] = {
        "gen_ai.conversation.id": trace.conversation,
        "gen_ai.agent.name": trace.agent,
        "user.id": trace.person,
    }
    if span.kind in _OPERATION:
        told["gen_ai.operation.name"] = _OPERATION[span.kind]
    told.update(_special(span))
    return told


def _special(span: Span) -> Iterator[tuple[str, Attribute]]:
    if span.kind is SpanKind.RUN:
        yield "gen_ai.input.messages", _messages([Said("user", span.input)])
        yield "gen_ai.output.messages", _messages([Said("assistant", span.output)])
    if span.model is not None:
        yield from _model(span.model)
    if span.tool is not None:
        yield "gen_ai.tool.name", span.tool.name
        yield "gen_ai.tool.call.id", span.tool.call
        yield "gen_ai.tool.call.arguments", text_of(span.tool.arguments)
        if span.tool.result is not None:
            yield "gen_ai.tool.call.result", text_of(span.tool.result)
    if span.kind is SpanKind.RETRIEVAL:
        yield "gen_ai.retrieval.query.text", text_of(span.input)
        yield "gen_ai.retrieval.documents", canonical(span.output)
        sources = {str(d.metadata.get("source", "")) for d in span.documents}
        if sources:
            yield "gen_ai.data_source.id", ",".join(sorted(sources))


def _model(model: ModelPart) -> Iterator[tuple[str, Attribute]]:
    provider, _, name = model.requested.rpartition(":")
    yield "gen_ai.provider.name", provider or "staid"
    yield "gen_ai.request.model", name
    if model.returned:
        yield "gen_ai.response.model", model.returned.rpartition(":")[2]
    system = [m for m in model.sent if m.role == "system"]
    if system:
        parts: list[Json] = [{"type": "text", "content": m.text} for m in system]
        yield "gen_ai.system_instructions", canonical(parts)
    yield "gen_ai.input.messages", _messages([m for m in model.sent if m.role != "system"])
    yield "gen_ai.output.messages", _messages(model.received)
    # Only a model's span carries usage: said again on the run it would count twice.
    yield "gen_ai.usage.input_tokens", model.input_tokens
    yield "gen_ai.usage.output_tokens", model.output_tokens
    if model.prompt:
        yield "gen_ai.prompt.name", model.prompt
        yield "gen_ai.prompt.version", model.prompt_version


def _messages(messages: Sequence[Said]) -> str:
    return canonical([{"role": m.role, "parts": _parts(m)} for m in messages])


def _parts(message: Said) -> list[Json]:
    if message.role == "tool":
        response: dict[str, Json] = {
            "type": "tool_call_response",
            "id": message.call_id,
            "response": message.text,
        }
        return [response]
    parts: list[Json] = []
    if message.text not in (None, ""):
        parts.append({"type": "text", "content": message.text})
    parts += [
        {"type": "tool_call", "id": c["id"], "name": c["tool"], "arguments": c["arguments"]}
        for c in message.calls
    ]
    return parts
