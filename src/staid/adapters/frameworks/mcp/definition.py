"""What a tool of an MCP server is to the gate."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, cast

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from pydantic import BaseModel, RootModel, model_validator
from pydantic_core import PydanticCustomError

from staid.domain.call import Effect
from staid.domain.canonical import Json, digest
from staid.domain.errors import ToolInvalid
from staid.gates.tool import Tool, define


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one server's tools may do. Patterns are names with `*` and `?`; deny wins over all."""

    read: tuple[str, ...] = ()
    """These only look: they run, and their results are recorded."""
    write: tuple[str, ...] = ()
    """These run inside the policy's bounds without a person."""
    deny: tuple[str, ...] = ()
    """These are not there."""
    timeout: str = "30s"
    errors: str = "in_doubt"
    """What an error reported by a writing tool means: `in_doubt`, or `nothing` happened."""

    def effect(self, name: str) -> Effect | None:
        """Return the effect of a tool by its name; None where it is denied.

        What no pattern names is irreversible, and so waits for a person: a server's own word that
        a tool only reads is not believed.
        """
        if _matches(name, self.deny):
            return None
        if _matches(name, self.write):
            return Effect.WRITE
        return Effect.READ if _matches(name, self.read) else Effect.IRREVERSIBLE


@dataclass(frozen=True, slots=True)
class Definition:
    """A tool as its server describes it."""

    server: str
    name: str
    """The server's own name of it."""
    description: str
    schema: Mapping[str, Json]
    """JSON Schema of the arguments."""
    shown: Mapping[str, Json]
    """The whole description as the server sent it, to be passed on."""

    @property
    def tool(self) -> str:
        """Name of the tool in policies, ledger and journal: `files.write_file`."""
        return f"{_word(self.server)}.{_word(self.name)}"

    @property
    def pin(self) -> str:
        """Hash of everything a model or a person judged the tool by."""
        return digest(self.shown)


def gated(definition: Definition, bounds: Bounds, handler: Callable[..., object]) -> Tool | None:
    """Return the tool with its bounds, or None where it is denied.

    Raises `ToolInvalid` for a schema that cannot be checked: what has no bounds cannot be gated.
    """
    effect = bounds.effect(definition.name)
    if effect is None:
        return None
    return define(
        handler,
        definition.tool,
        effect=effect,
        params=params_of(definition),
        description=definition.description or definition.name,
        timeout=bounds.timeout,
        evidence=False,
    )


def params_of(definition: Definition) -> type[BaseModel]:
    """Return a model that accepts exactly what the schema accepts; raise `ToolInvalid`.

    Stricter in one point: an argument that the schema does not name is refused unless it says
    `additionalProperties`, so that nothing unseen slips past a bound.
    """
    schema = cast("dict[str, Any]", dict(definition.schema))
    schema.setdefault("additionalProperties", False)
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        detail = f"its schema is not JSON Schema: {error.message}"
        raise ToolInvalid(tool=definition.tool, detail=detail) from error
    validator = Draft202012Validator(schema)

    class Arguments(RootModel[dict[str, Any]]):
        """The arguments of one tool of an MCP server."""

        @model_validator(mode="after")
        def _fit(self) -> Arguments:
            first = next(iter(_errors(validator, self.root)), None)
            if first is not None:
                where = ".".join(str(part) for part in first.absolute_path)
                told = f"{where}: {first.message}" if where else first.message
                raise PydanticCustomError("json_schema", "{told}", {"told": told[:500]})
            return self

        @classmethod
        def model_json_schema(cls, *_: object, **__: object) -> dict[str, Any]:
            """Return the server's schema as it is enforced."""
            return schema

    return Arguments


def bounds_text(tool: Tool) -> str:
    """Return the bounds of a tool in one line, for whoever lists it."""
    match tool.effect:
        case Effect.READ:
            return "Staid: reads only; every call is recorded."
        case Effect.WRITE:
            return "Staid: writes inside the policy's bounds; every call is recorded."
        case Effect.IRREVERSIBLE:
            return "Staid: a person has to approve each call; call again after the decision."


def _errors(validator: Draft202012Validator, value: Mapping[str, Any]) -> Sequence[ValidationError]:
    try:
        found = cast("list[ValidationError]", list(validator.iter_errors(value)))
    except Exception as error:  # a reference that cannot be resolved: missing data is a no
        told = f"the schema cannot be applied: {type(error).__name__}"
        raise PydanticCustomError("json_schema", "{told}", {"told": told}) from error
    return sorted(found, key=lambda error: list(map(str, error.absolute_path)))


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _word(name: str) -> str:
    """Return a name as one part of a tool's name; two that differ in punctuation stay apart."""
    word = re.sub(r"[^a-zA-Z0-9_]", "_", name)
    changed = word != name or not word[:1].isalpha()
    word = word if word[:1].isalpha() else f"t{word}"
    return f"{word}_{digest(name)[:6]}" if changed else word
