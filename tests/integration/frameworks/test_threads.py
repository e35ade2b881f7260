"""What broke elsewhere inside the frameworks, thread by thread (docs/evidence/threads.md)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langgraph.types import Command

from staid.domain.call import CallState
from staid.project.deciding import record_decision
from staid.project.project import Project
from staid.testing.frameworks import DRIVERS, langgraph_graph

Bounds = dict[str, dict[str, Any]]


@pytest.fixture
def refund(effects: Path) -> Callable[..., str]:
    """Give a function that leaves a line and then loses its connection where it is asked to."""

    def refund(order_id: str, amount: float) -> str:
        """Refund an order."""
        with effects.open("a") as file:
            file.write(f"{order_id} {amount:g}\n")
        if order_id == "lost":
            raise ConnectionError
        return f"refunded {order_id}"

    return refund


def test_17_resumed_values_went_to_the_wrong_tool(
    project: Project, refund: Callable[..., str], effects: Path, bounds: Bounds
) -> None:
    """langchain-ai/langgraph #6626, #6533, #6208.

    Of two parallel calls that pause the one that was approved runs, once, however often the
    node runs again; the other goes on waiting.
    """
    asked = [{"order_id": "A", "amount": 200}, {"order_id": "B", "amount": 300}]
    config: Any = {"configurable": {"thread_id": "t"}}
    with project.acting("user:ada", agent="crew", key="t"):
        graph = langgraph_graph(project.guard, refund, asked, bounds, "pause")
        graph.invoke({"messages": [("user", "go")]}, config)
        graph.invoke(Command(resume={"approved": "everything"}), config)
        waiting = {
            a.call.arguments["order_id"]: a
            for a in project.wiring.ledger.approvals(CallState.PENDING)
        }
        record_decision(project, waiting["B"].id, "approve", approver="user:lead")
        for _ in range(3):
            state = graph.invoke(Command(resume={"approved": "everything"}), config)
            assert "__interrupt__" in state
        assert effects.read_text() == "B 300\n"
        record_decision(project, waiting["A"].id, "deny", approver="user:lead")
        state = graph.invoke(Command(resume="on"), config)
    assert "decided against" in state["messages"][-1].content
    assert "refunded B" in state["messages"][-1].content
    assert effects.read_text() == "B 300\n"


@pytest.mark.parametrize("name", sorted(DRIVERS))
def test_20_a_tool_was_retried_without_a_guard(
    name: str, project: Project, refund: Callable[..., str], effects: Path, bounds: Bounds
) -> None:
    """crewAIInc/crewAI #5802, strands-agents/harness-sdk #3076.

    What failed after its effect is not retried by anybody, in this run or in one that starts
    anew.
    """
    for _ in range(3):
        project.tools.clear()
        with project.acting("user:ada", agent="crew", key="t"):
            asked = [{"order_id": "lost", "amount": 5}]
            assert "Nobody knows" in DRIVERS[name](project.guard, refund, asked, bounds)
    assert effects.read_text() == "lost 5\n"
