"""The gate before functions of an agent that runs elsewhere: their runs, opened and closed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from staid.domain.events import Event, EventKind
from staid.domain.ids import ConversationId, RunId
from staid.domain.principal import Actor, Principal
from staid.domain.records import RunStart
from staid.runtime.guard import Guard

if TYPE_CHECKING:
    from staid.gates.tool import Tool
    from staid.project.parts import Wiring

EXTERNAL = "external"
"""State of a run whose turn is not ours: only its calls are."""


def guard_of(register: Callable[[Tool], None], wiring: Callable[[], Wiring]) -> Guard:
    """Return the guard that registers tools with a project and records runs in its store.

    `wiring` is asked for on the first call, not before.
    """
    return Guard(
        register,
        lambda: wiring().gate,
        lambda principal, agent: begin_external(wiring(), principal, agent),
        lambda run: wiring().records.seal(run),  # noqa: PLW0108 - opened by the first call only
    )


def begin_external(wiring: Wiring, principal: Principal, agent: str) -> RunId:
    """Record the run of an agent that runs elsewhere, and return its id."""
    run, now = RunId(wiring.ids.new("run")), wiring.clock.now()
    conversation = ConversationId(wiring.ids.new("cnv"))
    start = RunStart(run, conversation, agent, principal.token, now, state=EXTERNAL)
    fact = {"agent": agent, "conversation": conversation, "external": True}
    actor = Actor("human", principal.token, wiring.via)
    wiring.records.begin(start, [Event(EventKind.RUN_STARTED, now, actor, fact)])
    return run
