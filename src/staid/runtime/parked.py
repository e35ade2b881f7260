"""A parked turn: everything it needs to go on after a restart, an upgrade or ninety days."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from staid.domain.call import CallRecord
from staid.domain.canonical import Json
from staid.domain.errors import StaidError
from staid.domain.ids import CallId
from staid.domain.message import Message, ProposedCall
from staid.runtime.prompt import message_json

VERSION = 1


@dataclass(frozen=True, slots=True)
class ParkedTurn:
    """Message history and undecided calls, in a versioned form."""

    agent: str
    asker: str
    asserted: frozenset[str] | None
    upstream: frozenset[str]
    conversation: str
    question: str
    messages: tuple[Message, ...]
    waiting: tuple[str, ...]
    rounds: int
    known: tuple[str, ...] | None = None
    """Ids of every call of the run so far; None in what an earlier release stored."""

    def edited(self, records: Iterable[CallRecord]) -> ParkedTurn:
        """Return the same turn, waiting for what people changed its calls into meanwhile."""
        became = {r.call.id: r.replaced_by for r in records if r.replaced_by is not None}

        def now(calls: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(_last(call, became) for call in calls)

        known = now(self.known) if self.known is not None else None
        return replace(self, waiting=now(self.waiting), known=known)

    def to_json(self) -> Mapping[str, Json]:
        """Return the stored form."""
        return {
            "version": VERSION,
            "agent": self.agent,
            "asker": self.asker,
            "asserted": sorted(self.asserted) if self.asserted is not None else None,
            "upstream": sorted(self.upstream),
            "conversation": self.conversation,
            "question": self.question,
            "messages": [message_json(m) for m in self.messages],
            "waiting": list(self.waiting),
            "rounds": self.rounds,
            "known": list(self.known) if self.known is not None else None,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Json]) -> ParkedTurn:
        """Read a stored form of this or an earlier release."""
        state = cast("Mapping[str, Any]", value)
        if state["version"] > VERSION:
            raise StaidError(hint="The run was parked by a newer Staid; upgrade to carry it on.")
        asserted, known = state["asserted"], state.get("known")
        return cls(
            agent=state["agent"],
            asker=state["asker"],
            asserted=frozenset(asserted) if asserted is not None else None,
            upstream=frozenset(state["upstream"]),
            conversation=state["conversation"],
            question=state["question"],
            messages=tuple(_message(m) for m in state["messages"]),
            waiting=tuple(state["waiting"]),
            rounds=state["rounds"],
            known=tuple(known) if known is not None else None,
        )


def _last(call: str, became: Mapping[CallId, CallId]) -> str:
    while (following := became.get(CallId(call))) is not None:
        call = following
    return call


def _message(value: Mapping[str, Any]) -> Message:
    calls = tuple(ProposedCall(c["id"], c["tool"], c["arguments"]) for c in value["calls"])
    return Message(value["role"], value["text"], calls, value["call_id"], value["tool"])
