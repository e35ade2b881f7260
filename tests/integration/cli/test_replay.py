"""`prompts`, `replay` and `import` from the command line: keys, exit codes, and no effect twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

KNOWN = "Are annual plans refunded within 30 days of the purchase?"

Run = Callable[..., Any]


def asked(ready: Run, text: str = KNOWN, agent: str = "support") -> str:
    """Ask, and return the run."""
    return ready("ask", text, "--as", "user:ada", "--agent", agent).body["run"]


def test_a_run_replays_identical_and_touches_nothing(ready: Run, folder: Path) -> None:
    """Exit 0, the keys, and not one line more in the file that the handler appends to."""
    run = asked(ready, "refund 50 for order A1", "desk")
    effects = (folder / "effects.txt").read_text()
    said = ready("replay", run)
    assert said.code == 0
    assert said.body["identical"] is True
    assert said.body["facts"] > 0
    assert said.body["divergence"] is None
    assert "identical" in ready("replay", run, json=False).out
    assert ready("replay", run, "--deny", "refund.issue").body["changed"] is True
    assert (folder / "effects.txt").read_text() == effects


def test_other_bounds_are_told_with_exit_1(ready: Run, folder: Path) -> None:
    """After the bounds changed the replay names the fact, the part and the cause, and exits 1."""
    run = asked(ready, "refund 50 for order A1", "desk")
    agent = folder / "agent.py"
    agent.write_text(agent.read_text().replace("gt=0, le=500", "gt=0, le=20"), "utf-8")
    said = ready("replay", run)
    assert said.code == 1
    assert said.body["divergence"]["cause"] == "tools"
    assert "the tools changed" in " ".join(ready("replay", run, json=False).out.split())
    now = ready("replay", run, "--policy", "now")
    assert (now.code, now.body["changed"]) == (0, True)
    (ruling,) = now.body["rulings"]
    assert (ruling["then"]["ruling"], ruling["now"]["ruling"]) == ("allow", "deny")
    assert ruling["now"]["rule"] == "constraint:amount"
    told = " ".join(ready("replay", run, "--policy", "now", json=False).out.split())
    assert "then: allow (bounds) now: deny (constraint:amount)" in told


def test_a_counterfactual_shows_then_and_now(ready: Run) -> None:
    """With another floor outcome, numbers and what decided stand side by side, and exit is 0."""
    run = asked(ready)
    said = ready("replay", run, "--without", "refunds.md")
    assert said.code == 0
    then, now = said.body["then"], said.body["now"]
    assert (then["outcome"], now["outcome"]) == ("answer", "abstention")
    assert then["evidence"] == ["refunds.md"]
    assert now["decided"] != then["decided"]
    person = ready("replay", run, "--without", "refunds.md", json=False).out
    assert all(len(line) <= 80 for line in person.splitlines())


def test_all_runs_in_one_summary(ready: Run) -> None:
    """`--all` counts, lists what changed, and tells what cannot be replayed."""
    runs = {asked(ready), asked(ready, "hello there, whales")}
    said = ready("replay", "--all")
    assert (said.code, said.body["runs"], said.body["same"]) == (0, 2, 2)
    changed = ready("replay", "--all", "--since", "1d", "--without", "refunds.md").body
    assert changed["runs"] == 2
    assert {each["run"] for each in changed["changed"]} <= runs
    assert ready("replay", "--all", "--since", "2100-01-01").body["runs"] == 0


def test_misuse_is_told(ready: Run, folder: Path) -> None:
    """What cannot be asked is exit 2 with a next step; a name that is nowhere changes nothing."""
    (folder / "odd.md").write_bytes(b"\xff\xfe instructions")
    run = asked(ready)
    for words in (
        (),
        (run, "--all"),
        (run, "--since", "1d"),
        ("--all", "--since", "once"),
        (run, "--policy", "later"),
        (run, "--index", "then"),
        (run, "--prompt", "none.md"),
        (run, "--prompt", "odd.md"),
        (run, "--without", "refund.md"),
        ("--all", "--without", "refund.md"),
        (run, "--deny", "refund.isue"),
        ("--all", "--deny", "refund.isue"),
    ):
        said = ready("replay", *words)
        assert said.code == 2, words
        assert said.error["hint"]
    assert ready("replay", "run_none").error["code"] == "ST-306"


def test_a_prompt_of_before_can_be_asked_again(ready: Run, folder: Path) -> None:
    """A file or NAME@VERSION replaces the instructions, where a model is named to answer them."""
    run = asked(ready)
    (folder / "other.md").write_text("Be brief.", "utf-8")
    assert ready("replay", run, "--prompt", "other.md").error["code"] == "ST-570"
    now = ready("replay", run, "--prompt", "other.md", "--model", "quote").body
    assert now["now"]["outcome"] == "answer"
    assert ready("replay", run, "--prompt", "none@1", "--model", "quote").code == 0


def test_prompts_are_listed_shown_and_compared(ready: Run, folder: Path) -> None:
    """Versions count from 1; a diff needs two of them; history counts runs."""
    toml = folder / "staid.toml"
    set_ = toml.read_text().replace(
        '[agents.support]\nmodel = "quote"',
        '[agents.support]\nmodel = "quote"\ninstructions = "prompts/support.md"',
    )
    toml.write_text(set_, "utf-8")
    file = folder / "prompts" / "support.md"
    file.parent.mkdir()
    file.write_text("Be brief.\n", "utf-8")
    name = "prompts/support.md"
    listed = {p["name"]: p for p in ready("prompts", "list").body["prompts"]}
    assert (listed[name]["version"], listed[name]["on_disk"]) == (None, "new")
    asked(ready)
    assert ready("prompts", "diff", name).code == 2
    file.write_text("Be kind.\n", "utf-8")
    asked(ready)
    assert ready("prompts", "show", f"{name}@1").body["text"] == "Be brief.\n"
    assert ready("prompts", "show", name).body["version"] == 2
    diff = ready("prompts", "diff", name).body
    assert (diff["from"], diff["to"]) == (1, 2)
    assert {"-Be brief.", "+Be kind."} <= set(diff["diff"])
    versions = ready("prompts", "history", name, "--runs").body["versions"]
    assert [(v["version"], v["runs"]) for v in versions] == [(1, 1), (2, 1)]
    assert ready("prompts", "history", "none.md").error["code"] == "ST-569"
    for words in (("list",), ("show", name), ("diff", name), ("history", name, "--runs")):
        person = ready("prompts", *words, json=False)
        assert person.code == 0
        # A hash that a person may compare stays whole.
        lines = [line for line in person.out.splitlines() if versions[1]["sha256"] not in line]
        assert all(len(line) <= 80 for line in lines)


def test_a_log_is_imported_and_told(staid: Run, folder: Path) -> None:
    """Counts, skipped lines and the source of times are told; runs are listed as imported."""
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}]
    rows = [json.dumps({"log": messages, "who": "ada"}), "{"]
    (folder / "chats.jsonl").write_text("\n".join(rows), "utf-8")
    words = ("import", "chats.jsonl", "--map", "messages=log", "--asker-from", "who")
    said = staid(*words)
    assert said.code == 0
    assert said.body["runs"] == 1
    assert said.body["times"] == {"synthetic": 1}
    assert [skipped["line"] for skipped in said.body["skipped"]] == [2]
    (run,) = staid("runs", "list", "--state", "imported").body["runs"]
    assert (run["asker"], run["state"], run["outcome"]) == ("user:ada", "imported", "answer")
    shown = staid("runs", "show", run["run"])
    assert shown.body["text"] == "Hello!"
    assert "Hi" in staid("why", run["run"]).body["story"]
    assert staid("replay", run["run"]).body["identical"] is True
    again = staid(*words, json=False)
    assert "0 runs" in again.out
    assert "line 2" in again.out
    assert staid("import", "chats.jsonl", "--map", "messages").error["code"] == "ST-601"
    assert staid("import", "chats.jsonl", "--format", "x").error["code"] == "ST-565"
