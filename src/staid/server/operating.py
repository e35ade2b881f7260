"""The kill switch over HTTP: for those whom the project names, as from a terminal."""

from __future__ import annotations

from staid.domain.errors import OperatorNotAllowed
from staid.project.gate_status import GateStatus, gate_status
from staid.project.stopping import Stopped, runs_gates, start_tool, stop_tool
from staid.server.desk import Visit
from staid.store.ledger.stops import Stop


async def status(visit: Visit) -> GateStatus:
    """Return what the gates do at this moment; raise `OperatorNotAllowed`."""
    _check(visit)
    project = visit.desk.project
    await visit.desk.off_loop(project.wiring.ledger.sweep)
    return await visit.desk.off_loop(gate_status, project)


async def stop(visit: Visit, tool: str, reason: str) -> Stopped:
    """Stop a tool, or every one, in every process; in force when this returns.

    Raises what `staid.project.stopping.stop_tool` raises; then nothing is stopped.
    """
    _check(visit)
    return await visit.desk.off_loop(
        stop_tool, visit.desk.project, tool, reason, operator=visit.principal
    )


async def start(visit: Visit, tool: str, reason: str) -> Stop | None:
    """Let a tool go on that is stopped or rests; None where it only rested.

    Raises what `staid.project.stopping.start_tool` raises.
    """
    _check(visit)
    return await visit.desk.off_loop(
        start_tool, visit.desk.project, tool, reason, operator=visit.principal
    )


def _check(visit: Visit) -> None:
    if not runs_gates(visit.desk.project, visit.principal):
        detail = "the gates are seen and stopped by those who are named for it"
        raise OperatorNotAllowed(operator=visit.principal.token, detail=detail)
