"""Whatever people do to a request in whatever order: what runs is what enough of them approved."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from staid.domain.call import ApprovalRecord, CallRecord
from staid.domain.errors import StaidError
from staid.domain.ids import ApprovalId
from staid.domain.principal import Principal
from staid.gates.ledger import Edit
from staid.store import tables
from staid.store.engine import Store
from staid.testing.gating import ADA, LEAD, REFUND, GateWorld, Refund

LEADS = frozenset({"group:leads"})
PEOPLE = (LEAD, Principal("local", "user", "eve", LEADS), Principal("local", "user", "sue", LEADS))
WHO = st.integers(0, 2)

YES = ("approve", "approve", "approve", "execute")
STEP = st.tuples(st.sampled_from((*YES, "execute", "deny", "edit", "tamper", "world")), WHO)
AGREED = [("approve", 0), ("approve", 1)]
STEPS = st.tuples(st.sampled_from(([], AGREED)), st.lists(STEP, max_size=10))
"""What is done by whom; half of the stories begin where two agree."""


class Story:
    """One request that two of three people have to approve, and who approved which arguments."""

    def __init__(self, store: Store) -> None:
        """Ask for 150."""
        self.gates = GateWorld(store)
        self.state, self.edits = 0, 0
        self.gates.tools[REFUND] = self.gates.define(quorum=2, fingerprint=self._look)
        self.asked = self.gates.propose(150)
        self.voted: defaultdict[tuple[str, str, int], set[str]] = defaultdict(set)

    def _look(self, _params: Refund) -> int:
        return self.state

    def now(self) -> CallRecord:
        """Return the call, or what it was changed into."""
        record = self.gates.ledger.get(self.asked.call.id)
        while record.replaced_by is not None:
            record = self.gates.ledger.get(record.replaced_by)
        return record

    def request(self) -> ApprovalRecord:
        """Return the request as it stands."""
        return self.gates.ledger.approval(ApprovalId(self.now().approval or ""))

    def play(self, step: str, who: Principal) -> None:
        """Do one thing; a refusal is a coded error."""
        with suppress(StaidError):
            getattr(self, f"_{step}")(who)

    def _approve(self, who: Principal) -> None:
        request = self.request()
        self.gates.ledger.decide(request.id, who, "approve", seen=request.binding)
        key, amount = request.call.key, str(request.call.arguments["amount"])
        self.voted[key, amount, self.state].add(who.token)

    def _deny(self, who: Principal) -> None:
        request = self.request()
        self.gates.ledger.decide(request.id, who, "deny", seen=request.binding)

    def _edit(self, who: Principal) -> None:
        self.edits += 1
        request = self.request()
        edit = Edit(request.id, who, "otherwise", request.binding)
        changes: dict[str, Any] = {"amount": 200 + self.edits}
        asyncio.run(self.gates.gate.edit(edit, changes, asker=ADA))

    def _execute(self, _who: Principal) -> None:
        before = len(self.gates.effects)
        record = self.now()
        asyncio.run(self.gates.gate.execute(self.asked.call.id))
        for key, amount in self.gates.effects[before:]:
            assert key == record.call.key
            assert len(self.voted[key, str(amount), self.state]) >= 2, "nobody approved this"

    def _tamper(self, _who: Principal) -> None:
        forged = json.dumps({"amount": "499", "order_id": "7"})
        with self.gates.store.write() as connection:
            mine = tables.call.c.id == self.now().call.id
            connection.execute(update(tables.call).where(mine).values(arguments=forged))

    def _world(self, _who: Principal) -> None:
        self.state += 1


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_what_runs_was_approved_by_two(
    steps: tuple[list[tuple[str, int]], list[tuple[str, int]]],
) -> None:
    """Votes, edits, forged rows and a moving world: one effect at most, of approved arguments."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(f"sqlite:///{Path(folder) / 'staid.db'}")
        tables.metadata.create_all(store.engine)
        story = Story(store)
        for step, who in (*steps[0], *steps[1], ("execute", 0), ("execute", 0)):
            story.play(step, PEOPLE[who])
        assert len(story.gates.effects) <= 1
        store.close()
