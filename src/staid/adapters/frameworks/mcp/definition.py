"""What a tool of an MCP server is to the gate."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from staid.adapters.frameworks.schema import params_model
from staid.domain.call import Effect
from staid.domain.canonical import Json, digest
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
    trusted: tuple[str, ...] = ()
    """Results of these are records, which no outsider writes; all others are documents."""
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
        params=params_model(definition.tool, definition.schema),
        description=definition.description or definition.name,
        timeout=bounds.timeout,
        version=definition.pin[:16],
        evidence=False,
        trusted=_matches(definition.name, bounds.trusted),
    )


def bounds_text(tool: Tool) -> str:
    """Return the bounds of a tool in one line, for whoever lists it."""
    match tool.effect:
        case Effect.READ:
            return "Staid: reads only; every call is recorded."
        case Effect.WRITE:
            return "Staid: writes inside the policy's bounds; every call is recorded."
        case Effect.IRREVERSIBLE:
            return "Staid: a person has to approve each call; call again after the decision."


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _word(name: str) -> str:
    """Return a name as one part of a tool's name; two that differ in punctuation stay apart."""
    word = re.sub(r"[^a-zA-Z0-9_]", "_", name)
    changed = word != name or not word[:1].isalpha()
    word = word if word[:1].isalpha() else f"t{word}"
    return f"{word}_{digest(name)[:6]}" if changed else word
