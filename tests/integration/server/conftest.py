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

import staid
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
        return self.waiting(f"Please refund 240 EUR for order {order}", asker)

    def waiting(self, text: str, asker: str = "user:ada") -> dict[str, Any]:
        """Let somebody ask the desk for what a person decides; return the request, as JSON."""
        client = self.signed_in(asker)
        run = self.ask(client, text, "desk")
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


TOOLS = '["mail.read", "pay.send", "refund.issue", "post.send"]'
BANK = f"""{SETTINGS.replace('["refund.issue"]', TOOLS)}
[gates]
policy = "policy.yaml"
approvers = ["group:leads"]
"""

STAFF = """
principals:
  user:ada: {groups: [group:customers]}
  user:bob: {groups: [group:customers]}
  user:lead: {groups: [group:leads]}
  user:second: {groups: [group:leads]}
  user:chief: {groups: [group:directors]}
"""

RULES = """version: 1
tools:
  pay.send:
    rules:
      - name: no-strangers
        when: origin(iban) == "document"
        then: deny
        message: "The account is not one that we know."
        shadow: true
"""

ERRANDS = r"""
- when: 'pay (?P<amount>\d+) for mail (?P<mail>\S+) to (?P<iban>.+)$'
  steps:
    - calls:
        - {tool: mail.read, arguments: {mail: "{mail}"}}
    - calls:
        - {tool: pay.send, arguments: {iban: "{iban}", amount: "{amount}", note: "as agreed"}}
- when: 'refund (?P<amount>\d+) EUR for order (?P<order>.+)$'
  steps:
    - calls:
        - {tool: refund.issue, arguments: {order_id: "{order}", amount: "{amount}"}}
- when: 'post (?P<order>.+)$'
  steps:
    - calls:
        - {tool: post.send, arguments: {order_id: "{order}"}}
- when: 'look at mail (?P<mail>\S+)'
  steps:
    - calls:
        - {tool: mail.read, arguments: {mail: "{mail}"}}
    - calls:
        - {tool: pay.send, arguments: {iban: "{result}", amount: "700", note: "as agreed"}}
"""


class Letter(BaseModel):
    """A letter by its number."""

    mail: str


class Payment(BaseModel):
    """Money to an account."""

    iban: str
    amount: Decimal
    note: str = ""


class Parcel(BaseModel):
    """What is sent."""

    order_id: str


@dataclass
class Bank(Office):
    """An office with letters that anybody may have written, and tools that lose answers."""

    letters: dict[str, str] = field(default_factory=dict[str, str])
    """What `mail.read` returns."""
    arrived: dict[str, bool | None] = field(default_factory=dict[str, "bool | None"])
    """What the carrier says when it is asked about a parcel."""
    back: list[str] = field(default_factory=list[str])
    """Every refund that was taken back."""


@pytest.fixture
def bank(make_project: Callable[..., Project]) -> Bank:
    """Open the bank: a lead approves up to 500 and a director up to 5000, and payments take two."""
    files = {"script.yaml": ERRANDS, "directory.yaml": STAFF, "policy.yaml": RULES}
    project = make_project("bank", BANK, **files)
    clock = SteppingClock()
    project.wiring.clock = clock
    sessions = Sessions(clock)
    made = Bank(project, clock, sessions, None, [])

    @project.tool("mail.read", effect="read")
    def read(letter: Letter) -> str:  # pyright: ignore[reportUnusedFunction]  # registered
        """Read a letter."""
        return made.letters[letter.mail]

    @project.tool(
        "pay.send",
        effect="irreversible",
        requires_approval=always,
        approvers=["group:leads", "group:directors"],
        ceilings={"group:leads": 500, "group:directors": 5000},
        amount="amount",
        escalate_after="4h",
        escalate_to="user:chief",
    )
    def pay(payment: Payment) -> None:  # pyright: ignore[reportUnusedFunction]  # registered
        """Send money."""
        made.refunds.append(payment.iban)

    _refunds_and_parcels(project, made)
    made.app = create_app(project, sessions=sessions)
    return made


def always(_: Payment) -> bool:
    """Ask a human about every payment."""
    return True


def _refunds_and_parcels(project: Project, made: Bank) -> None:
    def take_back(refund: Refund, _: staid.Call) -> None:
        made.back.append(refund.order_id)
        if refund.order_id == "LOST":
            raise ConnectionError

    def was_sent(parcel: Parcel, _: staid.Call) -> bool | None:
        return made.arrived.get(parcel.order_id)

    @project.tool(
        "refund.issue",
        effect="write",
        requires_approval=staid.Threshold("amount", 100),
        approvers="group:leads",
        quorum=2,
        undo=take_back,
    )
    def issue(refund: Refund) -> None:  # pyright: ignore[reportUnusedFunction]  # registered
        """Refund an order."""
        made.refunds.append(refund.order_id)

    @project.tool("post.send", effect="write", reconcile=was_sent)
    def send(parcel: Parcel) -> None:  # pyright: ignore[reportUnusedFunction]  # registered
        """Send a parcel; the carrier hangs up after it took it."""
        made.refunds.append(parcel.order_id)
        raise ConnectionError
