"""One process of one framework with its own human approval, which dies where it is told to.

Run by `peers_effects.py` inside `.venv-effects-peers`; nothing of Staid is imported here. The model
is scripted: it proposes one refund, then says what the tool gave back. Everything else is the
framework's own: its approval, its durable state, and the way its documentation resumes.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

ORDER, AMOUNT = "1001", "150"


class World:
    """A folder: what the outside saw, what a human decided, and where this process dies."""

    def __init__(self, folder: Path, crash: str) -> None:
        """Use this folder, and die at this point; empty: nowhere."""
        self.folder = folder
        self._crash = crash

    def at(self, point: str) -> None:
        """Die here, as a machine does, if this is the point."""
        if point == self._crash:
            os.kill(os.getpid(), signal.SIGKILL)

    def refund(self, order_id: str, amount: str) -> str:
        """Let the effect happen: one line in a file that only grows."""
        self.at("before effect")
        line = json.dumps({"order": order_id, "amount": amount}) + "\n"
        file = os.open(self.folder / "effects", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(file, line.encode())
        os.fsync(file)
        os.close(file)
        self.at("after effect")
        return f"refunded {amount} on {order_id}"

    def keep(self, name: str, text: str) -> None:
        """Store text as a careful application would: whole or not at all."""
        part = self.folder / f"{name}.part"
        with part.open("w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        part.rename(self.folder / name)

    def kept(self, name: str) -> str | None:
        """Return what was stored, or None."""
        path = self.folder / name
        return path.read_text() if path.exists() else None


def pydantic_ai_agent(world: World, **options: Any) -> Any:
    """Return a Pydantic AI agent whose refund needs an approval."""
    from pydantic_ai import Agent, DeferredToolRequests
    from pydantic_ai.messages import ModelResponse, TextPart, ToolCallPart, ToolReturnPart
    from pydantic_ai.models.function import FunctionModel

    async def model(messages: list[Any], _info: Any) -> ModelResponse:
        parts = [part for message in messages for part in message.parts]
        told = [str(part.content) for part in parts if isinstance(part, ToolReturnPart)]
        if told:
            world.at("after record")
            return ModelResponse([TextPart(told[-1])])
        arguments = {"order_id": ORDER, "amount": AMOUNT}
        return ModelResponse([ToolCallPart("refund", arguments, tool_call_id="call_0")])

    agent = Agent(
        FunctionModel(model), output_type=[str, DeferredToolRequests], name="support", **options
    )

    def refund(order_id: str, amount: str) -> str:
        """Refund an order."""
        return world.refund(order_id, amount)

    agent.tool_plain(refund, requires_approval=True)
    return agent


def pydantic_ai(world: World) -> str:
    """Approve in a second run with the stored history, as the page on deferred tools shows."""
    from pydantic_ai import DeferredToolResults
    from pydantic_ai.messages import ModelMessagesTypeAdapter

    agent = pydantic_ai_agent(world)
    history = world.kept("history")
    if history is None:
        asked = agent.run_sync("Refund my order.")
        history = asked.all_messages_json().decode()
        world.keep("history", history)
    world.at("before approval")
    world.keep("approval", "approved")
    world.at("after approval")
    results = DeferredToolResults(approvals={"call_0": True})
    messages = ModelMessagesTypeAdapter.validate_json(history)
    done = agent.run_sync(message_history=messages, deferred_tool_results=results)
    return str(done.output)


def pydantic_ai_dbos(world: World) -> str:
    """Run agent, wait for the approval and run again, all inside one durable DBOS workflow."""
    from dbos import DBOS, DBOSConfig, SetWorkflowID
    from pydantic_ai import DeferredToolResults
    from pydantic_ai.durable_exec.dbos import DBOSDurability

    url = f"sqlite:///{world.folder / 'dbos.sqlite'}"
    config = DBOSConfig(
        name="support",
        system_database_url=url,
        application_version="1",
        executor_id="one",
        log_level="ERROR",
        notification_listener_polling_interval_sec=0.01,
    )
    DBOS(config=config)
    agent = pydantic_ai_agent(world, capabilities=[DBOSDurability()])

    @DBOS.workflow(name="support")
    async def support() -> str:
        asked = await agent.run("Refund my order.")
        world.at("before approval")
        if not await DBOS.recv_async("approval", timeout_seconds=20):
            return "nobody approved"
        world.at("after approval")
        results = DeferredToolResults(approvals={"call_0": True})
        messages = asked.all_messages()
        done = await agent.run(message_history=messages, deferred_tool_results=results)
        return str(done.output)

    async def main() -> str:
        DBOS.launch()
        with SetWorkflowID("ticket"):
            handle = await DBOS.start_workflow_async(support)
        await DBOS.send_async("ticket", "approved", "approval", idempotency_key="approval")
        return str(await handle.get_result())

    said = asyncio.run(main())
    DBOS.destroy()
    return said


def langgraph(world: World) -> str:
    """Use LangChain's middleware for human approval over LangGraph's SQLite checkpointer."""
    from langchain.agents import create_agent
    from langchain.agents.middleware import HumanInTheLoopMiddleware
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage, ToolMessage
    from langchain_core.outputs import ChatGeneration, ChatResult
    from langgraph.checkpoint.sqlite import SqliteSaver
    from langgraph.types import Command

    class Scripted(BaseChatModel):
        """Proposes the refund, then repeats what it was told."""

        @property
        def _llm_type(self) -> str:
            return "scripted"

        def bind_tools(self, tools: Any, **_: Any) -> Any:
            return self

        def _generate(self, messages: Any, *_: Any, **__: Any) -> ChatResult:
            told = [str(m.content) for m in messages if isinstance(m, ToolMessage)]
            if told:
                world.at("after record")
                said = AIMessage(told[-1])
            else:
                arguments = {"order_id": ORDER, "amount": AMOUNT}
                call = {"name": "refund", "args": arguments, "id": "call_0"}
                said = AIMessage("", tool_calls=[call])
            return ChatResult(generations=[ChatGeneration(message=said)])

    def refund(order_id: str, amount: str) -> str:
        """Refund an order."""
        return world.refund(order_id, amount)

    thread: Any = {"configurable": {"thread_id": "ticket"}}
    with SqliteSaver.from_conn_string(str(world.folder / "checkpoints.sqlite")) as saver:
        approvals = HumanInTheLoopMiddleware(interrupt_on={"refund": True})
        agent: Any = create_agent(Scripted(), [refund], middleware=[approvals], checkpointer=saver)
        state = agent.get_state(thread)
        if not state.values:
            agent.invoke({"messages": [("user", "Refund my order.")]}, thread)
            state = agent.get_state(thread)
        world.at("before approval")
        if state.interrupts and world.kept("approval") is None:
            world.keep("approval", "approved")
        world.at("after approval")
        # Whoever lost the process resumes the thread: with the decision while it still waits for
        # one, and with nothing where the graph was cut off in the middle.
        go_on = Command(resume={"decisions": [{"type": "approve"}]}) if state.interrupts else None
        if not state.next:
            return str(state.values["messages"][-1].content)
        return str(agent.invoke(go_on, thread, durability="sync")["messages"][-1].content)


def openai_agents(world: World) -> str:
    """Store the run's state while it waits, and run it on after the approval, as the docs show."""
    from agents import Agent, Runner, RunState, function_tool, set_tracing_disabled
    from agents.items import ModelResponse
    from agents.models.interface import Model
    from agents.usage import Usage
    from openai.types.responses import (
        ResponseFunctionToolCall,
        ResponseOutputMessage,
        ResponseOutputText,
    )

    set_tracing_disabled(disabled=True)

    class Scripted(Model):
        """Proposes the refund, then repeats what it was told."""

        async def get_response(self, *args: Any, **kwargs: Any) -> ModelResponse:
            items = kwargs.get("input", args[1] if len(args) > 1 else [])
            told = [
                str(item["output"])
                for item in (items if isinstance(items, list) else [])
                if isinstance(item, dict) and item.get("type") == "function_call_output"
            ]
            output: Any
            if told:
                world.at("after record")
                text = ResponseOutputText(text=told[-1], type="output_text", annotations=[])
                output = ResponseOutputMessage(
                    id="m", content=[text], role="assistant", status="completed", type="message"
                )
            else:
                arguments = json.dumps({"order_id": ORDER, "amount": AMOUNT})
                output = ResponseFunctionToolCall(
                    call_id="call_0", name="refund", arguments=arguments, type="function_call"
                )
            return ModelResponse(output=[output], usage=Usage(), response_id=None)

        def stream_response(self, *_: Any, **__: Any) -> Any:
            raise NotImplementedError

    def refund(order_id: str, amount: str) -> str:
        """Refund an order."""
        return world.refund(order_id, amount)

    tool = function_tool(refund, needs_approval=True)
    agent = Agent(name="support", model=Scripted(), tools=[tool])

    async def main() -> str:
        kept = world.kept("state")
        if kept is None:
            asked = await Runner.run(agent, "Refund my order.")
            kept = asked.to_state().to_string()
            world.keep("state", kept)
        world.at("before approval")
        state = await RunState.from_string(agent, kept)
        for item in state.get_interruptions():
            state.approve(item)
        world.keep("approval", "approved")
        world.at("after approval")
        return str((await Runner.run(agent, state)).final_output)

    return asyncio.run(main())


PEERS = {
    "Pydantic AI": pydantic_ai,
    "Pydantic AI + DBOS": pydantic_ai_dbos,
    "LangChain + LangGraph": langgraph,
    "OpenAI Agents": openai_agents,
}


def main() -> None:
    """Live once: ask, approve, run; print what the model was told."""
    peer, folder, crash = sys.argv[1:4]
    print(PEERS[peer](World(Path(folder), crash)))


if __name__ == "__main__":
    main()
