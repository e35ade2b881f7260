"""What was recorded against what was made again: identical, or the first fact that is not."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Literal, cast

from staid.domain.canonical import Json, canonical
from staid.domain.events import Event, EventKind, JournalRow
from staid.runtime.pinning import TOOL
from staid.runtime.replay.record import made

Cause = Literal["code", "prompt", "index", "model", "policy", "tools", "calibration"]

_CAUSES: Mapping[EventKind, Cause] = {
    EventKind.RETRIEVAL_DONE: "index",
    EventKind.PASSAGE_KEPT: "index",
    EventKind.PROMPT_RENDERED: "prompt",
    EventKind.MODEL_RETURNED: "model",
    EventKind.CALL_PROPOSED: "tools",
    EventKind.CALL_RULED: "policy",
}


@dataclass(frozen=True, slots=True)
class Divergence:
    """The first fact that did not come out as it is recorded."""

    seq: int
    """Its number in the journal; one past the last where the replay went on."""
    kind: str
    part: str
    """`kind`, or the first name in fact or content whose value differs."""
    cause: Cause
    """What changed since, by the kind of fact."""
    then: Json
    now: Json


def first_divergence(
    rows: Sequence[JournalRow], events: Sequence[Event], *, whole: bool = False
) -> Divergence | None:
    """Return the first difference between a record and its replay; None: they are identical.

    Compared are the facts that a turn makes itself, `whole`: all of them; kind, actor, fact and
    content of each, to the byte of their canonical form.
    """
    recorded = list(rows) if whole else made(rows)
    again = list(events) if whole else made(events)
    for row, event in zip_longest(recorded, again):
        if row is None:
            kind = event.kind.value if event else ""
            return Divergence(rows[-1].seq + 1 if rows else 1, kind, "kind", "code", None, kind)
        if event is None:
            return Divergence(row.seq, row.kind.value, "kind", "code", row.kind.value, None)
        found = _differs(row, event)
        if found is not None:
            return found
    return None


def _differs(row: JournalRow, event: Event) -> Divergence | None:
    if row.kind is not event.kind:
        cause = _CAUSES.get(row.kind, "code") if row.kind is EventKind.PASSAGE_KEPT else "code"
        then, now = row.kind.value, event.kind.value
        return Divergence(row.seq, then, "kind", cause, then, now)
    if (row.actor.kind, row.actor.name) != (event.actor.kind, event.actor.name):
        return Divergence(
            row.seq, row.kind.value, "actor", "code", row.actor.name, event.actor.name
        )
    body = event.content.body if event.content else None
    for then, now in ((row.fact, event.fact), (row.body or {}, body or {})):
        part = _first(then, now)
        if part is not None:
            old, new = then.get(part), now.get(part)
            cause = _pinned(old, new) if part == "pins" else _cause(row.kind, part)
            return Divergence(row.seq, row.kind.value, part, cause, old, new)
    return None


def _first(then: Mapping[str, Json], now: Mapping[str, Json]) -> str | None:
    names = (name for name in sorted({*then, *now}))
    missing = object()
    return next(
        (
            name
            for name in names
            if (name in then) != (name in now)
            or canonical(then.get(name, str(missing))) != canonical(now.get(name, str(missing)))
        ),
        None,
    )


def _pinned(then: Json, now: Json) -> Cause:
    """Return whether the definition of a tool differs, or a template."""
    told = [{canonical(pin) for pin in cast("list[Json]", pins or [])} for pins in (then, now)]
    differing = [json.loads(pin)["name"] for pin in told[0] ^ told[1]]
    return "tools" if all(name.startswith(TOOL) for name in differing) else "prompt"


def _cause(kind: EventKind, part: str) -> Cause:
    match kind, part:
        case EventKind.FLOOR_COMPARED, "calibration":
            return "calibration"
        case EventKind.MODEL_REQUESTED, "model":
            return "model"
        case EventKind.MODEL_REQUESTED, "tools":
            return "tools"
        case _:
            return _CAUSES.get(kind, "code")
