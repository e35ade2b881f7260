"""Two runs side by side: what differs, aspect by aspect, the earliest step first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from staid.domain.canonical import Json, canonical
from staid.domain.events import EventKind
from staid.tracing.record import Record, body_of


@dataclass(frozen=True, slots=True)
class Aspect:
    """One aspect of both runs."""

    name: str
    """`question`, `asker`, `agent`, `search`, `evidence`, `floor`, `measured`, `prompt`, `model`,
    `calls`, `rulings`, `decisions`, `settled`, `statements`, `outcome` or `text`."""
    first: Json
    second: Json
    facts: tuple[tuple[int, ...], tuple[int, ...]]
    """The facts behind it, in either run."""

    @property
    def differs(self) -> bool:
        """Whether the two runs differ in this."""
        return canonical(self.first) != canonical(self.second)


_Read = tuple[Json, tuple[int, ...]]
_NOTHING: _Read = (None, ())


def compare(first: Record, second: Record) -> tuple[Aspect, ...]:
    """Return every aspect in the order of the turn: the first that differs came first."""
    found: list[Aspect] = []
    for name, read in _ASPECTS.items():
        (one, facts), (other, others) = read(first), read(second)
        found.append(Aspect(name, one, other, (facts, others)))
    return tuple(found)


def _question(record: Record) -> _Read:
    row = record.last(EventKind.RUN_STARTED)
    return (body_of(row).get("question"), (row.seq,)) if row else _NOTHING


def _of(kind: EventKind, *names: str) -> Callable[[Record], _Read]:
    """Return the reader of these values of the last fact of a kind."""

    def read(record: Record) -> _Read:
        row = record.last(kind)
        if row is None:
            return _NOTHING
        if len(names) == 1:
            return row.fact.get(names[0]), (row.seq,)
        return {name: row.fact.get(name) for name in names}, (row.seq,)

    return read


def _evidence(record: Record) -> _Read:
    compared = record.last(EventKind.FLOOR_COMPARED)
    grounds = cast("list[str]", compared.fact.get("evidence", []) if compared else [])
    told: list[Json] = [
        {
            "document": f"{row.fact['source']}/{row.fact['document']}",
            "version": row.fact["version"],
            "chunk": row.fact["chunk"],
            "evidence": row.fact["chunk"] in grounds,
        }
        for row in record.kept
    ]
    return told, tuple(row.seq for row in record.kept)


def _calls(record: Record) -> _Read:
    rows = list(record.all(EventKind.CALL_PROPOSED))
    told: list[Json] = [
        {"tool": row.fact["tool"], "arguments": body_of(row).get("arguments")} for row in rows
    ]
    return told, tuple(row.seq for row in rows)


def _listed(kind: EventKind, *names: str) -> Callable[[Record], _Read]:
    """Return the reader of these values of every fact of a kind."""

    def read(record: Record) -> _Read:
        rows = list(record.all(kind))
        told: list[Json] = [{name: row.fact.get(name) for name in names} for row in rows]
        return told, tuple(row.seq for row in rows)

    return read


def _statements(record: Record) -> _Read:
    told: list[Json] = [
        {"text": body_of(row).get("text"), "support": row.fact["support"]} for row in record.draft
    ]
    return told, tuple(row.seq for row in record.draft)


def _outcome(record: Record) -> _Read:
    row = record.last(EventKind.OUTCOME_DECIDED)
    if row is None:
        return {"outcome": record.outcome, "reason": None}, ()
    return {"outcome": row.fact["outcome"], "reason": row.fact["reason"]}, (row.seq,)


def _text(record: Record) -> _Read:
    row = record.last(EventKind.OUTCOME_DECIDED)
    return (body_of(row).get("text"), (row.seq,)) if row else _NOTHING


_ASPECTS: Mapping[str, Callable[[Record], _Read]] = {
    "question": _question,
    "asker": _of(EventKind.SCOPE_RESOLVED, "asker", "groups", "asserted", "may_read"),
    "agent": _of(EventKind.RUN_STARTED, "agent"),
    "search": _of(EventKind.RETRIEVAL_DONE, "view", "found", "position", "embedder"),
    "evidence": _evidence,
    "floor": _of(EventKind.FLOOR_COMPARED, "floor", "signal", "calibration"),
    "measured": _of(EventKind.FLOOR_COMPARED, "decision", "confidence", "similarity"),
    "prompt": _of(EventKind.PROMPT_RENDERED, "name", "version", "sha256"),
    "model": _of(EventKind.MODEL_RETURNED, "model"),
    "calls": _calls,
    "rulings": _listed(EventKind.CALL_RULED, "tool", "ruling", "rule"),
    "decisions": _listed(EventKind.APPROVAL_DECIDED, "decision"),
    "settled": _listed(EventKind.CALL_SETTLED, "tool", "state"),
    "statements": _statements,
    "outcome": _outcome,
    "text": _text,
}


def compare_json(runs: Sequence[str], aspects: Sequence[Aspect]) -> dict[str, Json]:
    """Return the comparison as JSON: what differs first, and the aspects that are the same."""
    return {
        "compared": list(runs),
        "differences": [
            {
                "aspect": a.name,
                "first": a.first,
                "second": a.second,
                "facts": [list(a.facts[0]), list(a.facts[1])],
            }
            for a in aspects
            if a.differs
        ],
        "same": [a.name for a in aspects if not a.differs],
    }
