"""A whole small project in a folder, and the command line run inside this process."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from staid import cli
from staid.project.ingesting import ingest, wanted
from staid.project.parts import Wiring
from staid.project.project import Project
from staid.testing.embedder import HashingEmbedder

TOML = """
[project]
name = "desk"
entry = "agent:project"
[agents.support]
model = "quote"
[agents.desk]
model = "scripted:script.yaml"
allow_tools = ["refund.issue", "parcel.send"]
[grounding]
signal = "similarity"
floor = 0.35
floor_reason = "the hashing embedder of the tests knows no meaning"
[sources.help]
path = "help"
acl = "acl.yaml"
[directory]
file = "directory.yaml"
[gates]
approvers = ["group:leads"]
"""

AGENT = '''
from decimal import Decimal
from pathlib import Path

from pydantic import BaseModel, Field

import staid

project = staid.Project()
EFFECTS = Path(__file__).parent / "effects.txt"


class Refund(BaseModel):
    order_id: str
    amount: Decimal = Field(gt=0, le=500)


class Parcel(BaseModel):
    order_id: str


@project.tool(
    "refund.issue",
    effect="write",
    result="Refunded {amount} for order {order_id}.",
    requires_approval=lambda p: p.amount > 100,
)
def issue_refund(p: Refund) -> dict[str, str]:
    """Refund an order."""
    with EFFECTS.open("a") as file:
        file.write(f"refund {p.order_id}\\n")
    return {"id": "r-1"}


@project.tool("parcel.send", effect="write", result="Sent {order_id}.")
def send_parcel(p: Parcel) -> dict[str, str]:
    """Send a parcel; the carrier hangs up after it took the order."""
    with EFFECTS.open("a") as file:
        file.write(f"parcel {p.order_id}\\n")
    raise ConnectionError("the carrier hung up")
'''

SCRIPT = """
- when: "refund (?P<amount>[0-9]+) for order (?P<order>[A-Z0-9]+)"
  steps:
    - calls:
        - {tool: refund.issue, arguments: {order_id: "{order}", amount: "{amount}"}}
    - text: ""
- when: "send order (?P<order>[A-Z0-9]+)"
  steps:
    - calls:
        - {tool: parcel.send, arguments: {order_id: "{order}"}}
    - text: ""
- contains: "policy"
  steps:
    - text: "Our policy is to refund everybody within 900 days."
"""

FILES = {
    "staid.toml": TOML,
    "agent.py": AGENT,
    "script.yaml": SCRIPT,
    "help/refunds.md": "# Refunds\n\nAnnual plans are refunded within 30 days of the purchase.\n",
    "help/board.md": "# Board\n\nProject Poolish buys the bakery Crumbly in June.\n",
    "acl.yaml": (
        '"refunds.md": {allow: [["group:customers"]]}\n"board.md": {allow: [["group:board"]]}\n'
    ),
    "directory.yaml": (
        "principals:\n"
        "  user:ada: {groups: [group:customers]}\n"
        "  user:bea: {groups: [group:customers, group:board]}\n"
        "  user:lead: {groups: [group:leads]}\n"
        "  user:old: {groups: [group:customers], disabled: true}\n"
    ),
}
KNOWN = "Are annual plans refunded within 30 days of the purchase?"
UNKNOWN = "Do whales sing at night?"


@dataclass(frozen=True)
class Said:
    """What one command printed, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def body(self) -> dict[str, Any]:
        """The one JSON document on stdout."""
        return json.loads(self.out)

    @property
    def error(self) -> dict[str, str]:
        """The error in the JSON document; checks that a person was told the same."""
        error = self.body["error"]
        assert error["code"] in self.err
        assert error["hint"]
        assert "Traceback" not in self.err
        return error


Run = Callable[..., Said]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a project nothing was done with."""
    return written_to(tmp_path / "desk")


def written_to(home: Path) -> Path:
    """Write the files of the project."""
    for name, text in FILES.items():
        home.joinpath(name).parent.mkdir(parents=True, exist_ok=True)
        home.joinpath(name).write_text(text, "utf-8")
    return home


@pytest.fixture
def staid(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run commands in the project's folder with the fast embedder."""
    monkeypatch.chdir(folder)
    monkeypatch.delenv("STAID_PROJECT", raising=False)
    embedder = cached_property(lambda _self: HashingEmbedder())  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType, reportUnknownVariableType]  # stands in for a method
    embedder.__set_name__(Wiring, "embedder")
    monkeypatch.setattr(Wiring, "embedder", embedder)

    def run(*words: str, json: bool = True) -> Said:
        capsys.readouterr()
        code = cli.run([*words, *(["--json"] if json else [])])
        captured = capsys.readouterr()
        return Said(code, captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the state of a project whose help centre is ingested: made once, copied by tests."""
    home = written_to(tmp_path_factory.mktemp("ingested"))
    project = Project(home)
    project.wiring.__dict__["embedder"] = HashingEmbedder()
    assert ingest(project, wanted(project, "help", None, {}, vetted=True)).documents == 2
    assert project.wiring.journal.verify() == []  # makes the key
    project.close()
    return home / ".staid"


@pytest.fixture
def ready(staid: Run, folder: Path, ingested: Path) -> Run:
    """Give the same, with the help centre ingested."""
    shutil.copytree(ingested, folder / ".staid")
    return staid
