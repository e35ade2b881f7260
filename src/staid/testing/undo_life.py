"""What one process does to one call that can be taken back: to undo it, and what is left of that.

The undo is a line appended to a file of its own, as the effect is to the other.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from staid.domain.call import UndoState
from staid.gates.approval import Move
from staid.gates.budget import Budget
from staid.gates.ledger import Settlement
from staid.gates.tool import Call, Tool
from staid.store.engine import Store
from staid.testing.kill import EffectFile, Job, Report
from staid.testing.lives import LEAD, Life, Refund, die, life

BUDGET = Budget(100_000, sum_of="amount", window="1d")
"""Shared by every call on one store: what is taken back has to be given back once."""


def undone_file(job: Job) -> EffectFile:
    """Return where it is written down that the effects of a job were taken back."""
    return EffectFile(f"{job.effects}.undone")


class UndoLife(Life):
    """A life whose tool can take its effect back, under a budget."""

    def _tools(self) -> Mapping[str, Tool]:
        taken_back = {"undo": self._take_back, "budgets": (BUDGET,)}
        return {name: replace(tool, **taken_back) for name, tool in super()._tools().items()}

    def _take_back(self, params: Refund, call: Call) -> None:
        self._at("undoing.before")
        undone_file(self._job).add({"key": call.key, "order": params.order_id})
        self._at("undoing.after")

    def _roles(self) -> dict[str, Callable[[], Awaitable[None]]]:
        return {**super()._roles(), "look": self._look}

    async def play(self) -> Report:
        """Do what the role says; the state is that of the undoing once there is one."""
        report, begun = await super().play(), self._begun()
        return replace(report, state=begun.value) if begun else report

    async def _look(self) -> None:
        """Sweep, retry what must not happen twice; a person who can look settles each doubt."""
        await self.gate.sweep()
        for _ in range(2):
            await self._undo()
            record = self._record()
            if record is None or not self._job.probed or self._begun() is not UndoState.IN_DOUBT:
                continue
            key = self._ledger.get(record.call).call.key
            gone = any(undone["key"] == key for undone in undone_file(self._job).all())
            found = Settlement(Move.SUCCEED if gone else Move.FAIL)
            self._ledger.resolve_undo(record.call, LEAD, found)


def life_of(job: Job, store: Store, end: Callable[[], None] = die) -> Life:
    """Return the life of a job, whatever its tool can do."""
    return UndoLife(job, store, end) if job.undoable else life(job, store, end)
