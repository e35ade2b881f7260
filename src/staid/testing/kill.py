"""Processes that are killed with SIGKILL at a named point around an effect, and their recovery.

A `Zygote` is one clean process that has imported everything; every job runs in a fork of it, so a
kill costs milliseconds. The effect is a line appended and synced to a file of its own: what the
outside world would have seen, whatever the store says.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast

from pydantic import BaseModel, Field

from staid.domain.call import CallRecord, CallState
from staid.domain.canonical import Json
from staid.domain.errors import StaidError
from staid.domain.events import Event
from staid.domain.ids import ApprovalId, RunId
from staid.domain.message import ProposedCall
from staid.domain.principal import Principal
from staid.gates.tool import Call, Tool, define
from staid.runtime.gate import Gate, Proposer
from staid.runtime.guard import Guard
from staid.store.engine import Store
from staid.store.journal import Journal
from staid.store.ledger import SqlLedger
from staid.testing.frameworks import DRIVERS

Role: TypeAlias = Literal["live", "recover", "execute", "approve", "deny"]

POINTS = (
    "propose.inside",
    "propose.after",
    "decide.inside",
    "decide.after",
    "claim.before",
    "claim.inside",
    "claim.after",
    "effect.before",
    "effect.after",
    "settle.before",
    "settle.inside",
    "settle.after",
)
"""Where a process can be killed around an effect, in order; `inside` is before the commit."""

UNKNOWN = frozenset(POINTS[POINTS.index("claim.after") : POINTS.index("settle.after")])
"""After a kill here nobody knows whether it happened, so the call has to be in doubt."""

KEY = b"the journal's key in tests, kept outside the database"
START = datetime(2026, 1, 5, 9, tzinfo=UTC)


class StepClock:
    """A clock that stands still until it is moved."""

    def __init__(self, at: datetime = START) -> None:
        """Stand at `at`."""
        self.at = at

    def now(self) -> datetime:
        """Return the time it stands at."""
        return self.at

    def move(self, by: timedelta) -> None:
        """Move it, forward or back."""
        self.at += by


class CountedIds:
    """Ids in order of making, different for every `stem`."""

    def __init__(self, stem: str = "") -> None:
        """Make ids that carry the stem."""
        self._stem = stem
        self._made = 0

    def new(self, prefix: str) -> str:
        """Return the next id."""
        self._made += 1
        return f"{prefix}_{self._stem}{self._made:06d}"


class EffectFile:
    """The outside world: a line per effect, appended and synced before the handler goes on."""

    def __init__(self, path: str | Path) -> None:
        """Keep the effects in a file of their own."""
        self._path = Path(path)

    def add(self, effect: dict[str, str]) -> None:
        """Let an effect happen."""
        line = json.dumps(effect) + "\n"
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(file, line.encode())
            os.fsync(file)
        finally:
            os.close(file)

    def all(self) -> list[dict[str, str]]:
        """Return every effect that happened, in order."""
        if not self._path.exists():
            return []
        return [json.loads(line) for line in self._path.read_text().splitlines()]


@dataclass(frozen=True, slots=True)
class Job:
    """What one process does to one call, and where it dies."""

    url: str
    effects: str
    run: str
    role: Role
    crash: str = ""
    """One of `POINTS`, or nothing."""
    hours: float = 0
    """How far its clock stands after the start."""
    amount: str = "150"
    """Above 100 a human has to approve."""
    asynchronous: bool = False
    """Whether the handler is async."""
    via: str = ""
    """The framework whose agent makes the call; empty: none, the gate itself."""


@dataclass(frozen=True, slots=True)
class Report:
    """What became of one process."""

    killed: bool
    state: str = ""
    """The state it last saw of the call."""
    errors: tuple[str, ...] = ()
    """Codes of the errors it met, in order."""


class Refund(BaseModel):
    """The arguments of the tool under test."""

    order_id: str
    amount: Decimal = Field(gt=0, le=500)


class _CrashingJournal(Journal):
    """Dies inside a transaction: the row is written, the commit is not."""

    def __init__(self, store: Store, at: Callable[[str], None]) -> None:
        super().__init__(store, KEY)
        self._at = at
        self.operation = ""

    def append(self, connection: Any, run: str, events: Sequence[Event]) -> None:  # noqa: ANN401 - as in the base
        super().append(connection, run, events)
        self._at(f"{self.operation}.inside")


class _CrashingLedger(SqlLedger):
    """Dies before, inside or after a named operation."""

    def __init__(
        self, store: Store, clock: StepClock, stem: str, at: Callable[[str], None]
    ) -> None:
        self._crashing = _CrashingJournal(store, at)
        super().__init__(store, self._crashing, clock, CountedIds(stem))
        self._at = at

    def _around(self, operation: str, run: Callable[[], Any]) -> Any:  # noqa: ANN401 - passes through
        self._at(f"{operation}.before")
        self._crashing.operation = operation
        result = run()
        self._at(f"{operation}.after")
        return result

    def propose(self, *given: Any, **named: Any) -> Any:  # noqa: ANN401 - passes through
        return self._around("propose", partial(super().propose, *given, **named))

    def decide(self, *given: Any, **named: Any) -> Any:  # noqa: ANN401 - passes through
        return self._around("decide", partial(super().decide, *given, **named))

    def claim(self, *given: Any, **named: Any) -> Any:  # noqa: ANN401 - passes through
        return self._around("claim", partial(super().claim, *given, **named))

    def settle(self, *given: Any, **named: Any) -> Any:  # noqa: ANN401 - passes through
        return self._around("settle", partial(super().settle, *given, **named))


class Life:
    """One process's view of one call: its own store, ledger and gate on a shared database."""

    def __init__(self, job: Job, store: Store) -> None:
        """Open ledger and gate anew on a store whose connections are this process's own."""
        self._job = job
        clock = StepClock(START + timedelta(hours=job.hours))
        stem = f"{job.run}{os.getpid()}"
        self._store = store
        self._ledger = _CrashingLedger(self._store, clock, stem, self._at)
        tools = {"refund.issue": self._tool()}
        self._gate = Gate(tools, self._ledger, clock, CountedIds(stem), f"p{os.getpid()}")
        self._tools = tools
        self._errors: list[str] = []

    def _at(self, point: str) -> None:
        if point == self._job.crash:
            os.kill(os.getpid(), signal.SIGKILL)
            threading.Event().wait()  # the signal may take a moment to arrive in another thread

    def _happen(self, key: str, order: str, amount: str) -> None:
        """Let the effect happen in the outside world."""
        self._at("effect.before")
        EffectFile(self._job.effects).add({"key": key, "order": order, "amount": amount})
        self._at("effect.after")

    def _tool(self) -> Tool:
        def effect(params: Refund, call: Call) -> dict[str, str]:
            self._happen(call.key, params.order_id, str(params.amount))
            return {"refund": f"re_{params.order_id}"}

        async def async_effect(params: Refund, call: Call) -> dict[str, str]:
            return effect(params, call)

        return define(
            async_effect if self._job.asynchronous else effect,
            "refund.issue",
            result="Refunded {amount} for order {order_id}.",
            requires_approval=lambda p: p.amount > 100,
        )

    async def play(self) -> Report:
        """Do what the role says, noting every coded error and going on."""
        await {
            "live": self._live,
            "recover": self._recover,
            "execute": self._execute,
            "approve": partial(self._decide, "approve"),
            "deny": partial(self._decide, "deny"),
        }[self._job.role]()
        record = self._record()
        self._store.close()
        return Report(
            killed=False, state=record.state if record else "", errors=tuple(self._errors)
        )

    async def _live(self) -> None:
        await self._propose()
        await self._decide("approve")
        await self._execute()

    async def _recover(self) -> None:
        """Sweep, carry on what was left, and retry everything that must not happen twice."""
        await self._gate.sweep()
        if self._record() is None:
            await self._propose()
        for _ in range(2):
            await self._decide("approve")
            await self._execute()

    async def _propose(self) -> None:
        arguments: dict[str, Json] = {"order_id": self._job.run, "amount": self._job.amount}
        proposal = ProposedCall("provider-1", "refund.issue", arguments)
        asker = Principal("local", "user", "ada")
        proposer = Proposer(RunId(self._job.run), "support", frozenset({"refund.issue"}), asker)
        await self._coded(self._gate.propose(proposal, **_named(proposer)))

    async def _decide(self, decision: Literal["approve", "deny"]) -> None:
        record = self._record()
        if record is not None and record.approval is not None:
            lead = Principal("local", "user", "lead")
            await self._coded(self._gate.decide(ApprovalId(record.approval), lead, decision))

    async def _execute(self) -> None:
        record = self._record()
        if record is not None:
            await self._coded(self._gate.execute(record.call.id))

    async def _coded(self, work: Any) -> None:  # noqa: ANN401 - any coroutine
        try:
            await work
        except StaidError as error:
            self._errors.append(error.code)

    def _record(self) -> CallRecord | None:
        return next(iter(self._ledger.calls(RunId(self._job.run))), None)


class FrameworkLife(Life):
    """The same life where an agent of another framework makes the call, again and again."""

    async def _propose(self) -> None:
        await self._drive()

    async def _execute(self) -> None:
        if self._record() is not None:
            await self._drive()

    async def _drive(self) -> None:
        """Let the agent make the call: it is proposed, found again, or carried out."""
        drive = DRIVERS[self._job.via]
        run, order = RunId(self._job.run), self._job.run

        def refund(order_id: str, amount: str) -> str:
            """Refund an order."""
            self._happen("", order_id, amount)
            return f"re_{order_id}"

        def work() -> None:
            self._tools.clear()
            guard = Guard(
                lambda tool: self._tools.__setitem__(tool.name, tool),
                lambda: self._gate,
                lambda _principal, _agent: run,
            )
            asker = Principal("local", "user", "ada")
            with guard.acting(asker, "support", key=run):
                drive(guard, refund, [{"order_id": order, "amount": self._job.amount}], _BOUNDS)

        await self._coded(asyncio.to_thread(work))


def _above_100(params: Any) -> bool:  # noqa: ANN401 - built from the framework's schema
    return Decimal(params.amount) > 100


_BOUNDS = {"refund": {"effect": "write", "requires_approval": _above_100}}


def _life(job: Job, store: Store) -> Life:
    return FrameworkLife(job, store) if job.via else Life(job, store)


def _named(proposer: Proposer) -> dict[str, Any]:
    names = ("run", "agent", "allowed", "principal", "upstream", "label")
    return {name: getattr(proposer, name) for name in names}


class Zygote:
    """A clean process that has imported everything and forks one process per job."""

    def __init__(self) -> None:
        """Start it; the import is paid once."""
        self._process = subprocess.Popen(  # noqa: S603 - our own module in our own interpreter
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, *jobs: Job) -> list[Report]:
        """Run jobs side by side, each in a process of its own, and wait for all of them."""
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            message = "the zygote has no pipes"
            raise RuntimeError(message)
        stdin.write(json.dumps([asdict(job) for job in jobs]) + "\n")
        stdin.flush()
        line = stdout.readline()
        if not line:
            message = "the zygote died"
            raise RuntimeError(message)
        return [Report(r["killed"], r["state"], tuple(r["errors"])) for r in json.loads(line)]

    def close(self) -> None:
        """Let it go."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait(timeout=10)
        if self._process.stdout is not None:
            self._process.stdout.close()


@contextmanager
def zygote() -> Generator[Zygote]:
    """Give a zygote and end it afterwards."""
    started = Zygote()
    try:
        yield started
    finally:
        started.close()


def _serve() -> None:
    stores: dict[str, Store] = {}
    warmed: set[str] = set()
    for line in sys.stdin:
        jobs = [Job(**cast("dict[str, Any]", job)) for job in json.loads(line)]
        for job in jobs:
            if job.url not in stores:
                stores, warmed = {job.url: Store(job.url)}, set()
            if job.via not in warmed:
                _warm(job, stores[job.url])
                warmed.add(job.via)
        children = [_fork(job, stores[job.url]) for job in jobs]
        reports = [_reap(child, pipe) for child, pipe in children]
        sys.stdout.write(json.dumps([asdict(report) for report in reports]) + "\n")
        sys.stdout.flush()


def _warm(job: Job, store: Store) -> None:
    # What a fork inherits it need not do again: statements compiled, modules imported.
    run = f"run_warm{job.via}{os.getpid()}"
    first = replace(job, run=run, role="live", crash="", hours=0, effects=f"{job.effects}.warm")
    asyncio.run(_life(first, store).play())


def _fork(job: Job, store: Store) -> tuple[int, int]:
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(writing)
        return child, reading
    try:
        report = asyncio.run(_life(job, store).play())
        os.write(writing, json.dumps(asdict(report)).encode())
    except BaseException as error:  # noqa: BLE001 - the parent has to hear of it
        report = Report(killed=False, errors=(repr(error)[:2000],))
        os.write(writing, json.dumps(asdict(report)).encode())
    finally:
        os._exit(0)


def _reap(child: int, pipe: int) -> Report:
    _, status = os.waitpid(child, 0)
    with os.fdopen(pipe, "rb") as file:
        written = file.read()
    if os.WIFSIGNALED(status):
        return Report(killed=True)
    found = json.loads(written)
    return replace(Report(killed=False), state=found["state"], errors=tuple(found["errors"]))


def settled_truthfully(state: str, count: int) -> bool:
    """Whether what the ledger says agrees with what happened outside."""
    match CallState(state):
        case CallState.DONE:
            return count == 1
        case CallState.IN_DOUBT:
            return count <= 1
        case _:
            return count == 0


if __name__ == "__main__":
    _serve()
