"""Five ways to one gate: a turn of ours, three frameworks, and MCP, with the same three tools.

Frameworks, client and servers are real; only the models are scripted. Each way lets an agent make
calls one after the other, each after the result of the one before.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias, cast

from pydantic import BaseModel

from staid.domain.call import CallRecord, CallState
from staid.domain.canonical import Json
from staid.domain.message import ModelRequest, ModelResponse, ProposedCall
from staid.project.deciding import decide, record_decision
from staid.project.project import Project
from staid.runtime.parts import AgentSpec

Steps: TypeAlias = Sequence[tuple[str, Mapping[str, Json]]]
"""Name of a tool and the arguments of each call in turn."""

BOUNDS: dict[str, dict[str, Any]] = {
    "look": {"effect": "read", "trusted": True},
    "mail": {"effect": "read"},
    "pay": {"effect": "write", "requires_approval": False},
}


class Person(BaseModel):
    """Arguments of `look` and `mail`."""

    name: str


class Pay(BaseModel):
    """Arguments of `pay`."""

    account: str
    amount: float


@dataclass
class Bank:
    """What the tools know, and what they did."""

    record: dict[str, str] = field(default_factory=dict[str, str])
    """What the bank itself wrote down."""
    letter: str = ""
    """What anybody may have written."""
    paid: list[tuple[str, float]] = field(default_factory=list[tuple[str, float]])

    def look(self, name: str) -> dict[str, str]:
        """Look somebody up."""
        return {"name": name, **self.record}

    def mail(self, name: str) -> dict[str, str]:
        """Read what somebody wrote."""
        return {"from": name, "text": self.letter}

    def pay(self, account: str, amount: float) -> str:
        """Pay somebody."""
        self.paid.append((account, amount))
        return f"paid {amount:g}"


class Way:
    """One way to the gate, in one project."""

    def __init__(self, project: Project, bank: Bank) -> None:
        """Put the tools of the bank behind the gate of the project."""
        self.project = project
        self.bank = bank

    def say(self, prompt: str, steps: Steps) -> None:
        """Let Ada say something to an agent that makes these calls."""
        raise NotImplementedError

    def approve(self, prompt: str, steps: Steps) -> None:
        """Let the lead approve what waits, and the agent go on as it does after that."""
        for each in self.project.wiring.ledger.approvals(CallState.PENDING):
            record_decision(self.project, each.id, "approve", approver="user:lead")
        self.say(prompt, steps)

    def calls(self) -> list[CallRecord]:
        """Return every call that was ruled on, in order."""
        runs = [record.run for record in self.project.wiring.records.runs()]
        return [call for run in reversed(runs) for call in self.project.calls(run)]


class Plain(Way):
    """A turn of ours."""

    def __init__(self, project: Project, bank: Bank) -> None:
        """Register the tools with the project, and let its agent play what it is told to."""
        super().__init__(project, bank)
        self._left: list[ModelResponse] = []

        def look(p: Person) -> dict[str, str]:
            """Look somebody up."""
            return bank.look(p.name)

        def mail(p: Person) -> dict[str, str]:
            """Read what somebody wrote."""
            return bank.mail(p.name)

        def pay(p: Pay) -> str:
            """Pay somebody."""
            return bank.pay(p.account, p.amount)

        project.tool("look", **BOUNDS["look"])(look)
        project.tool("mail", **BOUNDS["mail"])(mail)
        project.tool("pay", **BOUNDS["pay"], result="Paid {amount} to {account}.")(pay)
        known = project.wiring.agent_spec
        project.wiring.agent_spec = lambda name: self._played(known(name))  # type: ignore[method-assign]

    name = "play"

    async def generate(self, request: ModelRequest) -> ModelResponse:
        """Make the next call; say nothing when there is none left."""
        del request
        return self._left.pop(0) if self._left else ModelResponse("", (), self.name)

    def _played(self, spec: AgentSpec) -> AgentSpec:
        return replace(spec, model=lambda: self)

    def say(self, prompt: str, steps: Steps) -> None:
        """Ask the agent."""
        self._left = [
            ModelResponse("", (ProposedCall(f"call_{n}", tool, arguments),), self.name)
            for n, (tool, arguments) in enumerate(steps)
        ]
        self.project.agent_named("support").ask_sync(prompt, asker="user:ada")

    def approve(self, prompt: str, steps: Steps) -> None:
        """Let the turn that waits go on."""
        del prompt, steps
        for each in self.project.wiring.ledger.approvals(CallState.PENDING):
            asyncio.run(decide(self.project, each.id, "approve", approver="user:lead"))


class _Framework(Way):
    """An agent on another framework, run again under the same key after a decision."""

    def say(self, prompt: str, steps: Steps) -> None:
        """Run the agent."""
        self.project.tools.clear()  # as in a process of its own
        with self.project.acting("user:ada", agent="crew", key="ticket-1"):
            self.run(prompt, steps)

    def run(self, prompt: str, steps: Steps) -> None:
        """Run it once."""
        raise NotImplementedError

    @property
    def functions(self) -> list[Callable[..., Any]]:
        """The tools as plain functions."""
        return [self.bank.look, self.bank.mail, self.bank.pay]


class PydanticAI(_Framework):
    """A Pydantic AI agent."""

    def run(self, prompt: str, steps: Steps) -> None:
        """Run it once."""
        from pydantic_ai import Agent
        from pydantic_ai.messages import ModelMessage, TextPart, ToolCallPart
        from pydantic_ai.messages import ModelResponse as Response
        from pydantic_ai.models.function import AgentInfo, FunctionModel

        from staid.adapters.frameworks.pydantic_ai import gated

        def play(messages: list[ModelMessage], _: AgentInfo) -> Response:
            made = sum(isinstance(p, ToolCallPart) for m in messages for p in m.parts)
            if made == len(steps):
                return Response([TextPart("Done.")])
            tool, arguments = steps[made]
            return Response([ToolCallPart(tool, dict(arguments), f"call_{made}")])

        tools: Any = self.functions
        toolset: Any = gated(self.project.guard, tools, bounds=BOUNDS)
        asyncio.run(Agent(FunctionModel(play), toolsets=[toolset]).run(prompt))


class LangGraph(_Framework):
    """A LangGraph graph of a model and a tool node."""

    def run(self, prompt: str, steps: Steps) -> None:
        """Run it once."""
        from langchain_core.messages import AIMessage
        from langchain_core.tools import StructuredTool
        from langgraph.graph import START, MessagesState, StateGraph
        from langgraph.prebuilt import ToolNode, tools_condition

        from staid.adapters.frameworks.langchain import gated

        def model(state: MessagesState) -> dict[str, Any]:
            made = sum(isinstance(m, AIMessage) for m in state["messages"])
            if made == len(steps):
                return {"messages": [AIMessage("Done.")]}
            tool, arguments = steps[made]
            call: Any = {"name": tool, "args": dict(arguments), "id": f"call_{made}"}
            return {"messages": [AIMessage("", tool_calls=[call])]}

        tools = [StructuredTool.from_function(each) for each in self.functions]
        builder = StateGraph(MessagesState)
        builder.add_node("model", model)
        builder.add_node("tools", ToolNode(gated(self.project.guard, tools, bounds=BOUNDS)))
        builder.add_edge(START, "model")
        builder.add_conditional_edges("model", tools_condition)
        builder.add_edge("tools", "model")
        asyncio.run(builder.compile().ainvoke(cast("Any", {"messages": [("user", prompt)]})))


class OpenAIAgents(_Framework):
    """An agent of the OpenAI Agents SDK."""

    def run(self, prompt: str, steps: Steps) -> None:
        """Run it once."""
        from agents import Agent, Runner, function_tool, set_tracing_disabled

        from staid.adapters.frameworks.openai_agents import gated

        set_tracing_disabled(disabled=True)
        tools = [function_tool(each) for each in self.functions]
        given = gated(self.project.guard, tools, bounds=BOUNDS)
        agent: Any = Agent(name="crew", model=_openai_model(steps), tools=given)
        asyncio.run(Runner.run(agent, prompt, max_turns=len(steps) + 1))


def _openai_model(steps: Steps) -> Any:  # noqa: ANN401 - a model of the framework
    from agents.items import ModelResponse as Response
    from agents.models.interface import Model
    from agents.usage import Usage
    from openai.types.responses import (
        ResponseFunctionToolCall,
        ResponseOutputMessage,
        ResponseOutputText,
    )

    class Played(Model):
        """Makes the next call; says that it is done when there is none left."""

        async def get_response(self, *args: Any, **kwargs: Any) -> Response:  # noqa: ANN401 - the interface's many
            items: Any = kwargs.get("input", args[1] if len(args) > 1 else [])
            results = [each for each in items if "output" in each] if items else []
            made = len(results)
            output: list[Any] = []
            if made == len(steps):
                text = ResponseOutputText(text="Done.", type="output_text", annotations=[])
                said = {"role": "assistant", "status": "completed", "type": "message"}
                output.append(ResponseOutputMessage(id="m", content=[text], **cast("Any", said)))
            else:
                tool, given = steps[made]
                call = {"call_id": f"call_{made}", "name": tool, "type": "function_call"}
                arguments = json.dumps(dict(given))
                output.append(ResponseFunctionToolCall(arguments=arguments, **cast("Any", call)))
            return Response(output=output, usage=Usage(), response_id=None)

        def stream_response(self, *_: Any, **__: Any) -> Any:  # noqa: ANN401 - the interface's many
            """Refuse: this model does not stream."""
            raise NotImplementedError

    return Played()


class Mcp(Way):
    """A client, the gateway, and a server with the tools behind it; nobody hands over prompts."""

    def say(self, prompt: str, steps: Steps) -> None:
        """Make the calls in one session; what is said does not reach a gateway."""
        del prompt
        asyncio.run(self._session(steps))

    async def _session(self, steps: Steps) -> None:
        from mcp import Client
        from mcp.server.mcpserver import MCPServer

        from staid.adapters.frameworks.mcp.definition import Bounds
        from staid.adapters.frameworks.mcp.pins import Pins
        from staid.adapters.frameworks.mcp.upstream import ServerSettings, Upstream
        from staid.project.gatewaying import opened

        bank = MCPServer("bank")
        for tool in (self.bank.look, self.bank.mail, self.bank.pay):
            bank.add_tool(tool)
        bounds = Bounds(read=("look", "mail"), write=("pay",), trusted=("look",))
        self.project.tools.clear()
        async with Client(bank) as inner:
            upstream = Upstream(ServerSettings("bank", bounds=bounds), inner)
            pins = Pins(self.project.settings.directory_path)
            async with opened(self.project, "user:ada", [upstream], pins, agent="crew") as gateway:
                await self._talk(gateway, steps)

    async def _talk(self, gateway: Any, steps: Steps) -> None:  # noqa: ANN401 - imported lazily
        from mcp import Client

        async with Client(gateway.server()) as client:
            for tool, arguments in steps:
                await client.call_tool(tool, dict(arguments))


WAYS: Mapping[str, type[Way]] = {
    "plain": Plain,
    "pydantic_ai": PydanticAI,
    "langgraph": LangGraph,
    "openai_agents": OpenAIAgents,
    "mcp": Mcp,
}
"""By name."""
