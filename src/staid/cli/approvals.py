"""`staid approvals`: the human gate from a terminal."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

import typer

from staid.cli import output
from staid.cli.ask import AsOption, GroupsOption, groups_of
from staid.cli.provenance import provenance_lines, tokens_of
from staid.cli.readers import note_reading
from staid.domain.call import ApprovalRecord, CallRecord, CallState
from staid.domain.canonical import Json, canonical, decimal_text
from staid.domain.errors import UsageInvalid
from staid.domain.ids import ApprovalId, CallId
from staid.domain.outcome import Outcome
from staid.gates.ledger import Added
from staid.project.approval_card import (
    CallCard,
    Card,
    call_card,
    call_card_json,
    card_json,
    card_of,
)
from staid.project.approval_json import approval_json, call_json
from staid.project.deciding import FOUND, Decided, decide, settle_doubt
from staid.project.deciding import edit as edit_request

approvals_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

Approval = Annotated[str, typer.Argument(metavar="ID", help="apr_…")]
Reason = Annotated[str, typer.Option(help="Why; recorded with the decision.")]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Carry the run on in this process.")]


@approvals_app.command("list")
def list_approvals(
    state: Annotated[str, typer.Option(help="pending, in_doubt, done, … or all.")] = "pending",
) -> None:
    """List what waits for a human, oldest first; calls in doubt are among it."""
    wanted = _states(state)
    ledger = output.project().wiring.ledger
    ledger.sweep()
    requests = [request for each in wanted for request in ledger.approvals(each)]
    doubts = CallState.IN_DOUBT in wanted or None in wanted
    lost = [r for r in ledger.in_state(CallState.IN_DOUBT) if r.approval is None] if doubts else []
    runs = [run for request in requests for run in request.runs]
    note_reading("cli approvals list", *runs, *(record.call.run for record in lost))
    found: list[dict[str, Any]] = [approval_json(request) for request in requests]
    found += [call_json(record) for record in lost]
    rows = [(a["id"], a["state"], a["tool"], canonical(a["arguments"]), a["rule"]) for a in found]
    output.emit(
        {"approvals": found},
        output.table(("approval", "state", "tool", "arguments", "rule"), rows)
        or ["Nothing waits for a human."],
    )


def _states(state: str) -> list[CallState | None]:
    if state == "all":
        return [None]
    if state not in set(CallState):
        known = ", ".join(CallState)
        raise UsageInvalid(detail=f"there is no state {state}", hint=f"One of {known}, all.")
    waits = state == CallState.PENDING
    return [CallState(state), CallState.IN_DOUBT] if waits else [CallState(state)]


@approvals_app.command()
def show(approval: Approval, as_: AsOption = "") -> None:
    """Show one request: what would run, which rule asked, where its arguments come from.

    --as says who reads: words of a document are shown to those who may read it.
    """
    ledger = output.project().wiring.ledger
    ledger.sweep()
    reader = tokens_of(as_)
    if approval.startswith("cal_"):
        record = ledger.get(CallId(approval))
        note_reading("cli approvals show", record.call.run)
        card = call_card(output.project(), record.call, reader)
        output.emit(call_card_json(record, card), lambda: [*_call_lines(record), *_told(card)])
        return
    shown = card_of(output.project(), ledger.approval(ApprovalId(approval)), reader)
    added = [each.record.call.run for each in shown.adding_up]
    note_reading("cli approvals show", *shown.approval.runs, *added)
    output.emit(card_json(shown), lambda: [*_lines(shown.approval), *_card_lines(shown)])


@approvals_app.command()
def approve(
    approval: Approval,
    as_: AsOption = "",
    groups: GroupsOption = None,
    reason: Reason = "",
    digest: Annotated[
        str | None, typer.Option(help="Only if what is shown still has this digest.")
    ] = None,
    *,
    wait: Wait = True,
) -> None:
    """Approve one request; executes it once.

    Example: staid approvals approve apr_… --as user:lead --reason "Checked the order"
    """
    _decide(approval, "approve", as_, groups, reason, digest, wait=wait)


@approvals_app.command()
def deny(
    approval: Approval,
    as_: AsOption = "",
    groups: GroupsOption = None,
    reason: Reason = "",
    digest: Annotated[
        str | None, typer.Option(help="Only if what is shown still has this digest.")
    ] = None,
    *,
    wait: Wait = True,
) -> None:
    """Deny one request; nothing is executed, and the model is told.

    Example: staid approvals deny apr_… --as user:lead --reason "Not our order"
    """
    _decide(approval, "deny", as_, groups, reason, digest, wait=wait)


@approvals_app.command()
def edit(
    approval: Approval,
    set_: Annotated[list[str], typer.Option("--set", help="NAME=VALUE; may be given again.")],
    as_: AsOption = "",
    groups: GroupsOption = None,
    reason: Reason = "",
    digest: Annotated[
        str | None, typer.Option(help="Only if what is shown still has this digest.")
    ] = None,
    *,
    wait: Wait = True,
) -> None:
    """Change a call that waits; it is ruled on anew, and you cannot approve your own change.

    Within the bounds of the rules it is executed at once. Where they still ask a person, somebody
    else has to approve it.

    Example: staid approvals edit apr_… --set amount=50 --as user:lead
    """
    changes: dict[str, Json] = dict(_change(each) for each in set_)
    decided = asyncio.run(
        edit_request(
            output.project(),
            approval,
            changes,
            editor=_who(as_),
            groups=groups_of(groups),
            reason=reason,
            seen=digest,
            resume=wait,
        )
    )
    _tell(decided)


def _change(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise UsageInvalid(detail=f"{text!r} changes nothing", hint="Write --set amount=50")
    return name, value


@approvals_app.command()
def settle(
    approval: Approval,
    happened: Annotated[str, typer.Option(help="yes, no or ask-again: did the effect take place?")],
    as_: AsOption = "",
    groups: GroupsOption = None,
) -> None:
    """Settle a call in doubt, or its undoing, by what you found in the system behind the tool.

    ID is that of its request, or of the call itself (cal_…) where nobody had to be asked. With
    ask-again the tool's own probe is asked; where it cannot tell, the call stays in doubt.
    """
    if happened not in FOUND:
        raise UsageInvalid(detail="--happened is yes, no or ask-again", hint="Look it up first.")
    decided = asyncio.run(
        settle_doubt(
            output.project(), approval, _who(as_), groups_of(groups), happened=FOUND[happened]
        )
    )
    _tell(decided)


def _decide(
    approval: str,
    decision: str,
    as_: str,
    groups: str | None,
    reason: str,
    digest: str | None,
    *,
    wait: bool,
) -> None:
    decided = asyncio.run(
        decide(
            output.project(),
            approval,
            decision,
            approver=_who(as_),
            groups=groups_of(groups),
            reason=reason,
            seen=digest,
            resume=wait,
        )
    )
    _tell(decided)


def _who(as_: str) -> str:
    if not as_:
        raise UsageInvalid(detail="nobody decides", hint="Say who: --as user:lead")
    return as_


def _tell(decided: Decided) -> None:
    found = decided.approval
    value: dict[str, Any] = (
        approval_json(found) if isinstance(found, ApprovalRecord) else call_json(found)
    )
    value["outcome"] = output.outcome_json(decided.outcome) if decided.outcome else None
    output.emit(value, lambda: _decided_lines(value, decided.outcome))


def _decided_lines(decided: Mapping[str, Any], outcome: Outcome | None) -> list[str]:
    lines = [f"{decided['id']}: {decided['state']}"]
    if decided["state"] == CallState.IN_DOUBT:
        return [*lines, "The system behind the tool cannot tell; look there, then say yes or no."]
    if outcome is None:
        return [*lines, f"The run goes on elsewhere: staid runs show {decided['run']}"]
    return [*lines, "", *output.outcome_lines(outcome)]


def _call_lines(record: CallRecord) -> list[str]:
    call = record.call
    lines = [
        f"{call.id}: {record.state.value}",
        *output.paragraph(f"{call.tool} with {canonical(call.arguments)}", "  "),
        f"  for {call.subject}, agent {call.agent}, run {call.run}",
        *output.paragraph(record.error or record.ruling.message, "  "),
    ]
    if record.state is CallState.IN_DOUBT:
        lines.append("  Look in the system behind the tool, then:")
        lines.append(f"  staid approvals settle {call.id} --happened yes --as user:…")
    return lines


def _card_lines(card: Card) -> list[str]:
    lines = [*_added_lines(card.approval, card.adding_up), *_told(card.own)]
    for each in card.calls[1:]:
        lines += [f"  {each.call.id}, decided with it:", *_told(each)]
    return lines


def _told(card: CallCard) -> list[str]:
    lines = provenance_lines(card.provenance)
    if card.effect is not None:
        back = "can" if card.reversible else "cannot"
        lines.insert(0, f"  {card.effect.value}; it {back} be taken back")
    return [*lines, *(f"  on trial, {name} would say {word}" for name, word in card.shadows)]


def _added_lines(approval: ApprovalRecord, adding: Sequence[Added]) -> list[str]:
    if approval.leader is not None:
        return [f"  joined {approval.leader}; while that waits, it is decided there"]
    if not adding:
        return []
    waiting = {each.call.id for each in (approval, *approval.members)}
    total = decimal_text(sum((each.amount for each in adding), Decimal(0)))
    lines = [f"  {len(adding)} calls add up to {total}; this decides {len(waiting)} of them:"]
    for each in adding:
        record, call = each.record, each.record.call
        mark = "*" if call.id in waiting else " "
        told = (
            f"{mark} {call.id} {record.state.value} {decimal_text(each.amount)} for {call.subject}"
        )
        lines.append(f"  {told}, run {call.run}")
    return lines


def _lines(approval: ApprovalRecord) -> list[str]:
    lines = [
        f"{approval.id}: {approval.state.value}",
        *output.paragraph(f"{approval.call.tool} with {canonical(approval.call.arguments)}", "  "),
        *output.paragraph(f"asked by rule {approval.rule}: {approval.message}", "  "),
        f"  for {approval.call.subject}, agent {approval.call.agent}, run {approval.run}",
        f"  digest {approval.binding}",
        f"  requested {_time(approval.requested_at)}, expires {_time(approval.expires_at)}",
        f"  may not be decided by {', '.join(sorted(approval.requested_by))}",
    ]
    lines += _asks(approval)
    if approval.preview:
        lines += output.paragraph(f"effect: {approval.preview}", "  ")
    if approval.edited_by:
        lines.append(f"  changed by {approval.edited_by}, in the place of {approval.replaces}")
    if approval.replaced_by:
        lines.append(f"  replaced by {approval.replaced_by}")
    if approval.changes:
        lines.append("  asked again, since what was approved is not what would run:")
        for change in approval.changes:
            lines += output.paragraph(change.words, "    ")
    if approval.decided_by:
        why = f", saying “{approval.reason}”" if approval.reason else ""
        lines += output.paragraph(f"{approval.decision} by {approval.decided_by}{why}", "  ")
    if approval.state is CallState.PENDING and approval.asks.quorum > 1:
        said = ", ".join(vote.by for vote in approval.said_yes) or "nobody yet"
        lines.append(f"  {len(approval.said_yes)} of {approval.asks.quorum} approved: {said}")
    if approval.state is CallState.PENDING:
        lines.append(f"  staid approvals approve {approval.id} --as user:…")
    return lines


def _asks(approval: ApprovalRecord) -> list[str]:
    """Return whom a request takes, up to which amount, and who else later."""
    lines: list[str] = []
    for terms in (approval.asks.own, *approval.asks.also):
        if terms.approvers:
            lines.append(f"  takes one of {', '.join(sorted(terms.approvers))}")
        most = [f"{token} up to {decimal_text(n)}" for token, n in sorted(terms.ceilings.items())]
        if most:
            lines.append(f"  {', '.join(most)}")
        if terms.escalate_after is not None:
            late = _time(approval.requested_at + terms.escalate_after)
            lines.append(f"  from {late} on also {', '.join(sorted(terms.escalate_to))}")
    return lines


def _time(value: datetime) -> str:
    return f"{value:%Y-%m-%d %H:%M} UTC"
