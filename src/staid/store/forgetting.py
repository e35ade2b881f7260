"""What an erasure asks of the rooms around it: searchable words, exports, and bytes on the disk."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import cast

from sqlalchemy import (
    Connection,
    Integer,
    Text,
    column,
    func,
    insert,
    inspect,
    select,
    table,
    update,
)

from staid.domain.errors import StoreFull, StoreLocked
from staid.store import projections, tables
from staid.store.engine import Store
from staid.store.subjects import chunks
from staid.store.tables.shared import TIME

_OUTBOX = table(
    "outbox",
    column("sink", Text),
    column("run", Text),
    column("kind", Text),
    column("seq", Integer),
    column("state", Text),
    column("attempts", Integer),
    column("next_at", TIME),
    column("at", TIME),
)

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
)


def forget_said(connection: Connection, contents: Sequence[str]) -> None:
    """Take these contents out of what is searchable."""
    projections.forget(connection, contents)


def ask_sinks(connection: Connection, runs: Sequence[str], at: datetime) -> int:
    """Ask every sink that was to get one of these runs to forget it; return how many requests."""
    if not runs or not inspect(connection).has_table("outbox"):
        return 0
    box, asked = _OUTBOX.c, 0
    for some in chunks(runs):
        mine = box.run.in_(some) & (box.kind == "run")
        found = connection.execute(select(box.sink, box.run).where(mine)).all()
        unsent = mine & (box.state == "waiting")
        connection.execute(update(_OUTBOX).where(unsent).values(state="skipped"))
        ends = _ends(connection, some)
        rows = [_request(row.sink, row.run, ends[row.run], at) for row in found]
        if rows:
            connection.execute(insert(_OUTBOX), rows)
        asked += len(rows)
    return asked


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
