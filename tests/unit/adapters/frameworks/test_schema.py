"""Arguments that only a JSON Schema describes."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from staid.adapters.frameworks.schema import params_model
from staid.domain.canonical import Json
from staid.domain.errors import ToolInvalid
from staid.gates.budget import Budget
from staid.gates.params import Invalid, canonical_arguments
from staid.gates.tool import define

SCHEMA: dict[str, Json] = {
    "type": "object",
    "properties": {
        "path": {"type": "string"},
        "depth": {"type": "number", "maximum": 3},
        "my-flag": {"type": "boolean"},
        "copy": {"type": "integer"},
        "_hidden": {"type": "string"},
    },
    "required": ["path"],
}
OPEN: dict[str, Json] = {**SCHEMA, "additionalProperties": True}


@pytest.mark.parametrize("schema", [SCHEMA, OPEN])
@pytest.mark.parametrize(
    "arguments",
    [{}, {"path": 1}, {"path": "x", "depth": 4}, {"path": None}, {"path": "x", "my-flag": 1}],
)
def test_arguments_outside_the_schema_are_refused(
    schema: dict[str, Json], arguments: dict[str, Json]
) -> None:
    """Missing, wrong and out of bounds arguments do not fit, by rule `schema`."""
    with pytest.raises(Invalid) as caught:
        canonical_arguments(params_model("t", schema), arguments)
    assert caught.value.rule == "schema"


def test_unknown_names_are_refused_unless_the_schema_takes_them() -> None:
    """A name that the schema does not have is refused; one that says it takes more, takes it."""
    more: dict[str, Json] = {"path": "x", "more": [1]}
    with pytest.raises(Invalid):
        canonical_arguments(params_model("t", SCHEMA), more)
    assert canonical_arguments(params_model("t", OPEN), more)[1] == more


@pytest.mark.parametrize("schema", [SCHEMA, OPEN])
def test_arguments_inside_the_schema_stay_as_they_are(schema: dict[str, Json]) -> None:
    """What the tool gets is what was proposed: nothing filled in, renamed or turned."""
    arguments: dict[str, Json] = {
        "path": "a/ü",
        "depth": 1.5,
        "my-flag": True,
        "copy": 2,
        "_hidden": "h",
    }
    for given in (arguments, {"path": "x"}):
        params, dumped = canonical_arguments(params_model("t", schema), given)
        assert dumped == given
        assert _attribute(params, "path") == given["path"]


def _attribute(params: BaseModel, name: str) -> Any:
    return getattr(params, name)


def test_predicates_and_budgets_see_the_arguments() -> None:
    """Bounds are said over the names of the schema; one over another name is refused at once."""
    schema: dict[str, Json] = {"type": "object", "properties": {"amount": {"type": "number"}}}
    model = params_model("pay", schema)

    def pay(_params: BaseModel) -> None:
        """Pay."""

    budget = Budget(500, sum_of="amount")
    tool = define(pay, "pay", params=model, budget=budget, requires_approval=_large)
    assert tool.spec.schema["properties"] == schema["properties"]
    with pytest.raises(ToolInvalid):
        define(pay, "pay", params=model, budget=Budget(500, sum_of="sum"))


def _large(params: Any) -> bool:
    return params.amount > 100


def test_a_schema_that_cannot_be_checked_has_no_bounds() -> None:
    """A broken schema is refused at once, one with a dangling reference at every call."""
    with pytest.raises(ToolInvalid):
        params_model("t", {"type": "nonsense"})
    dangling: dict[str, Json] = {"properties": {"path": {"$ref": "#/$defs/gone"}}}
    with pytest.raises(Invalid):
        canonical_arguments(params_model("t", dangling), {"path": "x"})
