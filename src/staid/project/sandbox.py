"""A copy of a project for evals: the same knowledge and bounds, no trace and no effect."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from staid.domain.call import Effect
from staid.gates.tool import Tool
from staid.project.parts import Declared, Wiring
from staid.store.engine import Store
from staid.store.ledger.stops import in_force
from staid.store.schema import prepare


class _SandboxWiring(Wiring):
    """Reads knowledge from the real store and writes runs to a throw-away one."""

    def __init__(self, declared: Declared, folder: Path) -> None:
        super().__init__(declared)
        self._folder = folder

    @property
    def run_store(self) -> Store:
        """A store that goes with the sandbox."""
        return self._runs

    @property
    def sink_names(self) -> tuple[str, ...]:
        """None: what a sandbox does is nobody's record."""
        return ()

    @cached_property
    def _runs(self) -> Store:
        store = Store(f"sqlite:///{self._folder / 'runs.db'}")
        prepare(store)
        return store

    def stopped_elsewhere(self) -> frozenset[str]:
        """Return what is stopped in the project: a sandbox still runs what only looks."""
        with self.store.read() as connection:
            return in_force(connection)

    def _journal_key(self) -> bytes:
        return secrets.token_bytes(32)


@contextmanager
def sandboxed(declared: Declared) -> Generator[Wiring]:
    """Give the wiring of what is declared over a store of runs that goes with the context."""
    with tempfile.TemporaryDirectory(prefix="staid-sandbox-") as folder:
        wiring = _SandboxWiring(declared, Path(folder))
        try:
            yield wiring
        finally:
            wiring.run_store.close()


def harmless(tool: Tool) -> Tool:
    """Return a tool that looks as before and does nothing where it would have an effect."""
    if tool.effect is Effect.READ:
        return tool
    return replace(
        tool, handler=_not_done, takes_call=False, preview=None, reconcile=None, undo=None
    )


def _not_done(_params: object) -> dict[str, str]:
    """Stand for an effect that a sandbox must not have."""
    return {"sandbox": "nothing was done"}
