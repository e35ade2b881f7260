"""What a person is told while they are elsewhere, and the port it goes out through."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol, TypeAlias

NoticeKind: TypeAlias = Literal["approval", "escalated", "in_doubt", "handoff", "test"]
"""A request waits for a decision; it waited so long that others may decide it, too; nobody knows
whether a call happened; a question was handed over; somebody tries the channel."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing to tell, once: it leads to a signed-in decision and decides nothing itself."""

    id: str
    """`not_…`: the same over every retry, so that a receiver can drop what it has."""
    kind: NoticeKind
    about: str
    """Id of the approval, the call or the hand-off."""
    project: str
    title: str
    lines: tuple[str, ...]
    """Ids, tool and rule; values of arguments only where the channel is set to show them."""
    link: str | None
    """The page in the console, where it is known; whoever opens it has to sign in."""
    at: datetime
    """When it began to wait."""


class Channel(Protocol):
    """A way to reach people."""

    def send(self, notice: Notice) -> str:
        """Deliver a notice and return what the receiver called it; raise `NotDelivered`."""
        ...
