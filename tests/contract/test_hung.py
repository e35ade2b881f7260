"""Handlers that never return: others still run, and what became of the hung ones is told."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta

import pytest

from staid.domain.call import CallRecord, CallState
from staid.domain.message import ProposedCall
from staid.gates.tool import Call, define
from staid.runtime.handlers import hung
from staid.store.engine import Store
from staid.testing.gating import REFUND, GateWorld, Refund, above

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
        waiting = [propose(world, "slow.write", number) for number in range(HUNG)]
        for _ in range(HUNG):
            assert await asyncio.to_thread(started.acquire, timeout=60)
        assert (await propose(world, REFUND, 7)).state is CallState.DONE
        found = await asyncio.gather(*waiting)
        assert {record.state for record in found} == {CallState.IN_DOUBT}
        denied = await propose(world, "slow.write", HUNG)
        assert (denied.state, denied.ruling.rule) == (CallState.DENIED, "hung:slow.write")
        assert (await propose(world, REFUND, 8)).state is CallState.DONE
        release.set()
        opened.set()
        for _ in range(6000):
            if not await asyncio.to_thread(world.ledger.in_state, CallState.IN_DOUBT):
                break
            await asyncio.sleep(0.01)
        assert hung("slow.write") == 0
        assert (await propose(world, "slow.write", 7)).state is CallState.DONE

    asyncio.run(turn())
    assert len(world.effects) == 2
    assert len(world.ledger.in_state(CallState.DONE)) == HUNG + 3


class Hanging:
    """Code of a tool's author that does not come back before it is let."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, most: int = 2) -> None:
        """Let so many of them hang in this process."""
        monkeypatch.setattr("staid.gates.hung.MOST_HUNG", most)
        self.release = threading.Event()

    def __call__(self, params: Refund, call: Call | None = None) -> str:
        """Hang."""
        self.release.wait(60)
        return f"{params.order_id} {call}"


@pytest.mark.parametrize("effect", ["write", "read"])
def test_what_was_approved_does_not_begin_either(
    world: GateWorld, monkeypatch: pytest.MonkeyPatch, effect: str
) -> None:
    """With as many threads hanging as may, an approved call is revoked before its handler starts.

    A read that hangs holds a thread, too, though its call has failed.
    """
    hanging = Hanging(monkeypatch)
    world.tools[REFUND] = define(
        hanging, REFUND, params=Refund, effect=effect, timeout=SOON, requires_approval=above(100)
    )
    waiting = world.approved()
    ended = {"write": CallState.IN_DOUBT, "read": CallState.FAILED}[effect]
    assert [world.act().state for _ in range(2)] == [ended] * 2
    assert world.act().ruling.rule == f"hung:{REFUND}"
    revoked = world.execute(waiting)
    assert (revoked.state, hung(REFUND)) == (CallState.REVOKED, 2)
    assert "still run" in (revoked.error or "")
    hanging.release.set()


@pytest.mark.parametrize("part", ["preview", "fingerprint"])
def test_a_hung_preview_counts(
    world: GateWorld, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    """What is asked about a call holds a thread as its handler does; then nothing is asked."""
    hanging = Hanging(monkeypatch)
    world.tools[REFUND] = world.define(timeout=SOON, **{part: hanging})
    rules = [world.propose().ruling.rule for _ in range(3)]
    assert rules == [part, part, f"hung:{REFUND}"]
    assert hung(REFUND) == 2
    hanging.release.set()


def test_a_probe_that_hangs_leaves_the_doubt(
    world: GateWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A `reconcile` that does not come back holds up no sweep, and is not asked without end."""
    hanging = Hanging(monkeypatch)
    monkeypatch.setattr("staid.runtime.gate_sweep.MOST_HUNG", 2)
    world.tools[REFUND] = world.define(timeout=SOON, reconcile=hanging)
    world.raises = ConnectionError("lost")
    record = world.act()
    for _ in range(3):
        found = asyncio.run(world.gate.reconcile(record.call.id))
        assert found.state is CallState.IN_DOUBT
    assert hung(REFUND) == 2
    hanging.release.set()
