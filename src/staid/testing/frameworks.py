"""Agents of other frameworks with a scripted model and one gated tool, driven alike.

The frameworks are real and so is the gate; only the model is scripted: it proposes the calls it is
told to, then says what the tools gave back.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, cast

from staid.adapters.frameworks.wrapping import Bounds, Pending
from staid.domain.canonical import Json
from staid.runtime.guard import Guard

Asked = Sequence[Mapping[str, Json]]
"""The arguments of each call that the scripted model proposes, in one message."""


Ask: TypeAlias = Callable[[], Awaitable[str]]
"""Lets an agent propose its calls, and returns what its model was told, joined."""


class Maker(Protocol):
    """One framework: makes an agent with one tool, to be asked as often as one likes."""

    def __call__(
        self, guard: Guard, function: Callable[..., Any], asked: Asked, bounds: Bounds
    ) -> Ask:
        """Make the agent; what it proposes is read from `asked` whenever it is asked."""
        ...


class Driver(Protocol):
    """One framework: an agent with one tool, asked once."""

    def __call__(
        self, guard: Guard, function: Callable[..., Any], asked: Asked, bounds: Bounds
    ) -> str:
        """Let the agent propose the calls, and return what its model was told, joined."""
        ...


@dataclass(frozen=True, slots=True)
class Proposal:
    """One call as a framework's model proposes it."""

    id: str
    tool: str
    arguments: Mapping[str, Json]


def proposals(function: Callable[..., Any], asked: Asked) -> list[Proposal]:
    """Return the proposals with the ids of a provider: unique in one response, nothing more."""
    name = function.__name__
    return [Proposal(f"call_{number}", name, each) for number, each in enumerate(asked)]


def _pydantic_ai(guard: Guard, function: Callable[..., Any], asked: Asked, bounds: Bounds) -> Ask:
    agent = pydantic_ai_agent(guard, function, asked, bounds)

    async def ask() -> str:
        return str((await agent.run("go")).output)

    return ask


def pydantic_ai_agent(
    guard: Guard,
    function: Callable[..., Any],
    asked: Asked,
    bounds: Bounds,
    pending: Pending = "tell",
) -> Any:  # noqa: ANN401 - an agent of the framework, whatever its type parameters
    """Return a Pydantic AI agent whose model proposes the calls, then repeats what it was told."""
    from pydantic_ai import Agent, DeferredToolRequests
    from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart
    from pydantic_ai.messages import ToolReturnPart as Returned
    from pydantic_ai.models.function import AgentInfo, FunctionModel

    from staid.adapters.frameworks.pydantic_ai import gated

    async def model(messages: list[ModelMessage], _info: AgentInfo) -> ModelResponse:
        parts = [part for message in messages for part in message.parts]
        told = [str(part.content) for part in parts if isinstance(part, Returned)]
        if told:
            return ModelResponse([TextPart(" | ".join(told))])
        calls = [
            ToolCallPart(p.tool, dict(p.arguments), tool_call_id=p.id)
            for p in proposals(function, asked)
        ]
        return ModelResponse(calls)

    tools: Any = [function]
    toolset: Any = gated(guard, tools, bounds=bounds, pending=pending)
    return Agent(FunctionModel(model), toolsets=[toolset], output_type=[str, DeferredToolRequests])


def _langgraph(guard: Guard, function: Callable[..., Any], asked: Asked, bounds: Bounds) -> Ask:
    graph = langgraph_graph(guard, function, asked, bounds, checkpointer=False)

    async def ask() -> str:
        state = await graph.ainvoke({"messages": [("user", "go")]})
        return str(state["messages"][-1].content)

    return ask


def langgraph_graph(
    guard: Guard,
    function: Callable[..., Any],
    asked: Asked,
    bounds: Bounds,
    pending: Pending = "tell",
    checkpointer: Any = None,  # noqa: ANN401 - any of the framework's; False: none
) -> Any:  # noqa: ANN401 - a compiled graph of the framework
    """Return a graph whose model proposes the calls, then repeats what it was told."""
    from langchain_core.messages import AIMessage, ToolMessage
    from langchain_core.tools import StructuredTool
    from langgraph.checkpoint.memory import InMemorySaver
    from langgraph.graph import START, MessagesState, StateGraph
    from langgraph.prebuilt import ToolNode, tools_condition

    from staid.adapters.frameworks.langchain import gated

    def model(state: MessagesState) -> dict[str, Any]:
        told = [str(m.content) for m in state["messages"] if isinstance(m, ToolMessage)]
        if told:
            return {"messages": [AIMessage(" | ".join(told))]}
        calls = [
            {"name": p.tool, "args": dict(p.arguments), "id": p.id}
            for p in proposals(function, asked)
        ]
        return {"messages": [AIMessage("", tool_calls=cast("list[Any]", calls))]}

    tool = StructuredTool.from_function(
        func=None if inspect.iscoroutinefunction(function) else function,
        coroutine=function if inspect.iscoroutinefunction(function) else None,
    )
    builder = StateGraph(MessagesState)
    builder.add_node("model", model)
    builder.add_node("tools", ToolNode(gated(guard, [tool], bounds=bounds, pending=pending)))
    builder.add_edge(START, "model")
    builder.add_conditional_edges("model", tools_condition)
    builder.add_edge("tools", "model")
    return builder.compile(InMemorySaver() if checkpointer is None else checkpointer)


def _openai_agents(guard: Guard, function: Callable[..., Any], asked: Asked, bounds: Bounds) -> Ask:
    from agents import Runner

    agent = openai_agent(guard, function, asked, bounds)

    async def ask() -> str:
        return str((await Runner.run(agent, "go")).final_output)

    return ask


def openai_agent(
    guard: Guard,
    function: Callable[..., Any],
    asked: Asked,
    bounds: Bounds,
    pending: Pending = "tell",
) -> Any:  # noqa: ANN401 - an agent of the framework
    """Return an agent whose model proposes the calls, then repeats what it was told."""
    from agents import Agent, function_tool, set_tracing_disabled
    from agents.items import ModelResponse
    from agents.models.interface import Model
    from agents.usage import Usage
    from openai.types.responses import (
        ResponseFunctionToolCall,
        ResponseOutputMessage,
        ResponseOutputText,
    )

    from staid.adapters.frameworks.openai_agents import gated

    set_tracing_disabled(disabled=True)

    class Scripted(Model):
        """Proposes the calls, then repeats what it was told."""

        async def get_response(self, *args: Any, **kwargs: Any) -> ModelResponse:  # noqa: ANN401 - the interface's many
            items = kwargs.get("input", args[1] if len(args) > 1 else [])
            outputs = [
                str(cast("dict[str, Any]", item)["output"])
                for item in cast("list[object]", items if isinstance(items, list) else [])
                if isinstance(item, dict)
                and cast("dict[str, Any]", item).get("type") == "function_call_output"
            ]
            if outputs:
                text = ResponseOutputText(
                    text=" | ".join(outputs), type="output_text", annotations=[]
                )
                said = ResponseOutputMessage(
                    id="m", content=[text], role="assistant", status="completed", type="message"
                )
                return ModelResponse(output=[said], usage=Usage(), response_id=None)
            calls = [
                ResponseFunctionToolCall(
                    arguments=json.dumps(dict(p.arguments)),
                    call_id=p.id,
                    name=p.tool,
                    type="function_call",
                )
                for p in proposals(function, asked)
            ]
            return ModelResponse(output=list(calls), usage=Usage(), response_id=None)

        def stream_response(self, *_: Any, **__: Any) -> Any:  # noqa: ANN401 - the interface's many
            """Refuse: this model does not stream."""
            raise NotImplementedError

    tool = function_tool(function)
    tools = gated(guard, [tool], bounds=bounds, pending=pending)
    return Agent(name="crew", model=Scripted(), tools=tools)


AGENTS: Mapping[str, Maker] = {
    "pydantic_ai": _pydantic_ai,
    "langgraph": _langgraph,
    "openai_agents": _openai_agents,
}
"""By name."""


def _driver(make: Maker) -> Driver:
    def drive(guard: Guard, function: Callable[..., Any], asked: Asked, bounds: Bounds) -> str:
        async def work() -> str:
            return await make(guard, function, asked, bounds)()

        return asyncio.run(work())

    return drive


DRIVERS: Mapping[str, Driver] = {name: _driver(make) for name, make in AGENTS.items()}
"""By name, each with an agent of its own for one question."""
