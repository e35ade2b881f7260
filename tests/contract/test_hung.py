"""Handlers that never return: others still run, and what became of the hung ones is told."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta

import pytest

from staid.domain.call import CallRecord, CallState
from staid.domain.message import ProposedCall
from staid.gates.tool import Call, define
from staid.store.engine import Store
from staid.testing.gating import REFUND, GateWorld, Refund

HUNG = 100
SOON = timedelta(milliseconds=200)


@pytest.fixture
def world(store: Store) -> GateWorld:
    """Give a gate on a fresh store."""
    return GateWorld(store)


def propose(world: GateWorld, tool: str, order: int) -> asyncio.Task[CallRecord]:
    """Let a call be made beside others."""
    proposal = ProposedCall("p", tool, {"order_id": str(order), "amount": "50"})
    return asyncio.create_task(world.gate.act(proposal, world.proposer()))


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_hundred_hung_handlers_starve_nobody(world: GateWorld, asynchronous: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """While a hundred writes hang another tool runs; they end in doubt, and late ends are taken."""
    started, release, opened = threading.Semaphore(0), threading.Event(), asyncio.Event()

    def hang(p: Refund, call: Call) -> str:
        started.release()
        release.wait(60)
        return f"{p.order_id} {call.id}"

    async def hang_async(p: Refund, call: Call) -> str:
        started.release()
        await opened.wait()
        return f"{p.order_id} {call.id}"

    world.tools["slow.write"] = define(
        hang_async if asynchronous else hang, "slow.write", params=Refund, timeout=SOON
    )

    async def turn() -> None:
        hung = [propose(world, "slow.write", number) for number in range(HUNG)]
        for _ in range(HUNG):
            assert await asyncio.to_thread(started.acquire, timeout=60)
        assert (await propose(world, REFUND, 7)).state is CallState.DONE
        found = await asyncio.gather(*hung)
        assert {record.state for record in found} == {CallState.IN_DOUBT}
        release.set()
        opened.set()
        for _ in range(6000):
            if not await asyncio.to_thread(world.ledger.in_state, CallState.IN_DOUBT):
                break
            await asyncio.sleep(0.01)

    asyncio.run(turn())
    assert len(world.effects) == 1
    assert len(world.ledger.in_state(CallState.DONE)) == HUNG + 1
