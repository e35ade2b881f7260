"""What one process does to one call: its own ledger and gate on a shared store, and its death."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from functools import cache, partial
from itertools import count
from pathlib import Path
from typing import Any, Literal, overload

from pydantic import BaseModel, Field
from sqlalchemy import bindparam, select

from staid.domain.call import CallState, UndoState
from staid.domain.canonical import Json
from staid.domain.errors import StaidError
from staid.domain.ids import ApprovalId, CallId, RunId
from staid.domain.message import ProposedCall
from staid.domain.principal import Principal
from staid.gates.tool import Call, Tool, define
from staid.runtime.gate import Gate, Proposer
from staid.runtime.guard import Guard
from staid.store import tables
from staid.store.engine import Store
from staid.testing.crashing import BrokenLedger, CrashingLedger
from staid.testing.frameworks import AGENTS
from staid.testing.kill import (
    START,
    CountedIds,
    EffectFile,
    Job,
    Report,
    StepClock,
    probe_of,
)

LEAD = Principal("local", "user", "lead")
"""Who decides, and takes back."""
_played = count()
_living: ContextVar[Life] = ContextVar("staid_living")
"""Whose call a tool carries out: tools and agents are made once in a process, for every life."""


def die() -> None:
    """End this process at once, as `kill -9` does."""
    os.kill(os.getpid(), signal.SIGKILL)
    threading.Event().wait()  # the signal may take a moment to arrive in another thread


class Refund(BaseModel):
    """The arguments of the tool under test."""

    order_id: str
    amount: Decimal = Field(gt=0, le=500)


@dataclass(frozen=True, slots=True)
class _Seen:
    """A call as its process sees it."""

    call: CallId
    state: str
    approval: ApprovalId | None


_LAST = (
    select(tables.call.c.id, tables.call.c.state, tables.approval.c.id.label("approval"))
    .join_from(
        tables.call, tables.approval, tables.approval.c.call == tables.call.c.id, isouter=True
    )
    .where(tables.call.c.run == bindparam("run"))
    .order_by(tables.call.c.proposed_at.desc(), tables.call.c.id.desc())
    .limit(1)
)


class Life:
    """One process's view of one call: its own ledger and gate on a shared store."""

    def __init__(self, job: Job, store: Store, end: Callable[[], None] = die) -> None:
        """Open ledger and gate on a store of this process; `end` is what its kill point does."""
        self._job = job
        self._end = end
        clock = StepClock(START + timedelta(hours=job.hours))
        name = f"{os.getpid()}x{next(_played)}"
        stem = f"{job.run}{name}"
        kind = BrokenLedger if job.broken else CrashingLedger
        self._ledger = kind(store, clock, stem, self._at)
        if isinstance(self._ledger, BrokenLedger):
            self._ledger.lacks = job.broken
        self._store = store
        self._errors: list[str] = []
        self.gate = Gate(self._tools(), self._ledger, clock, CountedIds(stem), f"p{name}")

    @property
    def run(self) -> RunId:
        """The run whose call this is."""
        return RunId(self._job.run)

    @property
    def asked(self) -> dict[str, Json]:
        """The arguments of the call."""
        return {"order_id": self._job.run, "amount": self._job.amount}

    def _tools(self) -> Mapping[str, Tool]:
        tool = _refund_tool(self._job.asynchronous, self._job.probed)
        return {tool.name: tool}

    def _at(self, point: str) -> None:
        if point == self._job.crash:
            self._end()

    def happen(self, key: str, order: str, amount: str) -> None:
        """Let the effect happen in the outside world."""
        self._at("effect.before")
        EffectFile(self._job.effects).add({"key": key, "order": order, "amount": amount})
        self._at("effect.after")

    def probe(self, call: Call) -> bool | None:
        """Ask the world what became of a call."""
        # A sweep meets the calls of other jobs too: each has its effects in a file of its own.
        return probe_of(Path(self._job.effects).with_name(call.run), call.key)

    async def play(self) -> Report:
        """Do what the role says, noting every coded error and going on."""
        _living.set(self)
        await self._roles()[self._job.role]()
        record = self._record()
        return Report(
            killed=False, state=record.state if record else "", errors=tuple(self._errors)
        )

    def _roles(self) -> dict[str, Callable[[], Awaitable[None]]]:
        return {
            "live": self._live,
            "recover": self._recover,
            "execute": self._execute,
            "approve": partial(self._decide, "approve"),
            "deny": partial(self._decide, "deny"),
            "undo": self._undo,
        }

    async def _live(self) -> None:
        await self._propose()
        await self._decide("approve")
        await self._execute()

    async def _recover(self) -> None:
        """Sweep, carry on what was left, and retry everything that must not happen twice."""
        await self.gate.sweep()
        if self._record() is None:
            await self._propose()
        for _ in range(2):
            await self._decide("approve")
            await self._execute()
            await self._reconcile()
        await self._others()

    async def _others(self) -> None:
        """Carry on the calls that processes which raced proposed beside the last one."""
        for record in self._ledger.calls(self.run):
            if record.state is CallState.PENDING and record.approval is not None:
                await self._coded(self.gate.decide(record.approval, LEAD, "approve"))
        for record in self._ledger.calls(self.run):
            if record.state is CallState.APPROVED:
                await self._coded(self.gate.execute(record.call.id))
            elif record.state is CallState.IN_DOUBT and self._job.probed:
                await self._coded(self.gate.reconcile(record.call.id))

    async def _reconcile(self) -> None:
        """Ask what became of a call in doubt; what did not happen is asked for anew."""
        if not self._job.probed:
            return
        record = self._record()
        if record is not None and record.state == CallState.IN_DOUBT:
            await self.gate.reconcile(record.call)
            record = self._record()
        if record is not None and record.state == CallState.FAILED:
            await self._propose()

    async def _propose(self) -> None:
        proposal = ProposedCall("provider-1", "refund.issue", self.asked)
        asker = Principal("local", "user", "ada")
        proposer = Proposer(RunId(self._job.run), "support", frozenset({"refund.issue"}), asker)
        await self._coded(self.gate.propose(proposal, **_named(proposer)))

    async def _decide(self, decision: Literal["approve", "deny"]) -> None:
        record = self._record()
        if record is not None and record.approval is not None:
            await self._coded(self.gate.decide(record.approval, LEAD, decision))

    async def _execute(self) -> None:
        record = self._record()
        if record is not None:
            await self._coded(self.gate.execute(record.call))

    async def _undo(self) -> None:
        record = self._record()
        if record is not None:
            await self._coded(self.gate.undo(record.call, LEAD, reason="wrong customer"))

    def _begun(self) -> UndoState | None:
        record = self._record()
        begun = self._ledger.undo_of(record.call) if record else None
        return begun.state if begun else None

    async def _coded(self, work: Any) -> None:  # noqa: ANN401 - any coroutine
        try:
            await work
        except Exception as error:
            # A framework may wrap what its tool raised.
            found: BaseException | None = error
            while found is not None and not isinstance(found, StaidError):
                found = found.__cause__
            if found is None:
                raise
            self._errors.append(found.code)

    def _record(self) -> _Seen | None:
        """Return the last call of the run."""
        with self._store.read() as connection:
            row = connection.execute(_LAST, {"run": self._job.run}).first()
        if row is None:
            return None
        approval = None if row.approval is None else ApprovalId(row.approval)
        return _Seen(CallId(row.id), row.state, approval)


class FrameworkLife(Life):
    """The same life where an agent of another framework makes the call, again and again."""

    def _tools(self) -> Mapping[str, Tool]:
        return _crew(self._job.via, self._job.probed).tools

    async def _propose(self) -> None:
        await self._drive()

    async def _execute(self) -> None:
        if self._record() is not None:
            await self._drive()

    async def _others(self) -> None:
        """Nothing is left: an agent finds its call by its key, whoever proposed it."""

    async def _drive(self) -> None:
        """Let the agent make the call: it is proposed, found again, or carried out."""
        crew = _crew(self._job.via, self._job.probed)
        asker = Principal("local", "user", "ada")
        with crew.guard.acting(asker, "support", key=self._job.run):
            await self._coded(crew.ask())


class _Asked(Sequence[Mapping[str, Json]]):
    """What the scripted model proposes: the one call of whoever lives."""

    @overload
    def __getitem__(self, at: int) -> Mapping[str, Json]: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Mapping[str, Json]]: ...
    def __getitem__(self, at: int | slice) -> object:
        asked: list[Mapping[str, Json]] = [_living.get().asked]
        return asked[at]

    def __len__(self) -> int:
        return 1


@dataclass(slots=True)
class _Crew:
    """An agent of another framework, its guard and the tools that it registered."""

    tools: dict[str, Tool] = field(default_factory=dict[str, Tool])
    guard: Guard = field(init=False)
    ask: Callable[[], Awaitable[str]] = field(init=False)

    def __post_init__(self) -> None:
        self.guard = Guard(
            lambda tool: self.tools.__setitem__(tool.name, tool),
            lambda: _living.get().gate,
            lambda _principal, _agent: _living.get().run,
        )


@cache
def _crew(via: str, probed: bool) -> _Crew:  # noqa: FBT001 - a key
    def refund(order_id: str, amount: str) -> str:
        """Refund an order."""
        _living.get().happen("", order_id, amount)
        return f"re_{order_id}"

    bounds: dict[str, Any] = {"effect": "write", "requires_approval": _above_100}
    if probed:
        bounds["reconcile"] = _probe
    crew = _Crew()
    crew.ask = AGENTS[via](crew.guard, refund, _Asked(), {"refund": bounds})
    return crew


@cache
def _refund_tool(asynchronous: bool, probed: bool) -> Tool:  # noqa: FBT001 - a key
    return define(
        _refund_async if asynchronous else _refund,
        "refund.issue",
        result="Refunded {amount} for order {order_id}.",
        requires_approval=_above_100,
        reconcile=_probe if probed else None,
    )


def _refund(params: Refund, call: Call) -> dict[str, str]:
    _living.get().happen(call.key, params.order_id, str(params.amount))
    return {"refund": f"re_{params.order_id}"}


async def _refund_async(params: Refund, call: Call) -> dict[str, str]:
    return _refund(params, call)


def _probe(_params: object, call: Call) -> bool | None:
    return _living.get().probe(call)


def _above_100(params: Any) -> bool:  # noqa: ANN401 - built from the framework's schema
    return Decimal(params.amount) > 100


def life(job: Job, store: Store, end: Callable[[], None] = die) -> Life:
    """Return the life of a job, through its framework where it names one."""
    return FrameworkLife(job, store, end) if job.via else Life(job, store, end)


def _named(proposer: Proposer) -> dict[str, Any]:
    names = ("run", "agent", "allowed", "principal", "upstream", "label")
    return {name: getattr(proposer, name) for name in names}
