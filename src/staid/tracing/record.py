"""A run's facts as one reader may see them: what is withheld has no words left to tell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from staid.domain.canonical import Json
from staid.domain.events import EventKind, JournalRow

WITHHELD = "withheld: you may not read its source"
"""What stands in the place of a text."""

SILENT: Mapping[EventKind, str] = {
    EventKind.RETRIEVAL_DONE: "What the search found",
    EventKind.PASSAGE_KEPT: "The best passage",
    EventKind.FLOOR_COMPARED: "What was measured",
    EventKind.STATEMENT_CHECKED: "A statement of the draft",
}
"""Kinds whose very facts name or measure a source: nothing of them is told. Of the others the ids
and rules are told, which this reader sees at the approval anyway, and the text is left out."""


@dataclass(frozen=True, slots=True)
class Record:
    """The facts of one run in order, without a word of what its reader may not read."""

    run: str
    rows: tuple[JournalRow, ...]
    hidden: frozenset[int] = frozenset()
    """Numbers of the facts that are withheld."""
    unnamed: frozenset[tuple[str, str]] = frozenset()
    """Source and id of documents among the cut passages that must not be named."""

    @classmethod
    def of(
        cls,
        run: str,
        rows: Sequence[JournalRow],
        hidden: frozenset[int] = frozenset(),
        unnamed: frozenset[tuple[str, str]] = frozenset(),
    ) -> Record:
        """Return the record with the words of every hidden fact replaced by a note."""
        note = {"question": WITHHELD, "text": WITHHELD}
        shown = (replace(row, body=note) if row.seq in hidden else row for row in rows)
        return cls(run, tuple(shown), hidden, unnamed)

    def all(self, *kinds: EventKind, **fact: Json) -> Iterator[JournalRow]:
        """Yield the facts of these kinds that carry these values, in order."""
        for row in self.rows:
            if row.kind in kinds and all(row.fact.get(k) == v for k, v in fact.items()):
                yield row

    def last(self, *kinds: EventKind, **fact: Json) -> JournalRow | None:
        """Return the last fact of these kinds that carries these values."""
        for row in reversed(self.rows):
            if row.kind in kinds and all(row.fact.get(k) == v for k, v in fact.items()):
                return row
        return None

    def silent(self, row: JournalRow) -> bool:
        """Return whether not even the ids and numbers of a fact are told."""
        return row.seq in self.hidden and row.kind in SILENT

    def best(self, kept: JournalRow) -> bool:
        """Return whether a kept passage is the first that its search kept."""
        place = kept.seq - self.rows[0].seq
        return place == 0 or self.rows[place - 1].kind is not EventKind.PASSAGE_KEPT

    @property
    def calls(self) -> Mapping[str, tuple[JournalRow, ...]]:
        """Every fact of each proposed call, in the order of proposal."""
        lives: dict[str, list[JournalRow]] = {}
        for row in self.rows:
            call = str(row.fact.get("call", ""))
            if row.kind is EventKind.CALL_PROPOSED:
                lives[call] = []
            if call in lives:
                lives[call].append(row)
        return {call: tuple(life) for call, life in lives.items()}

    @property
    def searched(self) -> int:
        """The number of the last search's fact: a resumed run has searched again; 0: none."""
        last = self.last(EventKind.RETRIEVAL_DONE)
        return last.seq if last else 0

    @property
    def kept(self) -> tuple[JournalRow, ...]:
        """The passages that the last search kept, best first."""
        searched = self.searched
        return tuple(r for r in self.all(EventKind.PASSAGE_KEPT) if r.seq > searched)

    @property
    def draft(self) -> tuple[JournalRow, ...]:
        """The last check of a draft: of a revised one only this counts."""
        checked = list(self.all(EventKind.STATEMENT_CHECKED))
        starts = [place for place, row in enumerate(checked) if row.fact["statement"] == 1]
        return tuple(checked[starts[-1] :] if starts else checked)

    @property
    def outcome(self) -> str:
        """The outcome's word; else `external` where the turn is not ours, or `interrupted`."""
        decided = self.last(EventKind.OUTCOME_DECIDED)
        if decided is not None:
            return str(decided.fact["outcome"])
        external = bool(self.rows) and bool(self.rows[0].fact.get("external"))
        return "external" if external else "interrupted"


def body_of(row: JournalRow) -> Mapping[str, Any]:
    """Return the content of a fact; empty where there is none or it was erased."""
    return cast("Mapping[str, Any]", row.body or {})


def fact_of(row: JournalRow) -> Mapping[str, Any]:
    """Return the ids and numbers of a fact."""
    return cast("Mapping[str, Any]", row.fact)


def short(text: str, limit: int) -> str:
    """Return a text cut to a length, with a mark where it was cut."""
    return text if len(text) <= limit else text[: limit - 1] + "…"
