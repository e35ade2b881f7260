"""Conversations that another system recorded: neutral turns, as an importer reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from staid.domain.canonical import Json, digest
from staid.domain.message import ProposedCall

Times = Literal["log", "row", "synthetic"]
"""Where times come from: each turn's own in the log, the row's start alone, or nowhere."""


@dataclass(frozen=True, slots=True)
class RecordedMessage:
    """One message as it was logged; what the format does not know stays in `extra`."""

    role: Literal["system", "user", "assistant", "tool"]
    text: str
    calls: tuple[ProposedCall, ...] = ()
    """On `assistant`: the calls it made."""
    call: int | None = None
    """On `tool`: whose result this is, counted over the calls of its turn from 0."""
    extra: Mapping[str, Json] = field(default_factory=dict[str, Json])

    def as_json(self) -> dict[str, Json]:
        """Return the message as plain values."""
        return {
            "role": self.role,
            "text": self.text,
            "calls": [
                {"id": c.id, "tool": c.tool, "arguments": dict(c.arguments)} for c in self.calls
            ],
            "call": self.call,
            "extra": dict(self.extra),
        }


@dataclass(frozen=True, slots=True)
class RecordedTurn:
    """One question and everything up to the next one."""

    messages: tuple[RecordedMessage, ...]
    """In order; exactly one is the user's, and what stands before it opened the conversation."""
    at: datetime | None = None
    """When it began, where the log says so."""

    @property
    def question(self) -> str:
        """What the user said."""
        return next(message.text for message in self.messages if message.role == "user")

    @property
    def calls(self) -> tuple[ProposedCall, ...]:
        """Every call of the turn, in order."""
        return tuple(call for message in self.messages for call in message.calls)

    @property
    def results(self) -> dict[int, str]:
        """Place of a call -> its recorded result; a call without one is missing."""
        return {m.call: m.text for m in self.messages if m.call is not None}

    @property
    def answer(self) -> str | None:
        """The agent's last words; None where the turn ends with anything else."""
        last = self.messages[-1]
        said = last.role == "assistant" and not last.calls and last.text
        return last.text if said else None

    @property
    def digest(self) -> str:
        """Hash of everything in the turn."""
        return digest([message.as_json() for message in self.messages])


@dataclass(frozen=True, slots=True)
class RecordedConversation:
    """One conversation of a log."""

    turns: tuple[RecordedTurn, ...]
    id: str | None = None
    """The log's own id."""
    asker: str | None = None
    """Who asked, as the log names them."""
    agent: str | None = None
    model: str | None = None
    at: datetime | None = None
    """When the conversation began, where only the row says so."""
    metadata: Mapping[str, Json] = field(default_factory=dict[str, Json])
    """Whatever else the row holds, uninterpreted."""
    grades: Mapping[str, float] = field(default_factory=dict[str, float])
    """Name -> value of what the log says about how well it went."""

    @property
    def times(self) -> Times:
        """Where the times of its runs come from."""
        if all(turn.at is not None for turn in self.turns):
            return "log"
        return "row" if self.at is not None else "synthetic"


class RowRefused(Exception):
    """A row that is no conversation; `reason` says why in plain words."""

    def __init__(self, reason: str) -> None:
        """Say why."""
        super().__init__(reason)
        self.reason = reason
