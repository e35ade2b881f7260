"""What a command shows of somebody's run is recorded as read; what is not recorded is not shown.

The rows of `docs/reference/readings.md`, one by one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from staid.domain.errors import StoreFull
from staid.store.readings import SqlReadings

Run = Callable[..., Any]
WORD = "Zuckerkandl"
KNOWN = f"Are annual plans for {WORD} refunded within 30 days of the purchase?"
UNKNOWN = f"Do whales sing at {WORD}?"
REFUND = f"Please refund 200 for order {WORD.upper()}"
TELLING = (WORD.lower(), "30 days")
"""Words of the questions and arguments, and of the passage and the answer."""
PAGE = Path(__file__).parents[3] / "docs" / "reference" / "readings.md"

READ = {
    "why": ["why", "{answer}"],
    "runs show": ["runs", "show", "{answer}"],
    "runs compare": ["runs", "compare", "{answer}", "{abstention}"],
    "replay": ["replay", "{answer}", "--floor", "0.99"],
    "approvals list": ["approvals", "list"],
    "approvals show": ["approvals", "show", "{approval}"],
    "handoffs list": ["handoffs", "list"],
    "gaps": ["gaps"],
    "export subject": ["export", "subject", "user:ada"],
}
SHOWN_IN = {"approvals list": "pending", "approvals show": "pending"} | dict.fromkeys(
    ("handoffs list", "gaps"), "abstention"
)
BARE = {
    "runs list": ["runs", "list"],
    "runs stats": ["runs", "stats"],
    "runs readers": ["runs", "readers", "{answer}"],
    "impact": ["impact", "--tool", "refund.issue"],
    "prompts history": ["prompts", "history", "{prompt}", "--runs"],
    "export run": ["export", "run"],
    "export status": ["export", "status"],
    "export backfill": ["export", "backfill", "log"],
    "export retry": ["export", "retry", "log"],
    "export receipts": ["export", "receipts"],
    "hold add": ["hold", "add", "{answer}", "--reason", "court order"],
    "hold list": ["hold", "list"],
    "gates backtest": ["gates", "backtest"],
    "gates budgets": ["gates", "budgets"],
    "gates status": ["gates", "status"],
    "worker": ["worker", "--once"],
}
LEFT_OUT = {"hold release", "erase", "import"}
"""Of the same row: they answer with ids of their own making, and take more to be called."""


def row(number: int) -> set[str]:
    """Return the commands in a row of the reference."""
    lines = [line for line in PAGE.read_text("utf-8").splitlines() if line[:2] == "| "]
    return set(re.findall(r"`([^`]+)`", lines[number].split("|")[2]))


@pytest.fixture
def lived(ready: Run, folder: Path) -> Mapping[str, str]:
    """Give the runs of ada: answered, abstained from, and waiting; each with a telling word."""
    toml = (folder / "staid.toml").read_text()
    (folder / "staid.toml").write_text(f'{toml}\n[sinks.log]\nkind = "file"\npath = "out.jsonl"\n')
    asked = {
        "answer": ready("ask", KNOWN, "--as", "user:ada", "--agent", "support").body,
        "abstention": ready("ask", UNKNOWN, "--as", "user:ada", "--agent", "support").body,
        "pending": ready("ask", REFUND, "--as", "user:ada", "--agent", "desk").body,
    }
    ready("ask", UNKNOWN, "--as", "user:bea", "--agent", "support")
    assert {name: told["outcome"] for name, told in asked.items()} == {n: n for n in asked}
    prompts = ready("prompts", "list").body["prompts"]
    return {
        "prompt": prompts[0]["name"],
        "approval": asked["pending"]["approvals"][0],
        **{name: told["run"] for name, told in asked.items()},
    }


def surfaces(ready: Run, run: str) -> list[str]:
    """Return where a run was read."""
    return [each["surface"] for each in ready("runs", "readers", run).body["readings"]]


def test_the_tables_are_those_of_the_reference() -> None:
    """What is tried here is the row of what is recorded, and the row of what shows no content."""
    assert set(READ) == row(1)
    assert set(BARE) | LEFT_OUT == row(4)


@pytest.mark.parametrize("name", READ)
def test_what_shows_content_is_recorded(ready: Run, lived: Mapping[str, str], name: str) -> None:
    """The command shows the word, and the run says by whom and where it was read."""
    said = ready(*(word.format(**lived) for word in READ[name]))
    assert said.code == 0
    assert [word for word in TELLING if word in said.out.lower()]
    run = lived[SHOWN_IN.get(name, "answer")]
    assert surfaces(ready, run) == [f"cli {name}"]
    assert ready("doctor").code == 0


@pytest.mark.parametrize("name", BARE)
def test_what_is_not_recorded_shows_no_content(
    ready: Run, lived: Mapping[str, str], name: str
) -> None:
    """The command shows no word of question, answer or arguments, and no reading is recorded."""
    said = ready(*(word.format(**lived) for word in BARE[name]))
    assert json.loads(said.out.splitlines()[-1] if said.code else said.out)
    assert said.code in {0, 1}
    assert [word for word in TELLING if word in (said.out + said.err).lower()] == []
    for run in ("answer", "abstention", "pending"):
        assert surfaces(ready, lived[run]) == []


def test_a_full_store_still_lists_what_waits(
    ready: Run, lived: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the reading cannot be recorded the operator is told so, and gets the list."""

    def full(*_given: object, **_more: object) -> None:
        raise StoreFull

    monkeypatch.setattr(SqlReadings, "record", full)
    said = ready("handoffs", "list")
    assert (said.code, len(said.body["handoffs"])) == (0, 2)
    assert "could not be recorded" in said.err
