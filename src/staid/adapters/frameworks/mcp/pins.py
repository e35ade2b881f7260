"""What every tool looked like when somebody judged it: a change since then is noticed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

from staid.adapters.frameworks.mcp.definition import Definition
from staid.domain.errors.adapters import PinsUnreadable

FILE = "mcp.lock.json"
"""In the project's folder, to be reviewed and committed like code."""


class Pins:
    """The pinned definitions of one project."""

    def __init__(self, folder: Path) -> None:
        """Read the file where there is one; raise `PinsUnreadable`."""
        self._file = folder / FILE
        self._servers: dict[str, dict[str, str]] = {}
        if self._file.is_file():
            self._servers = _read(self._file)

    def knows(self, server: str) -> bool:
        """Return whether a server was pinned before."""
        return server in self._servers

    def changed(self, definition: Definition) -> bool:
        """Return whether a tool is new, or not what it was, since its server was pinned."""
        return self._servers.get(definition.server, {}).get(definition.name) != definition.pin

    def pin(self, server: str, definitions: Iterable[Definition]) -> None:
        """Accept what a server offers now, whole or not at all."""
        self._servers[server] = {each.name: each.pin for each in definitions}
        text = json.dumps({"servers": self._servers}, indent=2, sort_keys=True) + "\n"
        fresh = self._file.with_name(f"{FILE}.{os.getpid()}")
        try:
            fresh.write_text(text, "utf-8")
            fresh.replace(self._file)
        finally:
            fresh.unlink(missing_ok=True)


def _read(file: Path) -> dict[str, dict[str, str]]:
    try:
        raw: Any = json.loads(file.read_text("utf-8"))
        servers = cast("Mapping[str, Mapping[str, str]]", raw["servers"])
        return {name: dict(tools) for name, tools in servers.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise PinsUnreadable(file=file, detail=str(error)) from error
