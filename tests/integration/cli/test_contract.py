"""Every verb of the contract in product.md: its keys, its exit code, what goes where."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

KNOWN = "Are annual plans refunded within 30 days of the purchase?"
UNKNOWN = "Do whales sing at night?"
OUTCOME = {
    "outcome", "reason", "text", "confidence", "similarity", "floor", "evidence", "citations",
    "run", "approvals", "handoff",
}  # fmt: skip
APPROVAL = {"id", "state", "tool", "arguments", "rule", "digest"}

Run = Callable[..., Any]


def parked(ready: Run, order: str = "A2") -> dict[str, Any]:
    """Ask for a refund above the threshold."""
    body = ready(
        "ask", f"Please refund 200 for order {order}", "--as", "user:ada", "--agent", "desk"
    ).body
    assert body["outcome"] == "pending"
    return body


def test_ingest_prints_its_counts(staid: Run) -> None:
    """The keys of `ingest` are there, and a second time embeds nothing."""
    first, again = staid("ingest"), staid("ingest", "help")
    assert (first.code, again.code) == (0, 0)
    assert {"documents", "chunks", "embedded", "skipped", "position"} <= first.body.keys()
    assert (first.body["documents"], first.body["embedded"]) == (2, 2)
    assert (again.body["documents"], again.body["embedded"]) == (2, 0)


def test_ask_has_every_key_on_every_outcome(ready: Run, folder: Path) -> None:
    """Every outcome exits 0 with all the keys, and only the right ones are filled."""
    asked = {
        "answer": ready("ask", KNOWN, "--as", "user:ada", "--agent", "support"),
        "abstention": ready("ask", UNKNOWN, "--as", "user:ada", "--agent", "support"),
        "refusal": ready("ask", "refund 900 for order A1", "--as", "user:ada", "--agent", "desk"),
        "pending": ready("ask", "refund 200 for order A1", "--as", "user:ada", "--agent", "desk"),
    }
    for outcome, said in asked.items():
        assert (said.code, said.err) == (0, "")
        assert said.body.keys() == OUTCOME
        assert said.body["outcome"] == outcome
        assert said.body["run"].startswith("run_")
        assert bool(said.body["handoff"]) == (outcome == "abstention")
        assert bool(said.body["approvals"]) == (outcome == "pending")
    answer = asked["answer"].body
    assert answer["text"] == "Annual plans are refunded within 30 days of the purchase."
    assert answer["evidence"][0].keys() == {"document", "chunk", "rank"}
    assert answer["citations"][0].keys() == {"document", "chunk", "quote"}
    assert answer["citations"][0]["quote"] in (folder / "help/refunds.md").read_text()
    assert answer["floor"] == 0.35


def test_small_refund_is_answered_by_its_template(ready: Run, folder: Path) -> None:
    """An allowed write answers by its template, says it was scripted, and happened once."""
    said = ready("ask", "refund 40 for order A1", "--as", "user:ada", "--agent", "desk")
    assert (said.body["outcome"], said.body["reason"]) == ("answer", "tool_result")
    assert said.body["text"] == "[scripted] Refunded 40 for order A1."
    assert (folder / "effects.txt").read_text() == "refund A1\n"


def test_search_prints_hits(ready: Run) -> None:
    """Hits carry document, chunk, rank and confidence, and stay inside the asker's rights."""
    said = ready("search", "project Poolish buys Crumbly", "--as", "user:ada", "-k", "5")
    assert said.code == 0
    assert {"document", "chunk", "rank", "confidence"} <= said.body["hits"][0].keys()
    assert {hit["document"] for hit in said.body["hits"]} == {"refunds.md"}
    assert isinstance(said.body["position"], int)
    board = ready("search", "project Poolish buys Crumbly", "--as", "user:bea")
    assert board.body["hits"][0]["document"] == "board.md"


def test_why_and_runs(ready: Run) -> None:
    """`why` and the three of `runs` tell about the same run under its full id."""
    answer = ready("ask", KNOWN, "--as", "user:ada", "--agent", "support").body
    weak = ready("ask", UNKNOWN, "--as", "user:ada", "--agent", "support").body
    why = ready("why", answer["run"])
    assert (why.code, why.body["run"], why.body["outcome"]) == (0, answer["run"], "answer")
    assert {"run", "outcome", "steps", "story"} <= why.body.keys()
    listed = ready("runs", "list").body["runs"]
    assert [run["run"] for run in listed] == [weak["run"], answer["run"]]
    shown = ready("runs", "show", weak["run"]).body
    assert {key: shown[key] for key in OUTCOME} == weak
    compared = ready("runs", "compare", answer["run"], weak["run"]).body
    assert [run["outcome"] for run in compared["runs"]] == ["answer", "abstention"]


def test_approvals_from_list_to_outcome(ready: Run, folder: Path) -> None:
    """List, show and approve print the promised keys; approving runs the call once and answers."""
    waiting = parked(ready)
    listed = ready("approvals", "list").body["approvals"]
    assert [a["id"] for a in listed] == waiting["approvals"]
    assert listed[0].keys() >= APPROVAL
    shown = ready("approvals", "show", listed[0]["id"]).body
    told = shown.keys() & listed[0].keys() - {"calls"}  # of one request more is shown, of calls too
    assert told == listed[0].keys() - {"calls"}
    assert {key: shown[key] for key in told} == {key: listed[0][key] for key in told}
    assert (shown["state"], shown["arguments"]) == ("pending", {"amount": "200", "order_id": "A2"})
    digest = ("--digest", shown["digest"])
    done = ready(
        "approvals", "approve", shown["id"], "--as", "user:lead", "--reason", "ok", *digest
    )
    assert (done.code, done.body["state"]) == (0, "done")
    assert done.body["outcome"]["text"] == "[scripted] Refunded 200 for order A2."
    assert done.body["outcome"]["run"] == waiting["run"]
    again = ready("approvals", "approve", shown["id"], "--as", "user:lead")
    assert (again.code, again.error["code"]) == (1, "ST-411")
    assert (folder / "effects.txt").read_text() == "refund A2\n"
    assert ready("runs", "show", waiting["run"]).body["outcome"] == "answer"


def test_deny_ends_in_a_refusal_without_effect(ready: Run, folder: Path) -> None:
    """A human's no is the end of the run: refusal, nothing executed, and `why` names the human."""
    waiting = parked(ready)
    said = ready(
        "approvals", "deny", waiting["approvals"][0], "--as", "user:lead", "--reason", "no"
    )
    assert (said.code, said.body["state"], said.body["outcome"]["outcome"]) == (
        0,
        "denied",
        "refusal",
    )
    assert not (folder / "effects.txt").exists()
    deciding = ready("why", waiting["run"]).body["deciding"]
    assert deciding["kind"] == "approval.decided"
    assert "user:lead denied" in deciding["text"]


def test_no_wait_leaves_the_run_to_the_worker(ready: Run, folder: Path) -> None:
    """`--no-wait` records the decision alone; `worker --once` then carries the run on."""
    waiting = parked(ready)
    said = ready("approvals", "approve", waiting["approvals"][0], "--as", "user:lead", "--no-wait")
    assert (said.body["state"], said.body["outcome"]) == ("approved", None)
    assert not (folder / "effects.txt").exists()
    assert ready("worker", "--once").body["resumed"] == [waiting["run"]]
    assert (folder / "effects.txt").read_text() == "refund A2\n"
    assert ready("worker", "--once").body["resumed"] == []


@pytest.mark.parametrize("who", ["user:ada", "user:bea"])
def test_only_the_configured_approvers_decide(ready: Run, folder: Path, who: str) -> None:
    """Neither the asker nor somebody outside `[gates] approvers` may approve: exit 4, no effect."""
    waiting = parked(ready)
    said = ready("approvals", "approve", waiting["approvals"][0], "--as", who)
    assert (said.code, said.error["code"]) == (4, "ST-414")
    assert not (folder / "effects.txt").exists()
    assert ready("approvals", "show", waiting["approvals"][0]).body["state"] == "pending"


@pytest.mark.parametrize(("happened", "outcome"), [("yes", "answer"), ("no", "abstention")])
def test_doubt_without_an_approval_can_be_settled(ready: Run, happened: str, outcome: str) -> None:
    """An allowed call in doubt is listed and settled by its own id, and its run then ends."""
    asked = ready("ask", "send order B1", "--as", "user:ada", "--agent", "desk").body
    assert (asked["outcome"], asked["reason"]) == ("pending", "in_doubt")
    listed = ready("approvals", "list").body["approvals"]
    assert [(item["state"], item["tool"]) for item in listed] == [("in_doubt", "parcel.send")]
    doubt = listed[0]["id"]
    assert ready("approvals", "show", doubt).body["arguments"] == {"order_id": "B1"}
    assert doubt in ready("approvals", "list", json=False).out
    said = ready("approvals", "settle", doubt, "--happened", happened, "--as", "user:lead")
    assert (said.code, said.body["outcome"]["outcome"]) == (0, outcome)
    again = ready("approvals", "settle", doubt, "--happened", happened, "--as", "user:lead")
    assert (again.code, again.error["code"]) == (1, "ST-416")


def test_handoffs_gaps_and_feedback(ready: Run) -> None:
    """Queue, gaps and feedback keep their records, and doctor is content."""
    asked = ready("ask", UNKNOWN, "--as", "user:ada", "--agent", "support").body
    ready("ask", "Do whales dream?", "--as", "user:ada", "--agent", "support")
    queue = ready("handoffs", "list").body["handoffs"]
    assert (queue[0]["id"], queue[0]["question"]) == (asked["handoff"], UNKNOWN)
    assert ready("gaps").body["gaps"][0]["topic"] == "whale"
    answered = ready("handoffs", "answer", asked["handoff"], "They do.", "--as", "user:lead")
    assert (answered.code, answered.body["state"]) == (0, "answered")
    again = ready("handoffs", "answer", asked["handoff"], "They do.", "--as", "user:lead")
    assert (again.code, again.error["code"]) == (1, "ST-309")
    assert ready("feedback", asked["run"], "down", "--comment", "no").body["vote"] == "down"
    assert ready("doctor").code == 0


def test_acl_and_access(ready: Run) -> None:
    """Labels are shown, set and revoked; `access` tells who may see what and by which path."""
    shown = ready("acl", "show", "refunds.md").body
    assert shown["allow"] == [["group:customers"]]
    told = ready("access", "explain", "--as", "user:ada", "--document", "refunds.md").body
    assert told["allowed"] is True
    assert "group:customers" in " ".join(told["path"])
    assert ready("access", "who", "refunds.md").body["principals"] == ["user:ada", "user:bea"]
    assert ready("access", "what", "user:bea").body["documents"] == [
        "help/board.md",
        "help/refunds.md",
    ]
    assert ready("acl", "revoke", "refunds.md", "user:ada").body["deny"] == ["user:ada"]
    told = ready("access", "explain", "--as", "user:ada", "--document", "help/refunds.md").body
    assert told["allowed"] is False
    assert (
        ready("ask", KNOWN, "--as", "user:ada", "--agent", "support").body["outcome"]
        == "abstention"
    )
    label = json.dumps({"allow": [["group:customers"]]})
    assert ready("acl", "set", "refunds.md", label).code == 0
    assert ready("ask", KNOWN, "--as", "user:ada", "--agent", "support").body["outcome"] == "answer"
    assert {d["document"] for d in ready("acl", "list").body["documents"]} == {
        "refunds.md",
        "board.md",
    }


def test_gates_check_names_tools_and_bounds(ready: Run) -> None:
    """Every tool is listed with effect, approval and the agents that may propose it."""
    tools = {tool["tool"]: tool for tool in ready("gates", "check").body["tools"]}
    assert tools["refund.issue"]["agents"] == ["desk"]
    assert tools["refund.issue"]["requires_approval"] == "by rule"
    assert tools["refund.issue"]["approvers"] == ["group:leads"]


def test_init_makes_a_project_that_doctor_likes(
    staid: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`init` prints the folder and ingests nothing; a second `init` there is a usage error."""
    said = staid("init", str(tmp_path / "new"))
    assert (said.code, said.body) == (0, {"project": str(tmp_path / "new")})
    assert staid("init", str(tmp_path / "new")).code == 2
    monkeypatch.setenv("STAID_GROUNDING_SIGNAL", "similarity")  # the fast embedder has no fit
    checks = staid("doctor", "--project", str(tmp_path / "new")).body
    assert checks["ok"] is True
    states = {check["name"]: check["state"] for check in checks["checks"]}
    assert states["knowledge"] == "note"


def test_doctor_finds_tampering(ready: Run, folder: Path) -> None:
    """Doctor exits 0 on an intact journal and 1 after one letter of a fact was changed."""
    import sqlite3

    ready("ask", KNOWN, "--as", "user:ada", "--agent", "support")
    assert (ready("doctor").code, ready("doctor").body["ok"]) == (0, True)
    with sqlite3.connect(folder / ".staid/staid.db") as connection:
        changed = connection.execute(
            "UPDATE journal SET fact = replace(fact, '0.35', '0.36') WHERE kind = 'floor.compared'"
        )
        assert changed.rowcount == 1
    connection.close()
    said = ready("doctor")
    assert (said.code, said.body["ok"]) == (1, False)
    assert "altered" in said.out
    assert "BROKEN" in ready("doctor", json=False).out


def test_same_key_gives_the_same_outcome(ready: Run, folder: Path) -> None:
    """One key is one refund; the key with another question is refused."""
    words = ("--as", "user:ada", "--agent", "desk", "--key", "k1")
    first = ready("ask", "refund 40 for order A1", *words)
    again = ready("ask", "refund 40 for order A1", *words)
    assert first.body == again.body
    assert (folder / "effects.txt").read_text() == "refund A1\n"
    other = ready("ask", "refund 41 for order A1", *words)
    assert (other.code, other.error["code"]) == (2, "ST-305")


def test_options_before_and_after_the_verb(
    ready: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--json` and `--project` work anywhere; a word after `--` is never taken for an option."""
    monkeypatch.chdir(folder.parent)
    place = str(folder)
    for words in (
        ("--project", place, "--json", "runs", "list"),
        ("runs", f"--project={place}", "--json", "list"),
        ("runs", "list", "--json", "--project", place),
    ):
        said = ready(*words, json=False)
        assert (said.code, said.body) == (0, {"runs": [], "next": None})
    said = ready(
        "ask",
        "--as",
        "user:ada",
        "--project",
        place,
        "--agent",
        "support",
        "--json",
        "--",
        "--json",
        json=False,
    )
    assert said.body["outcome"] == "abstention"
    assert ready("runs", "list").error["code"] == "ST-101"


@pytest.mark.parametrize(
    "words",
    [
        (), ("nothing",), ("runs",), ("runs", "lst"), ("ask",), ("ask", "hello"), ("search", "x"),
        ("approvals", "list", "--state", "bogus"), ("approvals", "approve", "apr_1"),
        ("approvals", "settle", "apr_1", "--happened", "maybe", "--as", "user:lead"),
        ("runs", "list", "--limit", "0"), ("runs", "list", "--state", "bogus"),
        ("handoffs", "list", "--state", "bogus"), ("ingest", "--project"),
        ("feedback", "run_1", "sideways"),
    ],
)  # fmt: skip
def test_usage_errors_exit_two(staid: Run, words: tuple[str, ...]) -> None:
    """What is no command, or lacks what it needs, exits 2 with a code and the next step."""
    said = staid(*words)
    assert (said.code, said.error["code"]) == (2, "ST-601")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("why", "run_1"), "ST-306"), (("runs", "show", "run_1"), "ST-306"),
        (("runs", "compare", "run_1", "run_2"), "ST-306"),
        (("approvals", "show", "apr_1"), "ST-410"), (("approvals", "show", "cal_1"), "ST-417"),
        (("approvals", "deny", "apr_1", "--as", "user:lead"), "ST-410"),
        (("approvals", "settle", "cal_1", "--happened", "no", "--as", "user:lead"), "ST-417"),
        (("handoffs", "answer", "hof_1", "x", "--as", "user:lead"), "ST-308"),
        (("feedback", "run_1", "up"), "ST-306"), (("acl", "show", "none.md"), "ST-205"),
        (("acl", "set", "refunds.md", "{"), "ST-204"),
        (("acl", "revoke", "refunds.md", "ada"), "ST-204"),
        (("access", "who", "none.md"), "ST-205"), (("access", "what", "ada"), "ST-212"),
        (("ask", "x", "--as", "user:ada", "--agent", "none"), "ST-304"),
    ],
)  # fmt: skip
def test_what_does_not_exist_exits_two(ready: Run, words: tuple[str, ...], code: str) -> None:
    """Every lookup of something that is not there is a coded usage error."""
    said = ready(*words)
    assert (said.code, said.error["code"]) == (2, code)


def test_text_fits_eighty_columns_and_keeps_ids_whole(ready: Run, folder: Path) -> None:
    """Everything a person reads when piped has no colour, fits 80 columns, and cuts no id."""
    long = "a-rather-long-name-of-a-document-about-annual-plans-and-refunds.md"
    (folder / "help" / long).write_text("# Plans\n\nMonthly plans cost 12 EUR a month, always.\n")
    acl = '"*.md": {allow: [["group:customers"]]}\n'
    (folder / "acl.yaml").write_text(acl)
    ready("ingest")
    waiting = parked(ready, "A23456789")
    approval, run = waiting["approvals"][0], waiting["run"]
    weak = ready("ask", UNKNOWN * 4, "--as", "user:ada", "--agent", "support").body
    answer = ready("ask", KNOWN, "--as", "user:ada", "--agent", "support", json=False).out
    shown = {
        answer: "why: staid why run_",
        ready(
            "ask", "refund 300 for order A1", "--as", "user:ada", "--agent", "desk", json=False
        ).out: "apr_",
        ready("runs", "list", json=False).out: run,
        ready("runs", "show", weak["run"], json=False).out: weak["handoff"],
        ready("why", run, json=False).out: approval,
        ready("approvals", "list", json=False).out: approval,
        ready("approvals", "show", approval, json=False).out: approval,
        ready("handoffs", "list", json=False).out: weak["handoff"],
        ready("search", "monthly plans cost 12 EUR", "--as", "user:ada", json=False).out: long,
        ready("acl", "list", json=False).out: f"help/{long}",
        ready("gates", "check", json=False).out: "refund.issue",
        ready("doctor", json=False).out: "journal",
        ready("approvals", "approve", approval, "--as", "user:lead", json=False).out: run,
    }
    for text, whole in shown.items():
        assert whole in text
        assert "\x1b" not in text
        lines = text.splitlines()
        assert [line for line in lines if len(line) > 80 and long not in text] == []
