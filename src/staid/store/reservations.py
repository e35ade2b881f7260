"""Budgets in the store: what is reserved, what is captured, and whose turn it is to look."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Connection, func, insert, select, update

from staid.domain.canonical import canonical
from staid.gates.approval import Move
from staid.gates.budget import Draw, Slot, Totals
from staid.store import tables
from staid.store.engine import Store

RESERVED, CAPTURED, RELEASED = "reserved", "captured", "released"
"""States of a reservation: counts until it ends, counts for the window, does not count."""

_AFTER = {
    Move.SUCCEED: CAPTURED,
    Move.FAIL: RELEASED,
    Move.DENY: RELEASED,
    Move.EXPIRE: RELEASED,
    Move.REVOKE: RELEASED,
    Move.UNDO: RELEASED,
}
"""In doubt is missing on purpose: what may have happened counts until somebody knows better."""


def totals(
    store: Store,
    connection: Connection,
    draws: Sequence[Draw],
    now: datetime,
    alias: Callable[[str], str],
) -> Totals:
    """Return the running total of every slot, which nobody else can add to before the commit.

    What an erasure left under the `alias` of a key still counts: erasing refills no budget.
    """
    for slot in sorted({draw.slot for draw in draws}):
        # Sorted, so that two proposals on the same budgets cannot wait for each other.
        take_turns(store, connection, canonical(["budget", *slot]))
    return {
        draw.slot: _total(connection, draw.slot, now - draw.window, alias(draw.key))
        for draw in draws
    }


def _total(connection: Connection, slot: Slot, since: datetime, alias: str) -> Decimal:
    held = tables.reservation.c
    counts = (held.state == RESERVED) | ((held.state == CAPTURED) & (held.at > since))
    query = select(held.amount).where(
        held.budget == slot[0], held.key.in_([slot[1], alias]), counts
    )
    return sum((Decimal(row.amount) for row in connection.execute(query)), Decimal(0))


def reserve(connection: Connection, call: str, draws: Sequence[Draw], now: datetime) -> None:
    """Set aside what a call would draw."""
    for draw in draws:
        connection.execute(
            insert(tables.reservation).values(
                call=call,
                budget=draw.budget,
                key=draw.key,
                amount=str(draw.amount),
                state=RESERVED,
                at=now,
            )
        )


def end(connection: Connection, call: str, happened: Move, now: datetime) -> None:
    """Capture or release what a call had reserved, where this move decides it."""
    after = _AFTER.get(happened)
    if after is not None:
        held = tables.reservation
        connection.execute(update(held).where(held.c.call == call).values(state=after, at=now))


def take_turns(store: Store, connection: Connection, name: str) -> None:
    """Wait until nobody else holds this name, and hold it until the commit."""
    # SQLite has one writer at a time already.
    if store.dialect == "postgresql":
        lock = func.pg_advisory_xact_lock(func.hashtextextended(name, 1))
        connection.execute(select(lock))
