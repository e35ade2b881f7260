"""What every step of the gate works with: tools, ledger, clock, and the tasks that run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from datetime import timedelta
from typing import Any, TypeVar

from staid.domain.call import Effect
from staid.domain.ids import Ids
from staid.domain.ports import Clock
from staid.gates.ledger import Lease, Ledger
from staid.gates.rules import NO_POLICY, Policy
from staid.gates.tool import Tool

T = TypeVar("T")

LEASE = timedelta(seconds=60)
"""How long an executor is believed without a heartbeat."""


class GateParts:
    """What the steps of a gate share; a gate is made of the steps that extend it."""

    def __init__(  # noqa: PLR0913 - everything the steps share
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
        policy: Policy = NO_POLICY,
    ) -> None:
        """Gate `tools`, which may still grow; `stopped` adds to what the ledger says is stopped.

        `policy` adds rules to those of the tools. `approvers` decide what a tool asks for that
        names no approvers of its own.
        """
        self._tools = tools
        self._ledger = ledger
        self._clock = clock
        self._ids = ids
        self._executor = executor_id
        self._lease_length = lease
        self._stopped_elsewhere = stopped
        self._approvers = approvers
        self._policy = policy
        self._tasks: set[asyncio.Task[Any]] = set()
        self._probed: set[str] = set()  # lost calls whose fate this process asked for already

    def _stopped(self) -> frozenset[str]:
        """Return what is stopped as of now; blocks, and raises where nobody can say."""
        return self._ledger.stopped() | self._stopped_elsewhere()

    async def _stopped_for(self, tool: Tool | None) -> frozenset[str]:
        """Return what is known to be stopped before the ledger asks again in its transaction."""
        # Where its author's code runs before that.
        early = tool is not None and (
            tool.effect is Effect.READ or tool.preview or tool.lookups or tool.fingerprint
        )
        return await asyncio.to_thread(self._stopped) if early else self._stopped_elsewhere()

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
