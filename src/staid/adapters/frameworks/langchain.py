"""The gate before LangChain tools, wherever they are called: an agent, a chain, a LangGraph node.

```python
bounds = {"refund": {"effect": "write", "requires_approval": large}}
tools = gated(project.guard, [refund], bounds=bounds)
graph = create_agent(model, tools)
with project.acting("user:ada", agent="crew", key=thread):
    graph.invoke({"messages": […]}, {"configurable": {"thread_id": thread}})
```
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool, ToolException
from pydantic import PrivateAttr

from staid.adapters.frameworks.wrapping import Bounds, Pending, Wrapped, told, waits
from staid.domain.call import CallState
from staid.domain.canonical import Json
from staid.domain.errors import CallPending
from staid.runtime.guard import Guard, Passed, blocking


def gated(
    guard: Guard, tools: Sequence[BaseTool], *, bounds: Bounds, pending: Pending = "tell"
) -> list[BaseTool]:
    """Return the tools, each with the gate before it.

    With `pending="pause"` a call that waits interrupts its LangGraph graph, which a checkpointer
    keeps; resumed with anything, it is carried out only after a decision in Staid. Outside a graph
    `CallPending` is raised.
    """
    return [GatedTool.around(guard, tool, bounds, pending) for tool in tools]


class GatedTool(BaseTool):
    """A LangChain tool with the gate before it."""

    handle_tool_error: Any = True
    _inner: BaseTool = PrivateAttr()
    _wrapped: Wrapped = PrivateAttr()
    _pending: Pending = PrivateAttr(default="tell")
    _visible: tuple[str, ...] = PrivateAttr(default=())
    """The arguments that a model gives; all others are injected by the framework."""

    @classmethod
    def around(cls, guard: Guard, tool: BaseTool, bounds: Bounds, pending: Pending) -> BaseTool:
        """Return the tool with the gate before it; raise `ToolInvalid` for unusable bounds."""
        schema = _schema(tool)
        made = cls(
            name=tool.name,
            description=tool.description,
            args_schema=tool.args_schema,
            return_direct=tool.return_direct,
        )
        made._inner = tool
        made._pending = pending
        made._visible = tuple(cast("dict[str, Json]", schema.get("properties", {})))
        made._wrapped = Wrapped(guard, tool.name, tool.description, schema, bounds)
        return made

    def _run(self, *args: object, config: RunnableConfig, **kwargs: object) -> object:
        def attempt() -> Passed:
            async def inner(arguments: Mapping[str, Json]) -> object:
                given = {**injected, **arguments}
                return await asyncio.to_thread(self._inner.invoke, given, config)

            return cast("Passed", blocking(lambda: self._wrapped.call(asked, inner)))

        asked, injected = self._split(args, kwargs)
        passed = attempt()
        while waits(passed.record) and self._pending == "pause":
            _interrupt(self.name, passed)
            passed = attempt()
        return _result(passed)

    async def _arun(self, *args: object, config: RunnableConfig, **kwargs: object) -> object:
        async def inner(arguments: Mapping[str, Json]) -> object:
            return await self._inner.ainvoke({**injected, **arguments}, config)

        asked, injected = self._split(args, kwargs)
        passed = await self._wrapped.call(asked, inner)
        while waits(passed.record) and self._pending == "pause":
            _interrupt(self.name, passed)
            passed = await self._wrapped.call(asked, inner)
        return _result(passed)

    def _split(
        self, args: tuple[object, ...], kwargs: Mapping[str, object]
    ) -> tuple[dict[str, object], dict[str, object]]:
        """Part what the model said, which is ruled on, from what the framework adds."""
        given = {**dict(zip(self._visible, args, strict=False)), **kwargs}
        asked = {name: value for name, value in given.items() if name in self._visible}
        return asked, {name: value for name, value in given.items() if name not in asked}


def _schema(tool: BaseTool) -> dict[str, Json]:
    schema: Any = tool.tool_call_schema
    if isinstance(schema, dict):
        return cast("dict[str, Json]", schema)
    return schema.model_json_schema()


def _interrupt(name: str, passed: Passed) -> None:
    """Pause the graph; return when it is resumed, with whatever. Raise outside a graph."""
    pending = CallPending(tool=name, approval=passed.record.approval)
    try:
        from langgraph.types import interrupt
    except ModuleNotFoundError as error:
        raise pending from error
    try:
        interrupt({"approval": passed.record.approval, "tool": name, "message": told(passed)})
    except (RuntimeError, KeyError) as error:  # not inside a graph
        raise pending from error


def _result(passed: Passed) -> object:
    if passed.record.state is CallState.DONE:
        return passed.value
    raise ToolException(told(passed))
