"""The gate of one project before MCP servers: opened, listed, pinned, served."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from staid.adapters.frameworks.mcp.definition import Bounds, gated
from staid.adapters.frameworks.mcp.gateway import Gateway, Offered, named
from staid.adapters.frameworks.mcp.pins import Pins
from staid.adapters.frameworks.mcp.upstream import ServerSettings, Upstream, connected
from staid.domain.errors.adapters import ServersMissing
from staid.project.guarding import begin_external
from staid.project.settings import McpSettings, secret
from staid.runtime.gate import Proposer

if TYPE_CHECKING:
    from staid.project.project import Project


def servers_of(project: Project) -> dict[str, ServerSettings]:
    """Return the servers that `[mcp.NAME]` names, secrets resolved; raise `ServersMissing`."""
    settings = project.settings
    if not settings.mcp:
        raise ServersMissing
    base = settings.directory_path
    return {name: _server(name, each, base) for name, each in settings.mcp.items()}


@asynccontextmanager
async def gateway(
    project: Project, who: str, *, agent: str, wait: float, pin: bool = False
) -> AsyncGenerator[Gateway]:
    """Give a gateway with open servers, acting for one principal; its run is recorded as external.

    A server that is seen for the first time is pinned; `pin` accepts what all of them offer now.
    Raises `ServersMissing`, `ServerUnreachable`, `PinsUnreadable`, `AskerUnknown`.
    """
    # What is wrong with the project is told before any server is started.
    project.wiring.identify(who, None)
    pins = Pins(project.settings.directory_path)
    async with (
        connected(servers_of(project)) as upstreams,
        opened(project, who, upstreams, pins, agent=agent, wait=wait, pin=pin) as made,
    ):
        yield made


@asynccontextmanager
async def opened(
    project: Project,
    who: str,
    upstreams: list[Upstream],
    pins: Pins,
    *,
    agent: str,
    wait: float = 0.0,
    pin: bool = False,
) -> AsyncGenerator[Gateway]:
    """Give a gateway before servers that somebody else opened."""
    asker = project.wiring.identify(who, None)
    offered = [each for one in upstreams for each in await _offered(one, pins, pin=pin)]
    for each in offered:
        project.tools.setdefault(each.tool.name, each.tool)
    run = begin_external(project.wiring, asker.principal, agent)
    allowed = frozenset(each.tool.name for each in offered if not each.changed)
    upstream = asker.upstream | {f"agent:{agent}"}
    proposer = Proposer(run, agent, allowed, asker.principal, upstream)
    try:
        yield Gateway(project.wiring.gate, proposer, upstreams, named(offered), wait)
    finally:
        project.wiring.records.seal(run)


async def _offered(upstream: Upstream, pins: Pins, *, pin: bool) -> list[Offered]:
    name, bounds = upstream.settings.name, upstream.settings.bounds
    definitions = await upstream.definitions()
    if pin or not pins.knows(name):
        pins.pin(name, definitions)
    found: list[Offered] = []
    for definition in definitions:
        tool = gated(definition, bounds, upstream.handler(definition))
        if tool is not None:
            found.append(Offered(definition, tool, pins.changed(definition)))
    return found


def _server(name: str, settings: McpSettings, base: Path) -> ServerSettings:
    return ServerSettings(
        name=name,
        command=tuple(settings.command),
        url=secret(settings.url, base) if settings.url else None,
        environment={key: secret(value, base) for key, value in settings.env.items()},
        folder=str(base),
        bounds=Bounds(
            tuple(settings.read),
            tuple(settings.write),
            tuple(settings.deny),
            f"{max(1, round(settings.timeout))}s",
            tuple(settings.trusted),
            settings.errors,
        ),
        resources=settings.resources,
    )
