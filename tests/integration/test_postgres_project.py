"""A whole project on PostgreSQL: from ingest to why, by changing one URL."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import BaseModel

from staid.domain.errors import ApprovalDecided
from staid.domain.label import Label
from staid.project.checking import examine
from staid.project.deciding import decide
from staid.project.ingesting import ingest, wanted
from staid.project.project import Project
from staid.project.searching import search
from staid.testing.embedder import HashingEmbedder
from staid.testing.postgres import PostgresServer
from staid.tracing.story import tell

pytestmark = pytest.mark.postgres

SETTINGS = """
[project]
name = "on-postgres"
store = "env:TEST_STORE_URL"
[agents.support]
model = "quote"
[agents.desk]
model = "scripted:script.yaml"
allow_tools = ["refund.issue"]
[grounding]
signal = "similarity"
floor = 0.35
floor_reason = "the hashing embedder of the tests knows no meaning"
[sources.help]
path = "help"
acl = "acl.yaml"
[directory]
file = "directory.yaml"
"""
SCRIPT = """
- when: "refund (?P<amount>[0-9]+) for order (?P<order>[A-Z0-9]+)"
  steps:
    - calls:
        - {tool: refund.issue, arguments: {order_id: "{order}", amount: "{amount}"}}
    - text: ""
"""
FILES = {
    "staid.toml": SETTINGS,
    "script.yaml": SCRIPT,
    "help/refunds.md": "# Refunds\n\nAnnual plans are refunded within 30 days of the purchase.\n",
    "help/board.md": "# Board\n\nProject Poolish buys the bakery Crumbly in June.\n",
    "acl.yaml": (
        '"refunds.md": {allow: [["group:customers"]]}\n"board.md": {allow: [["group:board"]]}\n'
    ),
    "directory.yaml": (
        "principals:\n"
        "  user:ada: {groups: [group:customers]}\n"
        "  user:bea: {groups: [group:board]}\n"
        "  user:lead: {}\n"
    ),
}
KNOWN = "Are annual plans refunded within 30 days of the purchase?"


class Refund(BaseModel):
    """A refund."""

    order_id: str
    amount: Decimal


def needs_a_person(p: Refund) -> bool:
    """Ask above 100."""
    return p.amount > 100


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """Give a PostgreSQL of its own."""
    with tempfile.TemporaryDirectory(
        prefix="staid-pg-project-", ignore_cleanup_errors=True
    ) as made:
        folder = Path(made)
        folder.chmod(0o755)
        running = PostgresServer(folder / "data")
        yield running
        running.stop()


@pytest.fixture
def project(
    server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Project, list[str]]]:
    """Give a project on an empty database, and the list of its effects."""
    for name, text in FILES.items():
        tmp_path.joinpath(name).parent.mkdir(exist_ok=True)
        tmp_path.joinpath(name).write_text(text, "utf-8")
    with server.database() as url:
        monkeypatch.setenv("TEST_STORE_URL", url)
        project = Project(tmp_path)
        project.wiring.__dict__["embedder"] = HashingEmbedder()
        effects: list[str] = []

        def issue(p: Refund) -> dict[str, str]:
            effects.append(p.order_id)
            return {"id": "r"}

        project.tool(
            "refund.issue",
            effect="write",
            result="Refunded {amount} for order {order_id}.",
            requires_approval=needs_a_person,
        )(issue)
        yield project, effects
        project.close()


def test_from_ingest_to_why(project: tuple[Project, list[str]]) -> None:
    """Ingest, ask, refund, approve, why and doctor do what they do on SQLite."""
    desk, effects = project
    want = wanted(desk, "help", None, {}, vetted=True)
    assert (ingest(desk, want).embedded, ingest(desk, want).embedded) == (2, 0)
    support, acting = desk.agent_named("support"), desk.agent_named("desk")
    answer = support.ask_sync(KNOWN, asker="user:ada")
    assert answer.text == "Annual plans are refunded within 30 days of the purchase."
    hidden = support.ask_sync("What does Project Poolish buy?", asker="user:ada")
    assert hidden.outcome == "abstention"
    assert support.ask_sync("What does Project Poolish buy?", asker="user:bea").outcome == "answer"
    hits = search(desk, "Project Poolish", "user:ada", None, 10).hits
    assert [hit.passage.document for hit in hits] == ["refunds.md"]
    parked = acting.ask_sync("refund 200 for order A1", asker="user:ada", key="k")
    assert (parked.outcome, effects) == ("pending", [])
    done = asyncio.run(decide(desk, parked.approvals[0], "approve", approver="user:lead"))
    assert done.outcome is not None
    assert done.outcome.text == "[scripted] Refunded 200 for order A1."
    with pytest.raises(ApprovalDecided):
        asyncio.run(decide(desk, parked.approvals[0], "approve", approver="user:lead"))
    assert acting.ask_sync("refund 200 for order A1", asker="user:ada", key="k") == done.outcome
    assert effects == ["A1"]
    told = tell(parked.run, desk.wiring.records.rows(parked.run))
    assert (told.outcome, told.deciding.kind if told.deciding else "") == ("answer", "call.settled")
    assert "user:lead approved" in told.text
    assert [check for check in examine(desk) if check.state == "broken"] == []


def test_a_revoke_holds_on_the_next_question(project: tuple[Project, list[str]]) -> None:
    """A label that another connection changes is seen by the very next search and question."""
    desk, _ = project
    ingest(desk, wanted(desk, "help", None, {}, vetted=True))
    support = desk.agent_named("support")
    assert support.ask_sync(KNOWN, asker="user:ada").outcome == "answer"
    other = Project(desk.settings.directory_path)
    other.wiring.corpus.relabel("help", "refunds.md", Label.of([["group:board"]]))
    other.close()
    gone = support.ask_sync(KNOWN, asker="user:ada")
    assert (gone.outcome, gone.reason, gone.evidence) == ("abstention", "empty", ())


def test_tampering_is_found(project: tuple[Project, list[str]]) -> None:
    """One altered fact breaks the journal's check, by name of the run."""
    desk, _ = project
    run = desk.agent_named("support").ask_sync(KNOWN, asker="user:ada").run
    with desk.wiring.store.write() as connection:
        connection.exec_driver_sql("UPDATE journal SET actor = '{}' WHERE seq = 2")
    broken = [check for check in examine(desk) if check.state == "broken"]
    assert [check.name for check in broken] == ["journal"]
    assert run in broken[0].detail
