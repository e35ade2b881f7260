"""The kill switch of one project: who may turn it, and what it reaches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from staid.domain.call import CallRecord
from staid.domain.errors import OperatorNotAllowed, ToolUnknown, UsageInvalid
from staid.domain.principal import Actor, Principal
from staid.gates.policy import EVERY_TOOL
from staid.project.reasons import written

if TYPE_CHECKING:
    from staid.project.project import Project
    from staid.store.ledger.stops import Stop


@dataclass(frozen=True, slots=True)
class Stopped:
    """A stop in force, and what it came too late for."""

    stop: Stop
    running: tuple[CallRecord, ...]
    """Calls of the tool that were claimed before: they run on, and are settled as ever."""


def stop_tool(
    project: Project,
    tool: str,
    reason: str,
    *,
    operator: str | Principal,
    groups: Sequence[str] | None = None,
) -> Stopped:
    """Stop a tool, or `EVERY_TOOL`, for every process; in force when this returns.

    Raises `OperatorNotAllowed`, `ToolUnknown`, and `UsageInvalid` without a reason; then nothing
    is stopped.
    """
    actor = _operator(project, operator, groups)
    if not reason.strip():
        raise UsageInvalid(
            detail="a stop has no reason", hint='Say why; in a terminal: --reason "…"'
        )
    if not _known(project, tool):
        raise ToolUnknown(tool=tool)
    stops = project.wiring.stops
    stop = stops.stop(tool, written(reason.strip()), actor)
    return Stopped(stop, tuple(stops.running(tool)))


def start_tool(
    project: Project,
    tool: str,
    reason: str = "",
    *,
    operator: str | Principal,
    groups: Sequence[str] | None = None,
) -> Stop | None:
    """Let a tool that is stopped or rests, or `EVERY_TOOL`, go on.

    None where it only rested. Raises `OperatorNotAllowed`, `NotStopped`.
    """
    actor = _operator(project, operator, groups)
    return project.wiring.stops.start(tool, written(reason.strip()), actor)


def may_operate(project: Project, principal: Principal) -> bool:
    """Whether a principal may stop tools and start them again."""
    return not _objection(project, principal)


def runs_gates(project: Project, principal: Principal) -> bool:
    """Whether a principal is named as one who stops tools: only they see the gates over HTTP.

    Where the project names nobody, any user stops tools from a terminal, and nobody over HTTP:
    whoever signs in there may be an asker.
    """
    return bool(_named(project)) and may_operate(project, principal)


def _named(project: Project) -> frozenset[str]:
    gates = project.settings.gates
    return frozenset(gates.operators or gates.approvers)


def _operator(project: Project, operator: str | Principal, groups: Sequence[str] | None) -> Actor:
    who = project.wiring.identify(operator, groups)
    objection = _objection(project, who.principal)
    if objection:
        raise OperatorNotAllowed(operator=who.principal.token, detail=objection)
    return Actor("human", who.principal.token, who.via)


def _objection(project: Project, principal: Principal) -> str:
    named = _named(project)
    if principal.kind != "user":
        return f"only a user does, and this is of kind {principal.kind}"
    if named and not named & principal.tokens:
        return f"this takes one of {', '.join(sorted(named))}"
    return ""


def _known(project: Project, tool: str) -> bool:
    """Whether there is such a tool: a name with a slip in it would stop nothing."""
    if tool == EVERY_TOOL or tool in project.tools or project.wiring.ledger.proposed(tool):
        return True
    # Tools behind an MCP server are known to its gateway alone.
    return tool.partition(".")[0] in project.settings.mcp
