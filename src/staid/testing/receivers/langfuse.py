"""Langfuse, as its ingestion reads OTLP (source of August 2026)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from staid.domain.exports import Attribute, WireSpan
from staid.testing.receivers.shown import (
    Shown,
    beginning,
    documents_in,
    first,
    parsed,
    text,
    tokens_of,
)

_OPENINFERENCE = {
    "AGENT": "agent",
    "LLM": "generation",
    "TOOL": "tool",
    "RETRIEVER": "retriever",
    "GUARDRAIL": "guardrail",
    "EMBEDDING": "embedding",
    "CHAIN": "chain",
    "EVALUATOR": "evaluator",
}
# `retrieval`, `plan` and `invoke_workflow` are not mapped there.
_GENAI = {
    "chat": "generation",
    "text_completion": "generation",
    "generate_content": "generation",
    "invoke_agent": "agent",
    "create_agent": "agent",
    "execute_tool": "tool",
    "embeddings": "embedding",
}


def show(span: WireSpan) -> Shown:
    """Return an observation."""
    told = span.attributes
    output = _output(told)
    cost = parsed(told.get("langfuse.observation.cost_details"))
    total = cost.get("total") if isinstance(cost, dict) else None  # pyright: ignore[reportUnknownVariableType,reportUnknownMemberType]  # JSON
    name = text(told, "langfuse.observation.prompt.name")
    tags = told.get("langfuse.trace.tags", ())
    return Shown(
        name=span.name,
        type=_type(told),
        input=_input(told),
        output=output,
        session=text(told, "langfuse.session.id", "session.id", "gen_ai.conversation.id"),
        user=text(told, "langfuse.user.id", "user.id"),
        tags=tags if isinstance(tags, tuple) else (),
        documents=documents_in(output),
        tokens=tokens_of(
            told,
            ("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"),
            ("llm.token_count.prompt", "llm.token_count.completion"),
        ),
        cost=total if total is not None else first(told, "gen_ai.usage.cost", "llm.cost.total"),  # pyright: ignore[reportUnknownArgumentType]  # JSON
        prompt=(name, str(told["langfuse.observation.prompt.version"])) if name else None,
        parameters=_input(told) if _type(told) == "tool" else None,
    )


def trace_totals(spans: Sequence[WireSpan]) -> tuple[int, int]:
    """Return the tokens of a trace: what each observation carries, summed."""
    shown = [show(span).tokens for span in spans]
    return sum(t[0] for t in shown if t), sum(t[1] for t in shown if t)


def refuses(spans: Sequence[WireSpan]) -> bool:
    """Return whether a request is rejected whole, for one id that is malformed."""
    return any(
        len(span.trace) != 32 or len(span.span) != 16 or not int(span.span, 16) for span in spans
    )


def _type(told: Mapping[str, Attribute]) -> str:
    if "langfuse.observation.type" in told:
        return str(told["langfuse.observation.type"])
    kind = _OPENINFERENCE.get(str(told.get("openinference.span.kind")))
    operation = _GENAI.get(str(told.get("gen_ai.operation.name")))
    if kind or operation:
        return str(kind or operation)
    if "gen_ai.tool.name" in told:
        return "tool"
    models = ("gen_ai.request.model", "gen_ai.response.model", "llm.model_name")
    return "generation" if any(name in told for name in models) else "span"


def _input(told: Mapping[str, Attribute]) -> object:
    own = first(told, "langfuse.observation.input", "input.value")
    if own is not None:
        return parsed(own)
    # Whatever begins like this is taken for the prompt, before the messages are looked at.
    prompt = beginning(told, "gen_ai.prompt")
    return prompt or parsed(first(told, "gen_ai.input.messages", "gen_ai.tool.call.arguments"))


def _output(told: Mapping[str, Attribute]) -> object:
    own = first(told, "langfuse.observation.output", "output.value")
    if own is not None:
        return parsed(own)
    completion = beginning(told, "gen_ai.completion")
    return completion or parsed(first(told, "gen_ai.output.messages", "gen_ai.tool.call.result"))
