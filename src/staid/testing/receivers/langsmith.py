"""LangSmith, as its documentation of OTLP says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from staid.domain.exports import Attribute, WireSpan
from staid.testing.receivers.shown import (
    Shown,
    ShownDocument,
    beginning,
    first,
    numbered,
    parsed,
    text,
    tokens_of,
)

_GENAI = {"chat": "llm", "execute_tool": "tool", "embeddings": "embedding"}


def show(span: WireSpan, *, project: str = "default") -> Shown:
    """Return a run, in the project of the request's header unless the span names another."""
    told = span.attributes
    prompt = text(told, "langsmith.metadata.prompt_name")
    return Shown(
        name=span.name,
        type=_type(told),
        input=_input(told),
        output=parsed(first(told, "output.value", "gen_ai.completion", "gen_ai.output.messages")),
        session=text(
            told,
            "langsmith.metadata.thread_id",
            "langsmith.metadata.session_id",
            "langsmith.metadata.conversation_id",
        ),
        user=text(told, "langsmith.metadata.user_id"),
        tags=tuple(str(told.get("langsmith.span.tags", "")).split(",")),
        documents=tuple(_document(group) for group in numbered(told, "retrieval.documents")),
        tokens=tokens_of(
            told,
            ("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"),
            ("llm.token_count.prompt", "llm.token_count.completion"),
        ),
        prompt=(prompt, str(told["langsmith.metadata.prompt_version"])) if prompt else None,
        parameters=_input(told) if _type(told) == "tool" else None,
        # A session is a project in its data model: this key moves the run, it names no thread.
        project=text(told, "langsmith.trace.session_name") or project,
    )


def kept(spans: Sequence[WireSpan]) -> list[WireSpan]:
    """Return the spans that do not vanish: one whose parent never arrives is dropped, silently."""
    ids = {span.span for span in spans}
    here = [span for span in spans if span.parent is None or span.parent in ids]
    return here if len(here) == len(spans) else kept(here)


def tree(spans: Sequence[WireSpan]) -> dict[str, str | None]:
    """Return id -> parent as its own attributes join a tree, which go before OpenTelemetry's."""
    return {
        str(span.attributes["langsmith.span.id"]): text(span.attributes, "langsmith.span.parent_id")
        for span in spans
    }


def _type(told: Mapping[str, Attribute]) -> str:
    if "langsmith.span.kind" in told:
        return str(told["langsmith.span.kind"])
    if "gen_ai.tool.name" in told:
        return "tool"
    return _GENAI.get(str(told.get("gen_ai.operation.name")), "chain")


def _input(told: Mapping[str, Attribute]) -> object:
    prompt = beginning(told, "gen_ai.prompt")
    if prompt:  # mapped to the inputs, whatever else is there
        return prompt
    return parsed(first(told, "input.value", "gen_ai.input.messages"))


def _document(group: Mapping[str, Attribute]) -> ShownDocument:
    # Content and metadata are all it keeps: an id or a score beside them is lost.
    found = parsed(group.get("document.metadata", "{}"))
    known = cast("dict[str, object]", found) if isinstance(found, dict) else {}
    number, score = known.get("id"), known.get("score")
    return ShownDocument(
        id=str(number) if number is not None else None,
        score=float(score) if isinstance(score, int | float) else None,
        content=text(group, "document.content"),
    )
