"""Two written policies over real tasks and conversations: what the rules stop, and what not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from staid.gates.backtest import Backtest
from tau2_replay import DOMAINS, MOST_DENIED, counts, denied_of_known, domain
from tau2_rulings import right_writes, transplanted, wished, writes
from tau2_runs import recorded
from tau2_world import rows

DATA = Path(os.environ.get("STAID_DATA") or ".")
DATABASES = Path(__file__).parents[3] / ".venv-tau2" / "tau2" / "data" / "tau2" / "domains"
"""Where `make tau2-setup` puts them; nothing here needs them."""
pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif("STAID_DATA" not in os.environ, reason="STAID_DATA is not set"),
]
RECORDS = [
    pytest.param(None, id="recorded"),
    pytest.param(
        DATABASES,
        id="databases",
        marks=pytest.mark.skipif(not DATABASES.exists(), reason="make tau2-setup has not run"),
    ),
]


@pytest.mark.parametrize("records", RECORDS)
@pytest.mark.parametrize("name", DOMAINS)
def test_right_writes_are_not_denied(name: str, records: Path | None) -> None:
    """Of the writes that solve a task and whose facts are known, a rule denies 2 % at most."""
    found = right_writes(domain(name, DATA, records), rows(DATA, f"tau2_{name}_tasks"))
    assert len(found) > 20
    assert denied_of_known(found) <= MOST_DENIED
    if records is not None:
        assert counts(found)["no facts"] == 0
        assert counts(found)["asked"] <= len(found) * 0.1


@pytest.mark.parametrize("records", RECORDS)
@pytest.mark.parametrize("name", DOMAINS)
def test_the_writes_of_others_are_not_allowed(name: str, records: Path | None) -> None:
    """What solves another user's task is stopped, but where it is the same user's records."""
    known = domain(name, DATA, records)
    tasks = rows(DATA, f"tau2_{name}_tasks")
    found = transplanted(known, tasks)
    assert counts(found)["allowed"] <= len(found) * 0.05
    assert len(found) == sum(not writes(name, t) for t in tasks) * sum(
        len(writes(name, t)) for t in tasks
    )


def test_what_users_ask_for_in_vain_is_stopped_where_the_policy_says_no() -> None:
    """Cancellations and certificates that no task grants are denied, or lack their facts."""
    known = domain("airline", DATA, DATABASES if DATABASES.exists() else None)
    found = wished(known, rows(DATA, "tau2_airline_tasks"))
    vain = [one for one in found if one.tool in {"cancel_reservation", "send_certificate"}]
    assert vain
    assert not [one for one in vain if one.verdict == "allowed"]


def test_recorded_conversations_that_failed_break_more_rules() -> None:
    """Imported and ruled on, failed ones hold denied writes; backtest says the same of each."""
    found = recorded(domain("airline", DATA, None), DATA)
    denied = [one for one in found.writes if one.ruled.verdict == "denied"]
    assert len(found.conversations) == 88
    assert {one.good for one in denied} == {False}
    assert {"bags-of-a-booking", "one-certificate"} <= {
        r for one in denied for r in one.ruled.rules
    }
    assert _agrees(found.backtest, sum(one.stopped for one in found.writes))


def _agrees(tested: Backtest, stopped: int) -> bool:
    """Backtest leaves out calls with any record missing; all others it rules the same."""
    return len(tested.flips) <= stopped <= len(tested.flips) + len(tested.cannot)
