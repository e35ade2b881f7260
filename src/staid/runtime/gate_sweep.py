"""What the gate does about lost executions: put them in doubt, and ask what became of them."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from staid.domain.call import (
    CallRecord,
    CallState,
)
from staid.domain.ids import CallId
from staid.gates.approval import Move
from staid.gates.hung import MOST_HUNG
from staid.gates.ledger import Lease, Settlement, Swept
from staid.gates.policy import (
    prepare,
)
from staid.runtime.gate_execute import Executions, told
from staid.runtime.handlers import called, hung


class Sweeping(Executions):
    """Finds executions that were lost and asks the systems behind the tools about them."""

    async def sweep(self) -> Swept:
        """Put lost executions in doubt, expire old requests, and ask every `reconcile` probe."""
        swept = await asyncio.to_thread(self._ledger.sweep)
        # Also what a reader's look put in doubt before us. What raised has its own words, and is
        # asked about when a person says so; each process asks once, for a probe may not know.
        doubts = await asyncio.to_thread(self._ledger.in_state, CallState.IN_DOUBT)
        lost = [r.call.id for r in doubts if r.error is None and r.call.id not in self._probed]
        self._probed.update(lost)
        return replace(swept, in_doubt=tuple([await self.reconcile(call) for call in lost]))

    async def reconcile(self, call: str) -> CallRecord:
        """Ask the system behind whether a call in doubt happened; settle it only on a clear answer.

        A probe that is missing, raises, takes longer than the tool's time-out or answers anything
        but True or False leaves it in doubt.
        """
        record = await asyncio.to_thread(self._ledger.get, CallId(call))
        tool = self._tools.get(record.call.tool)
        if record.state is not CallState.IN_DOUBT or tool is None or tool.reconcile is None:
            return record
        if hung(tool.name) >= MOST_HUNG:  # one more probe would only hang, too
            return record
        asked = record.call
        prepared = prepare(asked.tool, tool, asked.arguments, asked.subject, asked.agent)
        try:
            async with asyncio.timeout(tool.timeout.total_seconds()):
                answer = await called(tool.name, tool.reconcile, prepared.params, told(asked))
        except Exception:  # noqa: BLE001 - a probe that fails knows nothing
            return record
        if not isinstance(answer, bool):
            return record
        settlement = (
            Settlement(Move.SUCCEED)
            if answer
            else Settlement(Move.FAIL, error="The system behind the tool says it did not happen.")
        )
        lease = Lease(record.executor or "")
        return await asyncio.to_thread(self._settle, record, lease, settlement)
