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
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from agents import FunctionTool, Tool
from agents.tool import set_function_tool_failure_error_function
from agents.tool_context import ToolContext

from staid.adapters.frameworks.wrapping import Bounds, Pending, Wrapped, told, waits
from staid.domain.call import CallState
from staid.domain.canonical import Json, once
from staid.domain.errors import CallPending
from staid.domain.message import MALFORMED_ARGUMENTS
from staid.runtime.guard import Guard


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

        passed = await wrapped.call(_arguments(raw), inner)
        if passed.record.state is CallState.DONE:
            return passed.value
        if waits(passed.record) and pending == "pause":
            raise CallPending(tool=tool.name, approval=passed.record.approval)
        return told(passed)

    return replace(tool, on_invoke_tool=invoke)


def _arguments(raw: str) -> dict[str, object]:
    try:
        value: object = json.loads(raw or "{}", object_pairs_hook=once)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        return {MALFORMED_ARGUMENTS: raw}
    return cast("dict[str, object]", value)
