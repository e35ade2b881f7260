"""The registry of prompts: every text a model was ever sent, numbered per name when first seen."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select

from staid.domain.errors.replay import PromptNotFound
from staid.domain.ports import Clock
from staid.domain.prompt import Pin, PromptVersion
from staid.store import tables
from staid.store.engine import Store
from staid.store.ledger.call_rows import aware
from staid.store.ledger.reservations import take_turns


class SqlPrompts:
    """Implements `staid.domain.prompt.Registry` on SQLite and PostgreSQL."""

    def __init__(self, store: Store, clock: Clock) -> None:
        """Keep texts in `store`."""
        self._store = store
        self._clock = clock
        self._known: dict[tuple[str, str], Pin] = {}

    def pin(self, texts: Mapping[str, str]) -> list[Pin]:
        """Return the version of each text, in order; a text that is new gets the next number."""
        hashes = {name: sha256(text.encode()).hexdigest() for name, text in texts.items()}
        if any(item not in self._known for item in hashes.items()):
            self._learn(texts, hashes)
        return [self._known[item] for item in hashes.items()]

    def _learn(self, texts: Mapping[str, str], hashes: Mapping[str, str]) -> None:
        with self._store.write() as connection:
            # Sorted, so that two processes cannot wait for each other.
            for name in sorted(hashes):
                take_turns(self._store, connection, f"prompt:{name}")
            learned = {
                (name, hashed): self._pin(connection, name, hashed, texts[name])
                for name, hashed in sorted(hashes.items())
            }
        self._known.update(learned)  # only what is committed

    def _pin(self, connection: Connection, name: str, hashed: str, text: str) -> Pin:
        prompt = tables.prompt
        known = select(prompt.c.version).where(prompt.c.name == name, prompt.c.sha256 == hashed)
        version = connection.execute(known).scalar()
        if version is None:
            last = select(func.max(prompt.c.version)).where(prompt.c.name == name)
            version = (connection.execute(last).scalar() or 0) + 1
            connection.execute(
                insert(prompt).values(
                    name=name, version=version, sha256=hashed, text=text, at=self._clock.now()
                )
            )
        return Pin(name, version, hashed)

    def find(self, reference: str) -> PromptVersion:
        """Return `NAME@VERSION`, or the newest version of `NAME`; raise `PromptNotFound`."""
        name, at, number = reference.rpartition("@")
        if not (at and number.isdigit()):
            name, number = reference, ""
        versions = self.history(name)
        wanted = [v for v in versions if not number or v.version == int(number)]
        if not wanted:
            raise PromptNotFound(prompt=reference)
        return wanted[-1]

    def history(self, name: str) -> list[PromptVersion]:
        """Return every version of a name, oldest first."""
        prompt = tables.prompt
        query = select(prompt).where(prompt.c.name == name).order_by(prompt.c.version)
        with self._store.read() as connection:
            return [_version(row) for row in connection.execute(query)]

    def newest(self) -> list[PromptVersion]:
        """Return the newest version of every name, by name."""
        prompt = tables.prompt
        query = select(prompt).order_by(prompt.c.name, prompt.c.version)
        with self._store.read() as connection:
            found = {row.name: _version(row) for row in connection.execute(query)}
        return list(found.values())


def _version(row: Row[Any]) -> PromptVersion:
    return PromptVersion(row.name, row.version, row.sha256, row.text, _needed(row.at))


def _needed(at: datetime) -> datetime:
    return aware(at) or at
