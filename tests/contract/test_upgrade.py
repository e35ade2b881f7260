"""What the release before wrote waits through the migration, ninety days, and runs once."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import text

from staid.domain.call import CallState, ToolCall
from staid.domain.canonical import canonical
from staid.domain.errors import ApproverNotAllowed
from staid.domain.events import Content, Event, EventKind
from staid.domain.ids import ApprovalId, CallId
from staid.domain.principal import Actor
from staid.gates.facts import GATE
from staid.store.engine import Store
from staid.store.journal import Journal
from staid.store.schema import HEAD, prepare, version
from staid.testing.gating import ADA, LEAD, REFUND, RUN, GateWorld
from staid.testing.kill import START
from staid.testing.postgres import PostgresServer

CALL = ToolCall(
    CallId("cal_old"), RUN, "support", REFUND, {"amount": "150", "order_id": "7"}, "cal_old"
)
EXPIRES = timedelta(days=120)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Give a store as the release before left it: a request waits in it."""
    if request.param == "sqlite":
        yield _filled(Store(f"sqlite:///{tmp_path}/old.db"))
        return
    postgres: PostgresServer = request.getfixturevalue("postgres")
    with postgres.database() as url:
        yield _filled(Store(url))


def _filled(store: Store) -> Store:
    config = Config()
    config.set_main_option("script_location", "staid:store/migrations")
    with store.write() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0008")
    with store.write() as connection:
        connection.execute(text(_insert("call", _call())), _call())
        connection.execute(text(_insert("approval", _approval())), _approval())
    with store.write() as connection:
        Journal(store, b"key").append(connection, RUN, _facts())
    return store


def _insert(table: str, values: dict[str, Any]) -> str:
    names = ", ".join(f'"{name}"' for name in values)
    return f"INSERT INTO {table} ({names}) VALUES ({', '.join(f':{name}' for name in values)})"


def _call() -> dict[str, Any]:
    return {
        "id": CALL.id,
        "run": CALL.run,
        "agent": CALL.agent,
        "tool": CALL.tool,
        "arguments": canonical(CALL.arguments),
        "digest": CALL.digest,
        "key": CALL.key,
        "provider_id": "p-1",
        "subject": ADA.token,
        "state": "pending",
        "severity": 1,
        "rule": "approval",
        "message": "A human has to approve this call.",
        "proposed_at": _time(START),
    }


def _approval() -> dict[str, Any]:
    return {
        "id": "apr_old",
        "call": CALL.id,
        "run": CALL.run,
        "rule": "approval",
        "message": "A human has to approve this call.",
        "digest": CALL.digest,
        "preview": "150 back",
        "requested_at": _time(START),
        "expires_at": _time(START + EXPIRES),
        "requested_by": json.dumps([ADA.token, "agent:support"]),
        "approvers": json.dumps(["group:leads"]),
    }


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S.%f}"


def _facts() -> list[Event]:
    """Return the facts as that release wrote them: bound to nothing but the arguments."""
    base = {"call": CALL.id, "tool": CALL.tool, "digest": CALL.digest}
    asked = {"approval": "apr_old", "rule": "approval", "expires_at": str(START + EXPIRES)}
    arguments = Content({"arguments": dict(CALL.arguments)}, subject=ADA.token)
    return [
        Event(EventKind.CALL_PROPOSED, START, Actor("agent", "support"), base, arguments),
        Event(EventKind.CALL_RULED, START, GATE, {**base, "ruling": "ask", "rule": "approval"}),
        Event(EventKind.APPROVAL_REQUESTED, START, GATE, {**base, **asked}),
    ]


def test_ninety_days_and_an_upgrade_later_it_runs_once(old: Store) -> None:
    """A request of the schema before is shown, decided by the right person, and executed once."""
    assert version(old) == "0008"
    prepare(old)
    assert version(old) == HEAD
    world = GateWorld(old)
    (asked,) = world.ledger.approvals()
    assert (asked.id, asked.state, asked.preview) == ("apr_old", CallState.PENDING, "150 back")
    assert (asked.bound, asked.votes, asked.round) == (None, (), 1)
    assert (asked.asks.quorum, asked.asks.approvers) == (1, {"group:leads"})
    world.clock.move(timedelta(days=90))
    with pytest.raises(ApproverNotAllowed):
        world.ledger.decide(ApprovalId("apr_old"), ADA, "approve")
    asyncio.run(world.gate.sweep())
    world.ledger.decide(ApprovalId("apr_old"), LEAD, "approve", seen=asked.binding)
    for _ in range(2):
        assert asyncio.run(world.gate.execute("cal_old")).state is CallState.DONE
    assert [str(amount) for _, amount in world.effects] == ["150"]
    assert world.journal.verify() == []
    old.close()
