"""Facts of one run on their way to the journal: buffered in order, flushed at stated moments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from staid.domain.canonical import Json
from staid.domain.events import Content, Event, EventKind
from staid.domain.label import EVERYONE, Label
from staid.domain.ports import Clock
from staid.domain.principal import Actor

STAID = Actor("service", "staid")
"""Who performs the steps that neither a person nor a model performs."""


class Recorder:
    """Collects facts when they happen and hands them over once, in order."""

    def __init__(self, clock: Clock, subject: str) -> None:
        """Record about `subject`, the token of the principal whom the run acts for."""
        self._clock = clock
        self._subject = subject
        self._buffer: list[Event] = []

    def note(
        self,
        kind: EventKind,
        fact: Mapping[str, Json],
        *,
        body: Mapping[str, Json] | None = None,
        label: Label = EVERYONE,
        actor: Actor = STAID,
        shared: bool = False,
    ) -> None:
        """Record one fact now. `shared` content is about no one: passages, instructions."""
        content = (
            Content(body, label, "" if shared else self._subject) if body is not None else None
        )
        self._buffer.append(Event(kind, self._clock.now(), actor, fact, content))

    def take(self, events: Iterable[Event]) -> None:
        """Take over facts that somebody else noted, in their order."""
        self._buffer += events

    def drain(self) -> list[Event]:
        """Return what was recorded since the last call, in order; it is the caller's to write."""
        events, self._buffer = self._buffer, []
        return events
