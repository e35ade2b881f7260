"""`gates check`, `explain` and `backtest`: a policy file from its typos to its sign-off."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]

POLICY = """version: 1
tools:
  refund.issue:
    rules:
      - name: small-enough
        when: amount > {limit}
        then: ask
        message: "Above {limit} a lead decides."
"""


def with_policy(folder: Path, text: str) -> None:
    """Name a policy in the settings and write it."""
    toml = folder / "staid.toml"
    settings = toml.read_text("utf-8").replace("[gates]\n", '[gates]\npolicy = "policy.yaml"\n')
    toml.write_text(settings, "utf-8")
    (folder / "policy.yaml").write_text(text, "utf-8")


def test_every_typo_is_told_with_its_place_and_nothing_acts(ready: Run, folder: Path) -> None:
    """Exit 2, each mistake with line and column; and until it is mended no call is made."""
    with_policy(folder, POLICY.format(limit=40).replace("when: amount", "when: amout"))
    said = ready("gates", "check")
    assert said.code == 2
    (fault,) = said.body["faults"]
    assert (fault["line"], fault["column"]) == (6, 15)
    assert "did you mean 'amount'?" in fault["detail"]
    assert "policy.yaml:6:15" in ready("gates", "check", json=False).out
    asked = ready("ask", "refund 50 for order A1", "--as", "user:ada", "--agent", "desk")
    assert asked.code == 2
    assert asked.error["code"] == "ST-430"
    assert not (folder / "effects.txt").exists()


def test_a_policy_that_is_not_there_stops_the_project(ready: Run, folder: Path) -> None:
    """A file that was named and is missing is an error, never a project without rules."""
    with_policy(folder, "")
    (folder / "policy.yaml").unlink()
    asked = ready("ask", "refund 50 for order A1", "--as", "user:ada", "--agent", "desk")
    assert asked.error["code"] == "ST-431"
    assert not (folder / "effects.txt").exists()


def test_a_rule_asks_and_says_why(ready: Run, folder: Path) -> None:
    """A call above the policy's threshold waits, and explain shows the rule that decides."""
    with_policy(folder, POLICY.format(limit=40))
    asked = ready("ask", "refund 50 for order A1", "--as", "user:ada", "--agent", "desk")
    assert asked.body["outcome"] == "pending"
    why = ready(
        "gates",
        "explain",
        "refund.issue",
        "--as",
        "user:ada",
        "--arguments",
        '{"order_id": "A1", "amount": 50}',
    )
    assert (why.body["ruling"], why.body["rule"]) == ("ask", "policy:small-enough")
    assert why.body["rules"][0]["holds"] is True
    assert ready("gates", "check").body["tools"][1]["rules"] == ["small-enough"]


def test_a_looser_policy_needs_a_sign_off(ready: Run, folder: Path) -> None:
    """What waited and would not any more is counted; exit 1 until a lead takes it on."""
    with_policy(folder, POLICY.format(limit=40))
    ready("ask", "refund 50 for order A1", "--as", "user:ada", "--agent", "desk")
    candidate = folder / "looser.yaml"
    candidate.write_text(POLICY.format(limit=60), "utf-8")
    said = ready("gates", "backtest", "looser.yaml", "--since", "1d")
    assert (said.code, said.body["loosened"], said.body["calls"]) == (1, 1, 1)
    assert said.body["newly_unattended"] == {"refund.issue": "50"}
    again = ready("replay", "--all", "--policy", "looser.yaml")
    assert again.body["flipped_calls"] == 1
    refused = ready("gates", "backtest", "looser.yaml", "--sign-off", "ok", "--as", "user:ada")
    assert refused.error["code"] == "ST-432"
    signed = ready("gates", "backtest", "looser.yaml", "--sign-off", "ok", "--as", "user:lead")
    assert (signed.code, signed.body["signed_off"]) == (0, True)
    assert ready("gates", "backtest", "looser.yaml").code == 0
    assert ready("gates", "backtest", "policy.yaml").body["flips"] == []
    assert "no longer" not in ready("doctor").out


@pytest.mark.parametrize("limit", ["20", "-1"])
def test_a_tighter_policy_passes(ready: Run, folder: Path, limit: str) -> None:
    """More approvals are told, and are nobody's loosening."""
    ready("ask", "refund 50 for order A1", "--as", "user:ada", "--agent", "desk")
    (folder / "tighter.yaml").write_text(POLICY.format(limit=limit), "utf-8")
    said = ready("gates", "backtest", "tighter.yaml")
    assert (said.code, said.body["loosened"]) == (0, 0)
    assert said.body["approvals_added_per_day"] == "1"


def test_what_a_rule_wants_of_approvers_is_kept(ready: Run, folder: Path) -> None:
    """Whoever the rule does not name cannot approve what it asked for."""
    with_policy(folder, POLICY.format(limit=40) + "        approvers: [group:leads]\n")
    toml = folder / "staid.toml"
    toml.write_text(toml.read_text("utf-8").replace('approvers = ["group:leads"]\n', ""), "utf-8")
    asked = ready("ask", "refund 50 for order A1", "--as", "user:ada", "--agent", "desk")
    assert asked.body["outcome"] == "pending"
    approval = ready("approvals", "list").body["approvals"][0]["id"]
    refused = ready("approvals", "approve", approval, "--as", "user:bea")
    assert refused.error["code"] == "ST-414"
    assert not (folder / "effects.txt").exists()
