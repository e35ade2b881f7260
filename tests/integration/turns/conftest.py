"""A desk: a project with three tools and one document, and a model that plays what a test says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, Field

from staid.domain.events import EventKind, JournalRow
from staid.domain.label import Label
from staid.domain.message import ModelRequest, ModelResponse, ProposedCall
from staid.domain.outcome import Outcome
from staid.project.deciding import decide
from staid.project.project import Project
from staid.runtime.parts import AgentSpec
from staid.testing.documents import written
from staid.testing.embedder import HashingEmbedder
from staid.tracing.story import tell

POLICY = "Annual plans are refunded within 30 days of the purchase."
SETTINGS = """
[project]
name = "turns"
[agents.support]
model = "quote"
[agents.desk]
model = "quote"
allow_tools = ["refund.issue", "order.look", "parcel.send"]
canned = "canned.yaml"
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
"""


class Refund(BaseModel):
    """A refund of at most 500."""

    order_id: str
    amount: Decimal = Field(gt=0, le=500)


class Order(BaseModel):
    """An order."""

    order_id: str


def needs_a_person(p: Refund) -> bool:
    """Ask above 100."""
    return p.amount > 100


@dataclass
class Play:
    """A model that plays its steps, one for each request, and keeps what it was sent."""

    steps: list[Any] = field(default_factory=list[Any])
    seen: list[ModelRequest] = field(default_factory=list[ModelRequest])
    name: str = "play"

    async def generate(self, request: ModelRequest) -> ModelResponse:
        """Return the next step; an empty draft when there is none left."""
        self.seen.append(request)
        step = self.steps.pop(0) if self.steps else ""
        if isinstance(step, BaseException):
            raise step
        if isinstance(step, str):
            return ModelResponse(step, (), self.name)
        return ModelResponse("", tuple(step), self.name)


@dataclass(frozen=True)
class Later:
    """A clock some time ahead."""

    ahead: timedelta

    def now(self) -> datetime:
        """Return the time ahead of now."""
        return datetime.now(UTC) + self.ahead


class Desk:
    """What a test asks, decides and looks at."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.effects: list[str] = []
        self.play = Play()
        self.found = "The order has left the warehouse in Hamburg."
        self.write("refunds.md", POLICY, [["group:customers"]])
        project.tool(
            "refund.issue",
            effect="write",
            result="Refunded {amount} for order {order_id}.",
            requires_approval=needs_a_person,
        )(self._refund)
        project.tool("order.look", effect="read")(self._look)
        project.tool("parcel.send", effect="write", result="Sent {order_id}.")(self._send)
        spec = project.wiring.agent_spec
        project.wiring.agent_spec = lambda name: self._playing(spec(name))  # type: ignore[method-assign]

    def _playing(self, spec: AgentSpec) -> AgentSpec:
        return spec if spec.name == "support" else replace(spec, model=lambda: self.play)

    def _refund(self, p: Refund) -> dict[str, str]:
        """Refund an order."""
        self.effects.append(f"refund {p.order_id}")
        return {"id": "r"}

    def _look(self, p: Order) -> dict[str, str]:
        """Look an order up."""
        return {"order": p.order_id, "state": self.found}

    def _send(self, p: Order) -> dict[str, str]:
        """Send a parcel over a line that breaks."""
        self.effects.append(f"parcel {p.order_id}")
        raise ConnectionError("the line broke")

    def refund(self, order: str, amount: object, call: str = "c1") -> ProposedCall:
        """Propose a refund."""
        return ProposedCall(call, "refund.issue", {"order_id": order, "amount": str(amount)})

    def look(self, order: str, call: str = "c1") -> ProposedCall:
        """Propose to look an order up."""
        return ProposedCall(call, "order.look", {"order_id": order})

    def send(self, order: str, call: str = "c1") -> ProposedCall:
        """Propose to send a parcel."""
        return ProposedCall(call, "parcel.send", {"order_id": order})

    def write(self, name: str, text: str, allow: list[list[str]]) -> None:
        """Put a document into the knowledge base."""
        wiring = self.project.wiring
        change = written(wiring.embedder, name, text, Label.of(allow))
        wiring.corpus.apply([change], wiring.embedder.id)

    def ask(self, question: str, *steps: Any, agent: str = "desk", **options: Any) -> Outcome:
        """Ask with a model that plays these steps."""
        self.play.steps = list(steps)
        self.play.seen.clear()
        options.setdefault("asker", "user:ada")
        return self.project.agent_named(agent).ask_sync(question, **options)

    def decide(self, approval: str, decision: str, *steps: Any) -> Outcome | None:
        """Decide as the lead, and let the run go on with these steps."""
        self.play.steps = list(steps)
        self.play.seen.clear()
        decided = decide(self.project, approval, decision, approver="user:lead")
        return asyncio.run(decided).outcome

    def rows(self, outcome: Outcome) -> Sequence[JournalRow]:
        """Return the journal of a run."""
        return self.project.wiring.records.rows(outcome.run)

    def kinds(self, outcome: Outcome) -> list[EventKind]:
        """Return the kinds of a run's facts in order."""
        return [row.kind for row in self.rows(outcome)]

    def said(self) -> str:
        """Return everything that the first request since the last question says."""
        return " ".join(message.text for message in self.play.seen[0].messages)

    def deciding(self, outcome: Outcome) -> JournalRow:
        """Return the fact that the story says decided."""
        rows = self.rows(outcome)
        told = tell(outcome.run, rows)
        assert told.outcome == outcome.outcome
        assert told.deciding is not None
        return rows[told.deciding.facts[-1] - 1]

    def wait(self, ahead: timedelta) -> None:
        """Let this much time pass, as far as turns are concerned."""
        parts = replace(self.project.wiring.parts, clock=Later(ahead))
        self.project.wiring.__dict__["parts"] = parts


def open_desk(folder: Path, settings: str = SETTINGS) -> Desk:
    """Open a desk in a folder, with a fresh store."""
    folder.mkdir()
    (folder / "staid.toml").write_text(settings, "utf-8")
    (folder / "directory.yaml").write_text(DIRECTORY, "utf-8")
    (folder / "canned.yaml").write_text("hello: Hello! How can I help?\n", "utf-8")
    project = Project(folder)
    project.wiring.__dict__["embedder"] = HashingEmbedder()
    return Desk(project)


@pytest.fixture
def make_desk(tmp_path: Path) -> Any:
    """Make a desk with other settings; all are closed at the end."""
    made: list[Desk] = []

    def make(change: Callable[[str], str] = str) -> Desk:
        made.append(open_desk(tmp_path / f"desk-{len(made)}", change(SETTINGS)))
        return made[-1]

    yield make
    for desk in made:
        desk.project.close()


@pytest.fixture
def desk(make_desk: Any) -> Desk:
    """Give a desk with a fresh store."""
    return make_desk()


@pytest.fixture(scope="module")
def shared_desk(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Give one desk to all examples of a property."""
    desk = open_desk(tmp_path_factory.mktemp("turns") / "desk")
    yield desk
    desk.project.close()
