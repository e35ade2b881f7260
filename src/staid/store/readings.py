"""Who read which run: facts of their own, in one chain for each day."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, select

from staid.domain.events import Event, EventKind
from staid.domain.ports import Clock
from staid.domain.principal import Actor
from staid.store import subjects, tables
from staid.store.engine import Store
from staid.store.journal import Journal
from staid.tracing.alias import aliases, unmask

CHAIN = "reads_"
"""What the name of a day's chain begins with; the day follows."""
_AFTER = "reads`"
"""Sorts behind every name of such a chain: the backtick follows the underscore."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at a run."""

    run: str
    reader: str
    """The principal's token; `(erased)` where the reader was erased since."""
    surface: str
    """Where it was shown, such as `cli why`, `api` or `console`."""
    at: str
    via: str | None


class SqlReadings:
    """Records a reading before anything is shown, durably and under the journal's key."""

    def __init__(self, store: Store, journal: Journal, clock: Clock) -> None:
        """Keep readings in the journal of `store`."""
        self._store = store
        self._journal = journal
        self._clock = clock

    def record(
        self, runs: Sequence[str], reader: str, surface: str, *, via: str | None = None
    ) -> None:
        """Record that these runs are read; durable when this returns. Raises the store's errors."""
        now = self._clock.now()
        actor = Actor("human", reader, via)
        events = [
            Event(EventKind.RUN_READ, now, actor, {"run": run, "surface": surface}) for run in runs
        ]
        chain = f"{CHAIN}{now:%Y-%m-%d}"
        with self._store.write() as connection:
            self._journal.append(connection, chain, events)
            # Sealed each time: a reading that is cut off later is missed.
            self._journal.seal(connection, chain)

    def of(self, run: str) -> list[Reading]:
        """Return who read a run, oldest first."""
        return [reading for reading in self._readings(f'"run":"{run}"') if reading.run == run]

    def by(self, reader: str) -> list[Reading]:
        """Return what a principal read, oldest first."""
        alias = self._journal.alias(reader)
        return [each for each in self._readings(None, alias) if each.reader == reader]

    def _readings(self, fact: str | None, actor: str | None = None) -> list[Reading]:
        journal = tables.journal.c
        query = select(journal.at, journal.actor, journal.fact).where(
            journal.run >= CHAIN,
            journal.run < _AFTER,
            journal.kind == EventKind.RUN_READ.value,
        )
        if fact is not None:
            query = query.where(journal.fact.contains(fact, autoescape=True))
        if actor is not None:
            query = query.where(journal.actor.contains(actor, autoescape=True))
        with self._store.read() as connection:
            rows = connection.execute(query.order_by(journal.at, journal.run, journal.seq)).all()
            known = subjects.tokens(connection, aliases(row.actor for row in rows))
        return [_reading(row, known) for row in rows]


def _reading(row: Row[Any, Any, Any], known: dict[str, str]) -> Reading:
    fact, actor = json.loads(row.fact), json.loads(unmask(row.actor, known))
    via = actor.get("via")
    return Reading(
        run=fact["run"],
        reader=actor["name"],
        surface=fact["surface"],
        at=row.at,
        via=via.removeprefix("user:") if via else None,
    )
