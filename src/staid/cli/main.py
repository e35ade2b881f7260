"""From words to one verb: global options anywhere, only the verb's own module is imported."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import typer

from staid.cli import output
from staid.domain.errors import StaidError, UsageInvalid

VERBS: dict[str, tuple[str, str]] = {
    "init": ("staid.cli.setup", "Write a working project into a new folder."),
    "demo": ("staid.cli.demo", "Show the whole product in one minute, with no key and no network."),
    "doctor": ("staid.cli.setup", "Check environment, settings and the journal's chain."),
    "ingest": ("staid.cli.ingest", "Read a folder, a .jsonl file or a configured source."),
    "search": ("staid.cli.search", "Search inside one asker's rights."),
    "ask": ("staid.cli.ask", "Ask one question, or a file of questions."),
    "why": ("staid.cli.runs", "Tell why a run ended as it did."),
    "runs": ("staid.cli.runs", "List, show and compare runs."),
    "impact": ("staid.cli.impact", "Which runs and principals something touched."),
    "approvals": ("staid.cli.approvals", "Decide what waits for a human."),
    "handoffs": ("staid.cli.handoffs", "The teammate's queue."),
    "gaps": ("staid.cli.handoffs", "What to write next: topics that hand-offs share."),
    "feedback": ("staid.cli.handoffs", "Record what the asker thought of an answer."),
    "acl": ("staid.cli.acl", "Show and edit the label of a document."),
    "access": ("staid.cli.access", "Who may see what, and by which path."),
    "gates": ("staid.cli.gates", "Tools with their bounds; stop and start them."),
    "mcp-gateway": ("staid.cli.mcp_gateway", "Put the gate before MCP servers."),
    "notify": ("staid.cli.notify", "Channels that tell people what waits for them."),
    "prompts": ("staid.cli.prompts", "The texts that models are sent, version by version."),
    "replay": ("staid.cli.replay", "Play runs again from their record, as they were or changed."),
    "import": ("staid.cli.imports", "Read conversations that another system recorded."),
    "eval": ("staid.cli.eval", "Run the eval set; block a merge on a shown drop."),
    "erase": ("staid.cli.erase", "Take a person out of the record."),
    "export": ("staid.cli.export", "Send finished runs to the sinks; see what arrived."),
    "hold": ("staid.cli.erase", "What must not be erased."),
    "anchor": ("staid.cli.anchor", "Tell the newest seal to a place outside, or check it there."),
    "worker": ("staid.cli.worker", "Carry on decided runs, find lost executions."),
    "serve": ("staid.cli.serve", "Serve the console and the HTTP API."),
}
"""Verb -> module that holds it, and what it does. Modules are imported when their verb is used."""

EPILOG = "Every command takes --json and --project DIR, before or after the verb. Start: staid demo"


def run(arguments: Sequence[str]) -> int:  # noqa: PLR0911 - one return for each way to end
    """Run one command and return its exit code; every error is told, none is a traceback."""
    try:
        output.survive_any_text()
        rest = _globals(list(arguments))
        return _invoke(rest)
    except StaidError as error:
        output.tell_error(error)
        return error.exit_code
    except typer.Exit as leave:
        return leave.exit_code
    except typer.TyperException as error:
        return _misused(error.format_message(), _usage_hint(arguments))
    except (typer.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if os.environ.get("STAID_DEBUG"):
            raise
        output.tell_error(_unforeseen(error))
        return 5


def _misused(told: str, hint: str) -> int:
    if told.startswith("Usage:"):  # there were no words at all, so that the help is the message
        output.say(f"{told}\n")
        told = "a command is missing"
    output.tell_error(UsageInvalid(detail=told, hint=hint))
    return 2


def _invoke(rest: list[str]) -> int:
    verb = next((word for word in rest if not word.startswith("-")), None)
    command = typer.main.get_command(_application(verb))
    result = command.main(args=rest, prog_name="staid", standalone_mode=False)
    return result if isinstance(result, int) else 0


def _application(verb: str | None) -> typer.Typer:
    app = typer.Typer(
        name="staid",
        no_args_is_help=True,
        add_completion=False,
        epilog=EPILOG,
        help="The boring infrastructure that makes an AI agent trustworthy in production.",
        rich_markup_mode=None,
    )
    app.callback()(_root)
    for name, (module, summary) in VERBS.items():
        if name == verb:
            _mount(app, name, importlib.import_module(module), summary)
        else:
            app.command(name, help=summary)(_elsewhere)
    return app


def _root() -> None:
    """Nothing to do before the verb."""


def _elsewhere() -> None:
    """Stand for a verb whose module is not needed now; never called."""


def _mount(app: typer.Typer, name: str, module: object, summary: str) -> None:
    group = getattr(module, f"{name}_app", None)
    if isinstance(group, typer.Typer):
        app.add_typer(group, name=name, help=summary)
        return
    function = getattr(module, name.replace("-", "_"))
    app.command(name, help=f"{summary}\n\n{function.__doc__ or ''}")(function)


def _globals(arguments: list[str]) -> list[str]:
    """Take `--json` and `--project DIR` out of the words, wherever they stand."""
    rest: list[str] = []
    json, project, words = False, os.environ.get("STAID_PROJECT"), iter(arguments)
    # Known before anything can go wrong, so that even that error is told in the form asked for.
    output.configure(json="--json" in arguments, project=None)
    for word in words:
        if word == "--":
            rest += [word, *words]
        elif word == "--json":
            json = True
        elif word == "--project":
            project = next(words, None)
            if project is None or project.startswith("--"):
                raise UsageInvalid(detail="--project needs a folder")
        elif word.startswith("--project="):
            project = word.removeprefix("--project=")
        else:
            rest.append(word)
    output.configure(json=json, project=Path(project) if project else None)
    return rest


def _usage_hint(arguments: Sequence[str]) -> str:
    verb = next((word for word in arguments if word in VERBS), None)
    return f"staid {verb} --help" if verb else "staid --help"


class Unforeseen(StaidError):
    """Something went wrong that Staid does not know: {detail}."""

    code = "ST-999"
    hint = (
        "Run the same command with STAID_DEBUG=1 to see where, and report it. Nothing was released."
    )


def _unforeseen(error: Exception) -> StaidError:
    return Unforeseen(detail=f"{type(error).__name__}: {error}")
