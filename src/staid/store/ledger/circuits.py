"""Circuit breakers in the store: one row per tool, changed with the call that changes it."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, insert, select, update

from staid.domain.call import ToolCall
from staid.domain.canonical import canonical, timestamp
from staid.domain.errors import ToolStopped
from staid.gates import breaker as circuits
from staid.gates.breaker import Breaker, Circuit, Ended, Standing
from staid.store import tables
from staid.store.engine import Store
from staid.store.ledger import call_rows
from staid.store.ledger.reservations import take_turns

_ROW = select(tables.circuit).where(tables.circuit.c.tool == bindparam("wanted"))


def look(
    store: Store, connection: Connection, tool: str, breaker: Breaker, now: datetime
) -> Standing:
    """Return what the tool's circuit says; of many who are told that they try it one is right.

    Who is told so holds the circuit until the commit, and says by `take` whether it does.
    """
    row = _row(connection, tool)
    if row is None or row.breaker != canonical(breaker.as_json()):
        _hold(store, connection, tool)
        _define(connection, tool, breaker)
        row = _row(connection, tool)
    found = circuits.standing(_circuit(row), breaker, now)
    if found.trial:
        _hold(store, connection, tool)
        found = circuits.standing(_circuit(_row(connection, tool)), breaker, now)
    return found


def take(connection: Connection, tool: str, call: str, now: datetime) -> None:
    """Let this call be the one that tries the tool; `look` has said so in this transaction."""
    _put(connection, tool, circuits.tried(_circuit(_row(connection, tool)), call, now))


def enter(
    store: Store, connection: Connection, call: ToolCall, breaker: Breaker, now: datetime
) -> None:
    """Raise `ToolStopped` where the call's tool rests, unless it is the one that tries it."""
    row = _row(connection, call.tool)
    if row is not None and row.trial == call.id:
        return
    found = look(store, connection, call.tool, breaker, now)
    if found.until is not None:
        reason = found.told(call.tool)
        raise ToolStopped(tool=call.tool, reason=reason, rule=f"breaker:{call.tool}")
    if found.trial:
        take(connection, call.tool, call.id, now)


def note(
    store: Store, connection: Connection, tool: str, call: str, ended: Ended, now: datetime
) -> None:
    """Let the circuit know how a call ended; nothing where the tool has no breaker."""
    if _row(connection, tool) is None:
        return
    _hold(store, connection, tool)
    row = _row(connection, tool)
    if row is None:
        return
    before, breaker = _circuit(row), Breaker.from_json(json.loads(row.breaker))
    found = circuits.after(before, breaker, ended, call, now)
    if found != before:
        _put(connection, tool, found)


def close(store: Store, connection: Connection, tool: str) -> bool:
    """Close a tool's circuit; whether it was open."""
    _hold(store, connection, tool)
    row = tables.circuit.c
    opened = delete(tables.circuit).where(row.tool == tool, row.opened_at.is_not(None))
    return connection.execute(opened).rowcount > 0


def resting(connection: Connection, now: datetime) -> dict[str, Standing]:
    """Return every tool whose circuit is open, with what it says now."""
    query = select(tables.circuit).where(tables.circuit.c.opened_at.is_not(None))
    return {
        row.tool: circuits.standing(_circuit(row), Breaker.from_json(json.loads(row.breaker)), now)
        for row in connection.execute(query.order_by(tables.circuit.c.tool))
    }


def _row(connection: Connection, tool: str) -> Row[Any] | None:
    return connection.execute(_ROW, {"wanted": tool}).first()


def _hold(store: Store, connection: Connection, tool: str) -> None:
    take_turns(store, connection, f"circuit:{tool}")


def _define(connection: Connection, tool: str, breaker: Breaker) -> None:
    table, defined = tables.circuit, canonical(breaker.as_json())
    again = update(table).where(table.c.tool == tool).values(breaker=defined)
    if connection.execute(again).rowcount == 0:
        connection.execute(insert(table).values(tool=tool, breaker=defined, failures="[]"))


def _put(connection: Connection, tool: str, circuit: Circuit) -> None:
    values = {
        "failures": canonical([timestamp(at) for at in circuit.failures]),
        "opened_at": circuit.opened_at,
        "trial": circuit.trial,
        "trial_at": circuit.trial_at,
    }
    connection.execute(update(tables.circuit).where(tables.circuit.c.tool == tool).values(**values))


def _circuit(row: Row[Any] | None) -> Circuit:
    if row is None:
        return Circuit()
    return Circuit(
        tuple(datetime.fromisoformat(at) for at in json.loads(row.failures)),
        call_rows.aware(row.opened_at),
        row.trial,
        call_rows.aware(row.trial_at),
    )
