"""A request for a decision as an approver reads it: one reading for terminal, HTTP API and page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, cast

from staid.domain.call import ApprovalRecord, CallRecord, Effect, ToolCall, UndoRecord
from staid.domain.canonical import Json, decimal_text, plain, timestamp
from staid.domain.events import EventKind, JournalRow
from staid.gates.ledger import Added
from staid.gates.rule import SHADOW
from staid.gates.sources import Origin
from staid.gates.structuring import PREFIX
from staid.project.approval_json import approval_json, call_json
from staid.project.provenance import Provenance, provenance_of

if TYPE_CHECKING:
    from staid.project.project import Project

UNTRUSTED = frozenset({Origin.DOCUMENT})
"""Origins of what somebody else may have planted."""


@dataclass(frozen=True, slots=True)
class CallCard:
    """One call with where its arguments come from, as one reader may see it."""

    call: ToolCall
    provenance: tuple[Provenance, ...]
    """Empty: it was not recorded, or is erased."""
    shadows: tuple[tuple[str, str], ...] = ()
    """Rules on trial that object, and what each would have ruled: `deny` or `ask`."""
    undoing: UndoRecord | None = None
    effect: Effect | None = None
    """What its tool does to the world; None: the tool is not registered here."""
    reversible: bool = False
    """Whether its tool says how it is taken back."""

    def of(self, name: str) -> tuple[Provenance, ...]:
        """Return where one argument comes from, it first and then what is inside it."""
        return tuple(p for p in self.provenance if p.path == name or p.path.startswith(f"{name}."))

    @property
    def untrusted(self) -> tuple[str, ...]:
        """Names of the arguments that come from a document that anybody may have written."""
        return self._named(UNTRUSTED)

    @property
    def invented(self) -> tuple[str, ...]:
        """Names of the arguments that were found nowhere: the model's own."""
        return tuple(n for n in self._named({Origin.MODEL}) if n not in self.untrusted)

    def _named(self, origins: frozenset[Origin] | set[Origin]) -> tuple[str, ...]:
        found = (p.path.partition(".")[0] for p in self.provenance if p.origin in origins)
        return tuple(dict.fromkeys(found))


@dataclass(frozen=True, slots=True)
class Card:
    """Everything one reader is shown of a request."""

    approval: ApprovalRecord
    calls: tuple[CallCard, ...]
    """Every call that one decision is about, its own first."""
    adding_up: tuple[Added, ...]
    """Every call that the sum behind it is made of, those that ran already among them."""

    @property
    def summed(self) -> bool:
        """Whether a sum asks: then no single call of it can be changed."""
        return self.approval.rule.startswith(PREFIX)

    @property
    def total(self) -> Decimal:
        """What those calls add up to."""
        return sum((each.amount for each in self.adding_up), Decimal(0))

    @property
    def invented(self) -> tuple[str, ...]:
        """Names of arguments, of any of its calls, that were found nowhere."""
        return tuple(dict.fromkeys(name for each in self.calls for name in each.invented))

    @property
    def own(self) -> CallCard:
        """The request's own call."""
        return self.calls[0]

    def of_call(self, call: str) -> CallCard | None:
        """Return one of the calls that are decided; None for one that ran already."""
        return next((each for each in self.calls if each.call.id == call), None)

    @property
    def untrusted(self) -> tuple[str, ...]:
        """Names of arguments, of any of its calls, that anybody may have written."""
        return tuple(dict.fromkeys(name for each in self.calls for name in each.untrusted))


def card_of(
    project: Project, approval: ApprovalRecord, tokens: frozenset[str], *, whole: bool = True
) -> Card:
    """Return what a reader who holds these tokens is shown of a request.

    Unless it is the `whole` request, what others asked for is left out, and so is the sum.
    """
    members = approval.members if whole else ()
    calls = tuple(call_card(project, each.call, tokens) for each in (approval, *members))
    adding = tuple(project.wiring.ledger.adding_up(approval.id)) if whole else ()
    return Card(replace(approval, members=members), calls, adding)


def call_card(project: Project, call: ToolCall, tokens: frozenset[str]) -> CallCard:
    """Return what a reader who holds these tokens is shown of one call."""
    rows = project.wiring.records.rows(call.run)
    tool = project.tools.get(call.tool)
    return CallCard(
        call,
        provenance_of(project, call, tokens, rows),
        _shadows(call, rows),
        project.wiring.ledger.undo_of(call.id),
        tool.effect if tool else None,
        reversible=tool is not None and tool.undo is not None,
    )


def _shadows(call: ToolCall, rows: Sequence[JournalRow]) -> tuple[tuple[str, str], ...]:
    """Return what rules on trial said when the call was last ruled on."""
    ruled = [r for r in rows if r.kind is EventKind.CALL_RULED and r.fact.get("call") == call.id]
    steps = cast("Sequence[Sequence[str]]", ruled[-1].fact.get("steps", ())) if ruled else ()
    return tuple((name, word) for name, word in steps if name.startswith(SHADOW))


def card_json(card: Card) -> dict[str, Json]:
    """Return everything there is to know before deciding, as plain values."""
    told = approval_json(card.approval)
    listed = cast("Sequence[Mapping[str, Json]]", told["calls"])
    of_calls: list[Json] = [
        {**each, "provenance": _provenance(shown)}
        for each, shown in zip(listed, card.calls, strict=True)
    ]
    adding: list[Json] = [_added(each) for each in card.adding_up]
    return {**told, "calls": of_calls, "adding_up": adding, **_told(card.own)}


def call_card_json(record: CallRecord, card: CallCard) -> dict[str, Json]:
    """Return a call that nobody was asked about, as plain values."""
    return {**call_json(record), **_told(card)}


def _told(card: CallCard) -> dict[str, Json]:
    return {
        "provenance": _provenance(card),
        "shadows": [{"rule": name, "ruling": word} for name, word in card.shadows],
        "undo": undo_json(card.undoing) if card.undoing else None,
        "effect": card.effect.value if card.effect else None,
        "reversible": card.reversible,
    }


def undo_json(undo: UndoRecord) -> dict[str, Json]:
    """Return the undoing of a call as plain values."""
    return {
        "call": undo.call,
        "state": undo.state.value,
        "by": undo.asked_by,
        "at": timestamp(undo.at),
    }


def _provenance(card: CallCard) -> list[Json]:
    return [one.as_json() for one in card.provenance]


def _added(added: Added) -> dict[str, Json]:
    call = added.record.call
    return {
        "call": call.id,
        "state": added.record.state.value,
        "run": call.run,
        "for": call.subject,
        "arguments": plain(call.arguments),
        "amount": decimal_text(added.amount),
    }
