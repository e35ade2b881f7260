"""Taking back what a call did: claimed, run and settled as the call itself, at most once."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace

from staid.domain.call import CallRecord, UndoRecord
from staid.domain.errors import StaidError, ToolUnknown, UndoImpossible
from staid.domain.ids import CallId
from staid.domain.principal import Principal
from staid.gates.approval import Move
from staid.gates.ledger import Lease
from staid.gates.policy import prepare
from staid.gates.tool import Tool
from staid.runtime.gate_execute import Executions, told
from staid.runtime.handlers import abandon, called, settlement_of


class Undoing(Executions):
    """Takes done calls back where their tool knows how."""

    async def undo(
        self, call: str, by: Principal, *, reason: str = "", via: str | None = None
    ) -> UndoRecord:
        """Take a done call back: at most once, whatever happens. A person asks, not an agent.

        The kill switch does not stop it: it is what one reaches for when a tool was stopped.
        Raises `UndoImpossible`, `ApproverNotAllowed`, `ApprovalMismatch`, `ToolUnknown`.
        """
        return await self._whole(self._take_back(CallId(call), by, reason, via))

    async def _take_back(
        self, call: CallId, by: Principal, reason: str, via: str | None
    ) -> UndoRecord:
        record = await asyncio.to_thread(self._ledger.get, call)
        asked = record.call
        tool = self._tools.get(asked.tool)
        if tool is None:
            raise ToolUnknown(tool=asked.tool)
        if tool.undo is None:
            raise UndoImpossible(call=call, detail=f"{tool.name} has no undo")
        prepared = prepare(asked.tool, tool, asked.arguments, asked.subject, asked.agent)
        if prepared.params is None:
            raise UndoImpossible(call=call, detail="its arguments are no longer those of the tool")
        lease = self._lease()
        record = await asyncio.to_thread(
            self._ledger.claim_undo,
            call,
            by,
            lease,
            # Of what this process would take back, not the one that is stored.
            digest=replace(asked, arguments=prepared.arguments).digest,
            approvers=tool.approvers or self._approvers,
            reason=reason,
            via=via,
        )
        work = called(tool.name, tool.undo, prepared.params, told(record.call, record.result))
        task = self._keep(work)
        await self._wait(task, tool, lease, lambda: self._ledger.beat_undo(call, lease))
        if not task.done():
            abandon(tool.name, task)
            task.add_done_callback(lambda done: self._undone_late(record, lease, tool, done))
        settlement = settlement_of(task, tool)
        return await asyncio.to_thread(self._ledger.settle_undo, call, lease.executor, settlement)

    def _undone_late(
        self, record: CallRecord, lease: Lease, tool: Tool, task: asyncio.Task[object]
    ) -> None:
        settlement = settlement_of(task, tool)
        if settlement.move is not Move.DOUBT:
            with suppress(StaidError):  # it stays in doubt, which is true
                self._ledger.settle_undo(record.call.id, lease.executor, settlement)
