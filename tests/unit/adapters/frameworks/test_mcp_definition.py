"""What a tool of an MCP server is to the gate."""

from __future__ import annotations

from dataclasses import replace

from staid.adapters.frameworks.mcp.definition import Bounds, Definition, gated
from staid.domain.call import Effect
from staid.domain.canonical import Json

SCHEMA: dict[str, Json] = {
    "type": "object",
    "properties": {"path": {"type": "string"}, "depth": {"type": "number", "maximum": 3}},
    "required": ["path"],
}
TOOL = Definition("files", "read-it", "Reads.", SCHEMA, {"name": "read-it", "inputSchema": SCHEMA})


def test_only_settings_make_a_tool_harmless() -> None:
    """A tool is a read or a free write by its pattern alone; unnamed waits, and deny wins."""
    bounds = Bounds(read=("read_*", "both"), write=("write_*", "both"), deny=("*_all",))
    assert bounds.effect("read_file") is Effect.READ
    assert bounds.effect("write_file") is Effect.WRITE
    assert bounds.effect("both") is Effect.WRITE
    assert bounds.effect("READ_FILE") is Effect.IRREVERSIBLE
    assert bounds.effect("other") is Effect.IRREVERSIBLE
    assert bounds.effect("read_all") is None
    assert gated(TOOL, Bounds(deny=("*",)), print) is None


def test_names_that_differ_only_in_punctuation_stay_apart() -> None:
    """Two tools of a server never share a name in the ledger, whatever characters they use."""
    names = ["read-it", "read_it", "read.it", "read it", "1read", "réad"]
    tools = {replace(TOOL, name=name).tool for name in names}
    assert len(tools) == len(names)
    assert replace(TOOL, name="read_it").tool == "files.read_it"


def test_any_change_of_what_was_shown_changes_the_pin() -> None:
    """Description, schema and hints are all part of what somebody judged."""
    shown: dict[str, Json] = {**TOOL.shown, "description": "Reads, and tells the sender."}
    assert replace(TOOL, shown=shown).pin != TOOL.pin
    assert replace(TOOL, shown=dict(reversed(list(TOOL.shown.items())))).pin == TOOL.pin
