"""The server that a client talks to: what it lists carries its bounds, what it calls is gated."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from typing import Any, cast

from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError
from mcp.types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    GetPromptRequestParams,
    GetPromptResult,
    ListPromptsResult,
    ListResourcesResult,
    ListToolsResult,
    PaginatedRequestParams,
    ReadResourceRequestParams,
    ReadResourceResult,
    TextContent,
)
from mcp.types import Tool as McpTool
from pydantic import BaseModel

from staid.adapters.frameworks.mcp.definition import Definition, bounds_text
from staid.adapters.frameworks.mcp.upstream import Upstream
from staid.adapters.frameworks.wrapping import spoken
from staid.domain.call import CallRecord, CallState, Effect, call_digest
from staid.domain.canonical import Json
from staid.domain.message import ProposedCall
from staid.gates.params import Invalid, canonical_arguments
from staid.gates.policy import outdated
from staid.gates.sources import result_sources
from staid.gates.tool import Tool
from staid.runtime.gate import Gate, Proposer
from staid.runtime.seen import Results

POLL = 0.5
"""Seconds between two looks whether somebody decided."""


@dataclass(frozen=True, slots=True)
class Offered:
    """One tool as the client sees it."""

    definition: Definition
    tool: Tool
    changed: bool
    """Whether it is not what it was when somebody pinned it; then every call is denied."""


@dataclass(slots=True)
class Gateway:
    """Stands between one client and any number of servers; there is no way around its gate."""

    gate: Gate
    proposer: Proposer
    upstreams: list[Upstream]
    offered: Mapping[str, Offered]
    """By the name that the client calls."""
    wait: float = 0.0
    """Seconds that a call waits for a person's decision before the client is told to come back."""
    poll: float = POLL
    _resources: dict[str, Upstream] = field(default_factory=dict[str, Upstream])
    _results: Results = field(default_factory=Results)
    """What the client got in this session; all else that its model saw is not known here."""

    def server(self) -> Server[Any]:
        """Return the MCP server to be run on a transport."""
        return Server(
            "staid",
            version=version("staid"),
            instructions=(
                "Every tool call is ruled on. A call that waits for a person says so: make the "
                "same call again after the decision, and it is carried out once."
            ),
            on_list_tools=self._list_tools,
            on_call_tool=self._call_tool,
            on_list_resources=self._list_resources,
            on_read_resource=self._read_resource,
            on_list_prompts=self._list_prompts,
            on_get_prompt=self._get_prompt,
        )

    # --- tools -----------------------------------------------------------------------------

    async def _list_tools(
        self, _context: object, _params: PaginatedRequestParams | None
    ) -> ListToolsResult:
        return ListToolsResult(tools=[_shown(name, each) for name, each in self.offered.items()])

    async def _call_tool(self, _context: object, params: CallToolRequestParams) -> CallToolResult:
        return await self.call(params.name, cast("dict[str, Json]", params.arguments or {}))

    async def call(self, name: str, arguments: Mapping[str, Json]) -> CallToolResult:
        """Rule on one call, carry it out where it may run, and tell the client what became of it.

        A call that waits for a person is found again when it is made again, in this session or a
        later one, and is executed at most once.
        """
        offered = self.offered.get(name)
        proposer = replace(self.proposer, seen=self._results.texts)
        if offered is not None and offered.changed:
            # Not on any allowlist: the record says that it was proposed, and that it was denied.
            proposer = replace(proposer, allowed=frozenset())
        tool = offered.tool.name if offered else name
        known = await self._open(offered, arguments, proposer)
        record = await self.gate.execute(known.call.id) if known is not None else None
        if record is None or outdated(record):
            record = await self.gate.act(ProposedCall("", tool, arguments), proposer)
        record = await self._decided(record)
        if offered is not None:
            plain = replace(record, result=_plain(record.result))
            self._results.note(plain, offered.tool.trusted)
        if offered is not None and offered.changed:
            return _error(
                f"{name} is not what it was when it was pinned, so it may not be called. Somebody "
                "has to look at it: staid mcp-gateway --list, then --pin."
            )
        return _told(name, record)

    async def _open(
        self, offered: Offered | None, arguments: Mapping[str, Json], proposer: Proposer
    ) -> CallRecord | None:
        """Return the same call where it was made before and is not over."""
        if offered is None or offered.changed or offered.tool.effect is Effect.READ:
            return None
        try:
            _, canonical = canonical_arguments(offered.tool.params, arguments)
        except Invalid:
            return None
        asked = call_digest(offered.tool.name, canonical)
        subject = proposer.principal.token
        return await asyncio.to_thread(self.gate.open_like, subject, proposer.agent, asked)

    async def _decided(self, record: CallRecord) -> CallRecord:
        loop = asyncio.get_running_loop()
        until = loop.time() + self.wait
        while record.state is CallState.PENDING and loop.time() < until:
            await asyncio.sleep(self.poll)
            record = await self.gate.execute(record.call.id)
        return record

    # --- resources and prompts, where a server's are passed on ------------------------------

    @property
    def _open_servers(self) -> list[Upstream]:
        return [each for each in self.upstreams if each.settings.resources]

    async def _list_resources(
        self, _context: object, _params: PaginatedRequestParams | None
    ) -> ListResourcesResult:
        found = ListResourcesResult(resources=[])
        for upstream in self._open_servers:
            if upstream.client.server_capabilities.resources is None:
                continue
            page = await upstream.client.list_resources()
            found.resources += page.resources
            self._resources.update({str(each.uri): upstream for each in page.resources})
        return found

    async def _read_resource(
        self, _context: object, params: ReadResourceRequestParams
    ) -> ReadResourceResult:
        # Only what a server listed: a name made up by the client reaches nobody.
        if str(params.uri) not in self._resources:
            await self._list_resources(None, None)
        upstream = self._resources.get(str(params.uri))
        if upstream is None:
            raise MCPError(INVALID_PARAMS, f"There is no resource {params.uri}.")
        read = await upstream.client.read_resource(params.uri)
        self._heard(str(params.uri), read)
        return read

    async def _list_prompts(
        self, _context: object, _params: PaginatedRequestParams | None
    ) -> ListPromptsResult:
        found = ListPromptsResult(prompts=[])
        for upstream in self._open_servers:
            if upstream.client.server_capabilities.prompts is not None:
                found.prompts += (await upstream.client.list_prompts()).prompts
        return found

    async def _get_prompt(
        self, _context: object, params: GetPromptRequestParams
    ) -> GetPromptResult:
        for upstream in self._open_servers:
            if upstream.client.server_capabilities.prompts is None:
                continue
            names = {each.name for each in (await upstream.client.list_prompts()).prompts}
            if params.name in names:
                prompt = await upstream.client.get_prompt(params.name, params.arguments)
                self._heard(f"prompt {params.name}", prompt)
                return prompt
        raise MCPError(INVALID_PARAMS, f"There is no prompt {params.name}.")

    def _heard(self, name: str, given: BaseModel) -> None:
        """Remember what a server said without a call: anybody may have written it."""
        told = cast("Json", given.model_dump(mode="json", exclude_none=True))
        self._results.add(name, result_sources(name, name, told, trusted=False))


def named(offered: list[Offered]) -> dict[str, Offered]:
    """Return tools by the name the client calls: the server's own, with the server where two share.

    So a client needs no change when the gate is put before its one server.
    """
    names = [each.definition.name for each in offered]
    return {
        name if names.count(name) == 1 else f"{each.definition.server}_{name}": each
        for name, each in zip(names, offered, strict=True)
    }


def _shown(name: str, offered: Offered) -> McpTool:
    told = "its definition changed; nobody may call it until it is pinned again."
    bounds = f"Staid: {told}" if offered.changed else bounds_text(offered.tool)
    description = f"{offered.definition.description}\n\n{bounds}".strip()
    return McpTool.model_validate(
        {**offered.definition.shown, "name": name, "description": description}
    )


def _told(name: str, record: CallRecord) -> CallToolResult:
    match record.state:
        case CallState.DONE:
            return _result(record.result)
        case CallState.PENDING:
            return _error(
                f"{name} waits for a person's decision ({record.approval}): "
                f"{record.ruling.message} Nothing was done. Make the same call again after it."
            )
        case CallState.IN_DOUBT:
            return _error(
                f"Nobody knows whether {name} took effect ({record.call.id}). It is not tried "
                f"again; a person finds out. {record.error or ''}".strip()
            )
        case CallState.EXECUTING:
            return _error(f"The same call of {name} is being carried out now.")
        case CallState.DENIED if record.approval is not None:
            return _error(f"A person decided against this call of {name}.")
        case _:
            return _error(record.error or record.ruling.message)


def _plain(recorded: Json) -> Json:
    """Return what a result says without the shape that the protocol gives it."""
    if not isinstance(recorded, dict):
        return recorded
    blocks = cast("list[dict[str, Json]]", recorded.get("content") or [])
    said = [spoken(str(b["text"])) if b.get("type") == "text" else b for b in blocks]
    structured = recorded.get("structuredContent")
    everything: list[Json] = [*said, *([] if structured in (None, *said) else [structured])]
    return everything[0] if len(everything) == 1 else everything


def _result(recorded: Json) -> CallToolResult:
    if isinstance(recorded, dict) and "content" in recorded:
        return CallToolResult.model_validate(recorded)
    # Settled by a person who found out that it happened: there is no result of the server's.
    return CallToolResult(content=[TextContent(type="text", text="It took place.")])


def _error(text: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=text)], is_error=True)
