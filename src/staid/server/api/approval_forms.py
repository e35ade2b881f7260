"""The JSON forms of requests for a decision, and of calls."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from staid.domain import outcome as outcomes
from staid.domain.call import ApprovalRecord, CallRecord, UndoRecord
from staid.project.approval_card import CallCard, Card, call_card_json, card_json, undo_json
from staid.project.approval_json import approval_json, call_json
from staid.server.api.forms import ErrorBody, OutcomeForm, outcome_form


class VoteForm(BaseModel):
    """What one person said to a request; votes of earlier rounds are void."""

    round: int
    by: str
    decision: str
    at: str
    reason: str


class ChangeForm(BaseModel):
    """One part that is not what it was when it was approved."""

    part: str
    before: str | None
    now: str | None


class CallForm(BaseModel):
    """A call, and what was ruled on it."""

    id: str
    state: str
    tool: str
    arguments: dict[str, Any]
    rule: str
    message: str
    digest: str
    run: str
    requested_at: str


class ApprovalForm(CallForm):
    """A request for a human decision."""

    expires_at: str
    decision: str | None
    decided_by: str | None
    decided_at: str | None
    reason: str | None
    preview: str | None
    asks: dict[str, Any]
    """Who approves, how many of them, up to which amount, and until when."""
    votes: list[VoteForm]
    approved: int
    """Approvals that count so far, of the `quorum` in `asks`."""
    round: int
    changes: list[ChangeForm]
    """Why the last decision became void."""
    edited_by: str | None
    replaces: str | None
    replaced_by: str | None
    calls: list[dict[str, Any]]
    """Every call that one decision is about: its own, and those that joined it."""
    joined: str | None
    """The request that decides this one, while that waits."""


class ShadowForm(BaseModel):
    """What a rule on trial would have said."""

    rule: str
    ruling: str


class UndoForm(BaseModel):
    """The undoing of a call."""

    call: str
    state: str
    by: str
    at: str


class ToldForm(BaseModel):
    """Where the arguments of a call come from, and what came after it."""

    provenance: list[dict[str, Any]]
    """Every value with its origin and the places it stands in; withheld where they are."""
    shadows: list[ShadowForm]
    undo: UndoForm | None
    effect: str | None
    """`read`, `write` or `irreversible`; null for a tool that this process does not know."""
    reversible: bool


class ApprovalShown(ApprovalForm, ToldForm):
    """A request as whoever decides it reads it."""

    adding_up: list[dict[str, Any]]
    """Every call that the sum behind it is made of; empty for whoever may not decide it."""


class CallShown(CallForm, ToldForm):
    """Such a call with where its arguments come from."""


class SettledForm(CallForm):
    """The call after somebody said what became of it."""

    problem: ErrorBody | None
    """Why its run could not go on although what was said is recorded."""


class ApprovalList(BaseModel):
    """What this principal may decide or asked for, oldest first."""

    approvals: list[ApprovalForm]
    doubts: list[CallForm]
    """Calls in doubt, or whose undoing is, that no request above stands for."""


class DecidedForm(ApprovalForm):
    """The request after the decision, and the outcome of its run if it went on."""

    outcome: OutcomeForm | None
    problem: ErrorBody | None
    """Why the run could not go on although the decision is recorded."""


class Verdict(BaseModel):
    """What to decide."""

    decision: Literal["approve", "deny"]
    seen: str = Field(min_length=1, description="The digest that was looked at.")
    reason: str = Field(default="", description="Required to deny.")


class ChangeWanted(BaseModel):
    """What to change."""

    set: dict[str, Any] = Field(min_length=1, description="Argument -> its new value.")
    seen: str = Field(min_length=1, description="The digest that was looked at.")
    reason: str = ""


class Finding(BaseModel):
    """What became of a call in doubt."""

    happened: Literal["yes", "no", "ask-again"]


class UndoWanted(BaseModel):
    """Why a call is taken back."""

    reason: str = ""


def approval_form(approval: ApprovalRecord) -> ApprovalForm:
    """Return a request for a decision in the form of the contract."""
    return ApprovalForm.model_validate(approval_json(approval))


def decided_form(
    approval: ApprovalRecord, outcome: outcomes.Outcome | None, problem: ErrorBody | None
) -> DecidedForm:
    """Return what became of a request after a decision."""
    return DecidedForm.model_validate(
        {
            **approval_json(approval),
            "outcome": outcome_form(outcome) if outcome else None,
            "problem": problem,
        }
    )


def approval_shown(card: Card) -> ApprovalShown:
    """Return a request as one reader is shown it."""
    return ApprovalShown.model_validate(card_json(card))


def call_form(record: CallRecord) -> CallForm:
    """Return a call in the form of the contract."""
    return CallForm.model_validate(call_json(record))


def call_shown(record: CallRecord, card: CallCard) -> CallShown:
    """Return a call as one reader is shown it."""
    return CallShown.model_validate(call_card_json(record, card))


def settled_form(record: CallRecord, problem: ErrorBody | None) -> SettledForm:
    """Return what became of a call."""
    return SettledForm.model_validate({**call_json(record), "problem": problem})


def undo_form(undo: UndoRecord) -> UndoForm:
    """Return the undoing of a call in the form of the contract."""
    return UndoForm.model_validate(undo_json(undo))
