"""Many threads and processes that draw on the same budgets at once: what was let through, and why.

Two tools draw on the same two budgets and name them in opposite orders: where a ledger locked them
as they come, two calls would wait for each other for ever.
"""

from __future__ import annotations

import asyncio
import multiprocessing
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from itertools import chain

from pydantic import BaseModel

from staid.domain.ids import RunId
from staid.domain.message import ProposedCall
from staid.domain.principal import Principal
from staid.gates.budget import Budget
from staid.gates.tool import Tool, define
from staid.runtime.gate import Gate, Proposer
from staid.store.engine import Store
from staid.store.journal import Journal
from staid.store.ledger.sql import SqlLedger
from staid.testing.kill import KEY, CountedIds, StepClock

LIMIT = 1000
CALLS = 40
"""How many calls the second budget lets through."""


class Transfer(BaseModel):
    """Arguments of the tools."""

    recipient: str
    amount: Decimal


def pay(p: Transfer) -> str:
    """Pay nobody."""
    return f"paid {p.amount}"


def tools(limit: int = LIMIT, calls: int = CALLS) -> dict[str, Tool]:
    """Return two tools on the same two budgets, in opposite orders."""
    money = Budget(limit, sum_of="amount", per=["customer", "recipient"], name="money")
    rate = Budget(calls, per="agent", name="rate")
    orders: dict[str, list[Budget]] = {"pay.now": [money, rate], "pay.later": [rate, money]}
    return {
        name: define(pay, name, params=Transfer, requires_approval=False, budget=budgets)
        for name, budgets in orders.items()
    }


@dataclass(frozen=True, slots=True)
class Spree:
    """What one process proposes: every thread proposes as often, turn about on both tools."""

    url: str
    stem: str
    threads: int
    each: int
    amount: int
    limit: int = LIMIT
    calls: int = CALLS

    def run(self) -> list[str]:
        """Propose everything at once; return the state of every call, or what was raised."""
        store = Store(self.url, busy_seconds=120)
        ids = CountedIds(self.stem)
        ledger = SqlLedger(store, Journal(store, KEY), StepClock(), ids)
        gate = Gate(tools(self.limit, self.calls), ledger, StepClock(), ids, self.stem)
        with ThreadPoolExecutor(self.threads) as pool:
            found = list(pool.map(partial(self._thread, gate), range(self.threads)))
        store.close()
        return list(chain.from_iterable(found))

    def _thread(self, gate: Gate, number: int) -> list[str]:
        return [asyncio.run(self._call(gate, number + n)) for n in range(self.each)]

    async def _call(self, gate: Gate, number: int) -> str:
        proposer = Proposer(
            RunId(f"run_{self.stem}{number}"),
            "support",
            frozenset({"pay.now", "pay.later"}),
            Principal("local", "user", "ada"),
        )
        name = ("pay.now", "pay.later")[number % 2]
        wanted = ProposedCall("p", name, {"recipient": "bob", "amount": self.amount})
        try:
            return (await gate.act(wanted, proposer)).state.value
        except Exception as error:  # noqa: BLE001 - what went wrong is the answer
            return repr(error)[:500]


def together(sprees: Sequence[Spree]) -> Counter[str]:
    """Run each spree in a process of its own, all at once; return how often which state came."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    with context.Pool(len(sprees)) as pool:
        return Counter(chain.from_iterable(pool.map(Spree.run, sprees, chunksize=1)))
