"""What one tool call costs at the gate, beside DBOS and LangGraph, in one run.

`make bench-gate-cost`. A call of Staid's carries a ruling, a budget-free bound, and facts in a hash
chain; DBOS runs a workflow of one step; LangGraph a graph of one node with its SQLite checkpointer.
An approved call waits for a human's decision in between, each with its own means. CPU is of the
whole process with all its threads; commits are those that change something, counted from the
statements that SQLite runs. Results go to docs/evidence/gate-cost.md.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel

from commits import Commits
from gate_cost_peer import figures
from staid.adapters.system import SystemClock, TimeSortedIds
from staid.domain.ids import RunId
from staid.domain.message import ProposedCall
from staid.domain.principal import Principal
from staid.gates.tool import define
from staid.runtime.gate import Gate, Proposer
from staid.store.engine import Store
from staid.store.journal import Journal
from staid.store.ledger.sql import SqlLedger
from staid.store.schema import prepare

HERE = Path(__file__).parent
PEER_PYTHON = HERE.parent / ".venv-effects-peers/bin/python"
EVIDENCE = HERE.parent / "docs/evidence/gate-cost.md"
NAMES = ("Staid", "DBOS", "LangGraph")
KINDS = ("read", "allowed write", "approved write")


class Refund(BaseModel):
    """The arguments of the tool."""

    amount: int


def staid(folder: Path) -> dict[str, Callable[[int], object]]:
    """Return a read inside a turn, a write that the rules allow, and one that a human approves."""
    store, clock, ids = Store(f"sqlite:///{folder / 'staid.db'}"), SystemClock(), TimeSortedIds()
    prepare(store)
    ledger = SqlLedger(store, Journal(store, b"a key kept outside the database"), clock, ids)

    def handle(params: Refund) -> int:
        return params.amount

    tools = {
        "look": define(handle, "look", effect="read"),
        "allowed": define(handle, "allowed", requires_approval=False),
        "approved": define(handle, "approved", requires_approval=True),
    }
    gate = Gate(tools, ledger, clock, ids, ids.new("p"))
    lead = Principal("local", "user", "lead")

    def proposer() -> Proposer:
        # A run of its own for every call, as a question has.
        run, asker = RunId(ids.new("run")), Principal("local", "user", "ada")
        return Proposer(run, "support", frozenset(tools), asker)

    def proposal(tool: str) -> ProposedCall:
        return ProposedCall("call_0", tool, {"amount": 1})

    async def ask() -> object:
        record = await gate.act(proposal("approved"), proposer())
        await gate.decide(record.approval or "", lead, "approve")
        return await gate.execute(record.call.id)

    loop = asyncio.new_event_loop()
    return {
        "read": lambda _: loop.run_until_complete(gate.look(proposal("look"), proposer())),
        "allowed write": lambda _: loop.run_until_complete(
            gate.act(proposal("allowed"), proposer())
        ),
        "approved write": lambda _: loop.run_until_complete(ask()),
    }


def one(name: str, number: int, counted: str) -> dict[str, float]:
    """Measure one contender in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="staid-cost-") as folder:
        own = [sys.executable, str(HERE / "gate_cost.py"), "--staid", folder]
        peer = [str(PEER_PYTHON), str(HERE / "gate_cost_peer.py"), name, folder]
        command = [*(own if name == "Staid" else peer), str(number), counted]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600)
        return json.loads(done.stdout.strip().rpartition("\n")[2])


def table(found: dict[str, dict[str, dict[str, float]]]) -> str:
    """Return CPU and commits of every kind of call in Markdown."""
    lines = [
        "| call | " + " | ".join(f"{name} CPU, commits" for name in NAMES) + " |",
        "|---|---|---|---|",
    ]
    for kind in KINDS:
        cells: list[str] = []
        for name in NAMES:
            cpu, commits = found[name]["cpu"].get(kind), found[name]["commits"].get(kind)
            told = "-" if cpu is None else f"{cpu * 1000:.1f} ms, {commits:.1f}"
            cells.append(told)
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    return "\n".join(lines)


def page(text: str, number: int, seconds: float) -> str:
    """Return the page of evidence."""
    return f"""# What one tool call costs at the gate

`make bench-gate-cost`, {datetime.now(UTC):%Y-%m-%d}, {number} calls of each kind,
{seconds:.0f} s in all, two shared cores, SQLite everywhere, a process for every contender;
load average {os.getloadavg()[0]:.1f} at its end, and CPU of all of them grows with it:

{text}

CPU is of the whole process, all threads; commits are those that change something. A read inside a
turn is recorded with the turn's next facts, before anything rests on its result. A call of Staid's
carries its ruling, its record and a hash chain; the others carry their checkpoint. An approved call
is asked for, decided by a person and executed, each with its own means: a request and a decision on
record, a message to a workflow, an interrupt that is resumed.
Each contender is measured in its turn, and the load is not the same throughout: two that are close
can change places in another run.
"""


def main() -> int:
    """Measure every contender and print the table; 1 where the gate commits too often."""
    if sys.argv[1:2] == ["--staid"]:
        folder, number, counted = Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
        commits = Commits() if counted == "commits" else None
        if commits:
            commits.watch()
        print(json.dumps(figures(staid(folder), number, commits)))
        return 0
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--write", action="store_true", help="write docs/evidence/gate-cost.md")
    given = parser.parse_args()
    started = time.monotonic()
    found = {
        name: {counted: one(name, given.calls, counted) for counted in ("cpu", "commits")}
        for name in NAMES
    }
    text = table(found)
    print(f"{text}\n{json.dumps(found)}")
    if given.write:
        EVIDENCE.write_text(page(text, given.calls, time.monotonic() - started), "utf-8")
    ours = found["Staid"]["commits"]
    return 1 if ours["read"] > 0 or ours["allowed write"] > 2 else 0


if __name__ == "__main__":
    sys.exit(main())
