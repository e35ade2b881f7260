"""Whom a tool asks: what nobody could decide is refused when the tool is defined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from pydantic import BaseModel

from staid.domain.canonical import Json
from staid.domain.demand import Terms
from staid.domain.errors import ToolInvalid
from staid.gates.budget import duration


@dataclass(frozen=True, slots=True)
class Asked:
    """What a tool's author wrote, unchecked."""

    approvers: str | Sequence[str]
    quorum: int
    ceilings: Mapping[str, Decimal | int | str]
    expires_after: str | timedelta
    escalate_after: str | timedelta | None
    escalate_to: str | Sequence[str]


def terms_of(tool: str, model: type[BaseModel], amount: str | None, asked: Asked) -> Terms:
    """Return what a tool asks of its approvers, or raise `ToolInvalid` saying what is wrong."""
    late = asked.escalate_after
    terms = Terms(
        _tokens(tool, asked.approvers),
        asked.quorum,
        _ceilings(tool, asked.ceilings),
        _length(tool, asked.expires_after),
        None if late is None else _length(tool, late),
        _tokens(tool, asked.escalate_to),
    )
    detail = _wrong(terms) or _wrong_amount(model, amount, terms)
    if detail:
        raise ToolInvalid(tool=tool, detail=detail)
    return terms


def amount_of(arguments: Mapping[str, Json], name: str | None) -> Decimal | None:
    """Return what is at stake in a call, or None where it does not say so."""
    value = None if name is None else arguments.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        amount = Decimal(str(value))
    except ArithmeticError:
        return None
    return amount if amount.is_finite() else None


def _wrong(terms: Terms) -> str | None:
    """Return what is wrong with terms that nobody could meet, or None."""
    if isinstance(terms.quorum, bool) or terms.quorum < 1:
        return "its quorum is a number of people, at least 1"
    everybody = terms.approvers | terms.escalate_to
    named = bool(terms.approvers) and all(token.startswith("user:") for token in everybody)
    if named and len(everybody) < terms.quorum:
        return f"its quorum is {terms.quorum}, and it names fewer approvers"
    if (terms.escalate_after is None) is bool(terms.escalate_to):
        return "escalate_after and escalate_to go together"
    if terms.escalate_to and not terms.approvers:
        return "it escalates, and names no approvers"
    late, over = terms.escalate_after, terms.expires_after
    if late is not None and over is not None and late >= over:
        return "it would expire before it escalates"
    return None


def _wrong_amount(model: type[BaseModel], amount: str | None, terms: Terms) -> str | None:
    if amount is not None and amount not in model.model_fields:
        return f"its amount is {amount!r}, which is no argument"
    if terms.ceilings and amount is None:
        return "it has ceilings; name the argument they are about: amount"
    return None


def _length(tool: str, value: str | timedelta) -> timedelta:
    try:
        return duration(value)
    except ValueError as error:
        raise ToolInvalid(tool=tool, detail=str(error)) from error


def _tokens(tool: str, given: str | Sequence[str]) -> frozenset[str]:
    tokens = frozenset([given] if isinstance(given, str) else given)
    for token in tokens:
        kind, _, name = token.partition(":")
        if kind not in {"user", "group"} or not name:
            raise ToolInvalid(
                tool=tool, detail=f"{token!r} is no approver; write user:lead or group:leads"
            )
    return tokens


def _ceilings(tool: str, given: Mapping[str, Decimal | int | str]) -> dict[str, Decimal]:
    found: dict[str, Decimal] = {}
    for token in _tokens(tool, tuple(given)):
        try:
            found[token] = Decimal(given[token])
        except (ArithmeticError, TypeError, ValueError) as error:
            raise ToolInvalid(tool=tool, detail=f"the ceiling of {token} is no number") from error
        if not found[token].is_finite() or found[token] < 0:
            raise ToolInvalid(tool=tool, detail=f"the ceiling of {token} is below 0 or no number")
    return found
