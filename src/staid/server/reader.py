"""What one principal may see of what was recorded: by recorded labels and by rights as of now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

from staid.access.evaluate import permits
from staid.domain.call import ApprovalRecord, CallState
from staid.domain.errors import (
    ApprovalNotFound,
    ApproverNotAllowed,
    DocumentAmbiguous,
    DocumentNotFound,
    RunNotFound,
    StaidError,
)
from staid.domain.errors.privacy import ReadingUnrecorded
from staid.domain.events import EventKind, JournalRow
from staid.domain.finding import RunSearch
from staid.domain.ids import ApprovalId, RunId
from staid.domain.outcome import Outcome
from staid.domain.principal import Principal
from staid.domain.records import Handoff, RunRecord
from staid.gates.approval import check_decision
from staid.project.origins import origins
from staid.project.privacy import readings
from staid.project.project import Project
from staid.runtime.released import outcome_of
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


@dataclass(frozen=True, slots=True)
class ApprovalView:
    """A request for a decision as its present reader sees it."""

    approval: ApprovalRecord
    refused: str | None
    """Why this reader may not decide it, or None."""
    run: RunView | None
    """The run behind it; None for guarded code that runs elsewhere."""


class Reader:
    """Shows a principal its own runs, and of others' what its labels and role permit.

    Whatever it may not see at all is "not found", exactly as what does not exist.
    """

    def __init__(self, project: Project, principal: Principal, surface: str = "api") -> None:
        """Read for this principal, whose groups are those of now, to show it on a surface."""
        self._project = project
        self._principal = principal
        self._surface = surface

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

    def _record_reading(self, run: str) -> None:
        """Record that this principal reads somebody else's run, before anything of it is shown."""
        try:
            readings(self._project).record([run], self._principal.token, self._surface)
        except StaidError as error:
            raise ReadingUnrecorded(run=run) from error

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
        try:
            present = self._project.wiring.corpus.find(f"{source}/{document}")
        except (DocumentNotFound, DocumentAmbiguous):
            return False
        return permits(present.label, self._principal.tokens)

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
        return any(self._refused(ledger.approval(each)) is None for each in asked)

    # --- approvals -------------------------------------------------------------------------

    def approvals(self, *, everything: bool = False) -> list[ApprovalRecord]:
        """Return what this principal may decide or asked for, oldest first.

        Without `everything` only what waits: pending, or in doubt.
        """
        ledger = self._project.wiring.ledger
        ledger.sweep()
        states = [None] if everything else [CallState.PENDING, CallState.IN_DOUBT]
        found = (a for state in states for a in ledger.approvals(state) if self._concerned(a))
        return [self._theirs(each) for each in found]

    def approval(self, approval: str) -> ApprovalView:
        """Return one request; raise `ApprovalNotFound` also where it concerns others alone."""
        ledger = self._project.wiring.ledger
        ledger.sweep()
        found = ledger.approval(ApprovalId(approval))
        if not self._concerned(found):
            raise ApprovalNotFound(approval=approval)
        return ApprovalView(self._theirs(found), self._refused(found), self._run_of(found))

    def _run_of(self, approval: ApprovalRecord) -> RunView | None:
        try:
            view = self._view(approval.run)
        except RunNotFound:
            return None
        if view.record.asker != self._principal.token:
            self._record_reading(approval.run)
        return view

    def _concerned(self, approval: ApprovalRecord) -> bool:
        me = self._principal.token
        mine = me in {approval.call.subject, approval.edited_by}
        return mine or self._refused(approval) is None

    def _theirs(self, approval: ApprovalRecord) -> ApprovalRecord:
        """Return a request without what joined it where this principal does not decide it."""
        if approval.members and self._refused(approval) is not None:
            return replace(approval, members=())
        return approval

    def _refused(self, approval: ApprovalRecord) -> str | None:
        """Return why this principal may never decide this request, whatever its state."""
        try:
            now = self._project.wiring.clock.now()
            for each in (approval, *approval.members):
                # To deny takes no ceiling: whoever may only deny has to see what for.
                check_decision(each, self._principal, now, decision="deny")
        except ApproverNotAllowed as error:
            return str(error.values["detail"])
        except StaidError:
            return None  # it is over, but it was this principal's to decide
        return None

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
