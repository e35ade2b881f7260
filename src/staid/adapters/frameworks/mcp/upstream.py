"""One MCP server behind the gateway: what it offers, and a call that really reaches it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from mcp import Client, MCPError, StdioServerParameters
from mcp.types import INVALID_PARAMS, METHOD_NOT_FOUND
from pydantic import BaseModel

from staid.adapters.frameworks.mcp.definition import Bounds, Definition
from staid.domain.canonical import Json
from staid.domain.errors import NotDone
from staid.domain.errors.adapters import ServerUnreachable
from staid.gates.params import dump
from staid.gates.tool import Call

_PAGES = 100
"""A list that never ends must not hang the start."""
_REFUSED = frozenset({INVALID_PARAMS, METHOD_NOT_FOUND})
"""Protocol errors that say that the call was not even begun."""


class Failed(Exception):
    """A server said that its tool failed; whether anything happened it did not say."""


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How to reach one server, and what its tools may do."""

    name: str
    command: tuple[str, ...] = ()
    url: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    """Added to the few variables that a server gets; secrets resolved."""
    folder: str | None = None
    bounds: Bounds = field(default_factory=Bounds)
    resources: bool = False
    """Whether its resources and prompts are passed on; they are read without a ruling."""


class Upstream:
    """An open connection to one server."""

    def __init__(self, settings: ServerSettings, client: Client) -> None:
        """Talk through `client`, which is open."""
        self.settings = settings
        self.client = client

    async def definitions(self) -> list[Definition]:
        """Return every tool that the server offers now."""
        found: list[Definition] = []
        cursor: str | None = None
        for _ in range(_PAGES):
            page = await self.client.list_tools(cursor=cursor, cache_mode="bypass")
            for tool in page.tools:
                shown = tool.model_dump(mode="json", by_alias=True, exclude_none=True)
                schema = cast("dict[str, Json]", tool.input_schema)
                found.append(
                    Definition(self.settings.name, tool.name, tool.description or "", schema, shown)
                )
            cursor = page.next_cursor
            if not cursor:
                break
        return found

    async def call(self, definition: Definition, arguments: Mapping[str, Json], call: Call) -> Json:
        """Carry out one call and return the server's result as it was sent.

        The call's key travels in `_meta`, so that a server that wants to can refuse a repetition.
        Raises `NotDone` where the server said that nothing was begun, `Failed` where it did not.
        """
        try:
            result = await self.client.call_tool(
                definition.name, dict(arguments), meta={"staid/key": call.key}
            )
        except MCPError as error:
            if error.error.code in _REFUSED:
                raise NotDone(error.error.message) from error
            raise Failed(error.error.message) from error
        sent = result.model_dump(mode="json", by_alias=True, exclude_none=True)
        if result.is_error:
            told = _words(sent) or "the server reported an error"
            if self.settings.bounds.errors == "nothing":
                raise NotDone(told)
            raise Failed(told)
        return cast("Json", sent)

    def handler(self, definition: Definition) -> Any:  # noqa: ANN401 - whatever `define` takes
        """Return what the gate calls for this tool."""

        async def carry_out(params: BaseModel, call: Call) -> Json:
            return await self.call(definition, dump(params), call)

        return carry_out


def _words(sent: Mapping[str, Any]) -> str:
    blocks = cast("list[Mapping[str, Any]]", sent.get("content", []))
    return " ".join(str(block["text"]) for block in blocks if block.get("type") == "text")[:2000]


@asynccontextmanager
async def connected(servers: Mapping[str, ServerSettings]) -> AsyncGenerator[list[Upstream]]:
    """Give open connections to all servers; raise `ServerUnreachable` for the first that is not."""
    async with AsyncExitStack() as stack:
        opened: list[Upstream] = []
        for settings in servers.values():
            try:
                client = await stack.enter_async_context(Client(_target(settings)))
            except Exception as error:
                detail = _first(error)
                raise ServerUnreachable(server=settings.name, detail=detail) from error
            opened.append(Upstream(settings, client))
        yield opened


def _target(settings: ServerSettings) -> StdioServerParameters | str:
    if settings.url:
        return settings.url
    command, *arguments = settings.command
    return StdioServerParameters(
        command=command,
        args=arguments,
        env=dict(settings.environment),
        cwd=settings.folder,
    )


def _first(error: BaseException) -> str:
    """Return the first plain error inside groups of errors."""
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    return f"{type(error).__name__}: {error}"
