"""Budgets in the store: what is reserved, what is captured, and whose turn it is to look."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import Connection, bindparam, case, delete, func, insert, select, update

from staid.domain.canonical import canonical
from staid.gates.approval import Move
from staid.gates.budget import APPROVER, Draw, Slot, Totals
from staid.store import tables
from staid.store.engine import Store
from staid.store.ledger.call_rows import aware
from staid.store.tables.shared import TIME

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

_NOW = bindparam("now", type_=TIME)
# A clock that jumped back since the proposal must not shorten the window.
_LATER = case((tables.reservation.c.at > _NOW, tables.reservation.c.at), else_=_NOW)
_ENDED = (
    update(tables.reservation)
    .where(tables.reservation.c.call == bindparam("wanted"))
    .values(state=bindparam("after"), at=_LATER)
)
_RESERVED = insert(tables.reservation)


@dataclass(frozen=True, slots=True)
class Held:
    """What one slot holds at a moment, without the call that asks."""

    total: Decimal
    calls: tuple[str, ...]
    """Ids of the calls that add up to it, oldest first."""
    latest: datetime | None
    """When something was last reserved or captured, at most one window ahead of now."""


def totals(held: Mapping[Slot, Held]) -> Totals:
    """Return the running total of every slot."""
    return {slot: each.total for slot, each in held.items()}


def look(
    store: Store,
    connection: Connection,
    draws: Sequence[Draw],
    now: datetime,
    alias: Callable[[str], str],
) -> dict[Slot, Held]:
    """Return what every slot holds, which nobody else can add to before the commit.

    What an erasure left under the `alias` of a key still counts: erasing refills no budget.
    """
    for slot in sorted({draw.slot for draw in draws}):
        # Sorted, so that two proposals on the same budgets cannot wait for each other.
        take_turns(store, connection, canonical(["budget", *slot]))
    return {draw.slot: _held(connection, draw, now, alias(draw.key)) for draw in draws}


def _held(connection: Connection, draw: Draw, now: datetime, alias: str) -> Held:
    held = tables.reservation.c
    since, ahead = now - draw.window, now + draw.window
    counts = (held.state == RESERVED) | ((held.state == CAPTURED) & (held.at > since))
    query = select(held.amount, held.call, held.at).where(
        held.budget == draw.budget, held.key.in_([draw.key, alias]), counts
    )
    rows = connection.execute(query.order_by(held.at, held.call)).all()
    times = [at for at in (aware(row.at) for row in rows) if at is not None and at <= ahead]
    total = sum((Decimal(row.amount) for row in rows), Decimal(0))
    return Held(total, tuple(row.call for row in rows), max(times, default=None))


def running(connection: Connection, budget: str, since: datetime) -> dict[str, Decimal]:
    """Return key -> running total of one budget, for every key that has one."""
    held, found = tables.reservation.c, dict[str, Decimal]()
    counts = (held.state == RESERVED) | ((held.state == CAPTURED) & (held.at > since))
    query = select(held.key, held.amount).where(held.budget == budget, counts)
    for row in connection.execute(query.order_by(held.key)):
        found[row.key] = found.get(row.key, Decimal(0)) + Decimal(row.amount)
    return found


def reserve(
    connection: Connection,
    call: str,
    draws: Sequence[Draw],
    now: datetime,
    held: Mapping[Slot, Held],
) -> None:
    """Set aside what a call would draw, never earlier than what is there already.

    A clock that jumped back would otherwise let it leave the window too soon once it is right.
    """
    for draw in draws:
        latest = held[draw.slot].latest
        values = {
            "call": call,
            "budget": draw.budget,
            "key": draw.key,
            "amount": str(draw.amount),
            "state": RESERVED,
            "at": now if latest is None else max(now, latest),
        }
        connection.execute(_RESERVED, values)


def plan(draws: Sequence[Draw]) -> str | None:
    """Return the stored form of what whoever approves a request will draw; None for nothing."""
    told = [[d.budget, str(d.amount), str(d.limit), int(d.window.total_seconds())] for d in draws]
    return canonical(told) if told else None


def planned(text: str | None, key: str) -> tuple[Draw, ...]:
    """Return what the holder of this key draws by approving a request that has this `plan`."""
    return tuple(
        Draw(budget, key, Decimal(amount), Decimal(limit), timedelta(seconds=seconds))
        for budget, amount, limit, seconds in json.loads(text or "[]")
    )


def withdraw(connection: Connection, calls: Sequence[str]) -> None:
    """Take back what people drew by approving these calls: their votes are void."""
    held = tables.reservation.c
    theirs = held.budget.startswith(f"{APPROVER}:", autoescape=True)
    connection.execute(delete(tables.reservation).where(held.call.in_(calls), theirs))


def end(connection: Connection, call: str, happened: Move, now: datetime) -> None:
    """Capture or release what a call had reserved, where this move decides it."""
    after = _AFTER.get(happened)
    if after is not None:
        connection.execute(_ENDED, {"wanted": call, "after": after, "now": now})


def take_turns(store: Store, connection: Connection, name: str) -> None:
    """Wait until nobody else holds this name, and hold it until the commit."""
    # SQLite has one writer at a time already.
    if store.dialect == "postgresql":
        lock = func.pg_advisory_xact_lock(func.hashtextextended(name, 1))
        connection.execute(select(lock))
