"""Retention: content that has reached its age goes, except what is held or still at work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, delete, or_, select, update

from staid.domain.call import CallState
from staid.domain.canonical import timestamp
from staid.store import holds, tables
from staid.store.engine import Store
from staid.store.erasure import (
    APPROVAL_WORDS,
    LEDGER_WORDS,
    Order,
    drop,
    erased,
    unreasoned,
    worded,
)
from staid.store.journal import Journal
from staid.store.subjects import chunks
from staid.tracing.retention import CLASSES

TOGETHER = 2000
"""Facts whose content goes in one transaction: writers wait that long, and no longer."""
_OPEN = [
    state.value
    for state in (
        CallState.PROPOSED,
        CallState.PENDING,
        CallState.APPROVED,
        CallState.EXECUTING,
        CallState.IN_DOUBT,
    )
]


class SqlRetention:
    """Takes out content by class and age; each run that loses some says so in its chain."""

    def __init__(self, store: Store, journal: Journal) -> None:
        """Expire in `store`, and say so in `journal`."""
        self._store = store
        self._journal = journal

    def expire(self, oldest: Mapping[str, datetime], order: Order) -> dict[str, int]:
        """Take out what is older than its class is kept; return class -> number of contents.

        Never what a hold covers, what a run in progress or an undecided call needs, nor what a
        younger fact refers to as well.
        """
        counts = dict.fromkeys(oldest, 0)
        for name, before in oldest.items():
            while True:
                done = self._some(name, before, order)
                counts[name] += done
                if not done:
                    break
        return counts

    def _some(self, name: str, before: datetime, order: Order) -> int:
        with self._store.write() as connection:
            if self._store.path:
                connection.exec_driver_sql("PRAGMA secure_delete = ON")
            held = sorted(holds.held(connection))
            rows = connection.execute(_expired(name, before, held)).all()
            taken: dict[str, list[str]] = {}
            for row in rows:
                taken.setdefault(row.run, []).append(row.content)
            runs = sorted(taken)
            if name == "calls":
                _forget_words(connection, runs)
            if name == "conversation":
                _forget_keys(connection, runs)
            for run in runs:
                self._journal.append(connection, run, [erased(taken[run], order, of=name)])
            contents = sorted({content for ids in taken.values() for content in ids})
            drop(connection, contents)
            for run in runs:
                self._journal.seal(connection, run)
        return len(contents)


def _expired(name: str, before: datetime, held: Sequence[str]) -> Select[Any, Any]:
    """Select facts of a class that are old enough and whose content is there and not needed."""
    journal, content, run = tables.journal.c, tables.content.c, tables.run.c
    kinds = [kind.value for kind in CLASSES[name]]
    old = (journal.at < timestamp(before)) & journal.kind.in_(kinds) & (run.started_at < before)
    return (
        select(journal.run, journal.content)
        .join_from(tables.journal, tables.content, content.id == journal.content)
        .join(tables.run, run.id == journal.run)
        .where(old, ~_kept(held), content.subject.not_in(held))
        .where(journal.content.not_in(_needed(before, held)))
        .order_by(journal.run, journal.seq)
        .limit(TOGETHER)
    )


def _needed(before: datetime, held: Sequence[str]) -> Select[Any]:
    """Select contents that a younger fact, or a run that is kept, refers to."""
    journal = tables.journal.alias().c
    kept = select(tables.run.c.id).where(_kept(held)).correlate(None)
    return select(journal.content).where(
        journal.content.is_not(None),
        or_(journal.at >= timestamp(before), journal.run.in_(kept)),
    )


def _kept(held: Sequence[str]) -> ColumnElement[bool]:
    """Return what a run has to be, for nothing of it to go: held, at work, or waiting."""
    run = tables.run.c
    waiting = select(tables.call.c.run).where(tables.call.c.state.in_(_OPEN))
    return or_(
        run.state.in_(["running", "parked"]),
        run.id.in_(held),
        run.asker.in_(held),
        run.id.in_(waiting),
    )


def _forget_words(connection: Connection, runs: Sequence[str]) -> None:
    call, approval = tables.call, tables.approval
    for some in chunks(runs):
        values = worded(approval, APPROVAL_WORDS)
        connection.execute(update(approval).where(approval.c.run.in_(some)).values(values))
        of_these = select(call.c.id).where(call.c.run.in_(some))
        unreasoned(connection, list(connection.execute(of_these).scalars()))
        words = {"arguments": "{}", **worded(call, LEDGER_WORDS)}
        connection.execute(update(call).where(call.c.run.in_(some)).values(words))


def _forget_keys(connection: Connection, runs: Sequence[str]) -> None:
    run, parked = tables.run, tables.parked
    for some in chunks(runs):
        # The digest of a question is not keyed: a short question could be guessed from it.
        values = {"key": None, "key_digest": None}
        connection.execute(update(run).where(run.c.id.in_(some)).values(values))
        connection.execute(delete(parked).where(parked.c.run.in_(some)))
