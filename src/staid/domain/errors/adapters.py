"""Errors 45x: agents that run on another framework."""

from __future__ import annotations

from staid.domain.errors.base import StaidError


class ServerUnreachable(StaidError):
    """The MCP server {server} cannot be used: {detail}"""

    code = "ST-450"
    hint = "Run its command by hand, or look at its address; [mcp.{server}] in staid.toml names it."


class PinsUnreadable(StaidError):
    """The pinned tool definitions in {file} cannot be read: {detail}"""

    code = "ST-451"
    hint = "Restore the file, or remove it and pin again: staid mcp-gateway --pin"
    exit_code = 2


class ServersMissing(StaidError):
    """The project names no MCP server to put the gate before."""

    code = "ST-452"
    hint = 'Add one to staid.toml: [mcp.files] with command = ["mcp-server-filesystem", "docs"].'
    exit_code = 2


class ExtraMissing(StaidError):
    """This needs the extra {extra}, which is not installed."""

    code = "ST-453"
    hint = "pip install 'staid[{extra}]'"
    exit_code = 2
