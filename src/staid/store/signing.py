"""Who took responsibility for a looser policy: facts under the journal's key, a chain a year."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from staid.domain.events import Content, Event, EventKind
from staid.domain.label import NOBODY
from staid.domain.principal import Actor
from staid.store import tables
from staid.store.engine import Store
from staid.store.journal import Journal

CHAIN = "policy_"
"""What the name of a year's chain begins with; the year follows."""


@dataclass(frozen=True, slots=True)
class SignOff:
    """One policy that a person signed off, with how much looser it was found to be."""

    policy: str
    """Version of the policy."""
    before: str
    """Version of the one it replaces."""
    loosened: int
    """How many recorded calls less would stand in the way of."""


class SqlSignOffs:
    """Keeps sign-offs; nothing takes one back."""

    def __init__(self, store: Store, journal: Journal) -> None:
        """Keep them in the journal of a store."""
        self._store = store
        self._journal = journal

    def sign(self, signed: SignOff, reason: str, actor: Actor, at: datetime) -> None:
        """Record a sign-off; durable when this returns."""
        fact = {"policy": signed.policy, "before": signed.before, "loosened": signed.loosened}
        event = Event(EventKind.POLICY_SIGNED, at, actor, fact, Content({"reason": reason}, NOBODY))
        with self._store.write() as connection:
            self._journal.append(connection, f"{CHAIN}{at:%Y}", [event])
            # Sealed at once: one that is cut off later is missed.
            self._journal.seal(connection, f"{CHAIN}{at:%Y}")

    def covers(self, policy: str, loosened: int) -> bool:
        """Return whether a policy was signed off when it loosened no less than now."""
        journal = tables.journal.c
        query = select(journal.fact).where(journal.kind == EventKind.POLICY_SIGNED.value)
        with self._store.read() as connection:
            facts = [json.loads(row.fact) for row in connection.execute(query)]
        return any(f["policy"] == policy and f["loosened"] >= loosened for f in facts)
