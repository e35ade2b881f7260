"""One process of Staid's gate with the same refund and the same places to die as its peers.

Run by `peers_effects.py`. Like its peers it asks, approves and runs, and when it is started again
it goes on with what the store says: sweep, decide what still waits, execute what may run.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel

from effects_peer import AMOUNT, ORDER, World
from staid.adapters.system import TimeSortedIds
from staid.domain.call import CallState
from staid.domain.errors import StaidError
from staid.domain.ids import RunId
from staid.domain.message import ProposedCall
from staid.domain.principal import Principal
from staid.gates.tool import Call, Tool, define
from staid.runtime.gate import Gate, Proposer
from staid.store.engine import Store
from staid.store.journal import Journal
from staid.store.ledger.sql import SqlLedger
from staid.store.schema import prepare

KEY = "ticket"
PROBED = "Staid + reconcile"


class Refund(BaseModel):
    """The arguments of the refund."""

    order_id: str
    amount: str


class LaterClock:
    """The clock of a process that is started hours after the first, so that its lease is over."""

    def __init__(self, world: World) -> None:
        """Stand at the hour that this start is."""
        hour = 9 + 2 * len(list(world.folder.glob("start-*")))
        self._now = datetime(2026, 1, 5, min(hour, 23), tzinfo=UTC)

    def now(self) -> datetime:
        """Return the hour it stands at."""
        return self._now


def tool(world: World, *, probed: bool) -> Tool:
    """Return the refund as a user would write it."""

    def refund(params: Refund, _call: Call) -> str:
        return world.refund(params.order_id, params.amount)

    def reconcile(_params: Refund, _call: Call) -> bool:
        return world.kept("effects") is not None

    return define(
        refund, "refund.issue", requires_approval=True, reconcile=reconcile if probed else None
    )


async def live(world: World, *, probed: bool) -> str:
    """Ask, approve and run, or go on where an earlier process died; return how the call stands."""
    store, clock, ids = Store(f"sqlite:///{world.folder / 'staid.db'}"), LaterClock(world), None
    prepare(store)
    ids = TimeSortedIds()
    ledger = SqlLedger(store, Journal(store, b"a key kept outside the database"), clock, ids)
    gate = Gate({"refund.issue": tool(world, probed=probed)}, ledger, clock, ids, ids.new("p"))
    run = RunId("run_ticket")
    asker, lead = Principal("local", "user", "ada"), Principal("local", "user", "lead")
    proposer = Proposer(run, "support", frozenset({"refund.issue"}), asker)
    await gate.sweep()
    record = gate.find(KEY)
    if record is None:
        proposal = ProposedCall("call_0", "refund.issue", {"order_id": ORDER, "amount": AMOUNT})
        record = await gate.act(proposal, proposer, key=KEY)
    world.at("before approval")
    if record.state is CallState.PENDING and record.approval is not None:
        try:
            await gate.decide(record.approval, lead, "approve")
        except StaidError as error:  # another process was faster
            print(error.code, file=sys.stderr)
    world.at("after approval")
    record = await gate.execute(record.call.id)
    world.at("after record")
    store.close()
    return record.state.value


def main() -> None:
    """Live once, and print the state of the call."""
    peer, folder, crash = sys.argv[1:4]
    print(asyncio.run(live(World(Path(folder), crash), probed=peer == PROBED)))


if __name__ == "__main__":
    main()
