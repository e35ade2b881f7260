"""LangSmith's own attributes: type, thread, tags, and the ids that join a tree."""

from __future__ import annotations

from datetime import UTC, datetime

from staid.domain.exports import Attribute
from staid.tracing.dialects.wording import flat
from staid.tracing.spans import Span, SpanKind, Trace, span_uuid

_KIND = {
    SpanKind.RUN: "chain",
    SpanKind.MODEL: "llm",
    SpanKind.TOOL: "tool",
    SpanKind.RETRIEVAL: "retriever",
    SpanKind.GATE: "chain",
}


def attributes(trace: Trace, span: Span) -> dict[str, Attribute]:
    """Return the span in this vocabulary; the thread is on every span, children too.

    `langsmith.trace.session_name` is never said: there it names a project, not a conversation.
    """
    tags = (*trace.tags, "gate") if span.kind is SpanKind.GATE else trace.tags
    told: dict[str, Attribute] = {
        "langsmith.span.kind": _KIND[span.kind],
        "langsmith.span.tags": ",".join(tag.replace(",", " ") for tag in tags),
        "langsmith.metadata.thread_id": trace.conversation,
        "langsmith.metadata.user_id": trace.person,
        "langsmith.metadata.run": trace.run,
        "langsmith.metadata.agent": trace.agent,
        "langsmith.trace.id": str(span_uuid(trace.run, trace.root.seq)),
        "langsmith.span.id": str(span_uuid(trace.run, span.seq)),
        "langsmith.span.dotted_order": _dotted(trace, span),
    }
    if span.parent is not None:
        told["langsmith.span.parent_id"] = str(span_uuid(trace.run, span.parent))
    told.update(flat("langsmith.metadata.", span.metadata))
    if span.model is not None and span.model.prompt:
        told["langsmith.metadata.prompt_name"] = span.model.prompt
        told["langsmith.metadata.prompt_version"] = span.model.prompt_version
    return told


def _dotted(trace: Trace, span: Span) -> str:
    """Return the span's place in the tree: start and id of each ancestor and of itself."""
    path = [span]
    while (above := path[-1].parent) is not None:
        path.append(trace.by_seq[above])
    return ".".join(f"{_stamp(s.start)}{span_uuid(trace.run, s.seq)}" for s in reversed(path))


def _stamp(start: datetime) -> str:
    return start.astimezone(UTC).strftime("%Y%m%dT%H%M%S%fZ")
