"""The wire formats that the fake provider speaks: what a real API checks, and how it answers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

Body: TypeAlias = "dict[str, Any]"
"""JSON of somebody else's design; typed where it is read."""

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class Reply:
    """One scripted answer of the provider."""

    text: str = ""
    calls: tuple[tuple[str, Mapping[str, object] | str], ...] = ()
    """Tool and arguments; a text instead of a mapping is sent as it is, broken JSON and all."""
    reasoning: str | None = None
    status: int = 200
    """At 400 and above an error of that status is sent instead."""
    error_code: str = "fake_error"
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    wait: float = 0.0
    """Seconds before it answers; closing the provider ends the wait."""
    tokens: tuple[int, int] = (120, 30)
    """Input and output tokens that it says it used."""
    raw: bytes | None = None
    """Sent instead of a well-formed body."""


class Protocol:
    """What a provider's API has to do: check a request, and shape an answer."""

    def check(self, body: Body) -> str | None:
        """Return what the real API would reject in a request, or None."""
        raise NotImplementedError

    def answer(self, reply: Reply, model: str) -> Body:
        """Return the body of a success."""
        raise NotImplementedError

    def stream(self, answer: Body) -> bytes:
        """Return the answer as server-sent events."""
        raise NotImplementedError


class _Chat(Protocol):
    def check(self, body: Body) -> str | None:
        bad = _bad_names(tool["function"]["name"] for tool in body.get("tools", []))
        return bad or _unpaired(_chat_turns(body["messages"]))

    def answer(self, reply: Reply, model: str) -> Body:
        message: Body = {"role": "assistant", "content": reply.text or None}
        if reply.reasoning is not None:
            message["reasoning_content"] = reply.reasoning
        if reply.calls:
            message["tool_calls"] = [
                {"id": call_id, "type": "function", "function": {"name": name, "arguments": given}}
                for call_id, name, given in _calls(reply)
            ]
        finish = "tool_calls" if reply.calls else "stop"
        return {
            "id": "chatcmpl-fake",
            "object": "chat.completion",
            "created": 1_700_000_000,
            "model": model,
            "choices": [{"index": 0, "message": message, "finish_reason": finish}],
            "usage": {
                "prompt_tokens": reply.tokens[0],
                "completion_tokens": reply.tokens[1],
                "total_tokens": sum(reply.tokens),
            },
        }


class _Responses(Protocol):
    def check(self, body: Body) -> str | None:
        bad = _bad_names(tool["name"] for tool in body.get("tools", []))
        return bad or _unpaired(_response_turns(body["input"]))

    def answer(self, reply: Reply, model: str) -> Body:
        output: list[Body] = []
        if reply.reasoning is not None:
            summary = [{"type": "summary_text", "text": reply.reasoning}]
            output.append({"type": "reasoning", "id": "rs_fake", "summary": summary})
        if reply.text:
            said: Body = {"type": "output_text", "text": reply.text, "annotations": []}
            shape: Body = {"type": "message", "id": "msg_fake", "role": "assistant"}
            output.append({**shape, "status": "completed", "content": [said]})
        for call_id, name, given in _calls(reply):
            call = {"type": "function_call", "id": f"fc_{call_id}", "call_id": call_id}
            output.append({**call, "name": name, "arguments": given, "status": "completed"})
        return {
            "id": "resp_fake",
            "object": "response",
            "created_at": 1_700_000_000,
            "status": "completed",
            "model": model,
            "output": output,
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "usage": {
                "input_tokens": reply.tokens[0],
                "input_tokens_details": {"cached_tokens": 0},
                "output_tokens": reply.tokens[1],
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": sum(reply.tokens),
            },
        }


class _Messages(Protocol):
    def check(self, body: Body) -> str | None:
        bad = _bad_names(tool["name"] for tool in body.get("tools", []))
        return bad or _unpaired(_message_turns(body["messages"]))

    def answer(self, reply: Reply, model: str) -> Body:
        content: list[Body] = []
        if reply.reasoning is not None:
            thought = {"type": "thinking", "thinking": reply.reasoning, "signature": "fake"}
            content.append(thought)
        if reply.text:
            content.append({"type": "text", "text": reply.text})
        for call_id, name, given in _calls(reply):
            value = {"type": "tool_use", "id": call_id, "name": name, "input": _parsed(given)}
            content.append(value)
        return {
            "id": "msg_fake",
            "type": "message",
            "role": "assistant",
            "model": model,
            "content": content,
            "stop_reason": "tool_use" if reply.calls else "end_turn",
            "stop_sequence": None,
            "usage": {"input_tokens": reply.tokens[0], "output_tokens": reply.tokens[1]},
        }

    def stream(self, answer: Body) -> bytes:
        # Pydantic AI streams where an answer may be long, also for a caller that wants it whole.
        begun: Body = {**answer, "content": [], "stop_reason": None}
        events: list[Body] = [{"type": "message_start", "message": begun}]
        for index, block in enumerate(cast("list[Body]", answer["content"])):
            empty, delta = _delta(block)
            events += [
                {"type": "content_block_start", "index": index, "content_block": empty},
                {"type": "content_block_delta", "index": index, "delta": delta},
                {"type": "content_block_stop", "index": index},
            ]
        end = {"stop_reason": answer["stop_reason"], "stop_sequence": None}
        usage = {"output_tokens": answer["usage"]["output_tokens"]}
        events += [
            {"type": "message_delta", "delta": end, "usage": usage},
            {"type": "message_stop"},
        ]
        lines = (f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)
        return "".join(lines).encode()


def _delta(block: Body) -> tuple[Body, Body]:
    """Return an empty block, and the one delta that makes it whole."""
    match block["type"]:
        case "text":
            return {**block, "text": ""}, {"type": "text_delta", "text": block["text"]}
        case "thinking":
            said = {"type": "thinking_delta", "thinking": block["thinking"]}
            return {**block, "thinking": ""}, said
        case _:
            given = json.dumps(block["input"])
            return {**block, "input": {}}, {"type": "input_json_delta", "partial_json": given}


PROTOCOLS: Mapping[str, Protocol] = {
    "/v1/chat/completions": _Chat(),
    "/v1/responses": _Responses(),
    "/v1/messages": _Messages(),
}


def _calls(reply: Reply) -> Iterator[tuple[str, str, str]]:
    for n, (tool, given) in enumerate(reply.calls, start=1):
        # A script may use the tool's own name; a provider only ever saw its sendable form.
        name = re.sub(r"[^a-zA-Z0-9_-]", "_", tool)
        yield f"call_{n}", name, given if isinstance(given, str) else json.dumps(dict(given))


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text


def error_body(status: int, message: str, code: str) -> Body:
    """Return an error in the forms of both providers at once: each client reads its own."""
    kind = "server_error" if status >= 500 else "invalid_request_error"
    return {
        "type": "error",
        "error": {"message": message, "type": kind, "param": None, "code": code},
    }


def _bad_names(names: Iterator[str]) -> str | None:
    bad = [name for name in names if not _NAME.fullmatch(name)]
    return f"invalid tool name {bad[0]!r}" if bad else None


Turn: TypeAlias = "tuple[str, str]"
"""`("call", id)`, `("result", id)` or `("other", "")`, in the order of a conversation."""


def _chat_turns(messages: list[Body]) -> Iterator[Turn]:
    for message in messages:
        if message["role"] == "tool":
            yield "result", str(message["tool_call_id"])
            continue
        yield "other", ""
        for call in cast("list[Body]", message.get("tool_calls") or []):
            yield "call", str(call["id"])


def _response_turns(items: list[Body]) -> Iterator[Turn]:
    for item in items:
        kind = {"function_call": "call", "function_call_output": "result"}.get(
            str(item.get("type", "")), "other"
        )
        yield kind, str(item.get("call_id", ""))


def _message_turns(messages: list[Body]) -> Iterator[Turn]:
    for message in messages:
        content = message["content"]
        blocks = cast("list[Body]", content if isinstance(content, list) else [])
        if not any(block["type"] == "tool_result" for block in blocks):
            yield "other", ""
        for block in blocks:
            if block["type"] == "tool_use":
                yield "call", str(block["id"])
            elif block["type"] == "tool_result":
                yield "result", str(block["tool_use_id"])


def _unpaired(turns: Iterator[Turn]) -> str | None:
    """Return what breaks the rule that a call's result comes before anything else is said."""
    waiting: set[str] = set()
    for kind, call in turns:
        if kind == "call":
            waiting.add(call)
        elif kind == "result":
            if call not in waiting:
                return f"the result {call!r} belongs to no call"
            waiting.remove(call)
        elif waiting:
            return f"the call {min(waiting)!r} has no result"
    return f"the call {min(waiting)!r} has no result" if waiting else None
