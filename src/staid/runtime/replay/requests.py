"""What a model was sent, made again from registered texts and recorded variables alone.

A text that came from anywhere else (a prompt's fifth place) is in what was sent and not in what is
made here: the two hashes differ, and the replay says at which request.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from staid.domain.canonical import Json
from staid.domain.events import EventKind, JournalRow
from staid.domain.message import ModelRequest, ToolSpec
from staid.domain.passage import Passage
from staid.domain.prompt import Pin
from staid.runtime.pinning import TOOL
from staid.runtime.replay.compare import Divergence
from staid.runtime.replay.record import Recorded, message_of

Text = Callable[[str, int], str]
"""Name and version of a registered text -> the text."""


def requests_of(recorded: Recorded, text: Text) -> list[ModelRequest]:
    """Return every request of a run; raise `PromptNotFound` for a text that is not registered."""
    found: list[ModelRequest] = []
    passages: dict[str, Passage] = {}
    pins: Sequence[Pin] = ()
    for row in recorded.rows:
        if row.kind is EventKind.FLOOR_COMPARED:
            place = sum(r.kind is EventKind.FLOOR_COMPARED for r in recorded.rows[: row.seq]) - 1
            passages = {p.chunk: p for p in recorded.retrievals[place].passages}
        elif row.kind is EventKind.PROMPT_RENDERED:
            pins = _pins(row)
        elif row.kind is EventKind.MODEL_REQUESTED:
            found.append(_request(recorded, row, pins, passages, text))
    return found


def unaccounted(
    recorded: Recorded, text: Text, hashed: Callable[[ModelRequest], str]
) -> Divergence | None:
    """Return the first request that held a text which comes from nowhere; None: there is none.

    `hashed` is what a client says of a request it sends. Requests whose client sends no text to
    anybody (`quote`, `scripted`) have no hash and are passed over.
    """
    sent = [row for row in recorded.rows if row.kind is EventKind.MODEL_RETURNED]
    if not any(row.fact.get("sent") for row in sent) or not recorded.numbered:
        return None
    for row, request in zip(sent, requests_of(recorded, text), strict=False):
        then = row.fact.get("sent")
        if then is not None and then != (now := hashed(request)):
            return Divergence(row.seq, row.kind.value, "sent", "prompt", then, now)
    return None


def _request(
    recorded: Recorded,
    row: JournalRow,
    pins: Sequence[Pin],
    passages: Mapping[str, Passage],
    text: Text,
) -> ModelRequest:
    body = cast("Mapping[str, Any]", row.body or {})
    fact = cast("Mapping[str, Any]", row.fact)
    instructions, *others = pins
    return ModelRequest(
        instructions=text(instructions.name, instructions.version or 0),
        messages=tuple(message_of(message) for message in body["messages"]),
        evidence=tuple(passages[chunk] for chunk in fact["evidence"]),
        tools=tuple(
            _tool(pin.name.removeprefix(TOOL), text(pin.name, pin.version or 0))
            for pin in others
            if pin.name.startswith(TOOL)
        ),
        question=recorded.started["question"],
        revise=body["revise"],
    )


def _tool(name: str, registered: str) -> ToolSpec:
    told = cast("Mapping[str, Any]", json.loads(registered))
    return ToolSpec(name, told["description"], cast("Mapping[str, Json]", told["schema"]))


def _pins(row: JournalRow) -> list[Pin]:
    fact = cast("Mapping[str, Any]", row.fact)
    told = (fact, *fact.get("pins", ()))
    return [Pin(pin["name"], pin["version"], pin["sha256"]) for pin in told]
