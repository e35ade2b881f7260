"""The gate's last step: claim, start the handler, keep the lease alive, settle."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from pydantic import BaseModel

from staid.domain.call import (
    CallRecord,
    CallState,
    Effect,
    Ruling,
    Severity,
    ToolCall,
)
from staid.domain.canonical import Json
from staid.domain.errors import CallMoved, RulingOutdated, StaidError, ToolStopped, ToolUnknown
from staid.domain.events import Event
from staid.domain.ids import CallId
from staid.domain.label import Label
from staid.gates.approval import Move
from staid.gates.ledger import Lease, Proposal, Settlement
from staid.gates.policy import (
    OUTDATED,
    Prepared,
    prepare,
    still_permits,
)
from staid.gates.tool import Call, Tool
from staid.runtime.gate_parts import GateParts
from staid.runtime.gate_witness import read
from staid.runtime.handlers import abandon, hung, invoke, settlement_of


class Executions(GateParts):
    """Carries out what may run, at most once."""

    async def execute(self, call: str, *, earlier: Sequence[Event] = ()) -> CallRecord:
        """Claim, execute and settle a call that may run: at most once, whatever happens.

        Returns the record as it stands where it may not run (any more): denied, pending, done, …
        A call that a person changed is carried out as what it was changed into.
        Raises `ApprovalMismatch` where what would run is not what was approved, and `ToolUnknown`.
        """
        return await self._whole(self._execute(CallId(call), earlier))

    async def _execute(self, call: CallId, earlier: Sequence[Event]) -> CallRecord:
        record = await asyncio.to_thread(self._ledger.get, call)
        while record.replaced_by is not None:
            record = await asyncio.to_thread(self._ledger.get, record.replaced_by)
        if record.state is not CallState.APPROVED:
            return record
        asked = record.call
        tool = self._tools.get(asked.tool)
        if tool is None:
            raise ToolUnknown(tool=asked.tool)
        prepared = prepare(asked.tool, tool, asked.arguments, asked.subject, asked.agent)
        stopped = await self._stopped_for(tool)
        bounds = still_permits(prepared, stopped, hung(tool.name))
        lease = self._lease()
        try:
            if bounds.severity is Severity.DENY:
                return await self._revoked(asked.id, bounds, earlier)
            if tool.effect is Effect.READ and record.approval is None and tool.breaker is None:
                return await self._look(prepared, record, lease, earlier)
            record = await self._claim(prepared, record, lease, earlier)
        except (ToolStopped, RulingOutdated) as ended:
            return await self._revoked(asked.id, _why(ended), earlier)
        except CallMoved:
            return await asyncio.to_thread(self._ledger.get, asked.id)
        # Where what was approved is not what would run, it waits for a human again.
        mine = record.state is CallState.EXECUTING
        return await self._run(prepared, record, lease, None) if mine else record

    async def _claim(
        self, prepared: Prepared, record: CallRecord, lease: Lease, earlier: Sequence[Event]
    ) -> CallRecord:
        """Claim the call, held against everything its approval rests on, read right before."""
        asked = record.call
        reading = await read(prepared, self._policy.version) if record.approval else None
        # The digest of what this process would run, not the one that is stored.
        digest = replace(asked, arguments=prepared.arguments).digest
        return await asyncio.to_thread(
            self._ledger.claim,
            asked.id,
            lease,
            digest=digest,
            reading=reading,
            breaker=prepared.tool.breaker if prepared.tool else None,
            policy=self._policy.version,
            earlier=earlier,
        )

    async def _revoked(self, call: CallId, bounds: Ruling, earlier: Sequence[Event]) -> CallRecord:
        try:
            return await asyncio.to_thread(self._ledger.revoke, call, bounds, earlier=earlier)
        except CallMoved:
            return await asyncio.to_thread(self._ledger.get, call)

    async def _run(
        self, prepared: Prepared, record: CallRecord, lease: Lease, label: Label | None
    ) -> CallRecord:
        """Start the handler and settle what became of it. The claim is ours and durable."""
        tool, params = _runnable(prepared)
        task = self._keep(invoke(tool, params, told(record.call)))
        await self._wait(task, tool, lease, lambda: self._ledger.heartbeat(record.call.id, lease))
        settlement = replace(settlement_of(task, tool), label=label)
        if not task.done():
            if tool.effect is Effect.READ:
                task.cancel()
            else:
                abandon(tool.name, task)
                task.add_done_callback(lambda done: self._settle_late(record, lease, tool, done))
        return await asyncio.to_thread(self._settle, record, lease, settlement)

    async def _look(
        self, prepared: Prepared, record: CallRecord, lease: Lease, earlier: Sequence[Event]
    ) -> CallRecord:
        """Run a read that the rules allow: nothing depends on its claim, so it has none."""
        if await asyncio.to_thread(self._ledger.ruled_under, record.call) != self._policy.version:
            raise RulingOutdated(call=record.call.id)
        settlement = await self._answer(prepared, record.call)
        return await asyncio.to_thread(
            self._settle, record, lease, settlement, earlier=earlier, unclaimed=True
        )

    async def _answer(self, prepared: Prepared, call: ToolCall) -> Settlement:
        tool, params = _runnable(prepared)
        task = self._keep(invoke(tool, params, told(call)))
        await asyncio.wait({task}, timeout=tool.timeout.total_seconds())
        settlement = settlement_of(task, tool)
        task.cancel()
        return settlement

    async def _wait(
        self,
        task: asyncio.Task[object],
        tool: Tool,
        lease: Lease,
        prolong: Callable[[], object],
    ) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + tool.timeout.total_seconds()
        beat = lease.length.total_seconds() / 3
        while not task.done() and (left := deadline - loop.time()) > 0:
            await asyncio.wait({task}, timeout=min(left, beat))
            if not task.done():
                # A store that is away for a moment must not stop the handler; the next beat tells.
                with suppress(StaidError):
                    await asyncio.to_thread(prolong)

    def _settle(
        self,
        record: CallRecord,
        lease: Lease,
        settlement: Settlement,
        *,
        earlier: Sequence[Event] = (),
        unclaimed: bool = False,
    ) -> CallRecord:
        try:
            return self._ledger.settle(
                record.call.id, lease.executor, settlement, earlier=earlier, unclaimed=unclaimed
            )
        except CallMoved:
            return self._ledger.get(record.call.id)

    def _settle_late(
        self, record: CallRecord, lease: Lease, tool: Tool, task: asyncio.Task[object]
    ) -> None:
        # How the tool does now was said when its time was up.
        settlement = replace(settlement_of(task, tool), ended=None)
        if settlement.move is not Move.DOUBT:
            with suppress(StaidError):  # it stays in doubt, which is true
                self._settle(record, lease, settlement)

    async def _read(
        self, prepared: Prepared, wanted: Proposal, earlier: Sequence[Event]
    ) -> CallRecord:
        settlement = replace(await self._answer(prepared, wanted.call), label=wanted.label)
        return await asyncio.to_thread(
            self._ledger.record_read, wanted, settlement, earlier=earlier
        )


def _why(ended: ToolStopped | RulingOutdated) -> Ruling:
    """Return the ruling on a call that the claim would not let run."""
    if isinstance(ended, RulingOutdated):  # it goes the way of every proposal again
        return Ruling(Severity.DENY, "policy", OUTDATED)
    # The tool rests, or was stopped since it was looked at before the claim.
    return Ruling(Severity.DENY, str(ended.values["rule"]), ended.message)


def _runnable(prepared: Prepared) -> tuple[Tool, BaseModel]:
    if prepared.tool is None or prepared.params is None:
        raise ToolUnknown(tool=prepared.name)
    return prepared.tool, prepared.params


def told(call: ToolCall, result: Json = None) -> Call:
    """Return what a handler, or a probe, learns about the call."""
    return Call(call.id, call.key, call.run, call.subject, call.agent, result)
