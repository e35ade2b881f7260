"""Which tampering is found by whom: the table of docs/guides/tampering.md, claim by claim."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, delete, insert, select, update

from staid.domain.label import EVERYONE
from staid.project.anchoring import against_anchors, anchor_now
from staid.project.checking import examine
from staid.project.project import Project
from staid.store import tables
from staid.testing.documents import written
from staid.tracing import chain
from staid.tracing.chain import GENESIS

SETTINGS = """
[project]
name = "test"
[agents.support]
model = "quote"
[directory]
file = "directory.yaml"
[grounding]
signal = "similarity"
floor = 0.35
floor_reason = "the hashing embedder of the tests knows no meaning"
[journal]
anchor = "file:outside/anchors.jsonl"
"""
Rows = list[dict[str, Any]]
_COPIED = (tables.journal, tables.content, tables.seal, tables.run, tables.anchor)


@pytest.fixture
def desk(make_project: Callable[..., Project]) -> Project:
    """Give a project with four runs on record, the last of them anchored."""
    project = make_project(settings=SETTINGS)
    document = written(
        project.wiring.embedder, "refunds", "Annual plans are refunded within 30 days.", EVERYONE
    )
    project.wiring.corpus.apply([document], project.wiring.embedder.id)
    for question in ("Are annual plans refunded within 30 days?", "Do whales sing?"):
        project.agent_named("support").ask_sync(question, asker="user:ada")
        project.agent_named("support").ask_sync(question, asker="user:lead")
    assert [told.seq for told in anchor_now(project)] == [4]
    assert inside(project) == outside(project) == []
    return project


def inside(project: Project) -> list[str]:
    """Return what the store alone shows, with the key."""
    return [f"{f.run} {f.seq} {f.problem}" for f in project.wiring.journal.verify()]


def outside(project: Project) -> list[str]:
    """Return what the anchors show in addition."""
    return [f"{f.run} {f.seq} {f.problem}" for f in against_anchors(project)[1]]


def change(project: Project, tampering: Callable[[Connection], object]) -> None:
    """Change rows as somebody does who can write the database."""
    with project.wiring.store.write() as connection:
        tampering(connection)


@pytest.fixture
def restore(desk: Project) -> Callable[[], None]:
    """Give a way back to the untouched record."""
    with desk.wiring.store.read() as connection:
        kept = {t: [dict(r._mapping) for r in connection.execute(select(t))] for t in _COPIED}

    def again() -> None:
        with desk.wiring.store.write() as connection:
            for table, rows in kept.items():
                connection.execute(delete(table))
                connection.execute(insert(table), rows)

    return again


def _facts(connection: Connection, run: str) -> Rows:
    query = select(tables.journal).where(tables.journal.c.run == run)
    return [dict(r._mapping) for r in connection.execute(query.order_by(tables.journal.c.seq))]


def _put(connection: Connection, run: str, facts: Rows) -> None:
    connection.execute(delete(tables.journal).where(tables.journal.c.run == run))
    connection.execute(insert(tables.journal), facts)


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_any_row_flipped_removed_inserted_or_moved_is_located(
    desk: Project, restore: Callable[[], None], data: st.DataObject
) -> None:
    """Whichever fact is altered, cut out, forged in or moved: its run and its place are named."""
    runs = [record.run for record in desk.wiring.records.runs()]
    run = data.draw(st.sampled_from(runs))
    kind = data.draw(st.sampled_from(["flip", "remove", "insert", "swap"]))

    def tampering(connection: Connection) -> None:
        facts = _facts(connection, run)
        # The last fact is the sealed head: removing it is the seal's finding, tested below.
        place = data.draw(st.integers(0, len(facts) - 2))
        where.append(place + 1)
        if kind == "flip":
            facts[place]["fact"] = facts[place]["fact"].replace("{", '{"flipped":1,', 1)
        elif kind == "remove":
            facts.pop(place)
        elif kind == "insert":
            forged = {**facts[place], "fact": '{"forged":true}'}
            facts.insert(place, forged)
            for number, fact in enumerate(facts, 1):
                fact["seq"] = number
            facts[place] = {**forged, "seq": place + 1}
        else:
            other = place + 1
            facts[place]["seq"], facts[other]["seq"] = other + 1, place + 1
        _put(connection, run, facts)

    where: list[int] = []
    change(desk, tampering)
    findings = desk.wiring.journal.verify()
    assert {finding.run for finding in findings} == {run}
    assert min(finding.seq for finding in findings if finding.seq) in {where[0], where[0] + 1}
    restore()
    assert inside(desk) == []


def _cut_off(connection: Connection, runs: Collection[str]) -> None:
    """Remove runs with their seals, as if they had never been."""
    for table, column in (
        (tables.journal, tables.journal.c.run),
        (tables.seal, tables.seal.c.run),
        (tables.run, tables.run.c.id),
    ):
        connection.execute(delete(table).where(column.in_(runs)))


def test_a_run_cut_off_without_its_seal_is_found_inside(desk: Project) -> None:
    """Removing the newest run but not its seal shows without any anchor."""
    newest = desk.wiring.records.runs()[0].run
    change(desk, lambda c: c.execute(delete(tables.journal).where(tables.journal.c.run == newest)))
    assert any(newest in found and "are gone" in found for found in inside(desk))


def test_truncation_with_seals_is_found_by_the_anchor_alone(desk: Project) -> None:
    """The newest runs cut off together with their seals: the store looks whole, not the anchor."""
    newest = {record.run for record in desk.wiring.records.runs(limit=2)}
    change(desk, lambda connection: _cut_off(connection, newest))
    assert inside(desk) == []
    assert len(outside(desk)) == 1
    assert "is gone: runs were cut off" in outside(desk)[0]


def _recompute(connection: Connection, key: bytes) -> None:
    """Tell another story in every run, and write every hash anew under `key`."""
    heads: dict[str, str] = {}
    contents: dict[str, str] = {}
    for row in connection.execute(select(tables.content)).all():
        fresh = chain.content_id(key, row.subject, row.label, row.body)
        contents[row.id] = fresh
        mine = tables.content.c.id == row.id
        connection.execute(update(tables.content).where(mine).values(id=fresh))
    for run in connection.execute(select(tables.run.c.id)).scalars().all():
        prev, facts = GENESIS, _facts(connection, run)
        for fact in facts:
            fact["fact"] = fact["fact"].replace("chunk", "Chunk")
            fact["content"] = contents.get(fact["content"])
            fact["prev"] = prev
            names = ("run", "seq", "kind", "at", "actor", "fact", "content", "prev")
            fact["hash"] = prev = chain.bind(key, tuple(fact[name] for name in names))  # type: ignore[arg-type]
        heads[run] = prev
        _put(connection, run, facts)
    prev = GENESIS
    for seal in connection.execute(select(tables.seal).order_by(tables.seal.c.seq)).all():
        head = heads[seal.run]
        hashed = chain.seal_hash(key, seal.seq, seal.run, head, prev)
        fresh = {"head": head, "prev": prev, "hash": hashed}
        connection.execute(update(tables.seal).where(tables.seal.c.seq == seal.seq).values(**fresh))
        prev = hashed


def test_everything_recomputed_without_the_key_is_found_inside(desk: Project) -> None:
    """Whoever can write every row but lacks the key cannot make one chain that verifies."""
    change(desk, lambda connection: _recompute(connection, b"a guess"))
    broken = {found.split()[0] for found in inside(desk)}
    assert {record.run for record in desk.wiring.records.runs()} <= broken


def test_everything_recomputed_with_the_key_is_found_by_the_anchor_alone(desk: Project) -> None:
    """Whoever has the key can write a record that verifies; only the anchor knows another one."""
    key = (desk.settings.state / "journal.key").read_bytes().strip()
    change(desk, lambda connection: _recompute(connection, key))
    assert inside(desk) == []
    assert len(outside(desk)) == 1
    assert "the record was rewritten" in outside(desk)[0]


def test_what_came_after_the_last_anchor_can_be_cut_off_unseen(desk: Project) -> None:
    """An anchor speaks of what was before it: how often it is written is how much can vanish."""
    desk.agent_named("support").ask_sync("Do bees dance?", asker="user:ada")
    newest = {desk.wiring.records.runs()[0].run}
    change(desk, lambda connection: _cut_off(connection, newest))
    assert inside(desk) == outside(desk) == []


def test_a_run_that_tells_another_outcome_than_its_facts_is_found(desk: Project) -> None:
    """The row that lists show is held against the facts, too."""
    run = desk.wiring.records.runs()[0].run
    mine = tables.run.c.id == run
    change(desk, lambda c: c.execute(update(tables.run).where(mine).values(outcome="answer")))
    assert any(run in found and "another outcome" in found for found in inside(desk))


def test_a_shortened_anchor_file_is_found(desk: Project) -> None:
    """Anchors removed from the file are missed, as long as the store remembers telling them."""
    desk.agent_named("support").ask_sync("Do bees dance?", asker="user:ada")
    anchor_now(desk)
    file = desk.settings.path("outside/anchors.jsonl")
    first, second = file.read_text().splitlines()
    assert json.loads(second)["seq"] == 5
    file.write_text(f"{first}\n")
    assert "the anchors end at seal 4" in outside(desk)[0]


def test_the_doctor_checks_the_anchors(desk: Project) -> None:
    """`staid doctor` reads the anchors, even when the store forgot that it wrote any."""
    by_name = {check.name: check for check in examine(desk)}
    assert (by_name["anchors"].state, by_name["journal"].state) == ("ok", "ok")
    newest = {record.run for record in desk.wiring.records.runs(limit=2)}
    change(desk, lambda connection: _cut_off(connection, newest))
    change(desk, lambda connection: connection.execute(delete(tables.anchor)))
    by_name = {check.name: check for check in examine(desk)}
    assert (by_name["anchors"].state, by_name["journal"].state) == ("broken", "ok")
