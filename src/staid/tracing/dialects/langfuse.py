"""Langfuse's own attributes: read before every other vocabulary, so they decide what it shows."""

from __future__ import annotations

from collections.abc import Iterator

from staid.domain.canonical import canonical
from staid.domain.exports import Attribute
from staid.tracing.dialects.wording import flat, text_of
from staid.tracing.spans import ModelPart, Span, SpanKind, Trace

_TYPE = {
    SpanKind.RUN: "agent",
    SpanKind.MODEL: "generation",
    SpanKind.TOOL: "tool",
    SpanKind.RETRIEVAL: "retriever",
    SpanKind.GATE: "guardrail",
}


def attributes(trace: Trace, span: Span) -> dict[str, Attribute]:
    """Return the span in this vocabulary; what belongs to the trace is on every span."""
    told: dict[str, Attribute] = {
        "langfuse.observation.type": _TYPE[span.kind],
        "langfuse.observation.input": text_of(span.input),
        "langfuse.observation.output": text_of(span.output),
        "langfuse.session.id": trace.conversation,
        "langfuse.user.id": trace.person,
        "langfuse.trace.name": trace.agent,
        "langfuse.trace.tags": trace.tags,
        "langfuse.trace.metadata.run": trace.run,
    }
    told.update(flat("langfuse.observation.metadata.", span.metadata))
    if span.kind is SpanKind.RUN:
        told["langfuse.trace.input"] = text_of(span.input)
        told["langfuse.trace.output"] = text_of(span.output)
    if span.error:
        told["langfuse.observation.level"] = "ERROR"
        told["langfuse.observation.status_message"] = span.error
    if span.model is not None:
        told.update(_model(span.model))
    return told


def _model(model: ModelPart) -> Iterator[tuple[str, Attribute]]:
    yield "langfuse.observation.model.name", (model.returned or model.requested).rpartition(":")[2]
    yield "langfuse.observation.cost_details", canonical({"total": float(model.cost)})
    if not model.prompt:
        return
    yield "langfuse.observation.metadata.prompt_name", model.prompt
    yield "langfuse.observation.metadata.prompt_version", model.prompt_version
    # Langfuse links prompts of its own registry, whose versions are numbers; a hash is none.
    if model.prompt_version.isdigit():
        yield "langfuse.observation.prompt.name", model.prompt
        yield "langfuse.observation.prompt.version", int(model.prompt_version)
