"""A rule that wants a yes: in what the asker wrote last, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

Run = Callable[..., Any]

POLICY = """version: 1
tools:
  refund.issue:
    rules:
      - name: said-yes
        unless: any(["yes", "go ahead"], w => contains(lower(said), w))
        then: deny
        message: "Say what will be refunded, and ask for a yes."
"""
BARE, AGREED = "refund 50 for order A1", "Yes: refund 50 for order A1"
AS_ADA = ("--as", "user:ada", "--agent", "desk")


def with_policy(folder: Path, text: str = POLICY) -> None:
    """Name a policy in the settings and write it."""
    toml = folder / "staid.toml"
    settings = toml.read_text("utf-8").replace("[gates]\n", '[gates]\npolicy = "policy.yaml"\n')
    toml.write_text(settings, "utf-8")
    (folder / "policy.yaml").write_text(text, "utf-8")


def effects(folder: Path) -> list[str]:
    """Return what was refunded."""
    file = folder / "effects.txt"
    return file.read_text().splitlines() if file.exists() else []


def test_only_the_last_words_count(ready: Run, folder: Path) -> None:
    """Without a yes nothing happens, with one it does, and the next call needs one of its own."""
    with_policy(folder)
    for text, done in ((BARE, 0), (AGREED, 1), ("refund 60 for order A2", 1)):
        asked = ready("ask", text, *AS_ADA, "--conversation", "cnv_one")
        assert len(effects(folder)) == done
        assert (asked.body["outcome"] == "answer") is (text == AGREED)


def test_explain_is_told_what_was_said(ready: Run, folder: Path) -> None:
    """Without words the rule cannot be decided, which denies; with them it says what it says."""
    with_policy(folder)
    call = ("gates", "explain", "refund.issue", "--as", "user:ada", "--arguments")
    call = (*call, '{"order_id": "A1", "amount": 50}')
    assert ready(*call).body["ruling"] == "deny"
    assert "said is not known" in ready(*call, json=False).out
    assert ready(*call, "--said", "No!").body["rule"] == "policy:said-yes"
    assert ready(*call, "--said", "Yes.").body["ruling"] == "allow"


def test_a_candidate_is_tried_on_what_was_said_before_it(ready: Run, folder: Path) -> None:
    """Calls of a time without such a rule are ruled by the question of their run."""
    for text in (BARE, AGREED):
        assert ready("ask", text, *AS_ADA).body["outcome"] == "answer"
    (folder / "candidate.yaml").write_text(POLICY, "utf-8")
    tried = ready("gates", "backtest", "candidate.yaml").body
    assert [(flip["then"], flip["now"]) for flip in tried["flips"]] == [("allow", "deny")]
    assert tried["cannot"] == []


def test_what_an_approver_edits_nobody_said_yes_to(ready: Run, folder: Path) -> None:
    """The yes was for the call as it was; one that an approver makes of it is denied."""
    with_policy(folder, POLICY + "      - {name: bounded, when: amount > 40, then: ask}\n")
    asked = ready("ask", AGREED, *AS_ADA).body
    assert asked["outcome"] == "pending"
    edit = ("approvals", "edit", *asked["approvals"], "--set", "amount=45", "--as", "user:lead")
    refused = ready(*edit)
    assert refused.code != 0
    assert "said is not known" in str(refused.error)
    assert effects(folder) == []


def test_of_an_erased_run_nobody_can_tell(ready: Run, folder: Path) -> None:
    """What was said is gone with the person, and a candidate that wants a yes says so."""
    assert ready("ask", AGREED, *AS_ADA).body["outcome"] == "answer"
    (folder / "candidate.yaml").write_text(POLICY, "utf-8")
    erased = ready("erase", "user:ada", "--reason", "asked for", "--yes")
    assert erased.code == 0
    tried = ready("gates", "backtest", "candidate.yaml").body
    assert tried["flips"] == []
    assert [one["reason"] for one in tried["cannot"]] == ["what the asker had written was not kept"]


def test_a_replay_rules_on_the_words_of_then(ready: Run, folder: Path) -> None:
    """Under a policy that wants a yes, a run without one comes out otherwise; one with it stays."""
    runs = [ready("ask", text, *AS_ADA).body["run"] for text in (BARE, AGREED)]
    with_policy(folder)
    changed = [ready("replay", run, "--policy", "now").body["changed"] for run in runs]
    assert changed == [True, False]
