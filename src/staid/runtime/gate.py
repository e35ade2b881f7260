"""The gate: propose, claim, execute, settle. The only way to a handler.

At most one execution per call, whatever crashes, retries or races: the claim is durable before the
handler starts, nobody can claim a call twice, and what was interrupted is `in_doubt`, never tried
again silently.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, TypeVar

from pydantic import BaseModel

from staid.domain.call import (
    ApprovalRecord,
    CallRecord,
    CallState,
    Effect,
    Ruling,
    Severity,
    ToolCall,
)
from staid.domain.canonical import Json, canonical
from staid.domain.errors import CallMoved, StaidError, ToolUnknown
from staid.domain.events import Event
from staid.domain.ids import ApprovalId, CallId, Ids, RunId
from staid.domain.label import Label
from staid.domain.message import ProposedCall, ToolSpec
from staid.domain.ports import Clock
from staid.domain.principal import Principal
from staid.gates.approval import Decision, Move
from staid.gates.ledger import Lease, Ledger, Proposal, Settlement, Swept
from staid.gates.policy import (
    EVERY_TOOL,
    Prepared,
    Snapshot,
    most_severe,
    prepare,
    rule,
    rulings,
    still_permits,
)
from staid.gates.tool import Call, Tool
from staid.runtime.handlers import called, invoke, settlement_of

T = TypeVar("T")

LEASE = timedelta(seconds=60)
"""How long an executor is believed without a heartbeat."""


@dataclass(frozen=True, slots=True)
class Proposer:
    """On whose behalf calls are proposed."""

    run: RunId
    agent: str
    allowed: frozenset[str]
    """Names of the tools this agent may use."""
    principal: Principal
    upstream: frozenset[str] = frozenset()
    """Tokens of everybody in the causal chain; asker and agent are added by the ledger."""
    label: Label | None = None
    """Who may read arguments and result; None: the asker alone."""


class Gate:
    """Rules on every call, and runs each allowed or approved one at most once."""

    def __init__(
        self,
        tools: Mapping[str, Tool],
        ledger: Ledger,
        clock: Clock,
        ids: Ids,
        executor_id: str,
        *,
        lease: timedelta = LEASE,
        stopped: Callable[[], frozenset[str]] = frozenset,
        approvers: frozenset[str] = frozenset(),
    ) -> None:
        """Gate `tools`, which may still grow; `stopped` is the kill switch, asked every time.

        `approvers` decide what a tool asks for that names no approvers of its own.
        """
        self._tools = tools
        self._ledger = ledger
        self._clock = clock
        self._ids = ids
        self._executor = executor_id
        self._lease_length = lease
        self._stopped = stopped
        self._approvers = approvers
        self._tasks: set[asyncio.Task[Any]] = set()

    # --- propose ---------------------------------------------------------------------------

    async def propose(
        self,
        proposal: ProposedCall,
        *,
        run: RunId,
        agent: str,
        allowed: frozenset[str],
        principal: Principal,
        upstream: frozenset[str] = frozenset(),
        earlier: Sequence[Event] = (),
        label: Label | None = None,
    ) -> CallRecord:
        """Rule on one call and record both in one transaction; executes nothing.

        The record is `DENIED`, `PENDING`, or `APPROVED`: may run, without `approval` by the rules
        alone. `earlier` are facts of the run not flushed yet; they are written with it.
        """
        proposer = Proposer(run, agent, allowed, principal, upstream, label)
        prepared = self._prepare(proposal, proposer)
        wanted = await self._proposal(proposal, prepared, proposer, None)
        return await asyncio.to_thread(self._ledger.propose, wanted, earlier=earlier)

    async def act(
        self,
        proposal: ProposedCall,
        proposer: Proposer,
        *,
        key: str | None = None,
        earlier: Sequence[Event] = (),
    ) -> CallRecord:
        """Propose a call and, where the rules allow it, execute it: two commits, a read one.

        With a `key` that was used before the call recorded then is returned or carried on; it is
        never executed a second time. Cancelling the caller does not tear the sequence apart.
        """
        return await self._whole(self._act(proposal, proposer, key, earlier))

    async def _act(
        self,
        proposal: ProposedCall,
        proposer: Proposer,
        key: str | None,
        earlier: Sequence[Event],
    ) -> CallRecord:
        prepared = self._prepare(proposal, proposer)
        wanted = await self._proposal(proposal, prepared, proposer, key)
        if key is None and _plain_read(prepared, wanted):
            return await self._read(prepared, wanted, earlier)
        lease = self._lease()
        record = await asyncio.to_thread(self._ledger.propose, wanted, lease=lease, earlier=earlier)
        if record.state is CallState.EXECUTING and record.executor == lease.executor:
            return await self._run(prepared, record, lease, proposer.label)
        if record.state is CallState.APPROVED:
            return await self._execute(record.call.id, ())
        return record

    def _prepare(self, proposal: ProposedCall, proposer: Proposer) -> Prepared:
        tool = self._tools.get(proposal.tool)
        subject, agent = proposer.principal.token, proposer.agent
        return prepare(proposal.tool, tool, proposal.arguments, subject, agent)

    async def _proposal(
        self, proposal: ProposedCall, prepared: Prepared, proposer: Proposer, key: str | None
    ) -> Proposal:
        stopped, tool = self._stopped(), prepared.tool
        preview, prepared = await _previewed(prepared, Snapshot(proposer.allowed, stopped))
        call = CallId(self._ids.new("cal"))
        return Proposal(
            call=ToolCall(
                id=call,
                run=proposer.run,
                agent=proposer.agent,
                tool=proposal.tool,
                arguments=prepared.arguments,
                key=key or call,
                provider_id=proposal.id,
                subject=proposer.principal.token,
            ),
            rule=lambda totals: rule(prepared, Snapshot(proposer.allowed, stopped, totals)),
            draws=prepared.draws,
            upstream=proposer.upstream,
            approvers=(tool.approvers if tool else frozenset[str]()) or self._approvers,
            expires_after=tool.expires_after if tool else timedelta(days=7),
            preview=preview,
            label=proposer.label,
            at=self._clock.now(),
            effect=tool is not None and tool.effect is not Effect.READ,
            snapshot=Snapshot(proposer.allowed, stopped),
        )

    # --- decide ----------------------------------------------------------------------------

    async def decide(
        self,
        approval: str,
        approver: Principal,
        decision: Decision,
        *,
        reason: str = "",
        seen: str | None = None,
        via: str | None = None,
    ) -> ApprovalRecord:
        """Record a human decision; executes nothing. `seen` is the digest that was looked at."""
        return await asyncio.to_thread(
            self._ledger.decide,
            ApprovalId(approval),
            approver,
            decision,
            reason=reason,
            seen=seen,
            via=via,
        )

    # --- execute ---------------------------------------------------------------------------

    async def execute(self, call: str, *, earlier: Sequence[Event] = ()) -> CallRecord:
        """Claim, execute and settle a call that may run: at most once, whatever happens.

        Returns the record as it stands where it may not run (any more): denied, pending, done, …
        Raises `ApprovalMismatch` where what would run is not what was approved, and `ToolUnknown`.
        """
        return await self._whole(self._execute(CallId(call), earlier))

    async def _execute(self, call: CallId, earlier: Sequence[Event]) -> CallRecord:
        record = await asyncio.to_thread(self._ledger.get, call)
        if record.state is not CallState.APPROVED:
            return record
        asked = record.call
        tool = self._tools.get(asked.tool)
        if tool is None:
            raise ToolUnknown(tool=asked.tool)
        prepared = prepare(asked.tool, tool, asked.arguments, asked.subject, asked.agent)
        bounds = still_permits(prepared, self._stopped())
        lease = self._lease()
        try:
            if bounds.severity is Severity.DENY:
                return await asyncio.to_thread(self._ledger.revoke, call, bounds, earlier=earlier)
            if tool.effect is Effect.READ and record.approval is None:
                return await self._look(prepared, record, lease, earlier)
            # The digest of what this process would run, not the one that is stored.
            digest = replace(asked, arguments=prepared.arguments).digest
            record = await asyncio.to_thread(
                self._ledger.claim, call, lease, digest=digest, earlier=earlier
            )
        except CallMoved:
            return await asyncio.to_thread(self._ledger.get, call)
        return await self._run(prepared, record, lease, None)

    async def _run(
        self, prepared: Prepared, record: CallRecord, lease: Lease, label: Label | None
    ) -> CallRecord:
        """Start the handler and settle what became of it. The claim is ours and durable."""
        tool, params = _runnable(prepared)
        task = self._keep(invoke(tool, params, _call(record.call)))
        await self._wait(task, tool, record, lease)
        settlement = replace(settlement_of(task, tool), label=label)
        if not task.done():
            if tool.effect is Effect.READ:
                task.cancel()
            else:
                task.add_done_callback(lambda done: self._settle_late(record, lease, tool, done))
        return await asyncio.to_thread(self._settle, record, lease, settlement)

    async def _look(
        self, prepared: Prepared, record: CallRecord, lease: Lease, earlier: Sequence[Event]
    ) -> CallRecord:
        """Run a read that the rules allow: nothing depends on its claim, so it has none."""
        settlement = await self._answer(prepared, record.call)
        return await asyncio.to_thread(
            self._settle, record, lease, settlement, earlier=earlier, unclaimed=True
        )

    async def _answer(self, prepared: Prepared, call: ToolCall) -> Settlement:
        tool, params = _runnable(prepared)
        task = self._keep(invoke(tool, params, _call(call)))
        await asyncio.wait({task}, timeout=tool.timeout.total_seconds())
        settlement = settlement_of(task, tool)
        task.cancel()
        return settlement

    async def _wait(
        self, task: asyncio.Task[object], tool: Tool, record: CallRecord, lease: Lease
    ) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + tool.timeout.total_seconds()
        beat = lease.length.total_seconds() / 3
        while not task.done() and (left := deadline - loop.time()) > 0:
            await asyncio.wait({task}, timeout=min(left, beat))
            if not task.done():
                # A store that is away for a moment must not stop the handler; the next beat tells.
                with suppress(StaidError):
                    await asyncio.to_thread(self._ledger.heartbeat, record.call.id, lease)

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
        settlement = settlement_of(task, tool)
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

    # --- sweep -----------------------------------------------------------------------------

    async def sweep(self) -> Swept:
        """Put lost executions in doubt, expire old requests, and ask every `reconcile` probe."""
        swept = await asyncio.to_thread(self._ledger.sweep)
        asked = [await self.reconcile(record.call.id) for record in swept.in_doubt]
        return replace(swept, in_doubt=tuple(asked))

    async def reconcile(self, call: str) -> CallRecord:
        """Ask the system behind whether a call in doubt happened; settle it only on a clear answer.

        A probe that is missing, raises or answers anything but True or False leaves it in doubt.
        """
        record = await asyncio.to_thread(self._ledger.get, CallId(call))
        tool = self._tools.get(record.call.tool)
        if record.state is not CallState.IN_DOUBT or tool is None or tool.reconcile is None:
            return record
        asked = record.call
        prepared = prepare(asked.tool, tool, asked.arguments, asked.subject, asked.agent)
        try:
            answer = await called(tool.reconcile, prepared.params, _call(asked))
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

    # --- look ------------------------------------------------------------------------------

    def records(self, run: str) -> Sequence[CallRecord]:
        """Return the calls of a run in order of proposal."""
        return self._ledger.calls(RunId(run))

    def find(self, key: str) -> CallRecord | None:
        """Return the call with this key."""
        return self._ledger.find(key)

    def open_like(self, subject: str, agent: str, digest: str) -> CallRecord | None:
        """Return the oldest such call that waits, may run, runs or is in doubt."""
        return self._ledger.open_like(subject, agent, digest)

    def specs(self, allowed: frozenset[str]) -> tuple[ToolSpec, ...]:
        """Return the allowed tools as a model sees them, stopped ones left out."""
        stopped = self._stopped()
        if EVERY_TOOL in stopped:
            return ()
        return tuple(self._tools[n].spec for n in sorted(allowed - stopped) if n in self._tools)

    def evidence_of(self, record: CallRecord) -> str | None:
        """Return the text a completed call puts in evidence, or None where it is none."""
        tool = self._tools.get(record.call.tool)
        if tool is None or not tool.evidence or record.state is not CallState.DONE:
            return None
        return _in_words(record.result)

    def statement_of(self, record: CallRecord) -> str | None:
        """Return the result template of a completed call, filled in, or None."""
        tool = self._tools.get(record.call.tool)
        if tool is None or record.state is not CallState.DONE:
            return None
        return tool.tell(record.call.arguments, record.result)

    # --- tasks -----------------------------------------------------------------------------

    def _lease(self) -> Lease:
        # Of its own for every execution: a fork, or a second try, can never settle for another.
        return Lease(f"{self._executor}/{self._ids.new('exe')}", self._lease_length)

    def _keep(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)  # the loop itself holds tasks weakly
        task.add_done_callback(self._tasks.discard)
        return task

    async def _whole(self, work: Coroutine[Any, Any, T]) -> T:
        return await asyncio.shield(self._keep(work))


async def _previewed(prepared: Prepared, snapshot: Snapshot) -> tuple[str | None, Prepared]:
    """Return what the approver will see; a preview that fails denies, for nobody could look."""
    tool = prepared.tool
    if tool is None or tool.preview is None:
        return None, prepared
    undrawn = replace(prepared, draws=())
    if most_severe(rulings(undrawn, snapshot)).severity is not Severity.ASK:
        return None, prepared
    try:
        return str(await called(tool.preview, prepared.params)), prepared
    except Exception as error:  # noqa: BLE001 - whatever a preview raises is `deny`
        message = f"The preview for the approver failed: {type(error).__name__}."
        return None, replace(prepared, fault=Ruling(Severity.DENY, "preview", message))


def _plain_read(prepared: Prepared, wanted: Proposal) -> bool:
    """Whether nothing but the answer depends on it: an allowed read without a budget."""
    tool = prepared.tool
    if tool is None or tool.effect is not Effect.READ or prepared.draws:
        return False
    return wanted.rule({}).severity is Severity.ALLOW


def _runnable(prepared: Prepared) -> tuple[Tool, BaseModel]:
    if prepared.tool is None or prepared.params is None:
        raise ToolUnknown(tool=prepared.name)
    return prepared.tool, prepared.params


def _call(call: ToolCall) -> Call:
    return Call(call.id, call.key, call.run, call.subject, call.agent)


def _in_words(result: Json) -> str:
    """Return a result as text a statement can be held against."""
    match result:
        case str():
            return result
        case dict():
            return "\n".join(f"{key}: {_in_words(value)}" for key, value in result.items())
        case _:
            return canonical(result)
