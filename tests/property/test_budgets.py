"""Whatever is proposed, decided and lost in whatever order, no total passes what bounds it."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from staid.domain.call import CallRecord, CallState
from staid.domain.errors import NotDone, StaidError
from staid.domain.ids import RunId
from staid.domain.message import ProposedCall
from staid.gates.approval import Move
from staid.gates.budget import Budget
from staid.gates.ledger import Settlement
from staid.gates.structuring import Threshold
from staid.store.engine import Store
from staid.store.tables import metadata
from staid.testing.gating import LEAD, REFUND, GateWorld

LIMIT, ABOVE, DAY = 600, 100, timedelta(days=1)

steps = st.one_of(
    st.tuples(st.just("act"), st.integers(1, 200)),
    st.tuples(st.just("fail"), st.integers(1, 100)),
    st.tuples(st.just("doubt"), st.integers(1, 100)),
    st.tuples(st.sampled_from(["approve", "deny", "execute", "resolve"]), st.integers(0, 3)),
    st.tuples(st.just("wait"), st.integers(0, 30)),
    st.tuples(st.just("back"), st.integers(0, 30)),
)


class Play:
    """Plays steps on a gate, and remembers when which effect took place, and who let it."""

    def __init__(self, store: Store) -> None:
        """Open a gate with a budget and a threshold."""
        self.world = GateWorld(store)
        self.world.tools[REFUND] = self.world.define(
            budget=Budget(LIMIT, sum_of="amount"), requires_approval=Threshold("amount", ABOVE)
        )
        self.records: list[CallRecord] = []
        self.done: list[tuple[datetime, Decimal, bool]] = []
        self.real = self.world.clock.at

    def step(self, name: str, number: int) -> None:
        """Do one step; what is refused is refused."""
        try:
            getattr(self, f"_{name}")(number)
        except StaidError:
            return

    def _act(self, amount: int) -> None:
        proposer = replace(self.world.proposer(), run=RunId(f"run_{len(self.records)}"))
        wanted = ProposedCall("p", REFUND, {"order_id": str(len(self.records)), "amount": amount})
        self._note(asyncio.run(self.world.gate.act(wanted, proposer)))

    def _fail(self, amount: int) -> None:
        self.world.raises = NotDone()
        self._act(amount)
        self.world.raises = None

    def _doubt(self, amount: int) -> None:
        self.world.raises = RuntimeError("reset")
        self._act(amount)
        self.world.raises = None

    def _approve(self, number: int) -> None:
        waiting = self.world.ledger.approvals()
        found = waiting[number % len(waiting)] if waiting else None
        if found is not None:
            self.world.ledger.decide(found.id, LEAD, "approve", seen=found.binding)

    def _deny(self, number: int) -> None:
        waiting = self.world.ledger.approvals()
        if waiting:
            self.world.ledger.decide(waiting[number % len(waiting)].id, LEAD, "deny")

    def _execute(self, _: int) -> None:
        for record in self.world.ledger.in_state(CallState.APPROVED):
            self._note(self.world.execute(record))

    def _resolve(self, number: int) -> None:
        move = Move.SUCCEED if number % 2 else Move.FAIL
        for record in self.world.ledger.in_state(CallState.IN_DOUBT):
            self._note(self.world.ledger.resolve(record.call.id, LEAD, Settlement(move)))

    def _wait(self, hours: int) -> None:
        self.real += timedelta(hours=hours)
        self.world.clock.move(timedelta(hours=hours))
        self.world.ledger.sweep()

    def _back(self, hours: int) -> None:
        """Let the clock be behind, and right again after the next call."""
        self.world.clock.move(-timedelta(hours=hours))
        self.step("act", 60)
        self.world.clock.move(timedelta(hours=hours))

    def _note(self, record: CallRecord) -> None:
        self.records.append(record)
        if record.state is CallState.DONE:
            amount = Decimal(str(record.call.arguments["amount"]))
            self.done.append((self.world.clock.at, amount, record.approval is None))

    def within(self, at: datetime, *, unattended: bool) -> Decimal:
        """Return what was done within the window before a moment, by the gate's own clock."""
        counts = (
            amount
            for when, amount, alone in self.done
            if at - DAY < when <= at and (alone or not unattended)
        )
        return sum(counts, Decimal(0))


@given(st.lists(steps.filter(lambda step: step[0] != "back"), max_size=25))
@settings(max_examples=25, deadline=None)
def test_no_window_passes_its_limit(played: Sequence[tuple[str, int]]) -> None:
    """In no day do effects exceed the budget, nor unattended ones the threshold."""
    with tempfile.TemporaryDirectory() as folder:
        play = _played(Path(folder), played)
    for at, _, _ in play.done:
        assert play.within(at, unattended=False) <= LIMIT
        assert play.within(at, unattended=True) <= ABOVE


@given(st.lists(steps, max_size=25))
@settings(max_examples=15, deadline=None)
def test_each_effect_has_one_consent(played: Sequence[tuple[str, int]]) -> None:
    """Every call runs at most once, and above the threshold only where a person approved it."""
    with tempfile.TemporaryDirectory() as folder:
        play = _played(Path(folder), played)
    keys = [key for key, _ in play.world.effects]
    assert len(keys) == len(set(keys))
    assert all(amount <= ABOVE for _, amount, alone in play.done if alone)


def _played(folder: Path, played: Sequence[tuple[str, int]]) -> Play:
    store = Store(f"sqlite:///{folder}/staid.db")
    metadata.create_all(store.engine)
    try:
        play = Play(store)
        for name, number in played:
            play.step(name, number)
    finally:
        store.close()
    return play
