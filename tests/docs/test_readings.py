"""Every command and every address says what it shows of a run: the table in the reference."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import typer
from fastapi.routing import APIRoute
from starlette.routing import Route

from staid.cli.main import VERBS, _application
from staid.project.project import Project
from staid.server.app import create_app

from .conftest import ROOT

PAGE = ROOT / "docs" / "reference" / "readings.md"
NOT_OURS = {"HEAD", "OPTIONS"}


def named(column: int) -> list[str]:
    """Return what stands in a column of the table, row by row."""
    rows = [line.split("|") for line in PAGE.read_text("utf-8").splitlines() if line[:2] == "| "]
    return [name for row in rows[1:] for name in re.findall(r"`([^`]+)`", row[column])]


def commands() -> Iterator[str]:
    """Yield every command of the command line, in full."""
    for verb in VERBS:
        app: Any = typer.main.get_command(_application(verb))
        yield from _below(app.commands[verb], verb)


def _below(command: Any, path: str) -> Iterator[str]:
    groups: Mapping[str, Any] = getattr(command, "commands", {})
    for name, below in groups.items():
        yield from _below(below, f"{path} {name}")
    if not groups:
        yield path


def addresses(routes: Iterable[Any]) -> Iterator[str]:
    """Yield every address below these routes, with its method; static files are no route."""
    for route in routes:
        included = getattr(route, "original_router", None)  # FastAPI keeps included routers whole
        if included is not None:
            yield from addresses(included.routes)
        elif isinstance(route, APIRoute | Route):
            yield from (f"{method} {route.path}" for method in (route.methods or set()) - NOT_OURS)


def test_every_command_is_in_one_row() -> None:
    """A command that nobody classified, or that is gone, stands out here by name."""
    told = named(2)
    assert sorted(set(commands()) ^ set(told)) == []
    assert [name for name, count in Counter(told).items() if count > 1] == []


def test_every_address_is_in_one_row(make_project: Callable[..., Project]) -> None:
    """An address that nobody classified, or that is gone, stands out here by name."""
    told = named(3)
    assert sorted(set(addresses(create_app(make_project()).routes)) ^ set(told)) == []
    assert [name for name, count in Counter(told).items() if count > 1] == []
