"""`staid gates`: the tools of a project and what bounds them."""

from __future__ import annotations

import typer

from staid.cli import output
from staid.gates.tool import Tool

gates_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@gates_app.command()
def check() -> None:
    """List every tool with its bounds, and the agents that may propose it."""
    project = output.project()
    users = {name: project.resolve_tools(name) for name in project.agent_names}
    found = [
        (tool, sorted(agent for agent, tools in users.items() if name in tools))
        for name, tool in sorted(project.tools.items())
    ]
    rows = [(t.name, t.effect.value, _asks(t), len(t.budgets), ", ".join(a)) for t, a in found]
    output.emit(
        {
            "tools": [
                {
                    "tool": t.name,
                    "effect": t.effect.value,
                    "requires_approval": _asks(t),
                    "budgets": len(t.budgets),
                    "approvers": sorted(t.approvers or project.settings.gates.approvers),
                    "schema": dict(t.spec.schema),
                    "agents": agents,
                }
                for t, agents in found
            ]
        },
        output.table(("tool", "effect", "approval", "budgets", "agents"), rows)
        or ["The project has no tools."],
    )


def _asks(tool: Tool) -> str:
    asks = tool.requires_approval
    return ("always" if asks else "never") if isinstance(asks, bool) else "by rule"
