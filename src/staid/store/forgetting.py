"""What an erasure asks of the rooms around it: searchable words, exports, and bytes on the disk."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Connection, Row, func, insert, select, update

from staid.domain.canonical import Json, canonical
from staid.domain.errors import StoreFull, StoreLocked
from staid.store import projections, tables
from staid.store.engine import Store
from staid.store.subjects import chunks
from staid.tracing.alias import ERASED

_IDS = ("spans", "seen", "looks", "missing", "differs")
"""What a receipt holds besides a receiver's words: ids of spans and counts."""

_EMPTIED = (
    "content",
    "run",
    "call",
    "approval",
    "handoff",
    "conversation",
    "parked",
    "said",
    "subject",
    "outbox",
)


def forget_said(connection: Connection, contents: Sequence[str]) -> None:
    """Take these contents out of what is searchable."""
    projections.forget(connection, contents)


def ask_sinks(connection: Connection, runs: Sequence[str], at: datetime) -> int:
    """Ask every sink that was to get one of these runs to forget it; return how many requests.

    What waits of these runs is not sent any more, and what receivers answered about them goes:
    a refusal can quote what it refuses.
    """
    box, asked = tables.outbox.c, 0
    for some in chunks(runs):
        mine = box.run.in_(some)
        # Locked first: an exporter that settles a row meanwhile has written it or will see that
        # its run is to be forgotten.
        locked = select(tables.outbox).where(mine).order_by(box.id).with_for_update()
        found = connection.execute(locked).all()
        unsent = mine & (box.state == "waiting") & (box.kind != "forget")
        connection.execute(update(tables.outbox).where(unsent).values(state="skipped"))
        _unquote(connection, [row for row in found if row.kind != "forget"])
        ends = _ends(connection, some)
        rows = [_request(r.sink, r.run, ends[r.run], at) for r in found if r.kind == "run"]
        if rows:
            connection.execute(insert(tables.outbox), rows)
        asked += len(rows)
    return asked


def _unquote(connection: Connection, rows: Sequence[Row[*tuple[Any, ...]]]) -> None:
    """Take the words of receivers out of these rows, and out of those that share them.

    Rows that were refused together hold the same words, whoever they are about.
    """
    box = tables.outbox.c
    words = sorted({row.error for row in rows if row.error and row.error != ERASED})
    found = {row.id: row for row in rows}
    for some in chunks(words):
        shared = select(box.id, box.error, box.receipt).where(box.error.in_(some))
        found |= {row.id: row for row in connection.execute(shared.with_for_update())}
    for identity, row in sorted(found.items()):
        values = bare(row.error, json.loads(row.receipt) if row.receipt else None)
        if values != {"error": row.error, "receipt": row.receipt}:
            connection.execute(update(tables.outbox).where(box.id == identity).values(values))


def bare(error: str | None, receipt: Mapping[str, Json] | None) -> dict[str, str | None]:
    """Return error and receipt of a row without a receiver's words: ids and counts stay."""
    kept: dict[str, Json] = {n: receipt[n] for n in _IDS if receipt and n in receipt}
    return {"error": ERASED if error else None, "receipt": canonical(kept) if kept else None}


def is_forgotten(connection: Connection, sink: str, run: str) -> bool:
    """Tell whether a sink was asked to forget a run."""
    box = tables.outbox.c
    asked = (box.sink == sink) & (box.run == run) & (box.kind == "forget")
    return connection.execute(select(box.id).where(asked).limit(1)).first() is not None


def _ends(connection: Connection, runs: Sequence[str]) -> dict[str, int]:
    journal = tables.journal.c
    last = select(journal.run, func.max(journal.seq).label("seq")).where(journal.run.in_(runs))
    return {row.run: row.seq for row in connection.execute(last.group_by(journal.run))}


def _request(sink: str, run: str, seq: int, at: datetime) -> dict[str, object]:
    return {
        "sink": sink,
        "run": run,
        "kind": "forget",
        "seq": seq,
        "state": "waiting",
        "attempts": 0,
        "next_at": at,
        "at": at,
    }


def compact(store: Store) -> bool:
    """Leave no byte of what was deleted in the store's files; False where that has to wait.

    It has to wait while somebody reads on, and while the disk has no room for a second copy.

    SQLite: the file is written anew and the write-ahead log cut off. PostgreSQL: dead rows are
    made free for reuse; its own log and backups keep what they hold until they expire.
    """
    if store.path is None:
        with store.engine.connect() as connection:
            freely = connection.execution_options(isolation_level="AUTOCOMMIT")
            freely.exec_driver_sql(f"VACUUM {', '.join(_EMPTIED)}")
        return True
    try:
        with store.write() as connection:
            projections.scrub(connection)
    except (StoreLocked, StoreFull):
        return False
    raw = store.engine.raw_connection()
    try:
        driver = cast("sqlite3.Connection", raw.driver_connection)
        driver.execute("VACUUM")
        busy = driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    except sqlite3.OperationalError as error:
        if any(word in str(error) for word in ("locked", "busy", "full")):
            return False
        raise store.coded(error) from error
    finally:
        raw.close()
    return busy == 0
