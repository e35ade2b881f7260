"""Phoenix and Arize AX: OpenInference, as measured on Phoenix 20.26."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from staid.domain.exports import Attribute, WireSpan
from staid.testing.receivers.shown import (
    Shown,
    ShownDocument,
    documents_in,
    first,
    numbered,
    parsed,
    text,
    tokens_of,
)

_GENAI = {
    "invoke_agent": "AGENT",
    "chat": "LLM",
    "execute_tool": "TOOL",
    "retrieval": "RETRIEVER",
    "embeddings": "EMBEDDING",
}


def show(
    span: WireSpan, resource: Mapping[str, Attribute] | None = None, *, ax: bool = False
) -> Shown:
    """Return a span as Phoenix shows it; `ax` reads OpenInference alone, as Arize AX does."""
    told = _openinference(span.attributes) if ax else span.attributes
    kind = str(told.get("openinference.span.kind") or "")
    kind = kind or _GENAI.get(str(told.get("gen_ai.operation.name")), "UNKNOWN")
    tags = told.get("tag.tags", ())
    prompt = text(told, "prompt.id")
    return Shown(
        name=span.name,
        type=kind,
        input=parsed(told.get("input.value")),
        output=_output(told, kind),
        session=text(told, "session.id"),
        user=text(told, "user.id"),
        tags=tags if isinstance(tags, tuple) else (),
        documents=_documents(told),
        tokens=tokens_of(
            told,
            ("llm.token_count.prompt", "llm.token_count.completion"),
            ("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"),
        ),
        cost=first(told, "llm.cost.total"),
        prompt=(prompt, str(told.get("llm.prompt_template.version", ""))) if prompt else None,
        parameters=parsed(told.get("tool.parameters")),
        project=text(resource or {}, "openinference.project.name"),
    )


def stored(deliveries: Sequence[WireSpan]) -> dict[str, WireSpan]:
    """Return id -> span as kept: the first version wins, a repeat is ignored."""
    kept: dict[str, WireSpan] = {}
    for span in deliveries:
        kept.setdefault(span.span, span)
    return kept


def expanded(told: Mapping[str, Attribute]) -> dict[str, object]:
    """Return attributes as its interface gives them back: what looks like an object is opened."""
    opened: dict[str, object] = {}
    for name, value in told.items():
        inner = parsed(value)
        if isinstance(inner, dict) and name == "tool.parameters":
            opened |= {f"{name}.{key}": item for key, item in inner.items()}  # pyright: ignore[reportUnknownVariableType]  # JSON
        else:
            opened[name] = value
    return opened


def _openinference(told: Mapping[str, Attribute]) -> dict[str, Attribute]:
    return {name: value for name, value in told.items() if not name.startswith("gen_ai.")}


def _output(told: Mapping[str, Attribute], kind: str) -> object:
    if "output.value" in told:
        return parsed(told["output.value"])
    if kind == "LLM" and any(name.startswith("gen_ai.") for name in told):
        return {"model": first(told, "gen_ai.response.model", "gen_ai.request.model")}
    return None


def _documents(told: Mapping[str, Attribute]) -> tuple[ShownDocument, ...]:
    groups = numbered(told, "retrieval.documents")
    if not groups:
        return documents_in(told.get("gen_ai.retrieval.documents"))
    return tuple(
        ShownDocument(
            text(group, "document.id"),
            first(group, "document.score"),
            text(group, "document.content"),
        )
        for group in groups
    )
