"""Every recorded call in the order it was made, with what it was ruled from."""

from __future__ import annotations

import json

from sqlalchemy import select

from staid.domain.events import EventKind
from staid.gates.policy import Snapshot
from staid.gates.reruling import PastUse
from staid.store import tables
from staid.store.engine import Store
from staid.store.ledger import call_rows


def past_uses(store: Store) -> list[PastUse]:
    """Return all calls by time of proposal; what was not kept of one, or erased, is None."""
    snapshots, questions = _snapshots(store), _questions(store)
    query = call_rows.calls().order_by(tables.call.c.proposed_at, tables.call.c.id)
    with store.read() as connection:
        records = [call_rows.call_record(row) for row in connection.execute(query)]
    return [
        PastUse(record, snapshots.get(record.call.id), questions.get(record.call.run))
        for record in records
    ]


def _questions(store: Store) -> dict[str, str]:
    """Return what was asked in each run that has a call; what was erased is left out."""
    journal, content = tables.journal, tables.content
    query = (
        select(journal.c.run, content.c.body)
        .join_from(journal, content, journal.c.content == content.c.id)
        .where(journal.c.kind == EventKind.RUN_STARTED.value)
        .where(journal.c.run.in_(select(tables.call.c.run)))
    )
    with store.read() as connection:
        bodies = [(row.run, json.loads(row.body)) for row in connection.execute(query)]
    return {run: body["question"] for run, body in bodies if body.get("question")}


def _snapshots(store: Store) -> dict[str, Snapshot]:
    journal, content = tables.journal, tables.content
    query = (
        select(journal.c.fact, content.c.body)
        .join_from(journal, content, journal.c.content == content.c.id)
        .where(journal.c.kind == EventKind.CALL_RULED.value)
        .order_by(journal.c.run, journal.c.seq)
    )
    found: dict[str, Snapshot] = {}
    with store.read() as connection:
        for row in connection.execute(query):
            told = json.loads(row.body).get("snapshot")
            if told is not None:
                # The first is what the call was ruled from when it was proposed.
                found.setdefault(json.loads(row.fact)["call"], Snapshot.from_json(told))
    return found
