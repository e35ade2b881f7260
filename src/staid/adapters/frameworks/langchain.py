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
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar, Token
from functools import cache
from typing import Any, cast

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool, ToolException
from pydantic import PrivateAttr

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
from staid.domain.canonical import Json
from staid.domain.errors import CallPending
from staid.gates.sources import Origin, Source, Texts, result_sources
from staid.runtime.blocking import blocking
from staid.runtime.guard import Guard, Passed


def gated(
    guard: Guard, tools: Sequence[BaseTool], *, bounds: Bounds, pending: Pending = "tell"
) -> list[BaseTool]:
    """Return the tools, each with the gate before it.

    With `pending="pause"` a call that waits interrupts its LangGraph graph, which a checkpointer
    keeps; resumed with anything, it is carried out only after a decision in Staid. Outside a graph
    `CallPending` is raised.
    """
    return [GatedTool.around(guard, tool, bounds, pending) for tool in tools]


STATE = "staid_state"
"""Under this name a tool node injects the state of its graph; no model can give it."""
_texts: ContextVar[Texts | None] = ContextVar("staid_texts", default=None)


class GatedTool(BaseTool):
    """A LangChain tool with the gate before it."""

    handle_tool_error: Any = True
    _inner: BaseTool = PrivateAttr()
    _wrapped: Wrapped = PrivateAttr()
    _pending: Pending = PrivateAttr(default="tell")
    _visible: tuple[str, ...] = PrivateAttr(default=())
    """The arguments that a model gives; all others are injected by the framework."""
    _guard: Guard = PrivateAttr()

    @property
    def coroutine(self) -> Callable[..., Any] | None:
        """What a tool node reads to know what to inject: the state of its graph, for the gate."""
        return _wants_state()

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
        made._guard = guard
        made._pending = pending
        made._visible = tuple(cast("dict[str, Json]", schema.get("properties", {})))
        made._wrapped = Wrapped(guard, tool.name, tool.description, schema, bounds)
        return made

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002, ANN401 - the framework's
        """Keep the state that a graph injects, and go on as any tool."""
        given, token = self._kept(input)
        try:
            return super().invoke(given, config, **kwargs)
        finally:
            _texts.reset(token)

    async def ainvoke(
        self,
        input: Any,  # noqa: A002, ANN401 - the framework's
        config: RunnableConfig | None = None,
        **kwargs: Any,  # noqa: ANN401 - the framework's
    ) -> Any:  # noqa: ANN401 - the framework's
        """Keep the state that a graph injects, and go on as any tool."""
        given, token = self._kept(input)
        try:
            return await super().ainvoke(given, config, **kwargs)
        finally:
            _texts.reset(token)

    def _kept(self, given: Any) -> tuple[Any, Token[Texts | None]]:  # noqa: ANN401 - the framework's
        """Return what a tool was called with, without the state that is for the gate."""
        call = cast("dict[str, Any]", given) if isinstance(given, dict) else {}
        inside = call.get("type") == "tool_call"
        arguments = cast("dict[str, Any]", call.get("args", {}) if inside else call)
        # A tool that asks for the runtime under a name of its own gets it; then ours is not given.
        runtimes = [each for each in arguments.values() if _is_runtime(each)]
        token = _texts.set(seen(runtimes[0].state, self._guard) if runtimes else None)
        if STATE in arguments:
            arguments = {name: value for name, value in arguments.items() if name != STATE}
            return ({**call, "args": arguments} if inside else arguments), token
        return cast("Any", given), token

    def _run(self, *args: object, config: RunnableConfig, **kwargs: object) -> object:
        def attempt() -> Passed:
            async def inner(arguments: Mapping[str, Json]) -> object:
                given = {**injected, **arguments}
                return await asyncio.to_thread(self._inner.invoke, given, config)

            return cast("Passed", blocking(lambda: self._wrapped.call(asked, inner, _texts.get())))

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
        passed = await self._wrapped.call(asked, inner, _texts.get())
        while waits(passed.record) and self._pending == "pause":
            _interrupt(self.name, passed)
            passed = await self._wrapped.call(asked, inner, _texts.get())
        return _result(passed)

    def _split(
        self, args: tuple[object, ...], kwargs: Mapping[str, object]
    ) -> tuple[dict[str, object], dict[str, object]]:
        """Part what the model said, which is ruled on, from what the framework adds."""
        given = {**dict(zip(self._visible, args, strict=False)), **kwargs}
        asked = {name: value for name, value in given.items() if name in self._visible}
        return asked, {name: value for name, value in given.items() if name not in asked}


def seen(state: object, guard: Guard) -> Texts:
    """Return what the messages of a graph's state say; its nodes may have told a model more."""
    return Texts((s for m in _messages(state) for s in _sources(m, guard)), whole=False)


def _messages(state: object) -> list[BaseMessage]:
    if isinstance(state, list):
        held: Iterable[object] = [cast("object", state)]
    else:  # a mapping, a model or a dataclass
        named = cast(
            "object", state if isinstance(state, Mapping) else getattr(state, "__dict__", {})
        )
        held = cast("Mapping[str, object]", named).values()
    lists = [cast("list[object]", value) for value in held if isinstance(value, list)]
    return [each for one in lists for each in one if isinstance(each, BaseMessage)]


def _sources(message: BaseMessage, guard: Guard) -> Iterable[Source]:
    match message:
        # A graph of several agents hands on what one said in another's name: the asker has none.
        case HumanMessage(name=None):
            id_ = message.id or "message"
            return [Source(id_, Origin.USER, text, "the asker's words") for text in _said(message)]
        case ToolMessage():
            name = message.name or "tool"
            trusted = message.status == "success" and guard.trusts(tool_name(name))
            result: list[Json] = [spoken(text) for text in _said(message)]
            given = result[0] if len(result) == 1 else result
            return result_sources(message.tool_call_id, name, given, trusted)
        case AIMessage() | SystemMessage():
            return ()  # the model's own words, and those of whoever built the agent
        case _:
            id_, name = message.id or "message", message.name or message.type
            return [Source(id_, Origin.DOCUMENT, text, name) for text in _said(message)]


def _said(message: BaseMessage) -> list[str]:
    content = cast("str | list[str | dict[str, Any]]", message.content)
    if isinstance(content, str):
        return [content]
    texts = [each if isinstance(each, str) else each.get("text") for each in content]
    return [text for text in texts if isinstance(text, str)]


@cache
def _wants_state() -> Callable[..., Any] | None:
    """Return a signature that asks a tool node for its runtime; None where there is no graph."""
    try:
        from langgraph.prebuilt import ToolRuntime
    except ModuleNotFoundError:
        return None

    async def declared(**_: object) -> None: ...

    declared.__annotations__ = {STATE: ToolRuntime}
    return declared


def _is_runtime(value: object) -> bool:
    wants = _wants_state()
    return wants is not None and isinstance(value, wants.__annotations__[STATE])


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
