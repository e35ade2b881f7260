"""The scaffold's refunds at a real Stripe client and server: once, within the balance, no guess."""

from __future__ import annotations

import asyncio
import importlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import stripe

import staid
from staid.domain.ids import CallId, RunId
from staid.gates.params import canonical_arguments
from staid.gates.tool import Call
from staid.project.deciding import decide
from staid.project.project import Project
from staid.testing.kill import StepClock

CALL = Call(CallId("cal_1"), "key-1", RunId("run_1"), "user:ada", "desk")
Opened = Callable[[], Project]
Shop = Any
"""The account of the fixture."""

KILLED_AFTER_THE_EFFECT = """
import os, signal, sys
from pathlib import Path
from staid.project.loading import load_project
project = load_project(Path(sys.argv[1]))
import refunds_stripe
real = refunds_stripe.create
def create(*arguments):
    real(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)
refunds_stripe.create = create
project.agent_named("desk").ask_sync("Please refund 40.00 EUR for order R-1001", asker="user:ada")
"""


def ask(project: Project, text: str) -> Any:
    """Ask the scripted agent as Ada."""
    return project.agent_named("desk").ask_sync(text, asker="user:ada")


def params(project: Project, amount: str, order: str = "R-1001") -> Any:
    """Return validated arguments of a refund."""
    tool = project.tools["refund.issue"]
    return canonical_arguments(tool.params, {"order_id": order, "amount": amount})[0]


def test_a_small_refund_runs_once(shop: Shop, opened: Opened) -> None:
    """Within the bounds a question becomes one refund at Stripe, which names key and order."""
    charge = shop.pay("R-1001", 24000)
    outcome = ask(opened(), "Please refund 40.25 EUR for order R-1001")
    assert "Refunded 40.25 EUR for order R-1001." in outcome.text
    (refund,) = shop.client.v1.refunds.list({"charge": charge}).data
    assert refund.amount == 4025
    assert refund.metadata is not None
    told = refund.metadata.to_dict()
    assert told["order_id"] == "R-1001"
    assert told["staid_key"]


def test_above_the_threshold_a_person_sees_the_balance_and_decides(
    shop: Shop, opened: Opened
) -> None:
    """Nothing is refunded before the approval, one refund after it, none by deciding again."""
    charge = shop.pay("R-1002", 30000)
    shop.client.v1.refunds.create({"charge": charge, "amount": 5000})
    project = opened()
    waiting = ask(project, "Please refund 240.00 EUR for order R-1002")
    assert shop.refunds(charge) == [5000]
    record = project.wiring.ledger.approval(waiting.approvals[0])
    assert record.preview == (
        "Order R-1002: 300.00 EUR paid, 50.00 EUR refunded already; "
        "this would refund 240.00 EUR of the 250.00 EUR left."
    )
    asyncio.run(decide(project, waiting.approvals[0], "approve", approver="user:lead"))
    assert sorted(shop.refunds(charge)) == [5000, 24000]
    with pytest.raises(staid.StaidError):
        asyncio.run(decide(project, waiting.approvals[0], "approve", approver="user:lead"))
    assert sorted(shop.refunds(charge)) == [5000, 24000]


def test_more_than_what_is_left_is_not_done(shop: Shop, opened: Opened) -> None:
    """The server would pay it: the handler asks for the balance and surely changes nothing."""
    charge = shop.pay("R-1001", 9000)
    project = opened()
    tool = project.tools["refund.issue"]
    tool.invoke(params(project, "60"), CALL)
    with pytest.raises(staid.NotDone, match=r"30\.00 EUR left"):
        tool.invoke(params(project, "30.01"), replace(CALL, key="key-2"))
    assert shop.refunds(charge) == [6000]
    ask(project, "Please refund 31.00 EUR for order R-1001")
    assert shop.refunds(charge) == [6000]
    tool.invoke(params(project, "30"), replace(CALL, key="key-2"))
    assert sorted(shop.refunds(charge)) == [3000, 6000]


def test_the_same_key_refunds_once(shop: Shop, opened: Opened) -> None:
    """A repetition returns the first refund, though this server knows no idempotency keys."""
    charge = shop.pay("R-1001", 9000)
    project = opened()
    tool = project.tools["refund.issue"]
    first = tool.invoke(params(project, "40"), CALL)
    assert tool.invoke(params(project, "40"), CALL) == first
    assert shop.refunds(charge) == [4000]


@pytest.mark.parametrize("payments", [0, 2])
def test_a_payment_that_is_not_clear_is_not_refunded(
    shop: Shop, opened: Opened, payments: int
) -> None:
    """No payment of this order, or two: nobody guesses which."""
    charges = [shop.pay("R-1001", 9000) for _ in range(payments)]
    shop.pay("R-1009", 9000)
    project = opened()
    with pytest.raises(staid.NotDone, match="payments"):
        project.tools["refund.issue"].invoke(params(project, "40"), CALL)
    assert [shop.refunds(charge) for charge in charges] == [[]] * payments


def test_the_payment_is_found_behind_many_others(shop: Shop, opened: Opened) -> None:
    """Payments come by the page, and so do refunds: what is asked for may be on the second one."""
    charge = shop.pay("R-1001", 9000)
    project = opened()
    tool = project.tools["refund.issue"]
    tool.invoke(params(project, "1"), CALL)
    for _ in range(101):
        shop.client.v1.refunds.create({"charge": charge, "amount": 10})
    assert tool.reconcile is not None
    assert tool.reconcile(params(project, "1"), CALL) is True


def test_a_refund_whose_record_was_lost_is_found_and_not_repeated(
    shop: Shop, opened: Opened
) -> None:
    """SIGKILL after Stripe paid: the sweep asks Stripe, hears yes, and no second refund exists."""
    charge = shop.pay("R-1001", 9000)
    project = opened()
    folder = project.settings.directory_path
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_AFTER_THE_EFFECT, str(folder)], check=False, timeout=120
    )
    assert killed.returncode == -signal.SIGKILL
    assert shop.refunds(charge) == [4000]
    later = opened()
    later.wiring.clock = StepClock(datetime.now(UTC) + timedelta(hours=2))
    (found,) = asyncio.run(later.wiring.gate.sweep()).in_doubt
    assert found.state == "done"
    assert shop.refunds(charge) == [4000]


def test_reconcile_tells_yes_no_and_unknown(
    shop: Shop, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Yes and no come from Stripe alone; a Stripe that is away, or lost the payment, is no no."""
    shop.pay("R-1001", 9000)
    project = opened()
    tool = project.tools["refund.issue"]
    assert tool.reconcile is not None
    assert tool.reconcile(params(project, "40"), CALL) is False
    tool.invoke(params(project, "40"), CALL)
    assert tool.reconcile(params(project, "40"), CALL) is True
    assert tool.reconcile(params(project, "40"), replace(CALL, key="key-2")) is False
    assert tool.reconcile(params(project, "40", "R-7777"), CALL) is None
    monkeypatch.setenv("STRIPE_API_BASE", "http://127.0.0.1:1")
    away = opened().tools["refund.issue"]
    assert away.reconcile is not None
    assert away.reconcile(params(project, "40"), CALL) is None
    with pytest.raises(staid.NotDone, match="cannot be asked"):
        away.invoke(params(project, "40"), CALL)


def test_an_answer_that_is_lost_is_a_doubt(shop: Shop, opened: Opened) -> None:
    """When the write itself fails on the way nobody says that nothing happened."""
    shop.pay("R-1001", 9000)
    opened()
    tools: Any = importlib.import_module("refunds_stripe")
    payments = tools.StripeRefunds.of({**os.environ, "STRIPE_API_BASE": "http://127.0.0.1:1"})
    with payments._opened() as client, pytest.raises(stripe.APIConnectionError):
        tools.create(client, "ch_1", "R-1001", Decimal(40), CALL)


def test_the_balance_is_what_an_approval_rests_on(shop: Shop, opened: Opened) -> None:
    """The text changes with every refund, whoever made it."""
    charge = shop.pay("R-1001", 9000)
    opened()
    tools: Any = importlib.import_module("refunds_stripe")
    payments = tools.StripeRefunds.of(os.environ)
    assert payments.balance("R-1001") == f"{charge}: 90.00 EUR left"
    shop.client.v1.refunds.create({"charge": charge, "amount": 1})
    assert payments.balance("R-1001") == f"{charge}: 89.99 EUR left"
