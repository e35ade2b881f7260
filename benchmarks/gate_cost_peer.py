"""What one tool call costs on DBOS or LangGraph; run by `gate_cost.py` in a venv of its own."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from commits import Commits

WARM = 10


def measured(number: int, once: Callable[[int], object]) -> float:
    """Return CPU seconds of one call, all threads of the process counted."""
    for n in range(WARM):
        once(-n - 1)
    begun = time.process_time()
    for n in range(number):
        once(n)
    return (time.process_time() - begun) / number


def dbos(folder: Path) -> dict[str, Callable[[int], object]]:
    """Return one workflow with one step, and one that waits for a message first."""
    from dbos import DBOS, DBOSConfig, SetWorkflowID

    url = f"sqlite:///{folder / 'dbos.sqlite'}"
    DBOS(
        config=DBOSConfig(
            name="cost",
            system_database_url=url,
            log_level="ERROR",
            notification_listener_polling_interval_sec=0.001,
        )
    )

    @DBOS.step()
    def refund(amount: int) -> int:
        return amount

    @DBOS.workflow()
    def allowed(amount: int) -> int:
        return refund(amount)

    @DBOS.workflow()
    def approved(amount: int) -> int:
        return refund(amount) if DBOS.recv("approval", timeout_seconds=20) else 0

    DBOS.launch()

    def ask(n: int) -> object:
        with SetWorkflowID(f"w{n}"):
            handle = DBOS.start_workflow(approved, 1)
        DBOS.send(f"w{n}", "yes", "approval")
        return handle.get_result()

    return {"allowed write": allowed, "approved write": ask}


def langgraph(folder: Path) -> dict[str, Callable[[int], object]]:
    """Return a graph of one node with the SQLite checkpointer, and one that interrupts first."""
    import sqlite3
    from typing import TypedDict

    from langgraph.checkpoint.sqlite import SqliteSaver
    from langgraph.graph import END, START, StateGraph
    from langgraph.types import Command, interrupt

    class State(TypedDict):
        """What the graph carries."""

        amount: int

    def refund(state: State) -> dict[str, Any]:
        return {"amount": state["amount"]}

    def asking(state: State) -> dict[str, Any]:
        interrupt("approve?")
        return refund(state)

    connection = sqlite3.connect(folder / "checkpoints.sqlite", check_same_thread=False)
    saver = SqliteSaver(connection)

    def graph(node: Any) -> Any:
        builder = StateGraph(State)
        builder.add_node("refund", node)
        builder.add_edge(START, "refund")
        builder.add_edge("refund", END)
        return builder.compile(checkpointer=saver)

    plain, waits = graph(refund), graph(asking)

    def config(kind: str, n: int) -> Any:
        return {"configurable": {"thread_id": f"{kind}{n}"}}

    def ask(n: int) -> object:
        waits.invoke({"amount": 1}, config("a", n), durability="sync")
        return waits.invoke(Command(resume="yes"), config("a", n), durability="sync")

    return {
        "allowed write": lambda n: plain.invoke({"amount": 1}, config("p", n), durability="sync"),
        "approved write": ask,
    }


def figures(
    calls: dict[str, Callable[[int], object]], number: int, commits: Commits | None
) -> dict[str, float]:
    """Return CPU seconds of a call of every kind, or where they are counted its commits."""
    found: dict[str, float] = {}
    for kind, once in calls.items():
        before = commits.count if commits else 0
        cpu = measured(number, once)
        found[kind] = (commits.count - before) / (number + WARM) if commits else cpu
    return found


def main() -> None:
    """Print CPU a call, or commits a call, of every kind of call as JSON."""
    peer, folder, number, counted = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    commits = Commits() if counted == "commits" else None
    if commits:
        commits.watch()
    calls = {"DBOS": dbos, "LangGraph": langgraph}[peer](folder)
    print(json.dumps(figures(calls, number, commits)), flush=True)


if __name__ == "__main__":
    main()
