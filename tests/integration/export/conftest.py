"""A project whose finished runs are due at receivers on this machine, and a clock to turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from staid.domain.label import EVERYONE, Label
from staid.project.exporting import Round, export_once
from staid.project.project import Project
from staid.testing.documents import written
from staid.testing.otlp_server import OtlpServer

SETTINGS = """
[project]
name = "export"
[agents.support]
model = "quote"
[directory]
file = "directory.yaml"
[grounding]
signal = "similarity"
floor = 0.35
floor_reason = "the hashing embedder of the tests knows no meaning"
"""


@dataclass(slots=True)
class Clock:
    """A clock that moves when it is told to."""

    at: datetime = field(default_factory=lambda: datetime(2026, 5, 1, tzinfo=UTC))

    def now(self) -> datetime:
        """Return the present of the test."""
        return self.at

    def wait(self, **much: float) -> None:
        """Let time pass."""
        self.at += timedelta(**much)


@dataclass(slots=True)
class Exporting:
    """A project with sinks, the clock it goes by, and what was asked."""

    project: Project
    clock: Clock
    runs: list[str] = field(default_factory=list[str])

    def ask(self, *questions: str, conversation: str | None = None) -> list[str]:
        """Ask as Ada, and return the runs."""
        agent = self.project.agent_named("support")
        asked = [agent.ask_sync(q, asker="user:ada", conversation=conversation) for q in questions]
        self.runs += [one.run for one in asked]
        return [one.run for one in asked]

    def export(self, *names: str) -> list[Round]:
        """Do one round without jitter."""
        return export_once(self.project, list(names) or None, jitter=lambda: 1.0)

    def learn(self, name: str, text: str, label: Label = EVERYONE) -> None:
        """Put one document into the index."""
        wiring = self.project.wiring
        change = written(wiring.embedder, name, text, label)
        wiring.corpus.apply([change], wiring.embedder.id)

    def states(self, sink: str) -> list[str]:
        """Return the state of every row of a sink, in order."""
        return [row.state for row in self.project.wiring.outbox.rows(sink=sink)]


@pytest.fixture
def server() -> Iterator[OtlpServer]:
    """Give a receiver on the loopback interface."""
    with OtlpServer() as running:
        yield running


@pytest.fixture
def exporting(make_project: Callable[..., Project], server: OtlpServer) -> Callable[..., Exporting]:
    """Return a function that makes a project with these sinks: (name, kind, further settings)."""

    def make(*sinks: Sequence[str], name: str = "project") -> Exporting:
        text = SETTINGS
        for sink, kind, *more in sinks or [("there", "otlp")]:
            lines = [f"[sinks.{sink}]", f'kind = "{kind}"', f'url = "{server.url}"', *more]
            text += "\n".join(lines) + "\n"
        project = make_project(name, text)
        clock = Clock()
        project.wiring.clock = clock
        return Exporting(project, clock)

    return make
