"""`staid mcp-gateway`: the gate before any MCP server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from staid.cli import output
from staid.domain.errors import UsageInvalid
from staid.domain.errors.adapters import ExtraMissing

if TYPE_CHECKING:
    from staid.adapters.frameworks.mcp.gateway import Gateway


def mcp_gateway(
    as_: Annotated[
        str, typer.Option("--as", metavar="WHO", help="Whom the client acts for: user:ada.")
    ] = "",
    agent: Annotated[str, typer.Option(help="Name of the client in the record.")] = "mcp",
    wait: Annotated[
        float, typer.Option(min=0, help="Seconds a call waits for a person's decision.")
    ] = 30.0,
    *,
    list_: Annotated[
        bool, typer.Option("--list", help="List the tools with their bounds, then leave.")
    ] = False,
    pin: Annotated[
        bool, typer.Option("--pin", help="Accept the tools as they are now, then leave.")
    ] = False,
) -> None:
    """Serve the tools of every server in `[mcp.NAME]` on stdin and stdout, each call gated.

    Put this command where your client names the server's own. A call that waits for a person tells
    the client so; the same call after the decision is carried out once. A tool whose definition
    changed since it was pinned is denied.

    Example: staid mcp-gateway --as user:ada
    """
    if not as_:
        raise UsageInvalid(detail="nobody acts here", hint="Say who: --as user:ada")
    asyncio.run(_run(as_, agent, wait, show=list_ or pin, pin=pin))


async def _run(who: str, agent: str, wait: float, *, show: bool, pin: bool) -> None:
    try:
        from staid.project.gatewaying import gateway
    except ModuleNotFoundError as error:
        raise ExtraMissing(extra="mcp") from error
    project = output.project()
    async with gateway(project, who, agent=agent, wait=wait, pin=pin) as opened:
        if show:
            _list(opened)
            return
        await _serve(opened)


async def _serve(opened: Gateway) -> None:
    from mcp.server.stdio import stdio_server

    server = opened.server()
    names = ", ".join(each.settings.name for each in opened.upstreams)
    output.say(f"staid mcp-gateway: {len(opened.offered)} tools of {names}")
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


def _list(opened: Gateway) -> None:
    rows = [
        (name, each.tool.effect.value, "changed" if each.changed else "pinned", each.tool.name)
        for name, each in opened.offered.items()
    ]
    found = [
        {"tool": tool, "called": name, "effect": effect, "pin": pin}
        for name, effect, pin, tool in rows
    ]
    output.emit(
        {"tools": found},
        output.table(("called", "effect", "pin", "tool in policies"), rows)
        or ["The servers offer no tools that are not denied."],
    )
