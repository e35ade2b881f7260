"""`staid why` and `runs compare`: story, evidence, waterfall, why not, and two side by side."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

KNOWN = "Are annual plans refunded within 30 days of the purchase?"
UNKNOWN = "Do whales sing at night?"

Run = Callable[..., Any]


@pytest.fixture
def asked(ready: Run) -> dict[str, str]:
    """Ask four questions that end in four ways; return their runs."""
    ask = {
        "answer": (KNOWN, "support"),
        "abstention": (UNKNOWN, "support"),
        "refusal": ("refund 900 for order A1", "desk"),
        "pending": ("refund 200 for order A1", "desk"),
    }
    return {
        name: ready("ask", text, "--as", "user:ada", "--agent", agent).body["run"]
        for name, (text, agent) in ask.items()
    }


def test_json_has_story_evidence_and_waterfall(ready: Run, asked: dict[str, str]) -> None:
    """The chain leads from the statement to words in the file; every sentence names its facts."""
    told = ready("why", asked["answer"]).body
    (backed,) = told["evidence"]
    assert backed["quote"][: backed["end"]] == backed["text"]
    assert (backed["document"], bool(backed["version"])) == ("help/refunds.md", True)
    assert told["passages"][0]["fate"] == "evidence"
    assert told["passages"][0]["readers"].startswith("whoever holds")
    assert 3 <= len(told["sentences"]) <= 6
    assert all(sentence["facts"] for sentence in told["sentences"])
    names = [span["name"] for span in told["waterfall"]]
    assert names == ["run", "search", "floor", "quote", "support check", "release"]
    assert all(span["duration_ms"] >= 0 for span in told["waterfall"])


def test_every_outcome_is_told_in_at_most_six_sentences(ready: Run, asked: dict[str, str]) -> None:
    """Who asked is first, what was said is last, and one sentence decided."""
    for name, run in asked.items():
        told = ready("why", run).body
        sentences = told["sentences"]
        assert 3 <= len(sentences) <= 6, name
        assert "user:ada asked the agent" in sentences[0]["text"]
        assert sum(sentence["decided"] for sentence in sentences) == 1, name
        facts = [fact for sentence in sentences for fact in sentence["facts"]]
        assert len(facts) == len(set(facts)), name


def test_the_terminal_shows_what_was_asked_for(ready: Run, asked: dict[str, str]) -> None:
    """Short by default; `--steps` tells every fact and `--waterfall` draws the times."""
    run = asked["answer"]
    short = ready("why", run, json=False).out
    assert "What it rests on" in short
    assert "What took how long" not in short
    assert "has the rights of" not in short
    assert "has the rights of" in ready("why", run, "--steps", json=False).out
    drawn = ready("why", run, "--waterfall", json=False).out
    assert "support check" in drawn
    assert "|#" in drawn
    assert all(len(line) <= 80 for line in short.splitlines())


def test_why_not_a_document(ready: Run, asked: dict[str, str]) -> None:
    """What was cited, what the asker may not read, and what is not there are told apart."""
    run = asked["answer"]
    expected = {"refunds.md": "cited", "board.md": "may not read", "nothing.md": "absent"}
    for document, verdict in expected.items():
        told = ready("why", run, "--not", f"document:{document}").body
        assert (told["verdict"], told["run"]) == (verdict, run)
    forbidden = ready("why", run, "--not", "document:help/board.md").body["reasons"][0]
    assert forbidden["as_of"] == "now"
    assert "is held" in forbidden["text"]
    below = ready("why", asked["abstention"], "--not", "document:refunds.md").body
    assert below["verdict"] == "below floor"


def test_why_not_an_answer_or_a_call(ready: Run, asked: dict[str, str]) -> None:
    """An abstention says what it lacked; a denied call says which step was against it."""
    lacked = ready("why", asked["abstention"], "--not", "answer", json=False).out
    assert "It lacked 0." in lacked
    denied = ready("why", asked["refusal"], "--not", "call:refund.issue").body
    assert denied["verdict"] == "denied"
    assert "No objection: kill_switch, allowlist" in denied["reasons"][0]["text"]
    waits = ready("why", asked["pending"], "--not", "call:refund.issue").body
    assert waits["verdict"] == "pending"
    never = ready("why", asked["answer"], "--not", "call:refund.issue").body
    assert never["verdict"] == "not offered"


@pytest.mark.parametrize("what", ["", "documents:a", "answer:x", "call:", "document:", "why"])
def test_a_why_not_that_is_no_question(ready: Run, asked: dict[str, str], what: str) -> None:
    """A usage error names the three questions there are."""
    said = ready("why", asked["answer"], "--not", what or "x")
    assert said.code == 2
    assert "call:TOOL" in said.body["error"]["hint"]


def test_compare_says_what_differs_first(ready: Run, asked: dict[str, str], folder: Path) -> None:
    """Two runs of one question after a document changed differ in the evidence first."""
    page = folder / "help/refunds.md"
    page.write_text(page.read_text().replace("30 days", "31 days"))
    ready("ingest")
    later = ready("ask", KNOWN, "--as", "user:ada", "--agent", "support").body["run"]
    told = ready("runs", "compare", asked["answer"], later).body
    assert told["compared"] == [asked["answer"], later]
    aspects = [difference["aspect"] for difference in told["differences"]]
    assert "question" in told["same"]
    assert "evidence" in aspects
    lines = ready("runs", "compare", asked["answer"], later, json=False).out
    assert f"What differs first: {aspects[0]}" in lines
    same = ready("runs", "compare", later, later)
    assert same.body["differences"] == []
    assert "Nothing differs" in ready("runs", "compare", later, later, json=False).out
