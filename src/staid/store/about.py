"""Everything that the store holds about one subject, for the subject."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Select, Table, select

from staid.domain.canonical import Json, plain
from staid.domain.events import JournalRow
from staid.store import subjects, tables
from staid.store.engine import Store
from staid.store.journal import Journal
from staid.store.readings import Reading, SqlReadings
from staid.tracing.alias import aliases, unmask

_CALL_JSON = ("arguments", "result", "requested_by", "approvers", "bound", "demand", "changes")


class SqlAbout:
    """Reads what is about a subject or done by it; what is about others it leaves out."""

    def __init__(self, store: Store, journal: Journal, readings: SqlReadings) -> None:
        """Read from `store`."""
        self._store = store
        self._journal = journal
        self._readings = readings

    def runs(self, token: str) -> list[str]:
        """Return the runs of a subject, oldest first."""
        run, call = tables.run.c, tables.call.c
        called = select(call.run).where(call.subject == token)
        query = select(run.id).where((run.asker == token) | run.id.in_(called))
        with self._store.read() as connection:
            return list(connection.execute(query.order_by(run.started_at, run.id)).scalars())

    def document(self, token: str) -> dict[str, Json]:
        """Return one JSON document with everything about a subject."""
        runs = self.runs(token)
        with self._store.read() as connection:
            mine = set(
                connection.execute(
                    select(tables.content.c.id).where(tables.content.c.subject == token)
                ).scalars()
            )
            found = {name: _rows(connection, query) for name, query in _parts(token).items()}
            acted = _acted(connection, self._journal.alias(token), token, runs)
        return {
            "subject": token,
            "alias": self._journal.alias(token),
            "runs": [self._run(run, mine) for run in runs],
            **found,
            "acted": acted,
            "readings": [_reading(each) for each in self._readings.by(token)],
        }

    def _run(self, run: str, mine: set[str]) -> dict[str, Json]:
        with self._store.read() as connection:
            record = _rows(connection, select(tables.run).where(tables.run.c.id == run))[0]
        facts = [_fact(row, mine) for row in self._journal.rows(run)]
        read_by = [_reading(each) for each in self._readings.of(run)]
        return {**record, "facts": facts, "read_by": read_by}


def _parts(token: str) -> dict[str, Select[Any]]:
    talk, call, approval, handoff = (
        tables.conversation,
        tables.call,
        tables.approval,
        tables.handoff,
    )
    mine = select(call.c.id).where(call.c.subject == token)
    return {
        "conversations": select(talk).where(talk.c.asker == token).order_by(talk.c.id),
        "calls": select(call).where(call.c.subject == token).order_by(call.c.id),
        "approvals": select(approval).where(approval.c.call.in_(mine)).order_by(approval.c.id),
        "decided": _named(approval, ("id", "run", "decision", "reason", "decided_at"))
        .where(approval.c.decided_by == token)
        .order_by(approval.c.id),
        "voted": _named(tables.vote, ("approval", "decision", "reason", "at"))
        .where(tables.vote.c.voter == token)
        .order_by(tables.vote.c.approval, tables.vote.c.round),
        "handoffs": select(handoff).where(handoff.c.asker == token).order_by(handoff.c.id),
        "answered": _named(handoff, ("id", "run", "answered_at"))
        .where(handoff.c.answered_by == token)
        .order_by(handoff.c.id),
    }


def _named(table: Table, names: Sequence[str]) -> Select[Any]:
    # What the subject did in somebody else's run: the deed, and not the other person's words.
    return select(*(table.c[name] for name in names))


def _rows(connection: Connection, query: Select[Any]) -> list[Mapping[str, Json]]:
    found: list[Mapping[str, Json]] = []
    for row in connection.execute(query).mappings():
        values = {name: _plain(value) for name, value in row.items()}
        for name in _CALL_JSON:
            if isinstance(values.get(name), str):
                values[name] = json.loads(str(values[name]))
        found.append(values)
    return found


def _plain(value: Any) -> Json:  # noqa: ANN401 - whatever a column holds
    return plain(value) if not hasattr(value, "isoformat") else str(value.isoformat())


def _acted(
    connection: Connection, alias: str, token: str, runs: Iterable[str]
) -> list[Mapping[str, Json]]:
    """Return kind, run and time of the facts that a subject made in runs of others."""
    journal = tables.journal.c
    told = journal.actor.contains(alias, autoescape=True) | journal.actor.contains(
        f'"{token}"', autoescape=True
    )
    query = select(journal.run, journal.seq, journal.kind, journal.at, journal.actor).where(told)
    own = set(runs)
    rows = [row for row in connection.execute(query.order_by(journal.at)) if row.run not in own]
    known = subjects.tokens(connection, aliases(row.actor for row in rows))
    return [
        {"run": row.run, "seq": row.seq, "kind": row.kind, "at": row.at}
        for row in rows
        if json.loads(unmask(row.actor, known)).get("name") == token and row.kind != "run.read"
    ]


def _fact(row: JournalRow, mine: set[str]) -> dict[str, Json]:
    about = row.content is not None and row.content in mine
    return {
        "seq": row.seq,
        "kind": row.kind.value,
        "at": row.at,
        "by": row.actor.name if row.actor.kind == "human" else row.actor.kind,
        "fact": row.fact,
        # A passage or an instruction is about no one: its id is in the fact.
        "content": row.body if about else None,
    }


def _reading(reading: Reading) -> dict[str, Json]:
    return {name: getattr(reading, name) for name in reading.__slots__}
