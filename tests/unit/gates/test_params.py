"""Arguments as they will run: nothing guessed, one canonical form."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Literal

import pytest
from pydantic import BaseModel, Field, field_serializer, field_validator

from staid.domain.canonical import Json, canonical
from staid.gates.params import Invalid, canonical_arguments


class Item(BaseModel):
    """A nested model."""

    sku: str
    count: int = 1


class Size(Enum):
    """An enumeration."""

    SMALL = "s"


class Order(BaseModel):
    """Every type that arguments are commonly made of."""

    order_id: str
    amount: Decimal = Field(gt=0, le=500)
    express: bool = False
    currency: Literal["EUR", "USD"] = "EUR"
    items: list[Item] = []
    tags: set[str] = set()
    due: date | None = None
    at: datetime | None = None
    size: Size | None = None
    note: str = Field("", alias="customerNote")


def read(**arguments: Json) -> dict[str, Json]:
    """Return the canonical arguments."""
    return canonical_arguments(Order, arguments)[1]


def broken(**arguments: Json) -> Invalid:
    """Return why the arguments are invalid."""
    with pytest.raises(Invalid) as caught:
        canonical_arguments(Order, arguments)
    return caught.value


def test_one_canonical_form() -> None:
    """Amounts that are equal, and sets in any order, are equal to the byte."""
    forms: list[Json] = ["50", "50.00", 50, 50.0, "5E1"]
    texts = {canonical(read(order_id="1", amount=amount, tags=["b", "a"])) for amount in forms}
    assert len(texts) == 1
    assert read(order_id="1", amount="50.10", tags=["b", "a"])["amount"] == "50.1"
    assert read(order_id="1", amount="1", tags=["b", "a"])["tags"] == ["a", "b"]


def test_defaults_are_part_of_what_is_approved() -> None:
    """What the model left out is filled in before anybody looks at it."""
    assert read(order_id="1", amount="1")["currency"] == "EUR"


def test_rich_types_read_back() -> None:
    """Nested models, dates, times and enumerations survive the way through the store."""
    at = "2026-01-05T10:00:00+01:00"
    found = read(order_id="1", amount=1, items=[{"sku": "a"}], due="2026-02-01", at=at, size="s")
    assert found["items"] == [{"sku": "a", "count": 1}]
    assert found["at"] == "2026-01-05T09:00:00.000000Z"
    params, again = canonical_arguments(Order, found)
    assert again == found
    assert isinstance(params, Order)
    assert params.at == datetime(2026, 1, 5, 9, tzinfo=UTC)


def test_alias_and_name() -> None:
    """A model may use the alias of its schema; the canonical form uses the name."""
    assert read(order_id="1", amount=1, customerNote="x")["note"] == "x"
    assert read(order_id="1", amount=1, note="x")["note"] == "x"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"order_id": "1", "amount": 1, "reason": "x"}, "reason: is not an argument"),
        ({"order_id": "1", "amount": 1, "items": [{"sku": "a", "x": 1}]}, "items.0.x"),
        ({"order_id": "1"}, "amount: is missing"),
        ({"order_id": 1, "amount": 1}, "order_id"),
        ({"order_id": "1", "amount": True}, "amount"),
        ({"order_id": "1", "amount": "12 euro"}, "amount"),
        ({"order_id": "1", "amount": 1, "express": "yes"}, "express"),
        ({"order_id": "1", "amount": 1, "express": 1}, "express"),
        ({"order_id": "1", "amount": 1, "items": [{"sku": "a", "count": "2"}]}, "items.0.count"),
        ({"order_id": "1", "amount": float("nan")}, "cannot be read"),
        ({"order_id": None, "amount": 1}, "order_id"),
    ],
)
def test_wrong_shape(arguments: dict[str, Json], words: str) -> None:
    """Invented names and values of another type are refused, never coerced."""
    found = broken(**arguments)
    assert found.rule == "schema"
    assert words in found.message


@pytest.mark.parametrize(
    ("arguments", "rule", "words"),
    [
        ({"order_id": "1", "amount": 501}, "constraint:amount", "Amount must be at most 500."),
        ({"order_id": "1", "amount": 0}, "constraint:amount", "Amount must be above 0."),
        ({"order_id": "1", "amount": 1, "currency": "GBP"}, "constraint:currency", "'EUR'"),
    ],
)
def test_crossed_bound(arguments: dict[str, Json], rule: str, words: str) -> None:
    """A crossed bound names the argument and the bound."""
    found = broken(**arguments)
    assert found.rule == rule
    assert words in found.message


def test_shape_before_bound() -> None:
    """Where both are wrong, the shape is named: the bound cannot be judged yet."""
    assert broken(order_id=1, amount=900).rule == "schema"


def test_dump_that_reads_back_differently() -> None:
    """A model whose dump means something else is refused: the approved would not be what runs."""

    class Lossy(BaseModel):
        amount: Decimal

        @field_serializer("amount")
        def rounded(self, value: Decimal) -> str:
            return str(round(value))

    with pytest.raises(Invalid, match="differ"):
        canonical_arguments(Lossy, {"amount": "1.5"})


def test_excluded_field() -> None:
    """An argument that would not be stored is refused: it would run with its default."""

    class Hidden(BaseModel):
        order_id: str
        force: bool = Field(default=False, exclude=True)

    with pytest.raises(Invalid, match="differ"):
        canonical_arguments(Hidden, {"order_id": "1", "force": True})


def test_validator_that_raises() -> None:
    """A validator's complaint reaches the model as a crossed bound."""

    class Even(BaseModel):
        count: int

        @field_validator("count")
        @classmethod
        def even(cls, value: int) -> int:
            if value % 2:
                message = "must be even"
                raise ValueError(message)
            return value

    with pytest.raises(Invalid) as caught:
        canonical_arguments(Even, {"count": 3})
    assert caught.value.rule == "constraint:count"
    assert caught.value.message == "Count must be even."
