"""What all frameworks share: a tool of theirs with bounds of ours, and what a model is told."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Literal, TypeAlias, cast

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from staid.adapters.frameworks.schema import params_model
from staid.domain.call import CallRecord, CallState, Effect
from staid.domain.canonical import Json
from staid.domain.errors import NotDone
from staid.gates.sources import Texts
from staid.gates.tool import Tool
from staid.runtime.guard import Guard, Passed
from staid.runtime.guarded import Inner

Bounds: TypeAlias = Mapping[str, Mapping[str, Any]]
"""Tool name -> options of `staid.gates.tool.define`: effect, requires_approval, budget, …

A tool that is not named is irreversible, and so waits for a person. `"*"` bounds all such tools.
"""
Pending: TypeAlias = Literal["tell", "pause"]
"""What a call that waits does: `tell` the model, or `pause` the run as the framework does."""


class Wrapped:
    """One tool of a framework with the gate before it; there is no other way to its function."""

    def __init__(
        self,
        guard: Guard,
        name: str,
        description: str,
        params: type[BaseModel] | Mapping[str, Json],
        bounds: Bounds,
    ) -> None:
        """Register the tool; `params` is its model or its JSON Schema.

        Raises `ToolInvalid` for bounds that cannot work, and for a name that is registered.
        """
        options = dict(bounds.get(name, bounds.get("*", {"effect": Effect.IRREVERSIBLE})))
        named = tool_name(name)
        model = params if isinstance(params, type) else params_model(named, params)
        self._guard = guard
        self.name = name
        """As the framework calls it."""
        self.tool: Tool = guard.register(
            named, params=model, **{"description": description or name, **options}
        )

    async def call(
        self, arguments: Mapping[str, object], inner: Inner, seen: Texts | None = None
    ) -> Passed:
        """Rule on one call and carry it out through `inner` where it may run.

        `seen` is what the model has seen, where the framework hands it over.
        """
        given = cast("dict[str, Json]", to_jsonable_python(dict(arguments)))
        return await self._guard.carry(self.tool, given, inner, seen)


def spoken(text: str) -> Json:
    """Return a tool's result as its tool gave it, where a framework made text of it for a model."""
    if text.lstrip()[:1] in {"{", "["}:
        with suppress(ValueError, RecursionError):
            return cast("Json", json.loads(text))
    return text


def tool_name(name: str) -> str:
    """Return a framework's tool name as ours, which is words with dots: `send-mail` is not one."""
    word = re.sub(r"[^a-zA-Z0-9_.]", "_", name)
    return word if word[:1].isalpha() else f"t{word}"


def told(passed: Passed) -> str:
    """Return what a model is told of a call that gave no result."""
    record = passed.record
    match record.state:
        case CallState.PENDING:
            return (
                f"This waits for a person's decision ({record.approval}): {record.ruling.message} "
                "Nothing was done."
            )
        case CallState.IN_DOUBT:
            return (
                f"Nobody knows whether this took effect ({record.call.id}); it is not tried again."
            )
        case CallState.EXECUTING:
            return "The same call is being carried out now."
        case CallState.DENIED if record.approval is not None:
            return f"A person decided against it. {record.error or ''}".strip()
        case CallState.FAILED if isinstance(passed.error, NotDone):
            return str(passed.error.values["detail"])
        case _:
            return record.error or record.ruling.message


def waits(record: CallRecord) -> bool:
    """Return whether a person has to decide before this call can go on."""
    return record.state is CallState.PENDING
