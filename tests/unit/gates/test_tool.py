"""What a tool is, and which definitions are refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel

from staid.domain.call import Effect
from staid.domain.errors import ToolInvalid
from staid.domain.ids import CallId, RunId
from staid.gates.budget import Budget
from staid.gates.tool import Call, Constraint, define, recorded


class Refund(BaseModel):
    """Arguments of the tool."""

    order_id: str
    amount: Decimal


def issue(p: Refund, call: Call) -> dict[str, str]:
    """Issue a refund."""
    return {"key": call.key, "order": p.order_id}


def test_defaults() -> None:
    """A tool needs a name and a handler; the rest has safe defaults."""
    tool = define(issue, "refund.issue")
    assert (tool.effect, tool.params, tool.description) == (Effect.WRITE, Refund, "Issue a refund.")
    assert tool.expires_after == timedelta(days=7)
    assert (tool.evidence, tool.requires_approval, tool.takes_call) == (False, False, True)
    assert tool.spec.schema["properties"]


def test_effect_decides_evidence_and_approval() -> None:
    """Reads count as evidence; what cannot be undone waits for a human unless told otherwise."""
    assert define(issue, "a", effect="read").evidence is True
    assert define(issue, "a", effect="irreversible").requires_approval is True
    assert (
        define(issue, "a", effect="irreversible", requires_approval=False).requires_approval
        is False
    )


def test_invoke_with_and_without_call() -> None:
    """A handler gets the call, with its key, only where it asks for it."""
    call = Call(CallId("cal_1"), "k1", RunId("run_1"), "user:ada", "support")
    params = Refund(order_id="7", amount=Decimal(1))
    assert define(issue, "a").invoke(params, call) == {"key": "k1", "order": "7"}

    def alone(p: Refund) -> str:
        return p.order_id

    assert define(alone, "a").invoke(params, call) == "7"


def unannotated(p):  # noqa: ANN001, ANN201 - that is the defect  # pyright: ignore[reportUnknownParameterType, reportMissingParameterType]
    """Has no annotation."""


def three(a: Refund, b: Call, c: int) -> None:
    """Take one parameter too many."""


def text(p: str) -> None:
    """Take no model."""


REFUSED: list[tuple[Any, dict[str, Any], str]] = [
    (unannotated, {}, "annotated with no pydantic model"),
    (three, {}, "takes the params"),
    (text, {}, "annotated with no pydantic model"),
    (issue, {"name": "refund issue"}, "looks like refund.issue"),
    (issue, {"effect": "writes"}, "read, write or irreversible"),
    (issue, {"timeout": "soon"}, "not a duration"),
    (issue, {"timeout": "0s"}, "not a positive duration"),
    (issue, {"requires_approval": "yes"}, "True, False or a predicate"),
    (issue, {"result": "Refunded {amount"}, "broken"),
    (issue, {"result": "Refunded {amount.__class__}"}, "fields only"),
    (issue, {"approvers": ["lead"]}, "no approver"),
    (issue, {"approvers": ["agent:support"]}, "no approver"),
    (issue, {"budget": Budget(0)}, "above 0"),
    (issue, {"budget": Budget("a lot")}, "no usable limit"),
    (issue, {"budget": Budget(1, window="1 day")}, "no usable limit or window"),
    (issue, {"budget": Budget(1, sum_of="total")}, "no argument"),
    (issue, {"budget": Budget(1, per="iban")}, "no argument"),
    (issue, {"budget": [Budget(1), Budget(2)]}, "the same total"),
    (issue, {"budget": Budget(1, per=[])}, "per nothing"),
    (issue, {"budget": Budget(1, per=["order_id", "order_id"])}, "twice per one key"),
    (issue, {"budget": Budget(1, per=["customer", "iban"])}, "no argument"),
    (issue, {"budget": [Budget(1, per=["agent"]), Budget(2, per=["agent"])]}, "the same total"),
    (
        issue,
        {"constraints": [Constraint("a", lambda _: True), Constraint("a", lambda _: True)]},
        "the same name",
    ),
]


@pytest.mark.parametrize(("handler", "options", "words"), REFUSED)
def test_refused_definitions(
    handler: Callable[..., object], options: dict[str, Any], words: str
) -> None:
    """A tool that cannot work is refused when it is defined, with what is wrong."""
    name = options.pop("name", "refund.issue")
    with pytest.raises(ToolInvalid, match=words):
        define(handler, name, **options)


def test_ambiguous_budget_key() -> None:
    """An argument called `customer` is not mistaken for the asker: a model could vary it."""

    class Gift(BaseModel):
        customer: str

    def give(p: Gift) -> None:
        """Give."""

    with pytest.raises(ToolInvalid, match="argument:customer"):
        define(give, "gift", params=Gift, budget=Budget(1))
    assert define(give, "gift", params=Gift, budget=Budget(1, per="argument:customer")).budgets


def test_tell() -> None:
    """The completed action is told with what was approved, and never fails after the fact."""
    tool = define(issue, "refund.issue", result="Refunded {amount} for {order_id}: {refund}.")
    arguments = {"order_id": "7", "amount": "50"}
    told = tool.tell(arguments, {"refund": "re_1", "amount": "9999"})
    assert told == "Refunded 50 for 7: re_1."
    assert tool.tell(arguments, None) == "refund.issue was carried out."
    assert define(issue, "refund.issue").tell(arguments, None) is None


@dataclass
class Done:
    """A result."""

    amount: Decimal


def test_recorded() -> None:
    """Whatever a handler returns can be kept; money never becomes a float."""
    assert recorded({"amount": Decimal("1.50"), "left": [Decimal(2)]}) == {
        "amount": "1.5",
        "left": ["2"],
    }
    assert recorded(Done(Decimal("0.10"))) == {"amount": "0.1"}
    assert recorded(Refund(order_id="1", amount=Decimal(3))) == {"order_id": "1", "amount": "3"}
    assert recorded(float("nan")) == "nan"
    assert isinstance(recorded(object()), str)
    loop: list[object] = []
    loop.append(loop)
    assert isinstance(recorded(loop), str)
