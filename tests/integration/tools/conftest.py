"""Real servers on loopback, each in a process of its own, and the scaffold's project."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import stripe
from caldav.collection import Calendar
from caldav.davclient import DAVClient

from staid.project.loading import load_project
from staid.project.project import Project
from staid.scaffold.write import write

# The command of localstripe listens on every interface and writes to a file all of a machine share.
LOCALSTRIPE = """
import sys
from aiohttp import web
from localstripe import resources
resources.Store.dump_to_disk = lambda self: None
from localstripe.server import app
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
"""


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def served(port: int, log: Path, *command: str) -> Generator[None]:
    """Run a server until the test is over; what it said is in the failure when it never listens."""
    with log.open("wb") as out:
        process = subprocess.Popen([sys.executable, *command], stdout=out, stderr=out)
        try:
            deadline = time.monotonic() + 60
            while not _listens(port):
                assert process.poll() is None, log.read_text("utf-8")
                assert time.monotonic() < deadline, log.read_text("utf-8")
            yield
        finally:
            process.kill()
            process.wait()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=0.2).close()
    except OSError:
        return False
    return True


@dataclass(frozen=True)
class Shop:
    """A Stripe account of a real client at a local server."""

    url: str
    client: stripe.StripeClient

    def pay(self, order: str, cents: int) -> str:
        """Take a payment for an order; returns the charge."""
        card = {"number": "4242424242424242", "exp_month": 12, "exp_year": 2040, "cvc": "123"}
        method: Any = self.client.v1.payment_methods.create({"type": "card", "card": card})  # pyright: ignore[reportArgumentType]
        customer = self.client.v1.customers.create({"email": "ada@okafor-bakery.example"})
        self.client.v1.payment_methods.attach(method.id, {"customer": customer.id})
        charge = self.client.v1.charges.create(
            {
                "amount": cents,
                "currency": "eur",
                "customer": customer.id,
                "source": method.id,
                "metadata": {"order_id": order},
            }
        )
        return charge.id

    def refunds(self, charge: str) -> list[int]:
        """Return what was refunded of a charge, in cents."""
        return [r.amount for r in self.client.v1.refunds.list({"charge": charge}).data]


@pytest.fixture(scope="session")
def stripe_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run localstripe for the whole session."""
    port = free_port()
    log = tmp_path_factory.mktemp("localstripe") / "log"
    with served(port, log, "-c", LOCALSTRIPE, str(port)):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def shop(stripe_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """Give the account, named in the environment; what other tests did is gone."""
    monkeypatch.setenv("STRIPE_API_KEY", "sk_test_12345")
    monkeypatch.setenv("STRIPE_API_BASE", stripe_url)
    http = stripe.RequestsClient()
    client = stripe.StripeClient(
        "sk_test_12345", base_addresses={"api": stripe_url}, http_client=http
    )
    urllib.request.urlopen(
        urllib.request.Request(f"{stripe_url}/_config/data", method="DELETE")
    ).close()
    yield Shop(stripe_url, client)
    http.close()


@dataclass(frozen=True)
class Desk:
    """The calendars of a real CalDAV server."""

    url: str

    def events(self, name: str = "onboarding") -> list[str]:
        """Return the ids of all events of a calendar."""
        with DAVClient(self.url, enable_rfc6764=False) as client:
            found: Any = client.calendar(url=f"{self.url}{name}/").events()
            return sorted(str(e.icalendar_component["UID"]) for e in found)

    def put(self, uid: str, start: datetime, end: datetime, **more: Any) -> None:
        """Have somebody else, past Staid, write an event to the onboarding calendar."""
        with DAVClient(self.url, enable_rfc6764=False) as client:
            calendar: Calendar = client.calendar(url=f"{self.url}onboarding/")
            calendar.add_event(uid=uid, dtstart=start, dtend=end, summary="Theirs", **more)


@pytest.fixture(scope="session")
def radicale(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run radicale for the whole session."""
    port = free_port()
    home = tmp_path_factory.mktemp("radicale")
    settings = (
        f"[server]\nhosts = 127.0.0.1:{port}\n[auth]\ntype = none\n"
        f"[rights]\ntype = from_file\nfile = {home}/rights\n"
        f"[storage]\nfilesystem_folder = {home}/store\n[web]\ntype = none\n"
    )
    (home / "rights").write_text("[all]\nuser: .*\ncollection: .*\npermissions: RrWw\n")
    (home / "config").write_text(settings)
    with served(port, home / "log", "-m", "radicale", "--config", str(home / "config")):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def desk(radicale: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """Give two calendars of a test's own, named in the environment."""
    url = f"{radicale}/{tmp_path.name}/"
    with DAVClient(url, enable_rfc6764=False) as client:
        client.mkcol(url, "")
        for name in ("onboarding", "training"):
            client.mkcalendar(f"{url}{name}/", "")
    monkeypatch.setenv("CALDAV_URL", url)
    return Desk(url)


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[[], Project]]:
    """Load the project that `staid init` writes, as often as a test asks: one folder, one store."""
    folder = write(tmp_path / "shop")
    made: list[Project] = []

    def load() -> Project:
        project = load_project(folder)
        made.append(project)
        return project

    yield load
    for project in made:
        project.close()
