"""The gate before functions of an agent that runs elsewhere: their runs, opened and closed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from staid.domain.errors import ToolUnknown
from staid.domain.events import Event, EventKind
from staid.domain.ids import ConversationId, RunId
from staid.domain.principal import Actor, Principal
from staid.domain.records import RunStart
from staid.runtime.guard import Guard

if TYPE_CHECKING:
    from staid.project.project import Project

EXTERNAL = "external"
"""State of a run whose turn is not ours: only its calls are."""


def guard_of(project: Project) -> Guard:
    """Return the guard that registers tools with a project and records runs in its store."""
    return Guard(
        project.add_tool,
        lambda: project.wiring.gate,
        lambda principal, agent: begin_external(project, principal, agent),
        lambda run: _end(project, run),
    )


def _end(project: Project, run: RunId) -> None:
    project.wiring.records.seal(run)


def begin_external(project: Project, principal: Principal, agent: str) -> RunId:
    """Record the run of an agent that runs elsewhere, and return its id."""
    wiring = project.wiring
    run, now = RunId(wiring.ids.new("run")), wiring.clock.now()
    conversation = ConversationId(wiring.ids.new("cnv"))
    start = RunStart(run, conversation, agent, principal.token, now, state=EXTERNAL)
    fact = {"agent": agent, "conversation": conversation, "external": True}
    actor = Actor("human", principal.token, wiring.via)
    wiring.records.begin(start, [Event(EventKind.RUN_STARTED, now, actor, fact)])
    return run


def checked(project: Project, names: frozenset[str] | None) -> frozenset[str] | None:
    """Return an allowlist whose every tool is registered; raise `ToolUnknown`."""
    for name in sorted((names or frozenset()) - set(project.tools)):
        raise ToolUnknown(tool=name)
    return names
