"""Which versions a request is made of: its instructions, the templates, and the tools it offers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from staid.domain.canonical import canonical
from staid.domain.message import ToolSpec
from staid.domain.prompt import Pinned, Registry

TEMPLATE = "staid/"
"""Prefix of the templates that come with Staid."""
TOOL = "tool/"
"""Prefix of tool definitions: what a model is told about a tool."""


@dataclass(frozen=True, slots=True)
class Pinning:
    """Implements `staid.domain.prompt.Prompts` on a registry."""

    registry: Registry
    templates: Mapping[str, str]
    """Name -> text of the templates that come with Staid."""

    def pinned(self, name: str, text: str, tools: Sequence[ToolSpec]) -> Pinned:
        """Return the versions of the instructions, the templates and these tools."""
        texts = {
            name: text,
            **{f"{TEMPLATE}{each}": template for each, template in self.templates.items()},
            **{f"{TOOL}{tool.name}": tool_text(tool) for tool in tools},
        }
        instructions, *others = self.registry.pin(texts)
        return Pinned(instructions, tuple(others))


def tool_text(tool: ToolSpec) -> str:
    """Return a tool's definition as one text: what `tool_of` reads."""
    return canonical({"description": tool.description, "schema": tool.schema})
