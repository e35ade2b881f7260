"""Which vocabularies each kind of receiver gets, and what is kept from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from staid.domain.exports import Attribute, WireSpan
from staid.tracing.dialects import langfuse, langsmith, openinference, otel_genai
from staid.tracing.spans import Span, Trace, span_id, trace_id

Vocabulary: TypeAlias = Callable[[Trace, Span], dict[str, Attribute]]


@dataclass(frozen=True, slots=True)
class Destination:
    """What one kind of receiver is told."""

    vocabularies: tuple[Vocabulary, ...]
    """A later one wins where two say the same attribute."""
    stripped: tuple[str, ...] = ()
    """Attributes that begin like this are misread there and never sent."""
    joined: bool = True
    """Whether several runs may share one request."""


_PROMPT = ("gen_ai.prompt",)

DESTINATIONS: Mapping[str, Destination] = {
    "otlp": Destination((openinference.attributes, otel_genai.attributes)),
    "logfire": Destination((openinference.attributes, otel_genai.attributes)),
    "file": Destination((openinference.attributes, otel_genai.attributes)),
    "phoenix": Destination((otel_genai.attributes, openinference.attributes), _PROMPT),
    "arize": Destination((openinference.attributes,)),
    "mlflow": Destination((otel_genai.attributes, openinference.attributes), _PROMPT),
    # Whatever begins with gen_ai.prompt is taken for the input before any other key is looked at.
    "langfuse": Destination(
        (otel_genai.attributes, langfuse.attributes),
        _PROMPT,
        joined=False,
    ),
    "langsmith": Destination(
        (otel_genai.attributes, openinference.attributes, langsmith.attributes),
        (*_PROMPT, "langsmith.trace.session_name"),
    ),
}
"""Kind of sink -> what it is told."""


def wire(trace: Trace, kind: str, extra: Mapping[str, Attribute]) -> list[WireSpan]:
    """Return a run in the words of one kind of receiver, `extra` on every span."""
    destination = DESTINATIONS[kind]
    return [_wire(trace, span, destination, extra) for span in trace.spans]


def _wire(
    trace: Trace, span: Span, destination: Destination, extra: Mapping[str, Attribute]
) -> WireSpan:
    told: dict[str, Attribute] = {"staid.run": trace.run, "staid.fact": span.seq, **extra}
    for vocabulary in destination.vocabularies:
        told.update(vocabulary(trace, span))
    return WireSpan(
        trace=trace_id(trace.run),
        span=span_id(trace.run, span.seq),
        parent=span_id(trace.run, span.parent) if span.parent is not None else None,
        name=span.name,
        start=span.start,
        end=span.end,
        attributes=_without(told, destination.stripped),
        error=span.error,
    )


def _without(told: Mapping[str, Attribute], stripped: Sequence[str]) -> Mapping[str, Attribute]:
    return {k: v for k, v in told.items() if not k.startswith(tuple(stripped))}
