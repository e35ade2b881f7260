"""Each framework's own way to wait for a person: none of them decides, all end at the gate."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pytest
from agents import Runner, UserError
from langchain_core.tools import InjectedToolArg, StructuredTool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command
from pydantic_ai import DeferredToolRequests, DeferredToolResults, ToolApproved

from staid.adapters.frameworks.langchain import gated
from staid.domain.call import CallState
from staid.domain.errors import CallPending
from staid.project.deciding import record_decision
from staid.project.project import Project
from staid.testing.frameworks import langgraph_graph, openai_agent, pydantic_ai_agent

Bounds = dict[str, dict[str, Any]]
ASKED = [{"order_id": "R-1", "amount": 240}]


@pytest.fixture
def refund(effects: Path) -> Callable[..., str]:
    """Give a sync function that leaves a line."""

    def refund(order_id: str, amount: float) -> str:
        """Refund an order."""
        with effects.open("a") as file:
            file.write(f"{order_id} {amount:g}\n")
        return f"refunded {amount:g}"

    return refund


def approve(project: Project) -> None:
    """Let the lead approve what waits."""
    (waiting,) = project.wiring.ledger.approvals(CallState.PENDING)
    record_decision(project, waiting.id, "approve", approver="user:lead")


def test_pydantic_ai_approval_does_not_decide(
    project: Project, refund: Callable[..., str], effects: Path, bounds: Bounds
) -> None:
    """Deferred, approved and edited in the framework, a call runs only as Staid decided it."""

    async def resume(history: Any, results: DeferredToolResults) -> Any:
        return await agent.run(message_history=history, deferred_tool_results=results)

    with project.acting("user:ada", agent="crew", key="k"):
        agent = pydantic_ai_agent(project.guard, refund, ASKED, bounds, "pause")
        first = asyncio.run(agent.run("go"))
        assert isinstance(first.output, DeferredToolRequests)
        (deferred,) = first.output.approvals
        history = first.all_messages()
        yes = DeferredToolResults(approvals={deferred.tool_call_id: True})
        again = asyncio.run(resume(history, yes))
        assert isinstance(again.output, DeferredToolRequests)
        assert effects.read_text() == ""
        more = ToolApproved(override_args={"order_id": "R-1", "amount": 900})
        edited = DeferredToolResults(approvals={deferred.tool_call_id: more})
        assert "do not satisfy" in asyncio.run(resume(history, edited)).output
        approve(project)
        for _ in range(2):
            assert asyncio.run(resume(history, yes)).output == "refunded 240"
    assert effects.read_text() == "R-1 240\n"


def test_langgraph_interrupt_does_not_decide(
    project: Project, refund: Callable[..., str], effects: Path, bounds: Bounds
) -> None:
    """Resumed undecided it stops again; decided, and from an older checkpoint too, it ran once."""
    config: Any = {"configurable": {"thread_id": "t"}}
    with project.acting("user:ada", agent="crew", key="t"):
        graph = langgraph_graph(
            project.guard, refund, ASKED, bounds, "pause", checkpointer=InMemorySaver()
        )
        state = graph.invoke({"messages": [("user", "go")]}, config)
        assert state["__interrupt__"][0].value["approval"].startswith("apr_")
        older = graph.get_state(config).config
        state = graph.invoke(Command(resume={"approved": True}), config)
        assert "__interrupt__" in state
        assert effects.read_text() == ""
        approve(project)
        for at in (config, older):
            state = graph.invoke(Command(resume="whatever"), at)
            assert state["messages"][-1].content == "refunded 240"
    assert effects.read_text() == "R-1 240\n"


def test_openai_agents_run_is_left_and_run_again(
    project: Project, refund: Callable[..., str], effects: Path, bounds: Bounds
) -> None:
    """The run ends because of `CallPending`; run again after the decision, the call runs once."""
    with project.acting("user:ada", agent="crew", key="k"):
        agent = openai_agent(project.guard, refund, ASKED, bounds, "pause")
        with pytest.raises(UserError) as caught:
            asyncio.run(Runner.run(agent, "go"))
        assert isinstance(caught.value.__cause__, CallPending)
        approve(project)
        for _ in range(2):
            assert asyncio.run(Runner.run(agent, "go")).final_output == "refunded 240"
    assert effects.read_text() == "R-1 240\n"


def test_a_langchain_tool_outside_a_graph(project: Project, effects: Path, bounds: Bounds) -> None:
    """Invoked directly it keeps its schema, hands injected arguments on, and says that it waits."""

    def refund(order_id: str, amount: float, till: Annotated[str, InjectedToolArg]) -> str:
        """Refund an order."""
        with effects.open("a") as file:
            file.write(f"{order_id} {amount:g} {till}\n")
        return "done"

    plain = StructuredTool.from_function(refund)
    (tool,) = gated(project.guard, [plain], bounds=bounds, pending="pause")
    assert tool.args == plain.args
    given = {"order_id": "R-1", "amount": 50, "till": "T1"}
    with project.acting("user:ada", agent="crew"):
        assert tool.invoke(given) == "done"
        with pytest.raises(CallPending):
            tool.invoke({**given, "amount": 240})
    (call,) = [c for c in project.calls(_last_run(project)) if c.state is CallState.DONE]
    assert call.call.arguments == {"order_id": "R-1", "amount": 50}
    assert effects.read_text() == "R-1 50 T1\n"


def _last_run(project: Project) -> str:
    return project.wiring.records.runs(limit=1)[0].run
