"""Our requests and responses as Pydantic AI's messages, both ways, and nothing lost on the way.

Providers take tool names of letters, digits, `_` and `-` only, at most 64; ours have dots. The
mapping is made anew from each request's names and is undone in its response.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Never, cast

from pydantic_ai.messages import (
    ModelMessage,
    ModelRequestPart,
    ModelResponsePart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.messages import ModelRequest as WireRequest
from pydantic_ai.messages import ModelResponse as WireResponse
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.tools import ToolDefinition

from staid.adapters.models.prompt import clean, prompt_identity, render
from staid.domain.canonical import Json, canonical, digest, once
from staid.domain.message import (
    MALFORMED_ARGUMENTS,
    Message,
    ModelRequest,
    ModelResponse,
    ProposedCall,
    Usage,
)

_LONGEST = 64
"""OpenAI's limit for a function's name; Anthropic allows 128."""


class ToolNames:
    """A one-to-one mapping of the tool names in a request to names every provider takes."""

    def __init__(self, names: Iterable[str]) -> None:
        """Map every name; one that is fine stays as it is."""
        self._sent: dict[str, str] = {}
        # Names that stay as they are go first, so that a changed one never takes their place.
        for name in sorted(set(names), key=lambda each: (_spelled(each) != each, each)):
            spelled = _spelled(name)
            taken = spelled in self._sent.values()
            self._sent[name] = _marked(spelled, name) if taken else spelled
        self._ours = {sent: name for name, sent in self._sent.items()}

    def sent(self, name: str) -> str:
        """Return the name as the provider sees it."""
        return self._sent[name]

    def ours(self, sent: str) -> str:
        """Return our name; a name that was never sent stays as it is, for the gate to deny."""
        return self._ours.get(sent, sent)


def _spelled(name: str) -> str:
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", name) or "_"
    return plain if len(plain) <= _LONGEST else _marked(plain, name)


def _marked(spelled: str, name: str) -> str:
    mark = hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:8]
    return f"{spelled[: _LONGEST - 9]}_{mark}"


def tool_names(request: ModelRequest) -> ToolNames:
    """Return the mapping for a request: its tools, and those its history speaks of."""
    spoken = (call.tool for message in request.messages for call in message.calls)
    answered = (message.tool for message in request.messages if message.tool is not None)
    return ToolNames([*(tool.name for tool in request.tools), *spoken, *answered])


def parameters(request: ModelRequest, names: ToolNames) -> ModelRequestParameters:
    """Return the tools a model may propose to use."""
    tools = [
        ToolDefinition(
            name=names.sent(tool.name),
            description=clean(tool.description),
            parameters_json_schema=dict(tool.schema),
        )
        for tool in request.tools
    ]
    return ModelRequestParameters(function_tools=tools)


def messages(request: ModelRequest, names: ToolNames) -> list[ModelMessage]:
    """Return the conversation with the question rendered, evidence and all, where it was asked."""
    prompt = render(request)
    asked = [n for n, message in enumerate(request.messages) if message.role == "user"]
    wire: list[ModelMessage] = []
    for n, message in enumerate(request.messages):
        if message.role == "assistant":
            _append_response(wire, _proposed(message, names))
        elif asked and n == asked[-1]:
            _append_request(wire, UserPromptPart(prompt.question))
        else:
            _append_request(wire, _said(message, names))
    if not asked:
        _append_request(wire, UserPromptPart(prompt.question))
    if prompt.revision is not None:
        _append_request(wire, UserPromptPart(prompt.revision))
    _instruct(wire, prompt.instructions)
    return wire


def sent_digest(history: Sequence[ModelMessage], parameters: ModelRequestParameters) -> str:
    """Return the hash of every text in a request, in order, and of nothing else.

    Times and the like that a client library adds are no text: the same request has the same hash.
    """
    told = [_texts(message) for message in history]
    tools = [(t.name, t.description, t.parameters_json_schema) for t in parameters.function_tools]
    return digest([told, tools])


def requested_digest(request: ModelRequest) -> str:
    """Return the hash that a request has when it is sent."""
    names = tool_names(request)
    return sent_digest(messages(request, names), parameters(request, names))


def _texts(message: ModelMessage) -> list[object]:
    instructions = message.instructions if isinstance(message, WireRequest) else None
    return [message.kind, instructions, *(_part(part) for part in message.parts)]


def _part(part: ModelRequestPart | ModelResponsePart) -> list[object]:
    match part:
        case ToolCallPart():
            return [part.part_kind, part.tool_name, part.tool_call_id, part.args]
        case ToolReturnPart():
            return [part.part_kind, part.tool_name, part.tool_call_id, part.content]
        case UserPromptPart() | TextPart():
            return [part.part_kind, part.content]
        case _:
            # A part of a kind that this release never sends.
            return [part.part_kind, repr(part)]


def response(
    wire: WireResponse, request: ModelRequest, names: ToolNames, model: str
) -> ModelResponse:
    """Return what a provider sent, with every proposed call, however broken, as a proposal."""
    return ModelResponse(
        text="".join(part.content for part in wire.parts if isinstance(part, TextPart)).strip(),
        calls=tuple(
            ProposedCall(part.tool_call_id, names.ours(part.tool_name), arguments(part.args))
            for part in wire.parts
            if isinstance(part, ToolCallPart)
        ),
        model=model,
        usage=Usage(wire.usage.input_tokens, wire.usage.output_tokens, _cost(wire)),
        reasoning=_reasoning(wire),
        prompt=prompt_identity(request),
    )


def arguments(raw: str | Mapping[str, object] | None) -> Mapping[str, Json]:
    """Return a call's arguments; what is no canonical JSON object comes back whole as raw text.

    It stands under `MALFORMED_ARGUMENTS` then, a name no tool has, so that the gate denies it.
    """
    if raw is None or raw == "":
        return {}
    try:
        value: object = raw
        if isinstance(raw, str):
            value = json.loads(raw, parse_constant=_refuse, object_pairs_hook=once)
        # What has no canonical form (infinite numbers) could not be hashed, and half a surrogate
        # pair is kept in a result, but no text that anything may be called with.
        canonical(value)
        json.dumps(value, ensure_ascii=False, default=str).encode()
    except (ValueError, TypeError, RecursionError):
        value = None
    if isinstance(value, Mapping):
        return cast("Mapping[str, Json]", value)
    return {MALFORMED_ARGUMENTS: clean(raw if isinstance(raw, str) else repr(raw))}


def _refuse(constant: str) -> Never:
    message = f"{constant} is not JSON"
    raise ValueError(message)


def _append_request(wire: list[ModelMessage], part: ModelRequestPart) -> None:
    last = wire[-1] if wire else None
    if isinstance(last, WireRequest):
        last.parts = [*last.parts, part]
    else:
        wire.append(WireRequest(parts=[part]))


def _append_response(wire: list[ModelMessage], parts: list[ModelResponsePart]) -> None:
    if parts:
        wire.append(WireResponse(parts=parts))


def _proposed(message: Message, names: ToolNames) -> list[ModelResponsePart]:
    parts: list[ModelResponsePart] = [TextPart(clean(message.text))] if message.text else []
    calls = (
        ToolCallPart(names.sent(call.tool), dict(call.arguments), tool_call_id=call.id)
        for call in message.calls
    )
    return [*parts, *calls]


def _said(message: Message, names: ToolNames) -> ModelRequestPart:
    if message.role == "user":
        return UserPromptPart(clean(message.text))
    return ToolReturnPart(
        tool_name=names.sent(message.tool or ""),
        content=clean(message.text),
        tool_call_id=message.call_id or "",
    )


def _instruct(wire: list[ModelMessage], instructions: str) -> None:
    # Instructions belong to the last request: Pydantic AI sends only those.
    last = wire[-1]
    if isinstance(last, WireRequest):
        last.instructions = instructions
    else:
        wire.append(WireRequest(parts=[], instructions=instructions))


def _reasoning(wire: WireResponse) -> str | None:
    thoughts = [part.content for part in wire.parts if isinstance(part, ThinkingPart)]
    return "\n\n".join(thought for thought in thoughts if thought) or None


def _cost(wire: WireResponse) -> Decimal:
    try:
        return wire.cost().total_price
    except (LookupError, ValueError, AssertionError):
        # A price nobody knows is not a reason to lose an answer: 0, as `Usage` says.
        return Decimal(0)
