"""The facts of one run read back: names for aliases, texts where they are still there.

A run can have ten thousand facts and is opened while somebody waits: rows come in portions, and
what the facts have in common (actors, labels, whose an alias is) is read once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

from sqlalchemy import Connection, Row, bindparam, select

from staid.domain.events import EventKind, JournalRow
from staid.domain.label import EVERYONE, Label
from staid.domain.principal import Actor
from staid.store import subjects, tables
from staid.tracing import alias

TOGETHER = 500
"""Rows in one portion."""

_Found: TypeAlias = Row[*tuple[Any, ...]]
_journal, _content = tables.journal.c, tables.content.c
_ROWS = (
    select(
        *(_journal.seq, _journal.kind, _journal.at, _journal.actor, _journal.fact),
        *(_journal.content, _journal.prev, _journal.hash, _content.body, _content.label),
    )
    .join_from(tables.journal, tables.content, _journal.content == _content.id, isouter=True)
    .where(_journal.run == bindparam("of"))
    .order_by(_journal.seq)
)
_KINDS = {kind.value: kind for kind in EventKind}
_DECODER = json.JSONDecoder()


def recorded(connection: Connection, run: str) -> Iterator[JournalRow]:
    """Give the facts of a run in order, with the content that is still there."""
    reading = _Reading(connection, run)
    for rows in connection.execute(_ROWS, {"of": run}).partitions(TOGETHER):
        yield from reading.portion(rows)


class _Reading:
    """What was read of a run so far, and the next facts may need as well."""

    def __init__(self, connection: Connection, run: str) -> None:
        self._connection = connection
        self._run = run
        self._asked = set[str]()
        self._known: dict[str, str] = {}
        self._actors: dict[str, Actor] = {}
        self._labels: dict[str | None, Label] = {None: EVERYONE}

    def portion(self, rows: Sequence[_Found]) -> Iterator[JournalRow]:
        """Give these rows as facts."""
        actors = {row[3] for row in rows} - self._actors.keys()
        labels = {row[9] for row in rows} - self._labels.keys()
        self._learn([*actors, *(label for label in labels if label), *(row[4] for row in rows)])
        known = self._known
        for text in actors:
            self._actors[text] = _actor(alias.unmask(text, known))
        for text in labels:
            self._labels[text] = _label(alias.unmask(text, known, unknown=None))
        for seq, kind, at, actor, fact, content, prev, hashed, body, label in rows:
            yield JournalRow(
                *(self._run, seq, _KINDS[kind], at, self._actors[actor]),
                *(_read(alias.unmask(fact, known)), content, prev, hashed),
                *(_read(body) if body else None, self._labels[label]),
            )

    def _learn(self, texts: Iterable[str]) -> None:
        new = alias.aliases(texts) - self._asked
        if new:
            self._asked |= new
            self._known |= subjects.tokens(self._connection, new)


def _read(text: str) -> Any:  # noqa: ANN401 - JSON
    # Without the search for white space at both ends: a third of the cost, and none is there.
    found, end = _DECODER.raw_decode(text)
    return found if end == len(text) else json.loads(text)


@lru_cache(maxsize=1024)
def _actor(recorded: str) -> Actor:
    fields: dict[str, Any] = json.loads(recorded)
    via = fields.pop("via", None)
    return Actor(**fields, via=via.removeprefix("user:") if via is not None else None)


@lru_cache(maxsize=1024)
def _label(key: str) -> Label:
    value = json.loads(key)
    # Not `parse`: an alias of nobody is no token of a file, and matches no one.
    return Label.of(value["allow"], value["deny"])
