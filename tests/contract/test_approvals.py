"""Approvals in depth on both engines: what they are bound to, votes, edits, escalation."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, update

from staid.domain.call import ApprovalRecord, CallRecord, CallState
from staid.domain.canonical import Json, canonical
from staid.domain.errors import (
    AlreadyVoted,
    ApprovalDecided,
    ApprovalExpired,
    ApprovalMismatch,
    ApproverNotAllowed,
    EditDenied,
    EditInvalid,
    StaidError,
)
from staid.domain.principal import Principal
from staid.gates.budget import Budget
from staid.gates.ledger import Edit
from staid.gates.rules import NO_POLICY
from staid.gates.tool import Call
from staid.runtime.gate import Gate
from staid.store import tables
from staid.store.engine import Store
from staid.testing.gating import ADA, LEAD, REFUND, RUN, GateWorld, Refund, above, back_to_card
from staid.testing.kill import CountedIds

LEADS = frozenset({"group:leads"})
EVE = Principal("local", "user", "eve", LEADS)
SUE = Principal("local", "user", "sue", LEADS)
BOSS = Principal("local", "user", "boss", frozenset({"group:directors"}))
HOUR = timedelta(hours=1)


@dataclass
class World:
    """A gate whose refund tool is set up by each test, and the state of the world behind it."""

    gates: GateWorld
    left: str = "500 left"
    raises: BaseException | None = None

    def tool(self, **options: Any) -> None:
        """Define the refund tool anew."""
        self.gates.tools[REFUND] = self.gates.define(**{"fingerprint": self.balance, **options})

    def balance(self, _: Refund) -> dict[str, Json]:
        """Return what the approval rests on."""
        if self.raises is not None:
            raise self.raises
        return {"balance": self.left}

    def asked(self, amount: Json = 150) -> ApprovalRecord:
        """Propose a call that a human has to approve."""
        return self.request(self.gates.propose(amount))

    def request(self, record: CallRecord) -> ApprovalRecord:
        """Return the request of a call as it stands."""
        assert record.approval is not None
        return self.gates.ledger.approval(record.approval)

    def again(self, approval: ApprovalRecord) -> ApprovalRecord:
        """Return the request as it stands now."""
        return self.gates.ledger.approval(approval.id)

    def say(self, approval: ApprovalRecord, who: Principal = LEAD, yes: str = "approve") -> None:
        """Let somebody decide what they see now."""
        seen = self.again(approval).binding
        decision: Any = yes
        self.gates.ledger.decide(approval.id, who, decision, seen=seen)

    def run(self, approval: ApprovalRecord) -> CallRecord:
        """Execute the call of a request, or what it was changed into."""
        return asyncio.run(self.gates.gate.execute(approval.call.id))

    def edit(self, approval: ApprovalRecord, who: Principal = LEAD, **changes: Json) -> CallRecord:
        """Change a call that waits."""
        return self.change(approval, who, changes)

    def change(
        self, approval: ApprovalRecord, who: Principal, changes: dict[str, Json]
    ) -> CallRecord:
        """Change a call that waits."""
        edit = Edit(approval.id, who, "as agreed", approval.binding)
        return asyncio.run(self.gates.gate.edit(edit, changes, asker=ADA))

    @property
    def amounts(self) -> list[str]:
        """What was refunded."""
        return [str(amount) for _, amount in self.gates.effects]

    def fact(self, kind: str) -> dict[str, Any]:
        """Return the last fact of a kind, its content included."""
        rows = [row for row in self.gates.journal.rows(RUN) if row.kind.value == kind]
        return {**rows[-1].fact, **(rows[-1].body or {})}


@pytest.fixture
def world(store: Store) -> World:
    """Give a gate whose refunds rest on a balance."""
    made = World(GateWorld(store))
    made.tool()
    return made


# --- binding ---------------------------------------------------------------------------------


def test_a_changed_world_asks_again(world: World) -> None:
    """A balance that moved after the approval runs nothing and asks again, naming both states."""
    asked = world.asked()
    world.say(asked)
    world.left = "100 left"
    assert world.run(asked).state is CallState.PENDING
    assert world.amounts == []
    again = world.again(asked)
    assert [(c.part, c.before, c.now) for c in again.changes] == [
        ("fingerprint", '{"balance":"500 left"}', '{"balance":"100 left"}')
    ]
    assert (again.decision, again.decided_by, again.round) == (None, None, 2)
    assert world.fact("approval.reconsidered")["parts"] == ["fingerprint"]
    assert world.run(asked).state is CallState.PENDING
    world.say(asked)
    assert world.run(asked).state is CallState.DONE
    assert world.amounts == ["150"]
    assert world.gates.journal.verify() == []


def other(params: Refund, call: Call) -> str:
    """Refund in another way."""
    return f"other {params.amount} {call.key}"


def to_another_card(params: Refund) -> str:
    """Say what would happen, otherwise."""
    return f"{params.amount} to another card"


class Reworded(Refund):
    """The same arguments, described in other words."""


@pytest.mark.parametrize(
    ("part", "options"),
    [
        ("handler", {"handler": other}),
        ("handler", {"version": "2026-02"}),
        ("schema", {"params": Reworded}),
        ("preview", {"preview": to_another_card}),
        ("fingerprint", {"fingerprint": None}),
    ],
)
def test_a_changed_tool_asks_again(world: World, part: str, options: dict[str, Any]) -> None:
    """Another handler, schema, preview or fingerprint than was approved voids the approval."""
    world.tool(preview=back_to_card)
    asked = world.asked()
    world.say(asked)
    world.tool(**{"preview": back_to_card, **options})
    assert world.run(asked).state is CallState.PENDING
    assert [change.part for change in world.again(asked).changes] == [part]
    world.say(asked)
    assert world.run(asked).state is CallState.DONE


def test_a_changed_policy_asks_again(world: World) -> None:
    """An approval given under one version of the policy does not hold under the next."""
    gates = world.gates

    def under(version: str) -> Gate:
        policy = replace(NO_POLICY, version=version)
        ids = CountedIds(f"g{version}")
        return Gate(gates.tools, gates.ledger, gates.clock, ids, "p", policy=policy)

    gates.gate = under("1")
    asked = world.asked()
    world.say(asked)
    gates.gate = under("2")
    assert world.run(asked).state is CallState.PENDING
    assert [(c.part, c.before, c.now) for c in world.again(asked).changes] == [("policy", "1", "2")]


def test_an_unchanged_world_runs_at_once(world: World) -> None:
    """Where nothing changed an approval is executed, ninety days later, too."""
    world.tool(expires_after="120d")
    asked = world.asked()
    world.gates.clock.move(timedelta(days=90))
    world.say(asked)
    assert world.run(asked).state is CallState.DONE
    assert world.run(asked).state is CallState.DONE
    assert world.amounts == ["150"]


def test_a_world_nobody_can_read_denies_at_proposal(world: World) -> None:
    """A fingerprint that raises leaves nothing to approve: the call is denied."""
    world.raises = TimeoutError()
    record = world.gates.propose(150)
    assert (record.state, record.ruling.rule) == (CallState.DENIED, "fingerprint")


def test_a_world_nobody_can_read_at_the_claim_asks_again(world: World) -> None:
    """A fingerprint that raises runs nothing; once it is read again the old state still counts."""
    asked = world.asked()
    world.say(asked)
    world.raises = TimeoutError()
    assert world.run(asked).state is CallState.PENDING
    (change,) = world.again(asked).changes
    assert change.now == "could not be read (TimeoutError)"
    world.raises = None
    world.say(asked)
    assert world.run(asked).state is CallState.DONE
    assert world.amounts == ["150"]


def test_what_was_looked_at_before_a_change_decides_nothing(world: World) -> None:
    """A page opened before the reconsideration cannot approve what it did not show."""
    asked = world.asked()
    world.say(asked)
    world.left = "100 left"
    world.run(asked)
    for seen in (asked.binding, asked.digest):
        with pytest.raises(ApprovalMismatch):
            world.gates.ledger.decide(asked.id, LEAD, "approve", seen=seen)


def test_what_was_seen_includes_the_preview_from_the_first_round(world: World) -> None:
    """The digest of the call alone stands for no look at preview and balance."""
    asked = world.asked()
    with pytest.raises(ApprovalMismatch):
        world.gates.ledger.decide(asked.id, LEAD, "approve", seen=asked.digest)
    world.gates.ledger.decide(asked.id, LEAD, "approve", seen=asked.binding)
    assert world.run(asked).state is CallState.DONE


def test_an_expired_reconsideration_is_a_no(world: World) -> None:
    """A request that is asked anew after its time has passed expires and never runs."""
    asked = world.asked()
    world.say(asked)
    world.left = "100 left"
    world.gates.clock.move(timedelta(days=8))
    assert world.run(asked).state is CallState.PENDING
    with pytest.raises(ApprovalExpired):
        world.say(asked)
    world.gates.ledger.sweep()
    assert world.run(asked).state is CallState.EXPIRED
    assert world.gates.reservations() == []


@pytest.mark.parametrize("when", ["pending", "approved"])
@pytest.mark.parametrize("column", ["bound", "demand"])
def test_rewritten_bounds_never_run(world: World, when: str, column: str) -> None:
    """Whoever rewrites in the store what an approval is bound to, or asks, has nothing run."""
    world.tool(quorum=2 if column == "demand" else 1)
    asked = world.asked()
    if when == "approved":
        world.say(asked)
        world.say(asked, EVE) if column == "demand" else None
    world.left = "1 left"
    assert asked.bound is not None
    forged = {
        "bound": canonical(replace(asked.bound, fingerprint='{"balance":"1 left"}').as_json()),
        "demand": canonical({**asked.asks.as_json(), "quorum": 1}),
    }
    with world.gates.store.write() as connection:
        connection.execute(update(tables.approval).values({column: forged[column]}))
    try:
        if when == "pending":
            world.say(asked, SUE)
        state = world.run(asked).state
    except ApprovalMismatch:
        state = CallState.PENDING
    assert state is CallState.PENDING
    assert world.amounts == []


def test_the_preview_that_is_shown_is_the_one_that_is_bound(world: World) -> None:
    """A preview that somebody rewrote in the store is not what an approver is shown."""
    world.tool(preview=back_to_card)
    asked = world.asked()
    with world.gates.store.write() as connection:
        connection.execute(update(tables.approval).values(preview="nothing of note"))
    assert world.again(asked).preview == "150 back to the card ..42"


# --- votes -----------------------------------------------------------------------------------


def test_two_people_have_to_approve(world: World) -> None:
    """With a quorum of two the first yes runs nothing, the second person's yes runs it once."""
    world.tool(quorum=2)
    asked = world.asked()
    world.say(asked)
    assert world.run(asked).state is CallState.PENDING
    with pytest.raises(AlreadyVoted):
        world.say(asked)
    assert [vote.by for vote in world.again(asked).said_yes] == ["user:lead"]
    assert world.fact("approval.voted")["votes"] == 1
    world.say(asked, EVE)
    assert world.run(asked).state is CallState.DONE
    assert world.amounts == ["150"]
    assert world.gates.kinds().count("approval.voted") == 1
    with pytest.raises(ApprovalDecided):
        world.say(asked, SUE)


def test_one_no_is_enough(world: World) -> None:
    """Of several approvers one who denies ends it, and may have approved before."""
    world.tool(quorum=3)
    asked = world.asked()
    world.say(asked)
    world.say(asked, EVE)
    world.say(asked, LEAD, "deny")
    assert world.run(asked).state is CallState.DENIED
    assert [(v.by, v.decision) for v in world.again(asked).votes] == [
        ("user:eve", "approve"),
        ("user:lead", "deny"),
    ]
    assert world.amounts == []


def test_a_reconsideration_voids_every_vote(world: World) -> None:
    """After the world changed all people have to vote anew."""
    world.tool(quorum=2)
    asked = world.asked()
    world.say(asked)
    world.say(asked, EVE)
    world.left = "100 left"
    assert world.run(asked).state is CallState.PENDING
    assert world.again(asked).said_yes == ()
    world.say(asked)
    assert world.run(asked).state is CallState.PENDING
    world.say(asked, SUE)
    assert world.run(asked).state is CallState.DONE
    assert world.amounts == ["150"]


def test_votes_race(world: World) -> None:
    """Of many who approve at once exactly as many are counted as it takes, and it runs once."""
    world.tool(quorum=3)
    asked = world.asked()
    people = [Principal("local", "user", f"p{n}", LEADS) for n in range(8)]
    start = threading.Barrier(len(people))

    def vote(who: Principal) -> bool:
        start.wait()
        try:
            world.say(asked, who)
        except StaidError:
            return False
        return True

    with ThreadPoolExecutor(len(people)) as pool:
        counted = list(pool.map(vote, people))
    assert counted.count(True) == 3
    assert world.run(asked).state is CallState.DONE
    assert world.amounts == ["150"]
    assert world.gates.journal.verify() == []


def test_a_stuffed_ballot_counts_nothing(world: World) -> None:
    """A vote that somebody wrote into the table is in no journal, and nothing is decided on it."""
    world.tool(quorum=2)
    asked = world.asked()
    forged = {"approval": asked.id, "round": 1, "voter": "user:eve", "decision": "approve"}
    with world.gates.store.write() as connection:
        at = world.gates.clock.now()
        connection.execute(insert(tables.vote).values(**forged, at=at, binding=asked.binding))
    with pytest.raises(ApprovalMismatch):
        world.say(asked)
    assert world.run(asked).state is CallState.PENDING


# --- who may --------------------------------------------------------------------------------


def test_ceilings(world: World) -> None:
    """Nobody approves more than their ceiling; they may still deny, and a higher one approves."""
    world.tool(
        approvers=["group:leads", "group:directors"],
        amount="amount",
        ceilings={"group:leads": 200, "group:directors": 1000},
    )
    asked = world.asked(300)
    with pytest.raises(ApproverNotAllowed, match="the amount is 300, and they may approve 200"):
        world.say(asked)
    world.say(asked, BOSS)
    assert world.run(asked).state is CallState.DONE
    denied = world.asked(301)
    world.say(denied, LEAD, "deny")
    assert world.run(denied).state is CallState.DENIED


def test_escalation(world: World) -> None:
    """A director may decide from the hour on at which the leads are late; the record says so."""
    world.tool(escalate_after="1h", escalate_to="group:directors")
    asked = world.asked()
    with pytest.raises(ApproverNotAllowed):
        world.say(asked, BOSS)
    world.gates.ledger.sweep()
    assert "approval.escalated" not in world.gates.kinds()
    world.gates.clock.move(HOUR)
    world.gates.ledger.sweep()
    world.gates.ledger.sweep()
    assert world.gates.kinds().count("approval.escalated") == 1
    world.say(asked, BOSS)
    assert world.run(asked).state is CallState.DONE


@pytest.mark.parametrize(
    "who",
    [
        ADA,
        Principal("local", "user", "root", LEADS),
        Principal("local", "agent", "support", LEADS),
        Principal("local", "agent", "other", LEADS),
        Principal("local", "service", "cron", LEADS),
    ],
)
def test_nobody_upstream_and_no_agent(world: World, who: Principal) -> None:
    """Whoever is in the causal chain, and whatever is no person, neither decides nor edits."""
    asked = world.asked()
    for attempt in (lambda: world.say(asked, who), lambda: world.edit(asked, who, amount="50")):
        with pytest.raises(ApproverNotAllowed):
            attempt()
    assert world.again(asked).state is CallState.PENDING


# --- edits -----------------------------------------------------------------------------------


def test_an_edit_within_the_rules_runs_once(world: World) -> None:
    """A lead who halves the amount to what needs nobody gets exactly that executed, once."""
    asked = world.asked()
    edited = world.edit(asked, amount="50")
    assert (edited.state, edited.replaces) == (CallState.APPROVED, asked.call.id)
    done = world.run(asked)
    assert (done.call.id, done.state) == (edited.call.id, CallState.DONE)
    world.run(asked)
    assert world.amounts == ["50"]
    original = world.again(asked)
    assert (original.state, original.decision) == (CallState.REVOKED, "edit")
    assert original.replaced_by == edited.call.id
    with pytest.raises(ApprovalDecided):
        world.say(asked, EVE)
    with pytest.raises(ApprovalDecided):
        world.edit(asked, EVE, amount="60")
    assert world.gates.journal.verify() == []


def test_an_edit_that_still_needs_a_human_needs_another_one(world: World) -> None:
    """Who changed a call is upstream of it: somebody else approves what it became."""
    asked = world.asked()
    request = world.request(world.edit(asked, amount="120"))
    assert (request.state, request.edited_by) == (CallState.PENDING, "user:lead")
    with pytest.raises(ApproverNotAllowed):
        world.say(request)
    with pytest.raises(ApproverNotAllowed):
        world.edit(request, amount="50")
    world.say(request, EVE)
    assert world.run(asked).state is CallState.DONE
    assert world.amounts == ["120"]
    assert world.gates.ledger.find(asked.call.key) == world.gates.ledger.get(request.call.id)


def test_an_edit_out_of_bounds_changes_nothing(world: World) -> None:
    """A hard bound holds for people, too; the request waits on, and the attempt is recorded."""
    asked = world.asked()
    with pytest.raises(EditDenied):
        world.edit(asked, amount="501")
    assert world.again(asked) == asked
    assert world.fact("approval.edited")["refused"] == "constraint:amount"
    world.say(asked)
    assert world.run(asked).state is CallState.DONE
    assert world.amounts == ["150"]


@pytest.mark.parametrize("changes", [{"amount": "150"}, {"iban": "x"}, {}])
def test_an_edit_changes_an_argument(world: World, changes: dict[str, Json]) -> None:
    """An edit that changes nothing, or what is no argument, is refused."""
    asked = world.asked()
    with pytest.raises(EditInvalid):
        world.change(asked, LEAD, changes)
    assert world.again(asked) == asked


def test_an_edit_keeps_to_the_ceiling_of_its_editor(world: World) -> None:
    """Nobody raises an amount above what they themselves may approve."""
    world.tool(amount="amount", ceilings={"group:leads": 200})
    asked = world.asked()
    with pytest.raises(ApproverNotAllowed, match="they may approve 200"):
        world.edit(asked, amount="201")
    assert world.edit(asked, amount="200").state is CallState.PENDING


def test_an_edit_counts_once_against_a_budget(world: World) -> None:
    """What the request had reserved is free for what it is changed into, and not twice."""
    world.tool(budget=Budget(limit=200, sum_of="amount"), requires_approval=above(100))
    asked = world.asked(150)
    edited = world.edit(asked, amount="190")
    assert edited.state is CallState.PENDING
    assert sorted(world.gates.reservations()) == ["released", "reserved"]
    with pytest.raises(EditDenied):
        world.edit(world.request(edited), EVE, amount="201")
    assert sorted(world.gates.reservations()) == ["released", "reserved"]


def test_edits_and_approvals_race(world: World) -> None:
    """Of people who edit and approve at the same moment one wins, and one effect takes place."""
    asked = world.asked()
    people = [Principal("local", "user", f"p{n}", LEADS) for n in range(6)]
    start = threading.Barrier(len(people))

    def act(number: int) -> bool:
        start.wait()
        try:
            if number % 2:
                world.say(asked, people[number])
            else:
                world.edit(asked, people[number], amount=str(50 + number))
            world.run(asked)
        except StaidError:
            return False
        return True

    with ThreadPoolExecutor(len(people)) as pool:
        done = list(pool.map(act, range(len(people))))
    assert done.count(True) >= 1
    assert len(world.amounts) == 1
    assert world.gates.journal.verify() == []


def test_an_agent_that_asks_again_finds_the_edited_call(world: World) -> None:
    """Guarded code that repeats its call is given the changed one, and nothing runs twice."""
    asked = world.asked()
    ledger = world.gates.ledger
    found = ledger.open_like(ADA.token, "support", asked.digest)
    assert found is not None
    assert found.call.id == asked.call.id
    edited = world.edit(asked, amount="120")
    found = ledger.open_like(ADA.token, "support", asked.digest)
    assert found is not None
    assert found.call.id == edited.call.id
    assert ledger.open_like(ADA.token, "support", edited.call.digest) is None


def test_an_edited_call_stays_readable_for_the_same_people(world: World) -> None:
    """The arguments of a changed call carry the label of those it was made of."""
    asked = world.asked()
    world.edit(asked, amount="50")
    rows = [r for r in world.gates.journal.rows(RUN) if r.kind.value == "call.proposed"]
    assert [row.label for row in rows] == [rows[0].label] * 2
    assert rows[1].actor.name == "user:lead"
    assert rows[1].fact["replaces"] == asked.call.id
