"""`staid gates`: the tools of a project, what bounds them and what stops them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from staid.cli import output
from staid.cli.gates_budgets import budgets
from staid.cli.gates_chaos import chaos
from staid.cli.gates_policy import backtest, checked_policy, explain
from staid.cli.gates_stops import start, status, stop
from staid.cli.gates_undo import undo
from staid.gates.tool import Tool

gates_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
gates_app.command()(chaos)
gates_app.command()(explain)
gates_app.command()(backtest)
gates_app.command()(budgets)
gates_app.command()(stop)
gates_app.command()(start)
gates_app.command()(status)
gates_app.command()(undo)


@gates_app.command()
def check(
    file: Annotated[
        Path | None, typer.Argument(help="A policy; without one that of the project.")
    ] = None,
) -> None:
    """List every tool with its bounds, and check the policy; a mistake in it is exit code 2."""
    project = output.project()
    policy = checked_policy(project, file)
    users = {name: project.resolve_tools(name) for name in project.agent_names}
    found = [
        (tool, sorted(agent for agent, tools in users.items() if name in tools))
        for name, tool in sorted(project.tools.items())
    ]
    rules = {t.name: len(policy.about(t).rules) for t, _ in found}
    rows = [
        (t.name, t.effect.value, _asks(t), len(t.budgets), rules[t.name], ", ".join(a))
        for t, a in found
    ]
    hints = [
        f"{tool.name}: the rule {rule.name} watches no sum, since {why}. Say sums: at the rule."
        for tool, _ in found
        for rule, why in policy.about(tool).unwatched
    ]
    output.emit(
        {
            "policy": policy.version,
            "hints": hints,
            "tools": [
                {
                    "tool": t.name,
                    "effect": t.effect.value,
                    "requires_approval": _asks(t),
                    "budgets": len(t.budgets),
                    "approvers": sorted(t.approvers or project.settings.gates.approvers),
                    "rules": [rule.name for rule in policy.about(t).rules],
                    "schema": dict(t.spec.schema),
                    "agents": agents,
                }
                for t, agents in found
            ],
        },
        [
            *(
                output.table(("tool", "effect", "approval", "budgets", "rules", "agents"), rows)
                or ["The project has no tools."]
            ),
            *(line for hint in hints for line in output.paragraph(hint)),
        ],
    )


def _asks(tool: Tool) -> str:
    asks = tool.requires_approval
    return ("always" if asks else "never") if isinstance(asks, bool) else "by rule"
