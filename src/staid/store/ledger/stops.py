"""The kill switch: which tools are stopped, kept where every process of the project looks.

A stop holds from the moment `stop` returns: whoever claims a call does so before the stop, or sees
it. What was claimed before runs on; `running` names it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, insert, or_, select, update

from staid.domain.call import CallRecord, CallState
from staid.domain.canonical import Json
from staid.domain.errors import NotStopped, ToolStopped
from staid.domain.events import Event, EventKind
from staid.domain.ids import Ids
from staid.domain.ports import Clock
from staid.domain.principal import Actor
from staid.gates.breaker import Standing
from staid.gates.policy import EVERY_TOOL
from staid.store import subjects, tables
from staid.store.engine import Store
from staid.store.journal import Journal
from staid.store.ledger import call_rows, circuits

CHAIN = "gates_"
"""What the name of a year's chain of stops begins with; the year follows."""
_LOCK = "stops"


@dataclass(frozen=True, slots=True)
class Stop:
    """One tool, or all of them, stopped by a person."""

    id: str
    tool: str
    """Its name, or `EVERY_TOOL`."""
    reason: str
    stopped_by: str
    """A principal's token, its alias where nobody is behind it any more."""
    stopped_at: datetime
    started_by: str | None = None
    started_at: datetime | None = None
    start_reason: str | None = None


class SqlStops:
    """Stops and starts tools; every change is a fact under the journal's key."""

    def __init__(self, store: Store, journal: Journal, clock: Clock, ids: Ids) -> None:
        """Keep stops in `store` and their facts in `journal`."""
        self._store = store
        self._journal = journal
        self._clock = clock
        self._ids = ids

    def stop(self, tool: str, reason: str, actor: Actor) -> Stop:
        """Stop a tool, in force when this returns; one that is stopped already stays as it was."""
        with self._store.write() as connection:
            _alone(self._store, connection)
            found = connection.execute(_in_force().where(tables.stop.c.tool == tool)).first()
            if found is not None:
                return _stop(found, self._known(connection, [found]))
            made = Stop(self._ids.new("stp"), tool, reason, actor.name, self._clock.now())
            values = {
                "id": made.id,
                "tool": tool,
                "reason": reason,
                "stopped_by": self._stored(connection, actor.name),
                "stopped_at": made.stopped_at,
            }
            connection.execute(insert(tables.stop).values(values))
            of = (made.id, tool)
            self._note(connection, EventKind.TOOL_STOPPED, made.stopped_at, actor, of, reason)
        return made

    def start(self, tool: str, reason: str, actor: Actor) -> Stop | None:
        """Let a tool go on that is stopped or rests; raise `NotStopped` where it is neither.

        None where it was not stopped, and only rested.
        """
        table = tables.stop
        with self._store.write() as connection:
            _alone(self._store, connection)
            found = connection.execute(_in_force().where(table.c.tool == tool)).first()
            rested = tool != EVERY_TOOL and circuits.close(self._store, connection, tool)
            now = self._clock.now()
            if found is None and not rested:
                raise NotStopped(tool="The whole gate" if tool == EVERY_TOOL else tool)
            if found is None:
                self._note(connection, EventKind.TOOL_STARTED, now, actor, ("", tool), reason)
                return None
            stopped = _stop(found, self._known(connection, [found]))
            values = {
                "started_by": self._stored(connection, actor.name),
                "started_at": now,
                "start_reason": reason,
            }
            connection.execute(update(table).where(table.c.id == stopped.id).values(values))
            of = (stopped.id, tool)
            self._note(connection, EventKind.TOOL_STARTED, now, actor, of, reason)
        return replace(stopped, started_by=actor.name, started_at=now, start_reason=reason)

    def stops(self, *, everything: bool = False) -> list[Stop]:
        """Return the stops in force, with `everything` also those that ended, oldest first."""
        query = select(tables.stop) if everything else _in_force()
        ordered = query.order_by(tables.stop.c.stopped_at, tables.stop.c.id)
        with self._store.read() as connection:
            rows = connection.execute(ordered).all()
            known = self._known(connection, rows)
        return [_stop(row, known) for row in rows]

    def names(self) -> frozenset[str]:
        """Return the names of the stopped tools, `EVERY_TOOL` among them, as of now."""
        with self._store.read() as connection:
            return in_force(connection)

    def resting(self) -> dict[str, Standing]:
        """Return the tools whose circuit breaker is open, with what it says now."""
        with self._store.read() as connection:
            return circuits.resting(connection, self._clock.now())

    def running(self, tool: str) -> list[CallRecord]:
        """Return what is being executed at this moment: what a stop no longer reaches."""
        call = tables.call.c
        query = call_rows.calls().where(call.state == CallState.EXECUTING.value)
        if tool != EVERY_TOOL:
            query = query.where(call.tool == tool)
        with self._store.read() as connection:
            rows = connection.execute(query.order_by(call.proposed_at, call.id))
            return [call_rows.call_record(row) for row in rows]

    def _known(self, connection: Connection, rows: Iterable[Row[Any]]) -> dict[str, str]:
        named = {name for row in rows for name in (row.stopped_by, row.started_by) if name}
        return subjects.tokens(connection, named)

    def _stored(self, connection: Connection, token: str) -> str:
        alias = self._journal.alias(token)
        subjects.keep(connection, {alias: token})
        return alias

    def _note(
        self,
        connection: Connection,
        kind: EventKind,
        at: datetime,
        actor: Actor,
        of: tuple[str, str],
        reason: str,
    ) -> None:
        chain = f"{CHAIN}{at:%Y}"
        fact: dict[str, Json] = {"stop": of[0], "tool": of[1], "reason": reason}
        self._journal.append(connection, chain, [Event(kind, at, actor, fact)])
        # Sealed each time: a stop that is cut off later is missed.
        self._journal.seal(connection, chain)


def in_force(connection: Connection) -> frozenset[str]:
    """Return the names of the stopped tools inside a transaction."""
    return frozenset(row.tool for row in connection.execute(_NAMES))


def check(store: Store, connection: Connection, tool: str) -> None:
    """Raise `ToolStopped` where the tool is stopped; no stop returns before this transaction ends.

    For the transaction that takes the right to execute.
    """
    share(store, connection)
    found = connection.execute(_REASON, {"tool": tool}).first()
    if found is not None:
        raise ToolStopped(tool=tool, reason=found.reason, rule="kill_switch")


def share(store: Store, connection: Connection) -> None:
    """Let no stop return before this transaction ends; any number may hold this at once."""
    # SQLite has one writer at a time already.
    if store.dialect == "postgresql":
        lock = func.pg_advisory_xact_lock_shared(func.hashtextextended(_LOCK, 1))
        connection.execute(select(lock))


def _alone(store: Store, connection: Connection) -> None:
    if store.dialect == "postgresql":
        lock = func.pg_advisory_xact_lock(func.hashtextextended(_LOCK, 1))
        connection.execute(select(lock))


def _in_force() -> Any:  # noqa: ANN401 - a selection of whole rows
    return select(tables.stop).where(tables.stop.c.started_at.is_(None))


_NAMES = select(tables.stop.c.tool).where(tables.stop.c.started_at.is_(None))
_REASON = (
    select(tables.stop.c.reason)
    .where(tables.stop.c.started_at.is_(None))
    .where(or_(tables.stop.c.tool == bindparam("tool"), tables.stop.c.tool == EVERY_TOOL))
    .limit(1)
)


def _stop(row: Row[Any], known: Mapping[str, str]) -> Stop:
    return Stop(
        id=row.id,
        tool=row.tool,
        reason=row.reason,
        stopped_by=known.get(row.stopped_by, row.stopped_by),
        stopped_at=_at(row.stopped_at),
        started_by=known.get(row.started_by, row.started_by) if row.started_by else None,
        started_at=call_rows.aware(row.started_at),
        start_reason=row.start_reason,
    )


def _at(value: datetime) -> datetime:
    return call_rows.aware(value) or value
