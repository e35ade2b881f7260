"""Arguments that only a JSON Schema describes, as a model that the gate can validate strictly."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, cast

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from pydantic import BaseModel, ConfigDict, Field, RootModel, create_model, model_validator
from pydantic_core import PydanticCustomError

from staid.domain.canonical import Json
from staid.domain.errors import ToolInvalid


def params_model(tool: str, schema: Mapping[str, Json]) -> type[BaseModel]:
    """Return a model that accepts exactly what the schema accepts; raise `ToolInvalid`.

    Stricter in one point: an argument that the schema does not name is refused unless it says
    `additionalProperties`, so that nothing unseen slips past a bound. Its arguments are attributes,
    for predicates and budgets; what is dumped is what was given, nothing filled in.
    """
    enforced = cast("dict[str, Any]", dict(schema))
    enforced.setdefault("additionalProperties", False)
    try:
        Draft202012Validator.check_schema(enforced)
    except SchemaError as error:
        detail = f"its schema is not JSON Schema: {error.message}"
        raise ToolInvalid(tool=tool, detail=detail) from error
    names = cast("dict[str, Any]", enforced.get("properties") or {})
    if enforced["additionalProperties"] is not False:
        return _open_model(enforced)
    return _closed_model(enforced, list(names))


def _closed_model(enforced: dict[str, Any], names: Sequence[str]) -> type[BaseModel]:
    validator = Draft202012Validator(enforced)

    class Arguments(BaseModel):
        """Arguments whose names are all known."""

        model_config = ConfigDict(protected_namespaces=(), populate_by_name=True)

        @model_validator(mode="before")
        @classmethod
        def _fit(cls, value: object) -> object:
            _check(validator, value)
            return value

        @classmethod
        def model_json_schema(cls, *_: object, **__: object) -> dict[str, Any]:
            """Return the schema as it is enforced."""
            return enforced

        def model_dump(self, *_: object, mode: str = "python", **__: object) -> dict[str, Any]:
            """Return the arguments that were given."""
            return super().model_dump(mode=mode, exclude_unset=True, by_alias=True)

    fields: dict[str, Any] = {}
    for number, name in enumerate(names):
        plain = name.isidentifier() and not name.startswith("_")
        # Under its own name where it can be an attribute, else under its alias alone.
        fields[name if plain else f"argument_{number}"] = (Any, Field(None, alias=name))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an argument may be called `json` or `copy`
        return create_model("Arguments", __base__=Arguments, **fields)


def _open_model(enforced: dict[str, Any]) -> type[BaseModel]:
    validator = Draft202012Validator(enforced)

    class Arguments(RootModel[dict[str, Any]]):
        """Arguments of which not all names are known."""

        @model_validator(mode="after")
        def _fit(self) -> Arguments:
            _check(validator, self.root)
            return self

        @classmethod
        def model_json_schema(cls, *_: object, **__: object) -> dict[str, Any]:
            """Return the schema as it is enforced."""
            return enforced

        def __getattr__(self, name: str) -> object:
            try:
                return self.root[name]
            except KeyError as error:
                raise AttributeError(name) from error

    return Arguments


def _check(validator: Draft202012Validator, value: object) -> None:
    try:
        found = cast("list[ValidationError]", list(validator.iter_errors(cast("Any", value))))
    except Exception as error:  # a reference that cannot be resolved: missing data is a no
        told = f"the schema cannot be applied: {type(error).__name__}"
        raise PydanticCustomError("json_schema", "{told}", {"told": told}) from error
    if not found:
        return
    first = min(found, key=lambda error: list(map(str, error.absolute_path)))
    where = ".".join(str(part) for part in first.absolute_path)
    told = f"{where}: {first.message}" if where else first.message
    raise PydanticCustomError("json_schema", "{told}", {"told": told[:500]})
