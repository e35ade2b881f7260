"""The life of a call, and who may decide."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from staid.domain.call import ApprovalRecord, CallState, ToolCall
from staid.domain.errors import (
    ApprovalDecided,
    ApprovalExpired,
    ApprovalMismatch,
    ApproverNotAllowed,
    StaidError,
)
from staid.domain.ids import ApprovalId, CallId, RunId
from staid.domain.principal import Principal
from staid.gates.approval import Move, check_decision, move, sources, target

NOW = datetime(2026, 1, 5, tzinfo=UTC)
CALL = ToolCall(CallId("cal_1"), RunId("run_1"), "support", "refund.issue", {"amount": "150"}, "k")
APPROVAL = ApprovalRecord(
    id=ApprovalId("apr_1"),
    run=RunId("run_1"),
    call=CALL,
    state=CallState.PENDING,
    rule="approval",
    message="A human has to approve this call.",
    digest=CALL.digest,
    requested_at=NOW,
    expires_at=NOW + timedelta(days=7),
    requested_by=frozenset({"user:ada", "agent:support", "user:root"}),
)
LEAD = Principal("local", "user", "lead", frozenset({"group:leads"}))


def test_only_a_claim_leads_to_execution() -> None:
    """Nothing but a claim of an approved call leads to `executing`, and nothing leads back."""
    assert sources(Move.CLAIM) == {CallState.APPROVED}
    assert target(Move.CLAIM) is CallState.EXECUTING
    into = {
        (state, how)
        for how in Move
        for state in CallState
        if move(state, how) is CallState.EXECUTING
    }
    assert into == {(CallState.APPROVED, Move.CLAIM)}


def test_after_execution_nothing_runs_again() -> None:
    """From `executing` on no sequence of moves reaches `approved` or `executing` again."""
    seen, edge = set[CallState](), {CallState.EXECUTING}
    while edge:
        state = edge.pop()
        following = {move(state, how) for how in Move} - {None}
        assert not following & {CallState.APPROVED, CallState.EXECUTING, CallState.PENDING}
        edge |= {after for after in following if after is not None and after not in seen}
        seen.add(state)


def test_every_move_has_one_target() -> None:
    """A move leads to one state wherever it happens, so that a compare-and-set can name it."""
    for how in Move:
        assert {move(state, how) for state in sources(how)} == {target(how)}


@pytest.mark.parametrize(
    "state", [CallState.DENIED, CallState.EXPIRED, CallState.UNDONE, CallState.FAILED]
)
def test_final_states(state: CallState) -> None:
    """What is over stays over."""
    assert all(move(state, how) is None for how in Move)


def test_the_right_approver() -> None:
    """A user who is not upstream may decide in time, on what was shown."""
    check_decision(APPROVAL, LEAD, NOW, CALL.digest)
    check_decision(replace(APPROVAL, approvers=frozenset({"group:leads"})), LEAD, NOW)
    check_decision(replace(APPROVAL, approvers=frozenset({"user:lead"})), LEAD, NOW)


@pytest.mark.parametrize(
    ("approver", "changes"),
    [
        (Principal("local", "user", "ada"), {}),
        (Principal("local", "user", "root"), {}),
        (Principal("local", "agent", "support"), {}),
        (Principal("local", "agent", "other"), {}),
        (Principal("local", "service", "billing"), {}),
        (LEAD, {"approvers": frozenset({"group:finance"})}),
        (Principal("acme", "user", "lead"), {"approvers": frozenset({"user:lead"})}),
        (Principal("local", "user", "eve"), {"approvers": frozenset({"user:lead"})}),
    ],
)
def test_who_may_not_decide(approver: Principal, changes: dict[str, Any]) -> None:
    """Not the asker, not the operating-system user behind it, no agent, nobody without the role."""
    with pytest.raises(ApproverNotAllowed):
        check_decision(replace(APPROVAL, **changes), approver, NOW)


@pytest.mark.parametrize(
    ("changes", "now", "seen", "error"),
    [
        ({"state": CallState.APPROVED, "decision": "approve"}, NOW, None, ApprovalDecided),
        ({"state": CallState.DENIED, "decision": "deny"}, NOW, None, ApprovalDecided),
        ({"state": CallState.DONE}, NOW, None, ApprovalDecided),
        ({"state": CallState.EXPIRED}, NOW, None, ApprovalExpired),
        ({}, NOW + timedelta(days=7), None, ApprovalExpired),
        ({}, NOW, "0" * 64, ApprovalMismatch),
        ({"digest": "0" * 64}, NOW, None, ApprovalMismatch),
        ({"call": replace(CALL, arguments={"amount": "9999"})}, NOW, None, ApprovalMismatch),
    ],
)
def test_what_cannot_be_decided(
    changes: dict[str, Any], now: datetime, seen: str | None, error: type[StaidError]
) -> None:
    """Decided twice, too late, or on other arguments than those shown: a coded error."""
    with pytest.raises(error):
        check_decision(replace(APPROVAL, **changes), LEAD, now, seen)


def test_no_side_channel_for_the_wrong_approver() -> None:
    """Who may not decide learns nothing about the state of the request."""
    for state in CallState:
        with pytest.raises(ApproverNotAllowed):
            check_decision(replace(APPROVAL, state=state), Principal("local", "agent", "a"), NOW)
