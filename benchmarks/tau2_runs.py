"""The recorded airline conversations, imported as runs and ruled on by the written policy.

Each call is ruled from what the records said at that moment: those of the database or of the
look-ups, changed by what the conversation itself read and wrote before.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import comb
from pathlib import Path

from sqlalchemy import select

from staid.gates.backtest import Backtest, backtest
from staid.gates.policy import prepare
from staid.gates.reruling import PastUse
from staid.project.importing import Wanted, import_conversations
from staid.project.project import Project
from staid.runtime.imported import turn_of
from staid.store import tables
from staid.store.past_calls import past_uses
from tau2_rulings import Ruled, snapshot_of, verdict_of
from tau2_tools import WRITES, Domain
from tau2_world import Step, learn, rows, steps

NAME = "tau_airline_gpt4o_runs"
SETTINGS = """
[project]
name = "airline"
[agents.airline]
model = "quote"
allow_tools = []
"""


@dataclass(frozen=True)
class Found:
    """A write of a recorded conversation, what the policy says of it, and how the run ended."""

    task: str
    trial: int
    good: bool
    """Whether the run got its reward."""
    took_effect: bool
    """Whether the airline's system carried it out, and not refused it."""
    ruled: Ruled

    @property
    def stopped(self) -> bool:
        """Whether a rule denies it or asks."""
        return self.ruled.verdict in {"denied", "asked"}


@dataclass(frozen=True)
class Recorded:
    """Every write, and what `staid gates backtest` makes of the same calls."""

    conversations: Sequence[tuple[str, int, bool]]
    """Task, trial, and whether it ended well."""
    writes: Sequence[Found]
    backtest: Backtest


def recorded(domain: Domain, data: Path) -> Recorded:
    """Import the conversations, rule on each write, and backtest the same policy on them."""
    conversations = rows(data, NAME)
    with tempfile.TemporaryDirectory() as folder:
        uses = _imported(Path(folder), data, domain)
    found: list[Found] = []
    known: list[PastUse] = []
    whole = domain.world
    for row, of_row in zip(conversations, uses, strict=True):
        domain.world = whole.copy()
        for step, use in zip(steps(row["messages"]), of_row, strict=True):
            one, use_then = _ruled(domain, str(row["task_id"]), step, use)
            known.append(use_then)
            if step.tool in WRITES["airline"]:
                good = row["reward"] == 1
                found.append(Found(one.task, row["trial"], good, not step.failed, one))
            learn(domain.world, step)
    domain.world = whole
    ended = [(str(r["task_id"]), int(r["trial"]), r["reward"] == 1) for r in conversations]
    return Recorded(ended, found, backtest(known, domain.tools, domain.policy))


def _ruled(domain: Domain, task: str, step: Step, use: PastUse) -> tuple[Ruled, PastUse]:
    call = use.record.call
    tool = domain.tools.get(call.tool)
    prepared = prepare(call.tool, tool, call.arguments, call.subject, call.agent, domain.policy)
    snapshot = snapshot_of(domain, prepared, use.said or "")
    verdict, rules = verdict_of(prepared, snapshot)
    return Ruled(task, call.tool, verdict, rules, step.arguments), replace(use, snapshot=snapshot)


def _imported(folder: Path, data: Path, domain: Domain) -> list[list[PastUse]]:
    """Return the calls of each conversation in order, as the store holds them."""
    (folder / "staid.toml").write_text(SETTINGS, "utf-8")
    project = Project(folder)
    for tool in domain.tools.values():
        project.add_tool(tool)
    import_conversations(project, Wanted(data / f"{NAME}.jsonl.gz", "tau", agent="airline"))
    by_id = {use.record.call.id: use for use in past_uses(project.wiring.store)}
    found = [
        [by_id[c] for run in runs for c in turn_of(run, project.wiring.records.rows(run)).calls]
        for runs in conversations(project)
    ]
    project.close()
    return found


def conversations(project: Project) -> list[list[str]]:
    """Return the runs of every imported conversation, in order."""
    table = tables.imported.c
    query = select(table.run, table.line).order_by(table.line, table.turn)
    runs: dict[int, list[str]] = {}
    with project.wiring.store.read() as connection:
        for row in connection.execute(query):
            runs.setdefault(row.line, []).append(row.run)
    return list(runs.values())


def more_often(hit: int, of: int, other_hit: int, other_of: int) -> float:
    """Return how likely a share this much higher is by chance: Fisher's exact test, one side."""
    every, hits = of + other_of, hit + other_hit
    ways: Iterable[int] = range(hit, min(of, hits) + 1)
    return sum(comb(of, k) * comb(other_of, hits - k) for k in ways) / comb(every, hits)
