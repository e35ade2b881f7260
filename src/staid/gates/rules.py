"""A policy: rules over the calls of tools, as data, for each tool of a project."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from typing import cast, get_type_hints

from pydantic import BaseModel

from staid.gates.expression.scope import Scope
from staid.gates.expression.types import ANY, OPEN, Kind, Type, of_schema
from staid.gates.rule import Block, Role
from staid.gates.tool import Tool
from staid.gates.tool_rules import ToolRules


@dataclass(frozen=True, slots=True)
class Policy:
    """Every rule of a project, for every tool."""

    blocks: tuple[Block, ...] = ()
    roles: Mapping[str, Role] = field(default_factory=dict[str, Role])
    version: str = ""
    """Digest of the policy; empty where there is none."""
    zone: tzinfo = UTC
    _known: dict[str, tuple[Tool, ToolRules]] = field(
        default_factory=dict[str, tuple[Tool, ToolRules]], compare=False, repr=False
    )

    def about(self, tool: Tool) -> ToolRules:
        """Return the rules about a tool; they are compiled the first time."""
        known = self._known.get(tool.name)
        if known is not None and known[0] is tool:
            return known[1]
        rules = self._compiled(tool)
        self._known[tool.name] = (tool, rules)
        return rules

    def _compiled(self, tool: Tool) -> ToolRules:
        blocks = [block for block in self.blocks if block.covers(tool)]
        rules = [r for block in blocks for r in block.rules if tool.effect in r.effects]
        budgets = tuple(budget for block in blocks for budget in block.budgets)
        return ToolRules(tool, rules, budgets, self.scope(tool))

    def scope(self, tool: Tool) -> Scope:
        """Return what names mean for a tool."""
        schema = cast("Mapping[str, object]", tool.params.model_json_schema(by_alias=False))
        arguments = of_schema(schema)
        if arguments.kind is not Kind.RECORD:
            arguments = OPEN
        roles = {name: role.paths(tool, arguments) for name, role in self.roles.items()}
        records = {name: _record_type(lookup) for name, lookup in tool.lookups.items()}
        return Scope(arguments, records, roles, self.zone)


NO_POLICY = Policy()
"""Rules about nothing: what holds is in the tools alone."""


def _record_type(lookup: Callable[..., object]) -> Type:
    """Return what a look-up says it returns: a pydantic model is known, all else is `any`."""
    try:
        model = get_type_hints(lookup).get("return")
        if isinstance(model, type) and issubclass(model, BaseModel):
            return of_schema(cast("Mapping[str, object]", model.model_json_schema(by_alias=False)))
    except Exception:  # noqa: BLE001 - annotations of the tool's author may be anything
        return ANY
    return ANY
