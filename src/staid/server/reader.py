"""What one principal may see of what was recorded: by recorded labels and by rights as of now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast
from weakref import WeakKeyDictionary

from staid.access.evaluate import permits
from staid.domain.call import ToolCall
from staid.domain.errors import (
    RunNotFound,
    StaidError,
)
from staid.domain.errors.privacy import ReadingUnrecorded
from staid.domain.events import EventKind, JournalRow
from staid.domain.finding import RunSearch
from staid.domain.ids import RunId
from staid.domain.outcome import Outcome
from staid.domain.principal import Principal
from staid.domain.records import Handoff, RunRecord
from staid.project.origins import origins
from staid.project.privacy import readings
from staid.project.project import Project
from staid.project.provenance import may_know
from staid.runtime.released import outcome_of
from staid.server.rights import objection
from staid.tracing.story import Story, tell

_DERIVED = frozenset(
    {
        EventKind.MODEL_REQUESTED,
        EventKind.MODEL_RETURNED,
        EventKind.CALL_PROPOSED,
        EventKind.CALL_RULED,
        EventKind.CALL_EXECUTED,
        EventKind.CALL_IN_DOUBT,
        EventKind.APPROVAL_REQUESTED,
        EventKind.APPROVAL_EDITED,
        EventKind.APPROVAL_RECONSIDERED,
        EventKind.STATEMENT_CHECKED,
        EventKind.ANSWER_REVISED,
        EventKind.OUTCOME_DECIDED,
    }
)
"""What may carry words of the passages: readable only while all of them are."""
_MEASURED = frozenset({EventKind.RETRIEVAL_DONE, EventKind.FLOOR_COMPARED})
"""Facts without a text that still say something about the passages."""


_listed: WeakKeyDictionary[Project, dict[str, set[tuple[str, str]]]] = WeakKeyDictionary()
"""Hour -> who at which surface had which run in a list: recorded already."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A passage of a run as its present reader sees it."""

    rank: int
    document: str | None
    """None where it is withheld, and then so is everything else."""
    title: str = ""
    section: str = ""
    text: str = ""
    chunk: str = ""


@dataclass(frozen=True, slots=True)
class RunView:
    """A run as its present reader sees it."""

    record: RunRecord
    question: str | None
    """None where it is withheld or erased."""
    outcome: Outcome | None
    """None while there is none, or where its text is withheld."""
    passages: tuple[Seen, ...]
    story: Story
    withheld: bool
    """Whether anything was left out."""


class Reader:
    """Shows a principal its own runs, and of others' what its labels and role permit.

    Whatever it may not see at all is "not found", exactly as what does not exist.
    """

    def __init__(self, project: Project, principal: Principal, surface: str = "api") -> None:
        """Read for this principal, whose groups are those of now, to show it on a surface."""
        self._project = project
        self._principal = principal
        self._surface = surface
        self._seat = f"{surface} {principal.token}"

    # --- runs ------------------------------------------------------------------------------

    def runs(self, limit: int = 50, search: RunSearch | None = None) -> list[RunRecord]:
        """Return runs that this principal asked for and that fit, newest first.

        What it may not read of them today cannot be found out by searching for it.
        """
        mine = replace(search or RunSearch(), asker=self._principal.token, limit=limit)
        finder, found = self._project.wiring.search, list[RunRecord]()
        while True:
            page = finder.runs(mine)
            found += [record for record in page if self._tells(record.run, mine)]
            if len(found) >= limit or len(page) < limit:
                return found[:limit]
            mine = replace(mine, after=page[-1].run)

    def _tells(self, run: str, search: RunSearch) -> bool:
        """Tell whether a run fits by what this principal may read of it."""
        measured = search.document is not None or search.confidence_below is not None
        if search.text is None and not measured:
            return True
        hidden = self._hidden(self._project.wiring.records.rows(run))
        if measured and hidden:
            return False
        if search.text is None:
            return True
        places = self._project.wiring.search.places(search.text, [run])
        return any(place.seq not in hidden for place in places)

    def run(self, run: str) -> RunView:
        """Return a run; raise `RunNotFound` also where this principal has no business with it."""
        view = self._view(run)
        mine = view.record.asker == self._principal.token
        if mine:
            return view
        if not view.withheld or self._decides(run):
            self._record_reading(run)
            return view
        raise RunNotFound(run=run)

    def behind(self, run: str) -> RunView | None:
        """Return the run behind a request that concerns this principal; None where there is none.

        To be called after `note`.
        """
        try:
            return self._view(run)
        except RunNotFound:
            return None

    def note(self, calls: Iterable[ToolCall]) -> None:
        """Record that this principal reads these calls, but its own; before any is shown."""
        runs = self._others(calls)
        if runs:
            self._record_reading(*sorted(runs))

    def note_list(self, calls: Iterable[ToolCall]) -> None:
        """Record what a list shows of others' runs, once an hour for each reader and run."""
        hour = f"{self._project.wiring.clock.now():%Y-%m-%dT%H}"
        known = _listed.setdefault(self._project, {})
        if hour not in known:
            known.clear()
        seen = known.setdefault(hour, set())
        fresh = sorted(self._others(calls) - {run for seat, run in seen if seat == self._seat})
        if fresh:
            self._record_reading(*fresh)
            seen.update((self._seat, run) for run in fresh)

    def _others(self, calls: Iterable[ToolCall]) -> set[str]:
        return {call.run for call in calls if call.subject != self._principal.token}

    def _record_reading(self, *runs: str) -> None:
        """Record that this principal reads others' runs, before anything of them is shown."""
        try:
            readings(self._project).record(runs, self._principal.token, self._surface)
        except StaidError as error:
            raise ReadingUnrecorded(run=", ".join(runs)) from error

    def _view(self, run: str) -> RunView:
        records = self._project.wiring.records
        record = records.run(run)
        rows = records.rows(run)
        hidden, unnamed = self._hidden(rows), self._unnamed(rows)
        asked = next((r for r in rows if r.kind is EventKind.RUN_STARTED), None)
        open_ = asked is not None and asked.seq not in hidden
        return RunView(
            record=record,
            question=_text(asked, "question") if open_ else None,
            outcome=_outcome(run, rows, hidden),
            passages=tuple(_passages(rows, hidden)),
            story=tell(
                run,
                rows,
                hidden=hidden,
                unnamed=unnamed,
                origins=origins(self._project),
                tokens=self._principal.tokens,
            ),
            withheld=bool(hidden or unnamed),
        )

    def _hidden(self, rows: Sequence[JournalRow]) -> frozenset[int]:
        """Return the numbers of the facts that this principal may not read."""
        kept = [row for row in rows if row.kind is EventKind.PASSAGE_KEPT]
        lost = {row.seq for row in kept if not self._may_read(row)}
        hidden = lost | {
            row.seq
            for row in rows
            if row.content is not None and not permits(row.label, self._principal.tokens)
        }
        if lost:
            hidden |= {row.seq for row in rows if row.kind in _DERIVED | _MEASURED}
        return frozenset(hidden)

    def _may_read(self, row: JournalRow) -> bool:
        """Tell whether both the recorded and the present label of a passage permit."""
        if not permits(row.label, self._principal.tokens):
            return False
        return self._may_know(str(row.fact["source"]), str(row.fact["document"]))

    def _may_know(self, source: str, document: str) -> bool:
        return may_know(self._project, source, document, self._principal.tokens)

    def _unnamed(self, rows: Sequence[JournalRow]) -> frozenset[tuple[str, str]]:
        """Return source and id of what was cut from a search and is not this principal's to know.

        Of what was cut no label was recorded, so only the present one can permit.
        """
        cut = {
            (str(passage["source"]), str(passage["document"]))
            for row in rows
            if row.kind is EventKind.FLOOR_COMPARED
            for passage in cast("Sequence[Mapping[str, object]]", row.fact.get("cut", ()))
        }
        return frozenset(one for one in cut if not self._may_know(*one))

    def _decides(self, run: str) -> bool:
        ledger = self._project.wiring.ledger
        asked = [call.approval for call in ledger.calls(RunId(run)) if call.approval is not None]
        return any(
            objection(self._project, self._principal, ledger.approval(each)) is None
            for each in asked
        )

    # --- hand-offs -------------------------------------------------------------------------

    def handoffs(self) -> list[Handoff]:
        """Return the hand-offs of this principal's own questions, oldest first."""
        found = self._project.wiring.records.handoffs(limit=100_000)
        return [handoff for handoff in found if handoff.asker == self._principal.token]


def _text(row: JournalRow | None, name: str) -> str | None:
    if row is None or row.body is None:
        return None
    return cast("str | None", row.body.get(name))


def _outcome(run: str, rows: Sequence[JournalRow], hidden: frozenset[int]) -> Outcome | None:
    decided = [row for row in rows if row.kind is EventKind.OUTCOME_DECIDED]
    if not decided or decided[-1].seq in hidden:
        return None
    return outcome_of(run, rows)


def _passages(rows: Sequence[JournalRow], hidden: frozenset[int]) -> Iterator[Seen]:
    """Yield the passages of the last search: a resumed run has searched again."""
    searches = [row.seq for row in rows if row.kind is EventKind.RETRIEVAL_DONE]
    last = searches[-1] if searches else 0
    for row in rows:
        if row.kind is not EventKind.PASSAGE_KEPT or row.seq < last:
            continue
        rank = cast("int", row.fact["rank"])
        if row.seq in hidden:
            yield Seen(rank, None)
            continue
        told = {name: _text(row, name) or "" for name in ("title", "section", "text")}
        yield Seen(rank, str(row.fact["document"]), **told, chunk=str(row.fact["chunk"]))
