"""Write the generated pages: errors, the command line, and the schema of the policy file.

`make docs` writes them; `--check` writes nothing and exits 1 when one of them is stale.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import typer

from staid.cli.main import VERBS, _application
from staid.domain import errors as domain_errors
from staid.domain.errors import StaidError
from staid.project.policy_schema import schema as policy_schema

DOCS = Path(__file__).parent.parent / "docs"
NOTE = "<!-- Written by `make docs`; edits here are lost. -->"
ERRORS_LEAD = (
    "Every error has a code that never changes its meaning, one sentence, and the next step. The "
    'CLI prints them to stderr and, with `--json`, as `{"error": {"code", "message", "hint"}}` to '
    "stdout. In Python the class named here is raised, with `.code`, `.message` and `.hint_text`. "
    "Words in ‹angle quotes› are filled in. The classes are in `src/staid/domain/errors` unless "
    "another file is named."
)
CLI_LEAD = (
    "Every command takes `--json` (one JSON document on stdout; progress and messages on stderr) "
    "and `--project DIR` (else the nearest `staid.toml` upward), before or after the verb. Exit "
    "codes: [errors](../errors.md). `RUN`, `APPROVAL` and `HANDOFF` stand for ids that an earlier "
    "command printed."
)
GROUPS = {
    "0": "Anything else",
    "1": "Project, settings, store",
    "2": "Knowledge and rights",
    "3": "Asking and models",
    "4": "Gates",
    "5": "Journal and evals",
    "6": "Usage and HTTP",
    "9": "Unforeseen",
}
EXITS = {
    1: "a check failed: the merge gate blocked, tampering was found, a decision came too late",
    2: "usage: the command, a file or a name is wrong",
    3: "cannot tell, or not comparable",
    4: "the operator, or the one named with `--as`, may not do this",
    5: "system: the store, the network, the machine",
}
EXAMPLES = {
    "demo": "staid demo --keep help-desk",
    "why": "staid why RUN",
    "runs list": "staid runs list --state parked",
    "runs show": "staid runs show RUN --json",
    "runs compare": "staid runs compare RUN RUN",
    "approvals list": "staid approvals list --state all",
    "approvals show": "staid approvals show APPROVAL",
    "approvals settle": "staid approvals settle APPROVAL --happened yes --as user:lead",
    "handoffs list": "staid handoffs list --state all",
    "gaps": "staid gaps --limit 5",
    "acl list": "staid acl list --json",
    "acl show": "staid acl show help-centre/billing/invoices.md",
    "acl revoke": "staid acl revoke help-centre/billing/invoices.md user:cleo",
    "access who": "staid access who help-centre/board/project-poolish.md",
    "access what": "staid access what user:finn",
    "gates chaos": (
        "staid gates chaos refund.issue --really"
        """ --arguments '{"order_id": "R-1001", "amount": "1"}'"""
    ),
    "gates check": "staid gates check --json",
    "eval run": "staid eval run evals/support.jsonl",
    "eval baseline": "staid eval baseline evals/support.jsonl",
    "eval gate": "staid eval gate evals/support.jsonl",
    "eval compare": "staid eval compare main.json branch.json",
}
"""For commands whose help names no example; a command with neither is an error."""


class _Named(dict[str, object]):
    def __missing__(self, key: str) -> str:
        return f"‹{key}›"


def errors() -> list[type[StaidError]]:
    """Return every error of Staid, by code; raise when two share one."""
    for module in iter_modules(domain_errors.__path__, "staid.domain.errors."):
        import_module(module.name)
    found: dict[str, type[StaidError]] = {}
    waiting = [StaidError]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        if not kind.__module__.startswith("staid."):
            continue
        if found.setdefault(kind.code, kind) is not kind:
            message = f"{kind.code} is both {kind.__name__} and {found[kind.code].__name__}"
            raise ValueError(message)
    return [found[code] for code in sorted(found)]


def errors_page() -> str:
    """Return `docs/errors.md`."""
    lines = [
        "# Errors",
        NOTE,
        ERRORS_LEAD,
        "| Exit code | Means |\n|---|---|\n| 0 | done; `staid ask` exits 0 on every outcome |\n"
        + "\n".join(f"| {code} | {text} |" for code, text in EXITS.items()),
    ]
    group = ""
    for kind in errors():
        digit = kind.code[3]
        if digit != group:
            group = digit
            lines.append(f"## {GROUPS[digit]}")
        lines.append(_section(kind))
    return "\n\n".join(lines) + "\n"


def _elsewhere(kind: type) -> str:
    if kind.__module__.startswith("staid.domain.errors."):
        return ""
    return f" · in `src/{kind.__module__.replace('.', '/')}.py`"


def _section(kind: type[StaidError]) -> str:
    paragraphs = inspect.cleandoc(kind.__doc__ or "").split("\n\n")
    message, *more = [" ".join(paragraph.split()) for paragraph in paragraphs]
    parts = [
        f"### {kind.code}",
        f"**{_filled(message)}**",
        *more,
        f"Next step: {_filled(kind.hint)}",
        f"`{kind.__name__}` · exit code {kind.exit_code}{_elsewhere(kind)}",
    ]
    return "\n\n".join(parts)


def _filled(template: str) -> str:
    return template.format_map(_Named())


def cli_page() -> str:
    """Return `docs/reference/cli.md`."""
    lines = [
        "# The command line",
        NOTE,
        CLI_LEAD,
        "| Verb | Does |\n|---|---|\n"
        + "\n".join(f"| [`{verb}`](#staid-{verb}) | {does} |" for verb, (_, does) in VERBS.items()),
    ]
    for verb, (_, does) in VERBS.items():
        lines += _verb(verb, does)
    return "\n\n".join(lines) + "\n"


def _verb(verb: str, does: str) -> Iterator[str]:
    yield f"## `staid {verb}`"
    application: Any = typer.main.get_command(_application(verb))
    command: Any = application.commands[verb]
    subcommands: Mapping[str, Any] | None = getattr(command, "commands", None)
    if subcommands is None:
        yield from _command(verb, command)
        return
    yield does
    for name, each in subcommands.items():
        yield f"### `staid {verb} {name}`"
        yield from _command(f"{verb} {name}", each)


def _command(name: str, command: Any) -> Iterator[str]:  # noqa: ANN401 - Typer does not type its commands
    told = " ".join((command.help or "").split())
    text, _, example = told.partition("Example: ")
    example = example.removesuffix(".") or EXAMPLES.get(name, "")
    if not example:
        message = f"`staid {name}` has no example: add one to its docstring or to EXAMPLES"
        raise ValueError(message)
    if text.strip():
        yield text.strip()
    yield f"```sh\n{_with_places(example)}\n```"
    rows = [row for each in command.params if not each.hidden and (row := _parameter(each))]
    if rows:
        yield "\n".join(["| Argument or option | Means | Default |", "|---|---|---|", *rows])


def _with_places(example: str) -> str:
    places = {"run_": "RUN", "apr_": "APPROVAL", "hof_": "HANDOFF"}
    return re.sub(r"\b(run_|apr_|hof_)\w*…", lambda found: places[found[1]], example)


def _parameter(parameter: Any) -> str:  # noqa: ANN401 - as above
    names = [*parameter.opts, *parameter.secondary_opts]
    if "--help" in names:
        return ""
    shown = " / ".join(f"`{name}`" for name in names)
    if not names[0].startswith("-"):
        shown = f"`{parameter.metavar or names[0].upper()}`"
    default = parameter.default
    if parameter.required:
        stated = "required"
    elif default in {None, ""}:
        stated = ""
    else:
        stated = f"`{str(default).lower() if isinstance(default, bool) else default}`"
    return f"| {shown} | {_cell(parameter.help or '')} | {stated} |"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def pages() -> dict[Path, str]:
    """Return every generated page with its text."""
    schema = json.dumps(policy_schema(), indent=2) + "\n"
    return {
        DOCS / "errors.md": errors_page(),
        DOCS / "reference/cli.md": cli_page(),
        DOCS / "reference/policy.schema.json": schema,
    }


def stale(written: Mapping[Path, str]) -> list[Path]:
    """Return the pages whose file says something else."""
    return [p for p, text in written.items() if not p.is_file() or p.read_text("utf-8") != text]


def main(arguments: Iterable[str]) -> int:
    """Write what is stale, or with `--check` only name it; return 1 when something was named."""
    written = pages()
    old = stale(written)
    check = "--check" in arguments
    for path in old:
        if check:
            print(f"{path.name} is stale: make docs")
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(written[path], "utf-8")
            print(f"wrote {path.name}")
    return int(check and bool(old))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
