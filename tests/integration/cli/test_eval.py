"""`staid eval` from end to end: a real project, a real store, a scripted model that is changed."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from staid import cli

TOML = """
[project]
name = "mini"
entry = "agent:project"

[agents.support]
model = "scripted:script.yaml"
allow_tools = ["refund.issue"]

[sources.help]
path = "help"
acl = "acl.yaml"

[directory]
file = "directory.yaml"
"""

AGENT = '''
from decimal import Decimal
from pathlib import Path

from pydantic import BaseModel, Field

import staid

project = staid.Project()


class Refund(BaseModel):
    order_id: str
    amount: Decimal = Field(gt=0, le=500)


@project.tool(
    "refund.issue",
    effect="write",
    result="Refunded {amount} for order {order_id}.",
    requires_approval=lambda p: p.amount > 100,
)
def issue_refund(p: Refund) -> dict[str, str]:
    """Refund an order."""
    with (Path(__file__).parent / "effects.txt").open("a") as file:
        file.write(f"{p.order_id}\\n")
    return {"id": "r-1"}


support = project.agent("support", tools=["refund.issue"])
'''

SCRIPT = """
- when: "refund (?P<amount>[0-9]+) for order (?P<order>A[0-9])"
  steps:
    - calls:
        - {tool: refund.issue, arguments: {order_id: "{order}", amount: "{amount}"}}
    - text: "{result}"
"""


def case(name: str, amount: int, outcome: str, intent: str = "refund") -> dict[str, Any]:
    """Give a case that asks for a refund of this amount."""
    call = {"tool": "refund.issue", "arguments": {"amount": amount}}
    return {
        "id": name,
        "intent": intent,
        "as": "user:ada",
        "turns": [{"role": "user", "text": f"Please refund {amount} for order A{len(name)}"}],
        "expect": {"outcome": outcome, "calls": [call]},
    }


CASES = [
    *(case(f"small-{number}", 40 + number, "answer", "small refund") for number in range(6)),
    *(case(f"large-{number}", 200 + number, "pending", "large refund") for number in range(6)),
    {
        "id": "unknown-1",
        "intent": "unknown",
        "as": "user:ada",
        "turns": [{"role": "user", "text": "Who won the race in 1911?"}],
        "expect": {"outcome": "abstention", "never_calls": ["refund.issue"]},
    },
]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a small project whose tool leaves a trace outside the store."""
    monkeypatch.chdir(tmp_path)
    files = {
        "staid.toml": TOML,
        "agent.py": AGENT,
        "script.yaml": SCRIPT,
        "help/returns.md": "# Returns\n\nSend the parcel back within 30 days.\n",
        "acl.yaml": '"**": {allow: [["group:everyone"]]}\n',
        "directory.yaml": "principals:\n  user:ada: {groups: [group:everyone]}\n",
        "evals/support.jsonl": "".join(json.dumps(row) + "\n" for row in CASES),
    }
    for name, text in files.items():
        tmp_path.joinpath(name).parent.mkdir(parents=True, exist_ok=True)
        tmp_path.joinpath(name).write_text(text, "utf-8")
    return tmp_path


Capture = pytest.CaptureFixture[str]


def staid(capsys: Capture, *words: str) -> tuple[int, dict[str, Any]]:
    """Run a command with --json and return its exit code and document."""
    capsys.readouterr()
    code = cli.run([*words, "--json"])
    return code, json.loads(capsys.readouterr().out)


def rows_in(project: Path, table: str) -> int:
    """Count the rows of a table of the project's own store."""
    with sqlite3.connect(project / ".staid" / "staid.db") as connection:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def edit(project: Path, name: str, old: str, new: str) -> None:
    """Replace text in a file of the project."""
    text = project.joinpath(name).read_text("utf-8")
    assert old in text
    project.joinpath(name).write_text(text.replace(old, new), "utf-8")


def test_run_grades_every_case_and_touches_nothing(project: Path, capsys: Capture) -> None:
    """Shows thirteen passes with calls, approvals and hand-offs, and no trace of them outside."""
    assert staid(capsys, "ingest", "help")[0] == 0
    code, body = staid(capsys, "eval", "run")

    assert code == 0
    assert [r["case"] for r in body["results"] if not r["passed"]] == []
    assert (body["cases"], body["passed"], body["rate"]) == (13, 13, 1.0)
    assert not project.joinpath("effects.txt").exists()
    assert {table: rows_in(project, table) for table in ("run", "handoff", "approval", "call")} == {
        "run": 0,
        "handoff": 0,
        "approval": 0,
        "call": 0,
    }


def test_the_tool_that_eval_disarms_is_armed_for_real_askers(
    project: Path, capsys: Capture
) -> None:
    """Shows that the same question asked outright does take effect: only eval runs hold back."""
    code, body = staid(capsys, "ask", "Please refund 40 for order A1", "--as", "user:ada")

    assert (code, body["outcome"]) == (0, "answer")
    assert project.joinpath("effects.txt").read_text() == "A1\n"


def test_gate_passes_the_unchanged_and_blocks_the_broken(project: Path, capsys: Capture) -> None:
    """Shows the whole loop: record, pass with its blind spot, break one intent, block with 1."""
    code, recorded = staid(capsys, "eval", "baseline")
    assert (code, recorded["passed"]) == (0, 13)
    assert project.joinpath("evals/support.baseline.json").is_file()

    code, body = staid(capsys, "eval", "gate")
    assert (code, body["verdict"], body["difference"]) == (0, "pass", 0)
    assert 0.3 < body["minimum_detectable_drop"] < 0.6
    assert body["changed"] == []

    edit(project, "agent.py", "p.amount > 100", "p.amount > 400")
    code, body = staid(capsys, "eval", "gate")
    assert (code, body["verdict"]) == (1, "block")
    assert body["interval"][1] < 0
    assert body["intents"][0]["name"] == "large refund"
    assert body["lost"] == [f"large-{number}" for number in range(6)]
    assert "large refund" in body["worse"]


def test_one_lost_case_leaves_with_three(project: Path, capsys: Capture) -> None:
    """Shows that a single regression on thirteen cases is told, and neither passed nor blocked."""
    staid(capsys, "eval", "baseline")
    edit(project, "script.yaml", "(?P<amount>[0-9]+)", "(?P<amount>20[1-9]|4[0-9])")
    code, body = staid(capsys, "eval", "gate")

    assert (code, body["verdict"], body["lost"]) == (3, "cannot_tell", ["large-0"])
    assert body["cases_needed"] > 13
    assert staid(capsys, "eval", "gate", "--tolerance", "0.5")[0] == 0


def test_the_table_reads_at_eighty_columns(project: Path, capsys: Capture) -> None:
    """Shows verdict first, regressions with question, reason and answer, and the next step."""
    staid(capsys, "eval", "baseline")
    edit(project, "agent.py", "p.amount > 100", "p.amount > 400")
    capsys.readouterr()
    code = cli.run(["eval", "gate"])
    lines = capsys.readouterr().out.splitlines()

    assert code == 1
    assert lines[0].startswith("BLOCK: a drop is shown in the intent large refund")
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    assert "outcome: ended in answer (tool_result), expected pending" in text
    assert "asked: Please refund 200 for order" in text
    assert "said: [scripted] Refunded 200 for order" in text
    assert "Next: mend what got worse." in text


def test_run_tells_failing_cases_and_what_to_do(project: Path, capsys: Capture) -> None:
    """Shows that a failing case comes with its reason and the command that looks at it."""
    edit(project, "script.yaml", "refund.issue, arguments", "refund.other, arguments")
    capsys.readouterr()
    code = cli.run(["eval", "run", "evals/support.jsonl"])
    text = capsys.readouterr().out

    assert code == 0
    assert "support: 1 of 13 cases pass (8%), agent support" in text
    assert "not proposed: 'refund.issue" in text
    assert "staid ask 'Please refund" in text
    assert "--as user:ada" in text


def test_an_asker_that_does_not_exist_fails_its_case_alone(project: Path, capsys: Capture) -> None:
    """Shows that a case that raises is a failure by error, and the gate cannot tell."""
    staid(capsys, "eval", "baseline")
    edit(project, "directory.yaml", "user:ada", "user:bob")
    code, body = staid(capsys, "eval", "gate")

    assert (code, body["verdict"]) == (3, "cannot_tell")
    assert len(body["errored"]) == 13
    code, body = staid(capsys, "eval", "run")
    assert code == 3
    assert "ST-210" in body["results"][0]["grades"][0]["reason"]
    kept = project.joinpath("evals/support.baseline.json").read_text()
    code, body = staid(capsys, "eval", "baseline")
    assert (code, body["error"]["code"]) == (3, "ST-504")
    assert project.joinpath("evals/support.baseline.json").read_text() == kept


def test_no_baseline_is_exit_three_before_anything_is_asked(project: Path, capsys: Capture) -> None:
    """Shows that without a baseline the gate says how to record one."""
    code, body = staid(capsys, "eval", "gate")

    assert (code, body["error"]["code"]) == (3, "ST-503")
    assert "staid eval baseline" in body["error"]["hint"]
    assert not project.joinpath(".staid").exists()


def test_a_changed_data_set_is_not_comparable(project: Path, capsys: Capture) -> None:
    """Shows that a case edited after the baseline was recorded stops the gate with 3."""
    staid(capsys, "eval", "baseline")
    edit(project, "evals/support.jsonl", "1911", "1912")
    code, body = staid(capsys, "eval", "gate")

    assert (code, body["error"]["code"]) == (3, "ST-504")


def test_the_manifest_warns_a_run_and_stops_the_gate(project: Path, capsys: Capture) -> None:
    """Shows the pin: changed cases warn `run`, stop `baseline`, until the change is accepted."""
    manifest = project / "evals" / "manifest.json"
    manifest.write_text('{"content_hash": "sha256:0", "drawn": "by hand"}')

    capsys.readouterr()
    assert cli.run(["eval", "run", "--json"]) == 0
    assert "ST-505" in capsys.readouterr().err
    code, body = staid(capsys, "eval", "baseline")
    assert (code, body["error"]["code"]) == (3, "ST-505")
    assert staid(capsys, "eval", "baseline", "--accept-changes")[0] == 0
    pinned = json.loads(manifest.read_text())
    assert (pinned["drawn"], pinned["file"], pinned["cases"]) == ("by hand", "support.jsonl", 13)
    assert staid(capsys, "eval", "gate")[0] == 0


def test_compare_reads_two_files(project: Path, capsys: Capture) -> None:
    """Shows that stored experiments compare without asking anything, and say what changed."""
    staid(capsys, "eval", "run", "--out", "a.json")
    edit(project, "agent.py", "p.amount > 100", "p.amount > 400")
    edit(project, "staid.toml", "[sources.help]", "[grounding]\nfloor = 0.7\n\n[sources.help]")
    staid(capsys, "eval", "run", "--out", "b.json")
    code, body = staid(capsys, "eval", "compare", "a.json", "b.json")

    assert code == 0
    assert len(body["lost"]) == 6
    assert body["changed"] == ["settings"]
    assert staid(capsys, "eval", "compare", "a.json", "nothing.json")[0] == 2


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["eval", "run", "nothing.jsonl"], "ST-601"),
        (["eval", "gate", "--tolerance", "5"], "ST-601"),
        (["eval", "run", "--agent", "nobody"], "ST-304"),
        (["eval", "run", "staid.toml"], "ST-502"),
    ],
)
def test_wrong_use_is_exit_two(project: Path, capsys: Capture, words: list[str], code: str) -> None:
    """Shows that a usage error is told by its code and leaves with 2."""
    left, body = staid(capsys, *words)

    assert (left, body["error"]["code"]) == (2, code)
