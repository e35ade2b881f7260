"""Projections of the journal: what was said, what was used, how runs ended; in its transactions.

Nothing here is truth: `rebuild` makes all of it anew from the journal, and what an erasure took out
of the record is gone from here, too.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import groupby
from typing import Any, NamedTuple, TypeAlias, cast

from sqlalchemy import Connection, delete, select, text
from sqlalchemy.engine.interfaces import DBAPICursor

from staid.domain.canonical import Json
from staid.domain.events import EventKind
from staid.domain.finding import FAILED
from staid.store import tables
from staid.store.engine import Store
from staid.store.words import searchable

TOGETHER = 500
"""Ids in one statement."""


class Noted(NamedTuple):
    """A fact as it was appended."""

    seq: int
    kind: str
    at: str
    fact: Mapping[str, Json]
    content: str | None
    """Id of its content."""
    body: Mapping[str, Json] | None


class Projections:
    """Follows the journal fact by fact, on the cursor of the transaction that appends."""

    def __init__(self, dialect: str) -> None:
        """Write for this engine."""
        mark = "%s" if dialect == "postgresql" else "?"
        self._say = _insert("said", ("run", "seq", "role", "content", "text"), mark)
        used = _insert("used", ("kind", "name", "source", "version", "run", "at"), mark)
        self._use = f"{used} ON CONFLICT DO NOTHING"
        sums = ", ".join(f"{name} = rollup.{name} + excluded.{name}" for name in _SUMS)
        counted = _insert("rollup", (*_KEYS, *_SUMS), mark)
        self._count = f"{counted} ON CONFLICT ({', '.join(_KEYS)}) DO UPDATE SET {sums}"
        self._told = f"{_TOLD} AND run = {mark} ORDER BY seq"

    def note(self, cursor: DBAPICursor, run: str, facts: Iterable[Noted]) -> None:
        """Take these facts of a run in, after they were appended."""
        said: list[tuple[object, ...]] = []
        used: dict[Use, str] = {}
        ended = False
        for fact in facts:
            part = _SAID.get(fact.kind)
            if part is not None and fact.content is not None and fact.body is not None:
                words = searchable(str(fact.body.get(part[1]) or ""))
                if words:
                    said.append((run, fact.seq, part[0], fact.content, words))
            named = _USED.get(fact.kind)
            if named is not None:
                for one in named(fact.fact):
                    used.setdefault(one, fact.at)
            ended = ended or _is_end(fact.kind, fact.fact)
        if said:
            cursor.executemany(self._say, said)
        if used:
            # In one order everywhere: two writers of the same rows would wait for each other.
            rows = [(*one, run, at) for one, at in sorted(used.items())]
            cursor.executemany(self._use, rows)
        if ended:
            cursor.execute(self._told, (run,))
            told = cursor.fetchall()
            cursor.execute(self._count, _ending([(k, at, json.loads(f)) for k, at, f in told]))


def forget(connection: Connection, contents: Sequence[str]) -> None:
    """Take these contents out of what can be searched, by their ids."""
    if connection.dialect.name == "sqlite" and _forgets_at_once():
        connection.execute(
            text("INSERT INTO said_words(said_words, rank) VALUES ('secure-delete', 1)")
        )
    for start in range(0, len(contents), TOGETHER):
        some = contents[start : start + TOGETHER]
        connection.execute(delete(tables.said).where(tables.said.c.content.in_(some)))


def scrub(connection: Connection) -> None:
    """Leave no word of what was forgotten in the full-text index; before the file is vacuumed.

    SQLite before 3.42 marks deleted words only, until its index is written anew.
    """
    if connection.dialect.name == "sqlite" and not _forgets_at_once():
        connection.execute(text("INSERT INTO said_words(said_words) VALUES ('optimize')"))


def rebuild(store: Store) -> int:
    """Make every projection anew from the journal, in one transaction; return how many runs.

    Whoever records a run meanwhile waits.
    """
    runs = 0
    with store.write() as connection:
        if store.dialect == "postgresql":
            connection.execute(text("LOCK TABLE journal IN SHARE MODE"))
        for table in (tables.said, tables.used, tables.rollup):
            connection.execute(delete(table))
        projections, cursor = Projections(store.dialect), connection.connection.cursor()
        for run, facts in _recorded(connection):
            projections.note(cursor, run, facts)
            runs += 1
        cursor.close()
    return runs


def _forgets_at_once() -> bool:
    return sqlite3.sqlite_version_info >= (3, 42)


def _recorded(connection: Connection) -> Iterator[tuple[str, list[Noted]]]:
    journal, content = tables.journal.c, tables.content.c
    query = (
        select(
            *(journal.run, journal.seq, journal.kind, journal.at),
            *(journal.fact, journal.content, content.body),
        )
        .join_from(tables.journal, tables.content, journal.content == content.id, isouter=True)
        .order_by(journal.run, journal.seq)
        .execution_options(yield_per=2000)
    )
    for run, rows in groupby(connection.execute(query), key=lambda row: row.run):
        yield run, [_noted(row) for row in rows]


def _noted(row: Any) -> Noted:  # noqa: ANN401 - a row of the query above
    body = json.loads(row.body) if row.body is not None else None
    return Noted(row.seq, row.kind, row.at, json.loads(row.fact), row.content, body)


# --- what was said -------------------------------------------------------------------------

_SAID: Mapping[str, tuple[str, str]] = {
    EventKind.RUN_STARTED: ("asker", "question"),
    EventKind.OUTCOME_DECIDED: ("agent", "text"),
    EventKind.HANDOFF_ANSWERED: ("teammate", "text"),
    EventKind.FEEDBACK_GIVEN: ("feedback", "comment"),
}
"""Kind of fact -> who said it, and the field of the body that holds the words."""


# --- what was used: (kind, name, source, version) ------------------------------------------


Use: TypeAlias = tuple[str, str, str, str]


def _named(kind: str, name: str, *more: str) -> Callable[[Mapping[str, Json]], list[Use]]:
    """Return what reads (kind, name, source, version) off a fact; nothing where it names none."""
    source, version = more or ("", "")

    def read(fact: Mapping[str, Json]) -> list[Use]:
        named = fact.get(name)
        if not named:
            return []
        return [(kind, str(named), str(fact.get(source) or ""), str(fact.get(version) or ""))]

    return read


def _prompts(fact: Mapping[str, Json]) -> list[Use]:
    """Read the instructions off a fact, and every template that was pinned beside them."""
    pins = cast("list[Mapping[str, Json]]", fact.get("pins") or [])
    return [
        ("prompt", str(pin["name"]), "", str(pin.get("version") or pin.get("sha256") or ""))
        for pin in (fact, *pins)
        if pin.get("name")
    ]


_USED: Mapping[str, Callable[[Mapping[str, Json]], list[Use]]] = {
    EventKind.PASSAGE_KEPT: _named("document", "document", "source", "version"),
    EventKind.FLOOR_COMPARED: _named("calibration", "calibration"),
    EventKind.PROMPT_RENDERED: _prompts,
    EventKind.MODEL_REQUESTED: _named("model", "model"),
    EventKind.MODEL_RETURNED: _named("model", "model"),
    EventKind.CALL_PROPOSED: _named("tool", "tool"),
    EventKind.CALL_RULED: _named("rule", "rule"),
}


# --- how runs ended ------------------------------------------------------------------------

_KEYS = ("day", "agent", "outcome", "reason", "band")
_SUMS = ("runs", "confidence", "latency", "requests", "input_tokens", "output_tokens", "cost")
_TELLING = (
    EventKind.RUN_STARTED,
    EventKind.MODEL_RETURNED,
    EventKind.OUTCOME_DECIDED,
    EventKind.OUTCOME_RELEASED,
    EventKind.RUN_FAILED,
    EventKind.RUN_INTERRUPTED,
)
_FAILED = {EventKind.RUN_FAILED, EventKind.RUN_INTERRUPTED}
_TOLD = (
    "SELECT kind, at, fact FROM journal WHERE kind IN "  # noqa: S608 - of constants
    f"({', '.join(repr(kind.value) for kind in _TELLING)})"
)


def _is_end(kind: str, fact: Mapping[str, Json]) -> bool:
    # Of a run that waits for a person there is more to come; it counts once, when it is over.
    if kind in _FAILED:
        return True
    return kind == EventKind.OUTCOME_RELEASED and fact.get("outcome") not in {None, "pending"}


def _ending(facts: Sequence[tuple[str, str, Mapping[str, Any]]]) -> tuple[object, ...]:
    """Return the row that one run adds to the roll-ups."""
    began = next((f for f in facts if f[0] == EventKind.RUN_STARTED), facts[0])
    shown = next(at for kind, at, _ in facts if kind in {EventKind.OUTCOME_RELEASED, *_FAILED})
    end = _end(facts)
    returned = [f for kind, _, f in facts if kind == EventKind.MODEL_RETURNED]
    confidence = float(end.get("confidence") or 0.0)
    cost = sum((Decimal(f.get("cost") or 0) for f in returned), Decimal(0))
    return (
        facts[-1][1][:10],
        str(began[2].get("agent", "")),
        str(end["outcome"]),
        str(end.get("reason") or ""),
        min(max(int(confidence * 10), 0), 9),
        1,
        round(confidence * 1_000_000),
        max(_milliseconds(began[1], shown), 0),
        len(returned),
        sum(int(f.get("input_tokens") or 0) for f in returned),
        sum(int(f.get("output_tokens") or 0) for f in returned),
        int(cost * 1_000_000_000),
    )


def _end(facts: Sequence[tuple[str, str, Mapping[str, Any]]]) -> Mapping[str, Any]:
    """Return outcome, reason and confidence; of a failed run the code of what went wrong."""
    kind, _, last = facts[-1]
    if kind in _FAILED:
        return {"outcome": FAILED, "reason": last.get("error") or last.get("reason")}
    decided = [fact for kind, _, fact in facts if kind == EventKind.OUTCOME_DECIDED]
    return {**last, **decided[-1]} if decided else last


def _milliseconds(first: str, last: str) -> int:
    """Return how long the asker waited until told anything."""
    length = datetime.fromisoformat(last) - datetime.fromisoformat(first)
    return round(length.total_seconds() * 1000)


def _insert(table: str, names: Sequence[str], mark: str) -> str:
    marks = ", ".join([mark] * len(names))
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})"  # noqa: S608 - own names
