"""Arguments as they will run: strictly validated, defaults filled in, one canonical form."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, cast

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from staid.domain.canonical import Json, canonical, decimal_text, timestamp

_BOUNDS = {
    "less_than_equal": "must be at most {le}",
    "less_than": "must be below {lt}",
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be above {gt}",
    "multiple_of": "must be a multiple of {multiple_of}",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
    "string_too_long": "must have at most {max_length} characters",
    "string_too_short": "must have at least {min_length} characters",
    "string_pattern_mismatch": "must match {pattern}",
    "too_long": "must have at most {max_length} items",
    "too_short": "must have at least {min_length} items",
    "decimal_max_places": "must have at most {decimal_places} decimal places",
    "decimal_max_digits": "must have at most {max_digits} digits",
    "value_error": "{error}",
    "assertion_error": "{error}",
}
"""Errors of pydantic that mean a bound was crossed; all others mean the shape is wrong."""


MOST = 1_000_000
"""Characters of the arguments of one call, at most: they are hashed, stored and shown to people."""


class Invalid(Exception):
    """Arguments that do not fit a tool: which rule they break, in plain words."""

    def __init__(self, rule: str, message: str) -> None:
        """Take `schema`, or `constraint:NAME` where only a bound is crossed, and the words."""
        super().__init__(message)
        self.rule = rule
        self.message = message


def validate(model: type[BaseModel], arguments: Mapping[str, Json]) -> BaseModel:
    """Return the model of these arguments; raise `Invalid`.

    Nothing is guessed: unknown names are refused at every depth, text becomes a number only for
    `Decimal`, and a boolean never does.
    """
    try:
        text = canonical(arguments)
        if len(text) > MOST:
            raise Invalid("schema", f"The arguments are longer than {MOST} characters.")
        return model.model_validate_json(
            text, strict=True, extra="forbid", by_alias=True, by_name=True
        )
    except ValidationError as error:
        raise _invalid(error.errors(include_url=False)) from error
    except (TypeError, ValueError) as error:
        raise Invalid("schema", f"The arguments cannot be read: {error}.") from error


def dump(params: BaseModel) -> dict[str, Json]:
    """Return the canonical arguments of a model: what is shown, hashed, stored and run."""
    as_python = params.model_dump(mode="python")
    return cast("dict[str, Json]", _merge(as_python, params.model_dump(mode="json")))


def canonical_arguments(
    model: type[BaseModel], arguments: Mapping[str, Json]
) -> tuple[BaseModel, dict[str, Json]]:
    """Return model and canonical arguments, where the second gives back the first.

    Raises `Invalid`; also for a model whose dump means something else when it is read again:
    then what was approved would not be what runs.
    """
    params = validate(model, arguments)
    try:
        dumped = dump(params)
        again = validate(model, dumped)
    except (TypeError, ValueError, Invalid) as error:
        raise Invalid("schema", f"The arguments have no canonical form: {error}.") from error
    if again != params or dump(again) != dumped:
        raise Invalid("schema", "The arguments read back differ from those proposed.")
    return params, dumped


def _merge(value: Any, rendered: Any) -> Any:  # noqa: ANN401 - walks any dump of pydantic
    match value:
        case Decimal():
            return decimal_text(value)
        case datetime() if value.tzinfo is not None:
            return timestamp(value)
        case dict():
            items = cast("dict[object, object]", value).values()
            return {k: _merge(v, r) for v, (k, r) in zip(items, rendered.items(), strict=True)}
        case list() | tuple():
            return [
                _merge(v, r) for v, r in zip(cast("list[object]", value), rendered, strict=True)
            ]
        case set() | frozenset():
            return sorted(
                (_merge(v, r) for v, r in zip(cast("set[object]", value), rendered, strict=True)),
                key=canonical,
            )
        case _:
            return rendered


def _invalid(errors: list[ErrorDetails]) -> Invalid:
    shape = [e for e in errors if e["type"] not in _BOUNDS]
    first = (shape or errors)[0]
    name = ".".join(str(part) for part in first["loc"])
    if shape:
        where = f"{name}: " if name else ""
        return Invalid("schema", f"The arguments do not fit: {where}{_shape_text(first)}.")
    words = _BOUNDS[first["type"]].format(**first.get("ctx", {}))
    text = f"{name} {words}.".strip()
    return Invalid(f"constraint:{name or 'arguments'}", text[:1].upper() + text[1:])


def _shape_text(error: ErrorDetails) -> str:
    match error["type"]:
        case "missing":
            return "is missing"
        case "extra_forbidden":
            return "is not an argument of this tool"
        case _:
            return error["msg"][:1].lower() + error["msg"][1:]
