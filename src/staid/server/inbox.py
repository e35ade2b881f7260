"""What waits for a person: requests to decide, and calls that nobody knows the end of."""

from __future__ import annotations

from dataclasses import dataclass, replace

from staid.domain.call import ApprovalRecord, CallRecord, CallState, ToolCall, UndoState
from staid.domain.errors import ApprovalNotFound, CallNotFound
from staid.domain.ids import ApprovalId, CallId
from staid.domain.principal import Principal
from staid.project.approval_card import CallCard, Card, call_card, card_of
from staid.project.project import Project
from staid.server.reader import Reader, RunView
from staid.server.rights import Aftermath, aftermath, not_theirs, objection, only_denies


@dataclass(frozen=True, slots=True)
class ApprovalView:
    """A request for a decision as its present reader sees it."""

    card: Card
    refused: str | None
    """Why this reader may not decide it, or None."""
    only_denies: str | None
    """Why this reader may not approve it, or None."""
    after: Aftermath
    run: RunView | None
    """The run behind it; None for guarded code that runs elsewhere."""

    @property
    def approval(self) -> ApprovalRecord:
        """The request."""
        return self.card.approval


@dataclass(frozen=True, slots=True)
class CallView:
    """A call that nobody was asked about, as its present reader sees it."""

    record: CallRecord
    card: CallCard
    after: Aftermath


class Inbox:
    """Shows a principal the requests and calls that concern it.

    Whatever concerns others alone is "not found", exactly as what does not exist.
    """

    def __init__(self, project: Project, principal: Principal, reader: Reader) -> None:
        """Show what this principal decides, settles or asked for; `reader` shows the runs."""
        self._project = project
        self._principal = principal
        self._reader = reader

    def approvals(self, *, everything: bool = False) -> list[ApprovalRecord]:
        """Return what this principal may decide or asked for, oldest first.

        Without `everything` only what waits: pending, or in doubt.
        """
        ledger = self._project.wiring.ledger
        ledger.sweep()
        states = [None] if everything else [CallState.PENDING, CallState.IN_DOUBT]
        found = (a for state in states for a in ledger.approvals(state) if self._concerned(a))
        shown = [self._theirs(each) for each in found]
        self._reader.note_list(call for each in shown for call in _calls(each))
        return shown

    def doubts(self) -> list[CallRecord]:
        """Return what this principal may settle and no request in doubt stands for, oldest first.

        Calls that nobody was asked about, and calls whose undoing is in doubt.
        """
        ledger = self._project.wiring.ledger
        lost = [r for r in ledger.in_state(CallState.IN_DOUBT) if r.approval is None]
        lost += [ledger.get(each.call) for each in ledger.undos(UndoState.IN_DOUBT)]
        shown = [record for record in lost if self._may_settle(record)]
        self._reader.note_list(record.call for record in shown)
        return shown

    def approval(self, approval: str) -> ApprovalView:
        """Return one request; raise `ApprovalNotFound` also where it concerns others alone."""
        project, me = self._project, self._principal
        found = self.request(approval)
        refused = objection(project, me, found)
        card = card_of(project, found, me.tokens, whole=refused is None)
        added = (each.record.call for each in card.adding_up)
        self._reader.note([*_calls(card.approval), *added])
        return ApprovalView(
            card,
            refused,
            only_denies(project, me, found),
            aftermath(project, me, found.call.id, found),
            self._reader.behind(found.run),
        )

    def request(self, approval: str) -> ApprovalRecord:
        """Return one request as the ledger has it; raise as `approval` does."""
        ledger = self._project.wiring.ledger
        ledger.sweep()
        found = ledger.approval(ApprovalId(approval))
        if not self._concerned(found):
            raise ApprovalNotFound(approval=approval)
        return found

    def call(self, call: str) -> CallView:
        """Return one call; raise `CallNotFound` also where it concerns others alone."""
        record = self.record(call)
        self._reader.note([record.call])
        card = call_card(self._project, record.call, self._principal.tokens)
        asked = self._asked(record)
        return CallView(
            record, card, aftermath(self._project, self._principal, record.call.id, asked)
        )

    def record(self, call: str) -> CallRecord:
        """Return one call as the ledger has it; raise as `call` does."""
        ledger = self._project.wiring.ledger
        ledger.sweep()
        record = ledger.get(CallId(call))
        if not self.concerns(record):
            raise CallNotFound(call=call)
        return record

    def concerns(self, record: CallRecord) -> bool:
        """Return whether a call is this principal's to see: its own, or one it may settle."""
        return record.call.subject == self._principal.token or self._may_settle(record)

    def _asked(self, record: CallRecord) -> ApprovalRecord | None:
        ledger = self._project.wiring.ledger
        return ledger.approval(record.approval) if record.approval else None

    def _may_settle(self, record: CallRecord) -> bool:
        return not_theirs(self._project, self._principal, record, self._asked(record)) is None

    def _concerned(self, approval: ApprovalRecord) -> bool:
        me = self._principal.token
        mine = me in {approval.call.subject, approval.edited_by}
        return mine or objection(self._project, self._principal, approval) is None

    def _theirs(self, approval: ApprovalRecord) -> ApprovalRecord:
        """Return a request without what joined it where this principal does not decide it."""
        refused = objection(self._project, self._principal, approval)
        return replace(approval, members=()) if approval.members and refused else approval


def _calls(approval: ApprovalRecord) -> list[ToolCall]:
    """Return every call that a request shows, its own first."""
    return [each.call for each in (approval, *approval.members)]
