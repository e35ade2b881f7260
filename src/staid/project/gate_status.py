"""What the gates do at this moment: one reading for terminal, HTTP API and page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from staid.domain.call import CallRecord, CallState, UndoRecord, UndoState
from staid.domain.canonical import Json, decimal_text, timestamp
from staid.gates.breaker import Standing
from staid.gates.budget import Budget, duration
from staid.gates.policy import EVERY_TOOL
from staid.gates.structuring import Structuring
from staid.gates.tool import Tool

if TYPE_CHECKING:
    from staid.project.project import Project
    from staid.store.ledger.stops import Stop

AGES = (timedelta(hours=1), timedelta(hours=4), timedelta(days=1))
"""Requests that wait are counted below each of these, and beyond the last."""


@dataclass(frozen=True, slots=True)
class Total:
    """One running total with its limit."""

    name: str
    key: str
    """For whom or what it is counted."""
    drawn: Decimal
    limit: Decimal
    window: timedelta
    beyond: str
    """What exceeding it means: `deny` or `ask`."""

    def as_json(self) -> dict[str, Json]:
        """Return it as plain values."""
        return {
            "budget": self.name,
            "key": self.key,
            "drawn": decimal_text(self.drawn),
            "limit": decimal_text(self.limit),
            "window_seconds": int(self.window.total_seconds()),
            "beyond": self.beyond,
        }


@dataclass(frozen=True, slots=True)
class ToolStatus:
    """One tool as it stands."""

    name: str
    effect: str | None
    """None: it is not registered in this process."""
    stop: Stop | None
    """Its own stop; that of every tool stands apart."""
    standing: Standing | None
    """What its circuit breaker says; None: it is closed, or there is none."""
    waiting: tuple[int, ...]
    """Calls that wait for a person, by `AGES`."""
    oldest: datetime | None
    """When the oldest of those was proposed."""
    running: int
    in_doubt: int

    def as_json(self) -> dict[str, Json]:
        """Return it as plain values."""
        return {
            "tool": self.name,
            "effect": self.effect,
            "stopped": self.stop is not None,
            "resting": self.standing.as_json() if self.standing else None,
            "waiting": list(self.waiting),
            "oldest": timestamp(self.oldest) if self.oldest else None,
            "running": self.running,
            "in_doubt": self.in_doubt,
        }


@dataclass(frozen=True, slots=True)
class GateStatus:
    """All of it, read one after the other: counts may be a moment apart."""

    stops: tuple[Stop, ...]
    """In force, oldest first."""
    resting: Mapping[str, Standing]
    running: tuple[CallRecord, ...]
    in_doubt: tuple[CallRecord, ...]
    undos_in_doubt: tuple[UndoRecord, ...]
    tools: tuple[ToolStatus, ...]
    totals: tuple[Total, ...]

    @property
    def stopped(self) -> Stop | None:
        """The stop of every tool, where that is in force."""
        return next((each for each in self.stops if each.tool == EVERY_TOOL), None)

    def as_json(self) -> dict[str, Json]:
        """Return it as plain values."""
        return {
            "stops": [stop_json(each) for each in self.stops],
            "resting": [{"tool": tool, **each.as_json()} for tool, each in self.resting.items()],
            "running": [running_json(record) for record in self.running],
            "in_doubt": [running_json(record) for record in self.in_doubt],
            "undo_in_doubt": [
                {"call": each.call, "since": timestamp(each.at)} for each in self.undos_in_doubt
            ],
            "tools": [each.as_json() for each in self.tools],
            "budgets": [each.as_json() for each in self.totals],
        }


def gate_status(project: Project) -> GateStatus:
    """Return what is stopped, rests, runs, waits, is in doubt and is drawn; moves nothing."""
    wiring = project.wiring
    stops, resting = wiring.stops.stops(), wiring.stops.resting()
    by_state = _by_state(project)
    return GateStatus(
        tuple(stops),
        resting,
        tuple(by_state[CallState.EXECUTING]),
        tuple(by_state[CallState.IN_DOUBT]),
        tuple(wiring.ledger.undos(UndoState.IN_DOUBT)),
        tuple(_tools(project, stops, resting, by_state)),
        tuple(totals(project)),
    )


def _by_state(project: Project) -> dict[CallState, list[CallRecord]]:
    """Return what waits, runs and is in doubt; what lost its process is in doubt before a sweep."""
    ledger, now = project.wiring.ledger, project.wiring.clock.now()
    running: list[CallRecord] = []
    lost: list[CallRecord] = []
    for each in ledger.in_state(CallState.EXECUTING):
        over = each.lease_until is not None and each.lease_until < now
        (lost if over else running).append(each)
    # A sweep in between moves a call from one list to the other: it is shown once.
    doubted = {each.call.id: each for each in (*ledger.in_state(CallState.IN_DOUBT), *lost)}
    return {
        CallState.PENDING: ledger.in_state(CallState.PENDING),
        CallState.EXECUTING: running,
        CallState.IN_DOUBT: sorted(doubted.values(), key=lambda each: each.proposed_at),
    }


def totals(project: Project) -> Iterator[Total]:
    """Yield every running total with its limit: what waits counts, and what was done lately."""
    bounds = {
        (one.total(name), Decimal(one.limit if isinstance(one, Budget) else one.above)): one
        for name, tool in sorted(project.tools.items())
        for one in _watched(project, tool)
    }
    for (name, limit), one in sorted(bounds.items(), key=lambda each: each[0]):
        window = duration(one.window)
        beyond = "deny" if isinstance(one, Budget) else "ask"
        for key, drawn in project.wiring.ledger.running(name, window).items():
            yield Total(name, key, drawn, limit, window, beyond)


def _watched(project: Project, tool: Tool) -> Iterator[Budget | Structuring]:
    rules = project.wiring.policy.about(tool)
    yield from (*tool.budgets, *rules.budgets, *tool.structuring)
    yield from (each.detector for each in rules.sums)


def _tools(
    project: Project,
    stops: Sequence[Stop],
    resting: Mapping[str, Standing],
    calls: Mapping[CallState, Sequence[CallRecord]],
) -> Iterator[ToolStatus]:
    own = {each.tool: each for each in stops}
    count = {state: Counter(r.call.tool for r in records) for state, records in calls.items()}
    named = {tool for counted in count.values() for tool in counted} | {*own, *resting}
    now = project.wiring.clock.now()
    for name in sorted((named | set(project.tools)) - {EVERY_TOOL}):
        since = [r.proposed_at for r in calls[CallState.PENDING] if r.call.tool == name]
        known = project.tools.get(name)
        yield ToolStatus(
            name,
            known.effect.value if known else None,
            own.get(name),
            resting.get(name),
            _ages([now - at for at in since]),
            min(since, default=None),
            count[CallState.EXECUTING][name],
            count[CallState.IN_DOUBT][name],
        )


def _ages(ages: Sequence[timedelta]) -> tuple[int, ...]:
    """Return how many are younger than each of `AGES` and no younger than the one before."""
    places = Counter(sum(age >= bound for bound in AGES) for age in ages)
    return tuple(places[n] for n in range(len(AGES) + 1))


def stop_json(stop: Stop) -> dict[str, Json]:
    """Return a stop as plain values."""
    return {
        "id": stop.id,
        "tool": stop.tool,
        "reason": stop.reason,
        "stopped_by": stop.stopped_by,
        "stopped_at": timestamp(stop.stopped_at),
        "started_by": stop.started_by,
        "started_at": timestamp(stop.started_at) if stop.started_at else None,
        "start_reason": stop.start_reason,
    }


def running_json(record: CallRecord) -> dict[str, Json]:
    """Return a call that a stop does not reach, as plain values."""
    return {"call": record.call.id, "tool": record.call.tool, "run": record.call.run}
