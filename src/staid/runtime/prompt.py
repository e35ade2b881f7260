"""What is sent to a model, and what came back, as facts."""

from __future__ import annotations

from staid.domain.canonical import Json
from staid.domain.events import EventKind
from staid.domain.label import Label
from staid.domain.message import Message, ModelRequest, ModelResponse
from staid.domain.ports import ModelClient
from staid.domain.principal import Actor
from staid.domain.prompt import Pin, Pinned, Prompts
from staid.runtime.parts import AgentSpec
from staid.runtime.recorder import Recorder


def pinned(prompts: Prompts | None, agent: AgentSpec, request: ModelRequest) -> Pinned:
    """Return the versions of everything fixed in a request; blocks while new ones are written."""
    if prompts is None:
        return Pinned(Pin(agent.instructions_name, None, agent.instructions_hash))
    return prompts.pinned(agent.instructions_name, agent.instructions, request.tools)


def note_request(
    recorder: Recorder,
    agent: AgentSpec,
    client: ModelClient,
    request: ModelRequest,
    label: Label,
    pins: Pinned,
) -> None:
    """Record which texts were rendered and everything that one request carries."""
    used = pins.instructions
    recorder.note(
        EventKind.PROMPT_RENDERED,
        {
            "name": used.name,
            "version": used.version,
            "sha256": used.sha256,
            "pins": [
                {"name": pin.name, "version": pin.version, "sha256": pin.sha256}
                for pin in pins.others
            ],
        },
        body={"instructions": agent.instructions},
        shared=True,
    )
    recorder.note(
        EventKind.MODEL_REQUESTED,
        {
            "model": client.name,
            "evidence": [passage.chunk for passage in request.evidence],
            "tools": [tool.name for tool in request.tools],
            "messages": len(request.messages),
            "revision": request.revise is not None,
        },
        body={"messages": [message_json(m) for m in request.messages], "revise": request.revise},
        label=label,
    )


def note_response(recorder: Recorder, response: ModelResponse, label: Label) -> None:
    """Record what the model returned: draft, calls, reasoning, tokens and cost."""
    recorder.note(
        EventKind.MODEL_RETURNED,
        {
            "model": response.model,
            "calls": len(response.calls),
            "characters": len(response.text),
            "input_tokens": response.usage.input_tokens,
            "output_tokens": response.usage.output_tokens,
            "cost": str(response.usage.cost),
            "labelled": response.labelled,
            "template": list(response.prompt) if response.prompt else None,
            "sent": response.sent,
        },
        body={
            "text": response.text,
            "reasoning": response.reasoning,
            "calls": [
                {"id": c.id, "tool": c.tool, "arguments": dict(c.arguments)} for c in response.calls
            ],
        },
        label=label,
        actor=Actor("agent", response.model),
    )


def message_json(message: Message) -> dict[str, Json]:
    """Return a message as JSON, for the journal and for parked turns."""
    return {
        "role": message.role,
        "text": message.text,
        "calls": [
            {"id": c.id, "tool": c.tool, "arguments": dict(c.arguments)} for c in message.calls
        ],
        "call_id": message.call_id,
        "tool": message.tool,
    }
