"""`openai-messages`: a list of messages as the Chat Completions API takes them, or an object."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import cast

from staid.domain.canonical import Json, canonical
from staid.domain.message import MALFORMED_ARGUMENTS, ProposedCall
from staid.domain.recorded import (
    RecordedConversation,
    RecordedMessage,
    RecordedTurn,
    RowRefused,
)

FIELDS = ("messages", "id", "asker", "agent", "model", "at")
"""What a row may hold beside its metadata; `--map` gives their names in the file."""

_ROLES = {"developer": "system", "function": "tool"}
_TIMES = ("created_at", "timestamp", "at")


def parse(row: object, fields: Mapping[str, str]) -> RecordedConversation:
    """Return the conversation of one row: `{"messages": […]}`, or the list of messages itself.

    `fields` is field -> name in the file. Raises `RowRefused`.
    """
    named = cast(
        "Mapping[str, Json]",
        row if isinstance(row, Mapping) else {fields.get("messages", "messages"): row},
    )
    found = {name: named.get(fields.get(name, name)) for name in FIELDS}
    known = {fields.get(name, name) for name in FIELDS}
    return RecordedConversation(
        turns=turns(found["messages"]),
        id=_text(found["id"]),
        asker=_text(found["asker"]),
        agent=_text(found["agent"]),
        model=_text(found["model"]),
        at=moment(found["at"]),
        metadata={key: value for key, value in named.items() if key not in known},
    )


def turns(messages: Json) -> tuple[RecordedTurn, ...]:
    """Return the messages cut before every user message; raise `RowRefused`."""
    if not isinstance(messages, Sequence) or isinstance(messages, str):
        raise RowRefused("`messages` is not a list")
    cut: list[list[Mapping[str, Json]]] = []
    opening: list[Mapping[str, Json]] = []
    for number, message in enumerate(messages, 1):
        if not isinstance(message, Mapping):
            raise RowRefused(f"message {number} is not an object")
        if message.get("role") == "user":
            cut.append([*opening, message])
            opening = []
        else:
            (cut[-1] if cut else opening).append(message)
    if not cut:
        raise RowRefused("it has no user message")
    return tuple(_turn(each) for each in cut)


def moment(value: Json) -> datetime | None:
    """Return a time from RFC 3339 text or seconds since 1970; None where there is none.

    Raises `RowRefused` for anything else. A time without a zone is UTC.
    """
    if value is None or value == "":
        return None
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC)
        if isinstance(value, str):
            at = datetime.fromisoformat(value)
            return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise RowRefused(f"{value!r} is not a time") from error
    raise RowRefused(f"{value!r} is not a time")


class _Calls:
    """The calls of one turn, waiting for their results."""

    def __init__(self) -> None:
        self._waiting: list[tuple[int, str, str]] = []
        self._count = 0

    def add(self, call: ProposedCall) -> ProposedCall:
        self._waiting.append((self._count, call.id, call.tool))
        self._count += 1
        return call

    def answered(self, given: str, tool: str) -> int:
        # Some systems use an id twice in one conversation: the first that still waits is meant.
        for waiting in self._waiting:
            if given == waiting[1] or (not given and tool == waiting[2]):
                self._waiting.remove(waiting)
                return waiting[0]
        raise RowRefused(f"the result of {tool or given!r} answers no call of its turn")


def _turn(messages: Sequence[Mapping[str, Json]]) -> RecordedTurn:
    calls = _Calls()
    read = tuple(_message(message, calls) for message in messages)
    asked = next(message for message in messages if message.get("role") == "user")
    at = next((moment(asked[name]) for name in _TIMES if asked.get(name) is not None), None)
    return RecordedTurn(read, at)


def _message(message: Mapping[str, Json], calls: _Calls) -> RecordedMessage:
    named = str(message.get("role"))
    role = _ROLES.get(named, named)
    text, parts = _content(message.get("content"))
    match role:
        case "system" | "user":
            return RecordedMessage(role, text, extra=_extra(message, parts))
        case "assistant":
            made = tuple(calls.add(call) for call in _proposed(message))
            told = {"tool_calls", "function_call"}
            return RecordedMessage(role, text, made, extra=_extra(message, parts, told))
        case "tool":
            name, given = _text(message.get("name")), _text(message.get("tool_call_id"))
            place = calls.answered(given or "", name or "")
            told = {"name", "tool_call_id"}
            return RecordedMessage(role, text, call=place, extra=_extra(message, parts, told))
        case _:
            raise RowRefused(f"a message has the role {role!r}")


def _content(content: Json) -> tuple[str, Json]:
    """Return the text, and the parts where there is more than text."""
    match content:
        case None:
            return "", None
        case str():
            return content, None
        case list() | tuple():
            parts = [part for part in content if isinstance(part, Mapping)]
            texts = [part["text"] for part in parts if part.get("type") == "text"]
            if len(parts) != len(content) or not all(isinstance(text, str) for text in texts):
                raise RowRefused("the content of a message is not a list of parts")
            plain = all(set(part) == {"type", "text"} for part in parts)
            return "\n".join(cast("list[str]", texts)), None if plain else list(content)
        case _:
            raise RowRefused("the content of a message is no text")


def _extra(
    message: Mapping[str, Json], parts: Json, told: set[str] | None = None
) -> dict[str, Json]:
    kept = {
        key: value
        for key, value in message.items()
        if key not in {"role", "content", *(told or ())} and value is not None
    }
    return {**kept, **({"content": parts} if parts is not None else {})}


def _proposed(message: Mapping[str, Json]) -> list[ProposedCall]:
    listed = message.get("tool_calls")
    if listed is None:
        old = message.get("function_call")
        return [] if old is None else [_call("", old)]
    if not isinstance(listed, list):
        raise RowRefused("`tool_calls` is not a list")
    found: list[ProposedCall] = []
    for call in listed:
        if not isinstance(call, Mapping):
            raise RowRefused("a tool call is not an object")
        found.append(_call(_text(call.get("id")) or "", call.get("function")))
    return found


def _call(given: str, function: Json) -> ProposedCall:
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        raise RowRefused("a tool call names no function")
    return ProposedCall(given, str(function["name"]), _arguments(function.get("arguments")))


def _arguments(raw: Json) -> Mapping[str, Json]:
    """Return the arguments; what is no JSON object stays whole, under a name that no tool has."""
    if isinstance(raw, Mapping):
        return raw
    if not isinstance(raw, str) or not raw.strip():
        return {}
    try:
        value: object = json.loads(raw)
        canonical(value).encode()
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, dict):
        return cast("dict[str, Json]", value)
    return {MALFORMED_ARGUMENTS: raw}


def _text(value: Json) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, str | int) and not isinstance(value, bool):
        return str(value)
    raise RowRefused(f"{value!r} is not a name")
