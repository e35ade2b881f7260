"""Erasing what is about one subject: words and names go, facts and chains stay.

One transaction: rows that may change lose names and words, every touched run says in its own chain
what was taken out of it, contents and alias are deleted, and the new heads are sealed. The order of
locks is that of every other writer (its rows, then runs, then seals), so that none waits in a ring.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import Column, Connection, Row, Table, delete, select, update

from staid.domain.call import CallState
from staid.domain.canonical import Json
from staid.domain.events import Event, EventKind
from staid.domain.principal import Actor
from staid.gates.approval import Move, sources
from staid.gates.facts import GATE
from staid.store import forgetting, holds, subjects, tables
from staid.store.engine import Store
from staid.store.journal import Journal
from staid.store.ledger import reservations
from staid.store.ledger.call_rows import aware
from staid.store.subjects import chunks
from staid.tracing.alias import ERASED, is_alias

IN_PROGRESS = timedelta(minutes=15)
"""A run that began longer ago and has no outcome was cut off; a younger one may still write."""
LEDGER_WORDS = ("message", "result", "error", "provenance")
"""Columns of a call that can hold what somebody said, where this release has them."""

APPROVAL_WORDS = ("message", "preview", "reason", "provenance", "bound", "changes", "demand")
"""Columns of a request that can hold what somebody said, or an amount."""


@dataclass(frozen=True, slots=True)
class Order:
    """Who wants what erased, and why."""

    reason: str
    """Stays in the record for good: no name belongs in it."""
    actor: Actor
    at: datetime


@dataclass(frozen=True, slots=True)
class Erased:
    """What one erasure took out."""

    alias: str
    """What stands for the subject from now on."""
    runs: tuple[str, ...] = ()
    contents: int = 0
    calls: int = 0
    handoffs: int = 0
    revoked: tuple[str, ...] = ()
    """Calls that waited for a human and will never run."""
    in_progress: tuple[str, ...] = ()
    """Runs that may still write: erase again when they are over."""
    asked: int = 0
    """Requests to forget that wait for the sinks."""
    named: bool = False
    """Whether a name was still behind the alias."""


class SqlErasure:
    """Takes what is about one subject out of the store, whole or not at all."""

    def __init__(self, store: Store, journal: Journal) -> None:
        """Erase in `store`, and say so in `journal`."""
        self._store = store
        self._journal = journal

    def erase(self, token: str, order: Order) -> Erased:
        """Erase one subject; raise `SubjectHeld`. A second time finds nothing and does no harm."""
        alias = self._journal.alias(token)
        with self._store.write() as connection:
            if self._store.path:
                # What the commit frees is overwritten, so that even before a vacuum no page of
                # this transaction holds a word of it.
                connection.exec_driver_sql("PRAGMA secure_delete = ON")
            name = subjects.tokens(connection, [alias]).get(alias, token)
            if is_alias(name):
                return Erased(alias)  # nobody is behind it any more
            runs = _runs(connection, name)
            taken = _contents(connection, name, sorted(runs))
            holds.check(connection, name, alias, [*runs, *taken])
            calls = _calls(connection, name)
            at_work = {row.run for row in calls if row.state == CallState.EXECUTING.value}
            revoked = _revoke(connection, calls, order.at)
            found = Erased(
                alias=alias,
                runs=tuple(sorted({*runs, *taken})),
                contents=len({one for ids in taken.values() for one in ids}),
                calls=_ledger(connection, name, alias, self._journal),
                handoffs=_handoffs(connection, name, alias),
                revoked=tuple(row.id for row in revoked),
                in_progress=_in_progress(runs, at_work, order.at),
                named=_names(connection, name, alias),
            )
            _end_runs(connection, name, alias, order.at)
            self._write_down(connection, found, taken, revoked, order)
            asked = forgetting.ask_sinks(connection, found.runs, order.at)
        return replace(found, asked=asked)

    def _write_down(
        self,
        connection: Connection,
        found: Erased,
        taken: Mapping[str, Sequence[str]],
        revoked: Sequence[Row[Any]],
        order: Order,
    ) -> None:
        """Append the facts, delete contents and alias, seal: in the order of everybody's locks."""
        for run in found.runs:
            events = [e for row in revoked if row.run == run for e in _revoked(row, order.at)]
            self._journal.append(connection, run, [*events, erased(taken.get(run, ()), order)])
        ledger_of_erasures = f"erasures_{order.at:%Y-%m-%d}"
        did = bool(found.runs or found.named or found.contents)
        if did:
            fact: dict[str, Json] = {"subject": found.alias, "runs": len(found.runs)}
            event = erased((), order, **fact)
            self._journal.append(connection, ledger_of_erasures, [event])
        drop(connection, sorted({one for ids in taken.values() for one in ids}))
        subjects.forget(connection, found.alias)
        for run in [*found.runs, *([ledger_of_erasures] if did else [])]:
            self._journal.seal(connection, run)


def erased(contents: Sequence[str], order: Order, **more: Json) -> Event:
    """Return the fact that these contents were taken out, and why."""
    fact: dict[str, Json] = {"contents": sorted(contents), "reason": order.reason, **more}
    return Event(EventKind.ERASED, order.at, order.actor, fact)


def drop(connection: Connection, contents: Sequence[str]) -> None:
    """Delete content rows, and what is searchable of them."""
    for some in chunks(contents):
        forgetting.forget_said(connection, some)
        connection.execute(delete(tables.content).where(tables.content.c.id.in_(some)))


def _runs(connection: Connection, token: str) -> dict[str, Row[Any]]:
    run = tables.run.c
    called = select(tables.call.c.run).where(tables.call.c.subject == token)
    found = select(run.id, run.state, run.started_at).where(
        (run.asker == token) | run.id.in_(called)
    )
    return {row.id: row for row in cast("Iterable[Row[Any]]", connection.execute(found))}


def _contents(connection: Connection, token: str, runs: Sequence[str]) -> dict[str, list[str]]:
    """Return run -> ids of the contents about a subject that its facts refer to."""
    query = select(tables.content.c.id).where(tables.content.c.subject == token)
    wanted = set(connection.execute(query).scalars())
    journal = tables.journal.c
    having = select(journal.run, journal.content).where(journal.content.is_not(None))
    found: dict[str, list[str]] = {}
    left = set(wanted)
    for some in chunks(runs):
        left -= _collect(connection.execute(having.where(journal.run.in_(some))), wanted, found)
    for some in chunks(sorted(left)):
        # In somebody else's run: rare, and a look at the whole journal.
        _collect(connection.execute(having.where(journal.content.in_(some))), wanted, found)
    return found


def _collect(rows: Iterable[Any], wanted: set[str], found: dict[str, list[str]]) -> set[str]:
    seen: set[str] = set()
    for row in rows:
        if row.content in wanted:
            seen.add(row.content)
            listed = found.setdefault(row.run, [])
            if row.content not in listed:
                listed.append(row.content)
    return seen


def _calls(connection: Connection, token: str) -> list[Row[Any]]:
    call = tables.call
    query = select(call.c.id, call.c.run, call.c.tool, call.c.digest, call.c.state)
    return list(
        cast("Iterable[Row[Any]]", connection.execute(query.where(call.c.subject == token)))
    )


def _revoke(connection: Connection, calls: Sequence[Row[Any]], at: datetime) -> list[Row[Any]]:
    """Revoke what waits or was approved; return the calls for which that came in time."""
    table, waiting = tables.call, [state.value for state in sources(Move.REVOKE)]
    revoked: list[Row[Any]] = []
    for row in calls:
        if row.state not in waiting:
            continue
        moved = connection.execute(
            update(table)
            .where(table.c.id == row.id, table.c.state.in_(waiting))
            .values(state=CallState.REVOKED.value, settled_at=at)
        )
        if moved.rowcount == 1:
            reservations.end(connection, row.id, Move.REVOKE, at)
            revoked.append(row)
    return revoked


def _revoked(row: Row[Any], at: datetime) -> list[Event]:
    base: dict[str, Json] = {"call": row.id, "tool": row.tool}
    ruled: dict[str, Json] = {**base, "ruling": "deny", "rule": "erased", "digest": row.digest}
    return [
        Event(EventKind.CALL_RULED, at, GATE, ruled),
        Event(EventKind.CALL_SETTLED, at, GATE, {**base, "state": CallState.REVOKED.value}),
    ]


def _ledger(connection: Connection, token: str, alias: str, journal: Journal) -> int:
    """Take words and names out of the subject's calls, their approvals and their budgets."""
    call, approval, held = tables.call, tables.approval, tables.reservation
    mine = [row.id for row in _calls(connection, token)]
    for some in chunks(mine):
        connection.execute(
            update(approval)
            .where(approval.c.call.in_(some))
            .values(worded(approval, APPROVAL_WORDS))
        )
        unreasoned(connection, some)
        counted = select(held).where(held.c.call.in_(some))
        for row in connection.execute(counted).all():
            place = (held.c.call == row.call) & (held.c.budget == row.budget)
            place &= held.c.key == row.key
            connection.execute(update(held).where(place).values(key=journal.alias(row.key)))
    words = worded(call, LEDGER_WORDS)
    connection.execute(
        update(call).where(call.c.subject == token).values(subject=alias, arguments="{}", **words)
    )
    return len(mine)


def unreasoned(connection: Connection, calls: Sequence[str]) -> None:
    """Take the words out of what people said to requests for these calls."""
    vote, approval = tables.vote, tables.approval
    theirs = select(approval.c.id).where(approval.c.call.in_(calls))
    connection.execute(update(vote).where(vote.c.approval.in_(theirs)).values(reason=None))


def worded(table: Table, names: Iterable[str]) -> dict[str, object]:
    """Return for each of these columns that exists what stands there after an erasure."""
    return {name: _blank(table.c[name]) for name in names if name in table.c}


def _blank(column: Column[Any]) -> str | None:
    return None if column.nullable else ERASED


def _names(connection: Connection, token: str, alias: str) -> bool:
    """Put the alias where a row of somebody else's run names the subject; True if one is known."""
    approval, handoff, hold = tables.approval, tables.handoff, tables.hold
    decided, answered = approval.c.decided_by, handoff.c.answered_by
    connection.execute(update(approval).where(decided == token).values(decided_by=alias))
    held = tables.reservation
    connection.execute(update(held).where(held.c.key == token).values(key=alias))
    connection.execute(update(handoff).where(answered == token).values(answered_by=alias))
    vote, edited = tables.vote, tables.call.c.edited_by
    connection.execute(update(vote).where(vote.c.voter == token).values(voter=alias))
    connection.execute(update(tables.call).where(edited == token).values(edited_by=alias))
    connection.execute(update(hold).where(hold.c.target == token).values(target=alias))
    for column in (approval.c.requested_by, approval.c.approvers, approval.c.demand):
        quoted = f'"{token}"'
        query = select(approval.c.id, column).where(column.contains(quoted, autoescape=True))
        for identity, text in connection.execute(query).all():
            changed = {column.name: text.replace(quoted, f'"{alias}"')}
            connection.execute(update(approval).where(approval.c.id == identity).values(changed))
    return bool(subjects.tokens(connection, [alias]))


def _handoffs(connection: Connection, token: str, alias: str) -> int:
    """Close what nobody can answer any more; return how many hand-offs were the subject's."""
    handoff = tables.handoff
    waiting = (handoff.c.asker == token) & (handoff.c.state == "open")
    connection.execute(update(handoff).where(waiting).values(state="erased"))
    moved = connection.execute(update(handoff).where(handoff.c.asker == token).values(asker=alias))
    return moved.rowcount


def _end_runs(connection: Connection, token: str, alias: str, at: datetime) -> None:
    """Hand runs and conversations over to the alias; what was parked can never go on."""
    run, parked, talk = tables.run, tables.parked, tables.conversation
    mine = select(run.c.id).where(run.c.asker == token)
    connection.execute(delete(parked).where(parked.c.run.in_(mine)))
    waiting = (run.c.asker == token) & (run.c.state == "parked")
    connection.execute(update(run).where(waiting).values(state="failed", ended_at=at))
    # The digest of a question is not keyed: a short question could be guessed from it.
    values = {"asker": alias, "key": None, "key_digest": None}
    connection.execute(update(run).where(run.c.asker == token).values(values))
    connection.execute(update(talk).where(talk.c.asker == token).values(asker=alias))


def _in_progress(runs: Mapping[str, Row[Any]], at_work: set[str], now: datetime) -> tuple[str, ...]:
    young = now - IN_PROGRESS
    return tuple(
        run
        for run, row in sorted(runs.items())
        if run in at_work or (row.state == "running" and (aware(row.started_at) or now) > young)
    )
