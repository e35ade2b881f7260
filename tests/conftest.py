"""What every test gets: no network but loopback, a project in a folder, a fast embedder."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from staid.project.project import Project
from staid.testing.embedder import HashingEmbedder

# Machines are shared: how long one example takes says nothing about the code.
settings.register_profile("shared", deadline=None)
settings.load_profile("shared")

# The scaffold's tools are real where these are set: a test moves nobody's money by accident.
for name in ("STRIPE_API_KEY", "STRIPE_API_BASE", "CALDAV_URL"):
    os.environ.pop(name, None)

SETTINGS = """
[project]
name = "test"
[agents.support]
model = "quote"
[directory]
file = "directory.yaml"
[grounding]
signal = "similarity"
floor = 0.35
floor_reason = "the hashing embedder of the tests knows no meaning"
"""

DIRECTORY = """
principals:
  user:ada: {groups: [group:customers]}
  user:lead: {groups: [group:leads]}
  user:old: {disabled: true}
groups:
  group:leads: {groups: [group:staff]}
  group:staff: {groups: [group:customers]}
"""


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test reach anything but this machine."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        outside = self.family in {socket.AF_INET, socket.AF_INET6} and address[0] != "localhost"
        if outside and not ipaddress.ip_address(address[0]).is_loopback:
            pytest.fail(f"a test tried to reach {address!r}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture
def make_project(tmp_path: Path) -> Iterator[Callable[..., Project]]:
    """Make projects with the fast embedder; all are closed at the end."""
    made: list[Project] = []

    def make(name: str = "project", settings: str = SETTINGS, **files: str) -> Project:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        (folder / "staid.toml").write_text(settings, "utf-8")
        (folder / "directory.yaml").write_text(DIRECTORY, "utf-8")
        for file, text in files.items():
            (folder / file).write_text(text, "utf-8")
        project = Project(folder)
        project.wiring.__dict__["embedder"] = HashingEmbedder()
        made.append(project)
        return project

    yield make
    for project in made:
        project.close()
