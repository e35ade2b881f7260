"""Erasing a subject: one suite, two engines. What must go, what must stay, what must verify."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

import pytest
from sqlalchemy import insert, select, text, update

from staid.domain.call import CallState
from staid.domain.errors.privacy import HoldNotFound, SubjectHeld
from staid.domain.events import Content, Event, EventKind
from staid.domain.ids import ApprovalId, ConversationId, HandoffId, RunId
from staid.domain.label import Label
from staid.domain.principal import Actor, Principal
from staid.domain.records import Ending, Handoff, RunStart
from staid.gates.budget import Draw
from staid.gates.ledger import Edit
from staid.store import forgetting, tables
from staid.store.engine import Store
from staid.store.erasure import IN_PROGRESS, Order, SqlErasure
from staid.store.holds import SqlHolds
from staid.store.journal import Journal
from staid.store.ledger.reservations import look, totals
from staid.store.outbox import SqlOutbox
from staid.store.runs import SqlRecords
from staid.testing.gating import ADA, LEAD, REFUND, GateWorld, Refund

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
KEY = b"a key of the tests"
ORDER = Order("request 4711", Actor("service", "staid", "root"), NOW)
REQUEST = "apr_1"


class Counted:
    """Ids that count."""

    def __init__(self) -> None:
        """Begin at one."""
        self._numbers = count(1)

    def new(self, prefix: str) -> str:
        """Return the next id."""
        return f"{prefix}_{next(self._numbers)}"


@pytest.fixture
def journal(store: Store) -> Journal:
    """Give the journal of a fresh store."""
    return Journal(store, KEY)


@pytest.fixture
def records(store: Store, journal: Journal) -> SqlRecords:
    """Give the records of a fresh store."""
    return SqlRecords(store, journal)


@pytest.fixture
def erasure(store: Store, journal: Journal) -> SqlErasure:
    """Give the erasure of a fresh store."""
    return SqlErasure(store, journal)


@pytest.fixture
def holds(store: Store, journal: Journal) -> SqlHolds:
    """Give the holds of a fresh store."""
    return SqlHolds(store, journal, Counted())


def said(kind: EventKind, who: str, words: str, *readers: str, **fact: Any) -> Event:
    """Return a fact with words about somebody."""
    label = Label.of([[who, *readers]])
    content = Content({"question": words, "text": words}, label, who)
    return Event(kind, NOW, Actor("human", who, "os-account"), fact, content)


def run_of(records: SqlRecords, run: str, who: str, words: str) -> None:
    """Record a whole run of somebody, with a hand-off."""
    start = RunStart(RunId(run), ConversationId(f"cnv_{run}"), "support", who, NOW, f"key-{run}")
    records.begin(start, [said(EventKind.RUN_STARTED, who, words, agent="support")])
    scope = Event(EventKind.SCOPE_RESOLVED, NOW, Actor("service", "staid"), {"asker": who})
    records.append(RunId(run), [scope])
    handoff = Handoff(HandoffId(f"hof_{run}"), RunId(run), who, "weak", words, NOW)
    ended = [said(EventKind.OUTCOME_DECIDED, who, f"answer to {words}", outcome="abstention")]
    records.release(RunId(run), Ending("released", "abstention", "weak", 0.2, NOW), ended, handoff)


def waiting_call(store: Store, run: str, who: str, **changed: Any) -> None:
    """Put a call with its request into the ledger."""
    values = {
        "id": f"cal_{run}", "run": run, "agent": "support", "tool": "refund.issue",
        "arguments": '{"iban":"DE-SECRET"}', "digest": "d" * 64, "key": f"k_{run}",
        "provider_id": "p", "subject": who, "state": "pending", "severity": 2, "rule": "impact",
        "message": "above SECRET", "proposed_at": NOW,
    }  # fmt: skip
    request = {
        "id": f"apr_{run}", "call": f"cal_{run}", "run": run, "rule": "impact",
        "message": "above SECRET", "digest": "d" * 64, "preview": "pays SECRET",
        "requested_at": NOW, "expires_at": NOW + timedelta(days=90),
        "requested_by": f'["agent:support","{who}"]', "approvers": "[]",
    }  # fmt: skip
    reserved = {
        "call": f"cal_{run}", "budget": "refunds", "key": who, "amount": "40", "state": "reserved",
        "at": NOW,
    }  # fmt: skip
    with store.write() as connection:
        connection.execute(insert(tables.call).values({**values, **changed}))
        connection.execute(insert(tables.approval).values(request))
        connection.execute(insert(tables.reservation).values(reserved))


def exported(
    store: Store,
    sink: str,
    run: str,
    state: str,
    error: str | None = None,
    receipt: dict[str, Any] | None = None,
    **more: Any,
) -> None:
    """Put a row into the outbox as an exporter left it."""
    values = {
        "sink": sink, "run": run, "kind": "run", "state": state, "error": error, "at": NOW,
        "receipt": json.dumps(receipt) if receipt else None,
    }  # fmt: skip
    with store.write() as connection:
        connection.execute(insert(tables.outbox).values({**values, **more}))


def everything(store: Store) -> str:
    """Return all rows of all tables as one text."""
    with store.read() as connection:
        found = [connection.execute(select(table)).all() for table in tables.metadata.sorted_tables]
    return repr(found)


def test_words_and_name_go_and_the_chain_stays(
    store: Store, journal: Journal, records: SqlRecords, erasure: SqlErasure
) -> None:
    """After an erasure no table holds a word or the name; every chain verifies and says why."""
    run_of(records, "run_1", "user:ada", "a secret question")
    run_of(records, "run_2", "user:bob", "the question of Bob")
    waiting_call(store, "run_1", "user:ada")
    assert "user:ada" in everything(store)
    found = erasure.erase("user:ada", ORDER)
    left = everything(store)
    assert not [word for word in ("user:ada", "secret", "SECRET", "key-run_1") if word in left]
    assert journal.verify() == []
    assert (found.runs, found.contents, found.calls, found.handoffs) == (("run_1",), 2, 1, 1)
    rows = records.rows("run_1")
    erased = next(row for row in rows if row.kind is EventKind.ERASED)
    assert erased.fact["reason"] == "request 4711"
    assert set(erased.fact["contents"]) == {row.content for row in rows if row.content}  # type: ignore[arg-type]
    assert [row.body for row in rows if row.body] == []
    assert "the question of Bob" in left
    assert records.rows("run_2")[0].actor.name == "user:bob"


def test_facts_name_people_until_they_are_erased(
    records: SqlRecords, erasure: SqlErasure, store: Store
) -> None:
    """Stored facts hold an alias, readers see the token, and after an erasure `(erased)`."""
    run_of(records, "run_1", "user:ada", "what")
    first, scope = records.rows("run_1")[:2]
    assert (first.actor, scope.fact["asker"]) == (
        Actor("human", "user:ada", "os-account"),
        "user:ada",
    )
    assert first.label == Label.of([["user:ada"]])
    with store.read() as connection:
        stored = connection.execute(
            select(tables.journal.c.actor, tables.journal.c.fact, tables.content.c.label).join_from(
                tables.journal, tables.content, isouter=True,
                onclause=tables.journal.c.content == tables.content.c.id,
            )
        ).all()  # fmt: skip
    assert "ada" not in repr(stored)
    assert "os-account" not in repr(stored)
    erasure.erase("user:ada", ORDER)
    first, scope = records.rows("run_1")[:2]
    assert (first.actor.name, scope.fact["asker"]) == ("(erased)", "(erased)")
    assert first.actor.via == "os-account"  # the account is somebody else
    erasure.erase("user:os-account", ORDER)
    assert records.rows("run_1")[0].actor.via == "(erased)"


def unmasked(_key: bytes, text: str, _met: dict[str, str]) -> str:
    """Write what an earlier release wrote."""
    return text


def test_rows_of_an_earlier_release_verify_and_read(
    store: Store, journal: Journal, records: SqlRecords, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Facts that hold a plain token, as they were written before aliases, keep their hashes."""
    with monkeypatch.context() as earlier:
        earlier.setattr("staid.tracing.alias.mask", unmasked)
        run_of(records, "run_1", "user:ada", "what")
    assert '"name":"user:ada"' in everything(store)
    assert journal.verify() == []
    assert records.rows("run_1")[0].actor.name == "user:ada"


def test_what_waits_is_revoked_for_good(
    store: Store, journal: Journal, records: SqlRecords, erasure: SqlErasure
) -> None:
    """A pending call of the subject never runs, its run never goes on, and its chain says so."""
    start = RunStart(RunId("run_1"), ConversationId("cnv_1"), "support", "user:ada", NOW)
    records.begin(start, [said(EventKind.RUN_STARTED, "user:ada", "what")])
    ending = Ending("parked", "pending", "approval", 0.5, NOW)
    records.park(RunId("run_1"), {"question": "SECRET"}, ending, [])
    waiting_call(store, "run_1", "user:ada")
    found = erasure.erase("user:ada", ORDER)
    assert found.revoked == ("cal_run_1",)
    with store.read() as connection:
        assert connection.execute(select(tables.call.c.state)).scalar() == "revoked"
        assert connection.execute(select(tables.reservation.c.state)).scalar() == "released"
        assert connection.execute(select(tables.parked)).all() == []
    assert records.run("run_1").state == "failed"
    kinds = [row.kind for row in records.rows("run_1")]
    assert kinds[-3:] == [EventKind.CALL_RULED, EventKind.CALL_SETTLED, EventKind.ERASED]
    assert journal.verify() == []


def test_what_a_teammate_did_loses_the_name_alone(
    store: Store, journal: Journal, records: SqlRecords, erasure: SqlErasure
) -> None:
    """Erasing who answered and approved leaves the asker's run readable, by nobody's name."""
    run_of(records, "run_1", "user:bob", "the question of Bob")
    waiting_call(store, "run_1", "user:bob")
    answer = said(EventKind.HANDOFF_ANSWERED, "user:bob", "Yes", "user:ada")
    handoff = records.handoffs()[0]
    records.answer_handoff(handoff, "user:ada", NOW, [answer])
    with store.write() as connection:
        decided = {"decided_by": "user:ada", "approvers": '["user:ada"]'}
        connection.execute(update(tables.approval).values(decided))
    found = erasure.erase("user:ada", ORDER)
    assert (found.runs, found.contents, found.named) == ((), 0, True)
    assert "user:ada" not in everything(store)
    assert records.handoffs(state="answered")[0].answered_by == journal.alias("user:ada")
    assert records.rows("run_1")[0].body is not None
    assert "user:bob" in records.rows("run_1")[-1].label.allow[0]
    assert journal.verify() == []


def test_twice_is_harmless_and_a_new_beginning_is_possible(
    journal: Journal, records: SqlRecords, erasure: SqlErasure
) -> None:
    """A second erasure adds nothing; whoever comes back is named again, in new runs alone."""
    run_of(records, "run_1", "user:ada", "what")
    first = erasure.erase("user:ada", ORDER)
    before = records.rows("run_1")
    again = erasure.erase("user:ada", ORDER)
    assert (again.runs, again.contents, again.named) == ((), 0, False)
    assert erasure.erase(first.alias, ORDER).runs == ()
    assert records.rows("run_1") == before
    run_of(records, "run_2", "user:ada", "what")  # the same words again
    assert records.rows("run_2")[0].body is not None
    assert records.rows("run_1")[0].actor.name == "user:ada"  # the alias is hers again
    assert journal.verify() == []
    assert erasure.erase(first.alias, ORDER).runs == ("run_2",)


@pytest.mark.parametrize("target", ["user:ada", "run_1"])
def test_a_hold_blocks_until_it_is_released(
    records: SqlRecords, erasure: SqlErasure, holds: SqlHolds, store: Store, target: str
) -> None:
    """While a hold covers the subject or one of its runs nothing at all is erased."""
    run_of(records, "run_1", "user:ada", "what")
    run_of(records, "run_2", "user:ada", "what else")
    hold = holds.place(target, "court order", "user:root", NOW)
    assert holds.holds() == [hold]
    before = everything(store)
    with pytest.raises(SubjectHeld) as held:
        erasure.erase("user:ada", ORDER)
    assert held.value.exit_code == 4
    assert everything(store) == before
    released = holds.release(hold.id, "user:root", NOW)
    assert (released.target, released.released_by) == (target, "user:root")
    assert holds.holds() == []
    with pytest.raises(HoldNotFound):
        holds.release(hold.id, "user:root", NOW)
    assert erasure.erase("user:ada", ORDER).runs == ("run_1", "run_2")
    assert "user:ada" not in everything(store)


def test_a_run_in_progress_is_told(store: Store, records: SqlRecords, erasure: SqlErasure) -> None:
    """A young run, or a call that is executing, may still write and is named; an old one not."""
    for run, at in (("run_1", NOW), ("run_2", NOW - IN_PROGRESS)):
        start = RunStart(RunId(run), ConversationId(run), "support", "user:ada", at)
        records.begin(start, [said(EventKind.RUN_STARTED, "user:ada", run)])
    run_of(records, "run_3", "user:ada", "what")
    waiting_call(store, "run_3", "user:ada", state="executing")
    found = erasure.erase("user:ada", ORDER)
    assert found.runs == ("run_1", "run_2", "run_3")
    assert found.in_progress == ("run_1", "run_3")


def test_the_erasure_is_itself_recorded(records: SqlRecords, erasure: SqlErasure) -> None:
    """One chain of the day lists every erasure by alias, with its reason and by whom."""
    run_of(records, "run_1", "user:ada", "what")
    found = erasure.erase("user:ada", ORDER)
    row = records.rows("erasures_2026-05-01")[0]
    assert (row.fact["subject"], row.fact["runs"], row.actor.via) == ("(erased)", 1, "root")
    assert found.alias.startswith("sub_")


def test_every_sink_that_was_to_have_a_run_is_asked_to_forget_it(
    store: Store, records: SqlRecords, erasure: SqlErasure
) -> None:
    """What was sent has to be forgotten there; what waits is not sent any more; others stay."""
    for run, who in (("run_1", "user:ada"), ("run_2", "user:bob")):
        run_of(records, run, who, "what")
    exported(store, "phoenix", "run_1", "sent")
    exported(store, "phoenix", "run_1", "waiting", kind="score", seq=9)
    exported(store, "file", "run_1", "waiting")
    exported(store, "file", "run_2", "sent")
    assert erasure.erase("user:ada", ORDER).asked == 2
    rows = [(row.sink, row.run, row.kind, row.state) for row in SqlOutbox(store).rows()]
    assert sorted(rows) == [
        ("file", "run_1", "forget", "waiting"),
        ("file", "run_1", "run", "skipped"),
        ("file", "run_2", "run", "sent"),
        ("phoenix", "run_1", "forget", "waiting"),
        ("phoenix", "run_1", "run", "sent"),
        ("phoenix", "run_1", "score", "skipped"),
    ]


REFUSAL = {
    "spans": ["a1", "b2"],
    "missing": ["b2"],
    "rejected": [{"span": "b2", "name": "run", "error": "400: SECRET is too long"}],
}


def test_what_a_receiver_answered_goes_too(
    store: Store, records: SqlRecords, erasure: SqlErasure
) -> None:
    """A refusal can quote what it refuses: its words go from every row, ids and counts stay."""
    for run, who in (("run_1", "user:ada"), ("run_2", "user:bob"), ("run_3", "user:bob")):
        run_of(records, run, who, "what")
    exported(store, "a", "run_1", "rejected", "run: 400: SECRET is too long", REFUSAL)
    exported(store, "b", "run_1", "waiting", "503: SECRET queue")
    exported(store, "b", "run_2", "waiting", "503: SECRET queue")  # refused in the same request
    exported(store, "b", "run_3", "waiting", "502: bad gateway")
    erasure.erase("user:ada", ORDER)
    assert "SECRET" not in everything(store)
    rows = {(r.sink, r.run): r for r in SqlOutbox(store).rows() if r.kind == "run"}
    assert rows["a", "run_1"].error == "(erased)"
    assert rows["a", "run_1"].receipt == {"spans": ["a1", "b2"], "missing": ["b2"]}
    assert rows["b", "run_2"].error == "(erased)"
    assert rows["b", "run_3"].error == "502: bad gateway"


def test_an_exporter_that_is_still_sending_brings_no_word_back(
    store: Store, records: SqlRecords, erasure: SqlErasure
) -> None:
    """What an exporter read before the erasure and settles after it is kept without the words."""
    outbox = SqlOutbox(store)
    for run, who in (("run_1", "user:ada"), ("run_2", "user:bob"), ("run_3", "user:ada")):
        run_of(records, run, who, "what")
        exported(store, "a", run, "waiting")
    rows = outbox.claim("a", "w", NOW, NOW + timedelta(minutes=1), limit=9)
    erasure.erase("user:ada", ORDER)
    outbox.settle(rows[0].id, "rejected", NOW, error="400: SECRET", receipt=REFUSAL)
    outbox.postpone([row.id for row in rows[1:]], "w", NOW, "503: SECRET queue")
    assert "SECRET" not in everything(store)
    assert [(row.state, row.error) for row in outbox.rows(kind="run")] == [
        ("rejected", "(erased)"), ("waiting", "(erased)"), ("skipped", None),
    ]  # fmt: skip


@pytest.mark.postgres
def test_settling_waits_for_the_erasure_on_postgresql(postgres_url: str) -> None:
    """An exporter that settles in the middle of an erasure waits for it, and then keeps no word."""
    store = Store(postgres_url)
    records = SqlRecords(store, Journal(store, KEY))
    run_of(records, "run_1", "user:ada", "what")
    exported(store, "a", "run_1", "waiting")
    outbox = SqlOutbox(store)
    [row] = outbox.rows()
    with ThreadPoolExecutor(1) as pool:
        with store.write() as connection:
            forgetting.ask_sinks(connection, ["run_1"], NOW)
            late = pool.submit(outbox.settle, row.id, "rejected", NOW, error="400: SECRET")
            waits = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
            while not connection.execute(waits).scalar_one():
                assert not late.done()
        late.result(timeout=30)
    assert [(r.kind, r.error) for r in outbox.rows()] == [("run", "(erased)"), ("forget", None)]
    store.close()


def test_a_retry_brings_nothing_back_that_is_to_be_forgotten(
    store: Store, records: SqlRecords, erasure: SqlErasure
) -> None:
    """Rejected and skipped rows of an erased run stay where they are; the request is repeated."""
    for run, who in (("run_1", "user:ada"), ("run_2", "user:bob")):
        run_of(records, run, who, "what")
        exported(store, "a", run, "rejected", "400: no")
    erasure.erase("user:ada", ORDER)
    outbox = SqlOutbox(store)
    assert outbox.retry("a", ["waiting", "rejected", "skipped"]) == 2
    states = {(row.run, row.kind): row.state for row in outbox.rows()}
    assert states == {
        ("run_1", "run"): "rejected", ("run_2", "run"): "waiting", ("run_1", "forget"): "waiting",
    }  # fmt: skip
    assert (outbox.forgotten("a", "run_1"), outbox.forgotten("a", "run_2")) == (True, False)


def test_an_erasure_refills_no_budget(
    store: Store, journal: Journal, records: SqlRecords, erasure: SqlErasure
) -> None:
    """What was drawn under the subject's name still counts for whoever comes back under it."""
    run_of(records, "run_1", "user:ada", "what")
    waiting_call(store, "run_1", "user:ada", state="done")
    with store.write() as connection:
        connection.execute(update(tables.reservation).values(state="captured"))
    erasure.erase("user:ada", ORDER)
    assert "user:ada" not in everything(store)
    draw = Draw("refunds", "user:ada", Decimal(1), Decimal(100), timedelta(days=1))
    other = Draw("refunds", "user:bob", Decimal(1), Decimal(100), timedelta(days=1))
    with store.write() as connection:
        found = totals(look(store, connection, [draw, other], NOW, journal.alias))
    assert found == {draw.slot: Decimal(40), other.slot: Decimal(0)}


def test_what_an_approval_rested_on_goes(store: Store) -> None:
    """Preview, world, votes, what changed and what was edited go with the asker they speak of."""
    gates, state = GateWorld(store), ["SECRET balance"]
    run_of(SqlRecords(store, gates.journal), "run_1", "user:ada", "a secret question")

    def preview(params: Refund) -> str:
        return f"SECRET card, {params.amount}"

    def fingerprint(_params: Refund) -> str:
        return state[0]

    gates.tools[REFUND] = gates.define(quorum=2, preview=preview, fingerprint=fingerprint)
    asked = gates.propose(150, order="SECRET order")
    approval = ApprovalId(asked.approval or "")
    gates.approve(asked, reason="SECRET reason of a vote")
    eve = Principal("local", "user", "eve", frozenset({"group:leads"}))
    gates.ledger.decide(approval, eve, "approve", reason="SECRET second")
    state[0] = "SECRET balance of later"
    assert gates.execute(asked).state is CallState.PENDING
    gates.approve(asked, reason="SECRET third", seen=gates.ledger.approval(approval).binding)
    edit = Edit(approval, LEAD, "SECRET edit", gates.ledger.approval(approval).binding)
    asyncio.run(gates.gate.edit(edit, {"order_id": "SECRET other"}, asker=ADA))
    assert everything(store).count("SECRET") > 10
    SqlErasure(store, gates.journal).erase("user:ada", ORDER)
    left = everything(store)
    assert [word for word in ("user:ada", "SECRET") if word in left] == []
    assert gates.journal.verify() == []
