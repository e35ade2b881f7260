"""An office: one project with a knowledge base, a refund tool, and people who sign in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel
from starlette.testclient import TestClient

from staid.domain.label import EVERYONE, Label
from staid.project.project import Project
from staid.server.app import create_app
from staid.server.auth.sessions import Sessions
from staid.testing.documents import written

ORIGIN = "http://127.0.0.1:8420"

SETTINGS = """
[project]
name = "office"
[agents.support]
model = "quote"
[agents.desk]
model = "scripted:script.yaml"
allow_tools = ["refund.issue"]
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
  user:bob: {groups: [group:customers]}
  user:lead: {groups: [group:leads]}
groups:
  group:leads: {groups: [group:customers]}
"""

SCRIPT = r"""
- when: 'refund (?P<amount>\d+) EUR for order (?P<order>.+)$'
  steps:
    - calls:
        - {tool: refund.issue, arguments: {order_id: "{order}", amount: "{amount}"}}
"""


class Refund(BaseModel):
    """Money back."""

    order_id: str
    amount: Decimal


@dataclass
class SteppingClock:
    """A clock that a test moves."""

    at: datetime = field(default_factory=lambda: datetime(2026, 11, 23, 12, tzinfo=UTC))

    def now(self) -> datetime:
        """Return the time it was moved to."""
        return self.at

    def forward(self, **by: float) -> None:
        """Move on by a `timedelta`."""
        self.at += timedelta(**by)


@dataclass
class Office:
    """What a server test works with."""

    project: Project
    clock: SteppingClock
    sessions: Sessions
    app: Any
    refunds: list[str]
    """Every effect of the refund tool."""

    def visitor(self, scheme: str = "http") -> TestClient:
        """Return a browser that nobody has signed in with."""
        base = ORIGIN.replace("http:", f"{scheme}:")
        return TestClient(self.app, base_url=base, headers={"Origin": base})

    def signed_in(self, principal: str, scheme: str = "http") -> TestClient:
        """Return a browser in which this principal opened its sign-in link."""
        client = self.visitor(scheme)
        answer = client.get(f"/sign-in?token={self.sessions.invite(principal)}")
        assert answer.status_code == 200
        return client

    def ask(self, client: TestClient, text: str, agent: str = "support") -> str:
        """Ask by the form and return the run's id."""
        answer = client.post("/ask", data={"text": text, "agent": agent}, follow_redirects=False)
        assert answer.status_code == 303, answer.text
        return answer.headers["location"].removeprefix("/runs/")

    def pending(self, asker: str = "user:ada", order: str = "R-1002") -> dict[str, Any]:
        """Let somebody ask for a refund above the threshold; return the request, as JSON."""
        client = self.signed_in(asker)
        run = self.ask(client, f"Please refund 240 EUR for order {order}", "desk")
        approval = client.get(f"/api/runs/{run}").json()["approvals"][0]
        return client.get(f"/api/approvals/{approval}").json()

    def write(self, name: str, text: str, label: Label = EVERYONE) -> None:
        """Put one document into the knowledge base."""
        wiring = self.project.wiring
        wiring.corpus.apply([written(wiring.embedder, name, text, label)], wiring.embedder.id)


@pytest.fixture
def office(make_project: Callable[..., Project]) -> Office:
    """Open the office, with the refund policy readable by everybody."""
    project = make_project(
        "office", SETTINGS, **{"script.yaml": SCRIPT, "directory.yaml": DIRECTORY}
    )
    refunds: list[str] = []

    @project.tool(
        "refund.issue",
        effect="write",
        result="Refunded {amount} EUR for order {order_id}.",
        requires_approval=above_the_threshold,
        approvers="group:leads",
    )
    def issue(refund: Refund) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]  # registered
        """Refund an order."""
        refunds.append(refund.order_id)
        return {"amount": str(refund.amount)}

    clock = SteppingClock()
    project.wiring.clock = clock
    sessions = Sessions(clock)
    made = Office(project, clock, sessions, create_app(project, sessions=sessions), refunds)
    made.write("policy", "The refund policy on annual plans: annual plans are refunded in full.")
    return made


def above_the_threshold(refund: Refund) -> bool:
    """Ask a human above 100 EUR."""
    return refund.amount > 100
