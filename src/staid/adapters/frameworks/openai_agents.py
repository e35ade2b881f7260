"""The gate before the function tools of an OpenAI Agents SDK agent.

```python
bounds = {"refund": {"effect": "write", "requires_approval": large}}
tools = gated(project.guard, [refund], bounds=bounds)
with project.acting("user:ada", agent="crew", key="ticket-4711"):
    await Runner.run(Agent(name="crew", tools=tools), "…")
```
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from agents import FunctionTool, Tool
from agents.tool import set_function_tool_failure_error_function
from agents.tool_context import ToolContext

from staid.adapters.frameworks.wrapping import (
    Bounds,
    Pending,
    Wrapped,
    spoken,
    told,
    tool_name,
    waits,
)
from staid.domain.call import CallState
from staid.domain.canonical import Json, once
from staid.domain.errors import CallPending
from staid.domain.message import MALFORMED_ARGUMENTS
from staid.gates.sources import Origin, Source, Texts, result_sources
from staid.gates.tool import recorded
from staid.runtime.guard import Guard

_OWN = frozenset({"message", "function_call", "reasoning"})
"""Items that hold words of the model, or of whoever built the agent."""


def gated(
    guard: Guard, tools: Sequence[FunctionTool], *, bounds: Bounds, pending: Pending = "tell"
) -> list[Tool]:
    """Return the tools, each with the gate before it.

    With `pending="pause"` a call that waits ends the run: the framework raises its `UserError` with
    `CallPending` as the cause. Run it again under the same key after the decision, and what was
    done before is not done again.
    """
    return [_gated(guard, tool, bounds, pending) for tool in tools]


def _gated(guard: Guard, tool: FunctionTool, bounds: Bounds, pending: Pending) -> Tool:
    # The framework turns an error into a text for the model; the gate has to see it as an error.
    bare = set_function_tool_failure_error_function(replace(tool), None)
    wrapped = Wrapped(guard, tool.name, tool.description, tool.params_json_schema, bounds)

    async def invoke(context: ToolContext[Any], raw: str) -> Any:  # noqa: ANN401 - the tool's own
        async def inner(arguments: Mapping[str, Json]) -> object:
            return await bare.on_invoke_tool(context, json.dumps(dict(arguments)))

        passed = await wrapped.call(_arguments(raw), inner, seen(context.turn_input, guard))
        if passed.record.state is CallState.DONE:
            return passed.value
        if waits(passed.record) and pending == "pause":
            raise CallPending(tool=tool.name, approval=passed.record.approval)
        return told(passed)

    return replace(tool, on_invoke_tool=invoke)


def seen(items: Iterable[object], guard: Guard) -> Texts:
    """Return what the input of a run says.

    What came back from tools since then, and what a provider keeps of a conversation, is no part of
    it. Items of kinds that are not known here are documents.
    """
    each = [cast("dict[str, Any]", item) for item in items if isinstance(item, dict)]
    calls: dict[object, str] = {
        item.get("call_id"): str(item.get("name"))
        for item in each
        if item.get("type") == "function_call"
    }
    return Texts((source for item in each for source in _sources(item, calls, guard)), whole=False)


def _sources(
    item: Mapping[str, Any], calls: Mapping[object, str], guard: Guard
) -> Iterable[Source]:
    kind, call = item.get("type", "message"), str(item.get("call_id") or item.get("id") or "input")
    if kind == "function_call_output":
        name = calls.get(call, "tool")
        said = _said(item.get("output"))
        results: list[Json] = [spoken(text) for text in said]
        given = results[0] if len(results) == 1 else results
        return result_sources(call, name, given, guard.trusts(tool_name(name)))
    if kind == "message" and item.get("role") == "user":
        texts = _said(item.get("content"))
        return [Source(call, Origin.USER, text, "the asker's words") for text in texts]
    if kind in _OWN:
        return ()
    return result_sources(call, str(kind), recorded(item), trusted=False)


def _said(content: object) -> list[str]:
    if isinstance(content, str):
        return [content]
    blocks = cast("list[object]", content) if isinstance(content, list) else []
    texts = [cast("dict[str, Any]", b).get("text") for b in blocks if isinstance(b, dict)]
    return [text for text in texts if isinstance(text, str)]


def _arguments(raw: str) -> dict[str, object]:
    try:
        value: object = json.loads(raw or "{}", object_pairs_hook=once)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        return {MALFORMED_ARGUMENTS: raw}
    return cast("dict[str, object]", value)
