"""Runs whose process died: found by their silence, closed with a fact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from staid.domain.events import Event, EventKind
from staid.domain.finding import RunSearch
from staid.domain.ids import RunId
from staid.domain.records import RunRecord
from staid.runtime.agent import CLAIM
from staid.runtime.recorder import STAID
from staid.store.interrupted import INTERRUPTED, InterruptedRuns

EVERY = 100_000
"""More runs than a crash can leave in the middle."""

if TYPE_CHECKING:
    from staid.project.project import Project


def interrupted(project: Project, limit: int = 1000) -> list[RunRecord]:
    """Return runs that were cut off, newest first: those still to be closed, and those closed."""
    records = project.wiring.records
    silent = _store(project).silent(project.wiring.clock.now() - CLAIM, limit)
    closed = [r for r in records.runs(limit=limit, state="failed") if r.reason == INTERRUPTED]
    found = [*map(records.run, silent), *closed]
    return _newest(found, limit)


def interrupted_among(project: Project, search: RunSearch) -> list[RunRecord]:
    """Return the interrupted runs that fit everything else in a search, newest first."""
    wiring = project.wiring
    cut_off = set(_store(project).silent(wiring.clock.now() - CLAIM, EVERY))
    silent = wiring.search.runs(replace(search, state="running", reason=None, limit=EVERY))
    closed = wiring.search.runs(replace(search, state="failed", reason=INTERRUPTED))
    if search.reason not in {None, INTERRUPTED}:
        return []
    return _newest([*(r for r in silent if r.run in cut_off), *closed], search.limit)


def close_interrupted(project: Project) -> list[RunId]:
    """Close every run that was silent for as long as a claim lasts; return those closed now."""
    clock, store = project.wiring.clock, _store(project)
    since = clock.now() - CLAIM
    closed: list[RunId] = []
    for run in store.silent(since):
        fact = Event(EventKind.RUN_INTERRUPTED, clock.now(), STAID, {"reason": INTERRUPTED})
        if store.close(run, since, clock.now(), [fact]):
            closed.append(RunId(run))
    return closed


def _newest(found: Sequence[RunRecord], limit: int) -> list[RunRecord]:
    newest = sorted(found, key=lambda record: (record.started_at, record.run), reverse=True)
    return [replace(record, state=INTERRUPTED) for record in newest[:limit]]


def _store(project: Project) -> InterruptedRuns:
    wiring = project.wiring
    return InterruptedRuns(wiring.run_store, wiring.journal, wiring.sink_names)
