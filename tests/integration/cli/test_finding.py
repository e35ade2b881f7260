"""Runs are found from the terminal: by filters, by what was said, by what they used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

KNOWN = "Are annual plans refunded within 30 days of the purchase?"
UNKNOWN = "Do whales sing at night?"

Run = Callable[..., Any]


def ask(ready: Run, text: str = KNOWN, who: str = "user:ada", agent: str = "support") -> str:
    """Ask and return the run's id."""
    return ready("ask", text, "--as", who, "--agent", agent).body["run"]


def listed(ready: Run, *words: str) -> list[str]:
    """Return the ids that `runs list` prints."""
    said = ready("runs", "list", *words)
    assert (said.code, said.err) == (0, "")
    return [run["run"] for run in said.body["runs"]]


def test_the_list_is_narrowed_and_paged(ready: Run) -> None:
    """Filters work together on a real project; pages join; what fits nothing says so."""
    known, unknown = ask(ready), ask(ready, UNKNOWN, "user:bea")
    refund = ask(ready, "Please refund 900 for order A1", agent="desk")
    assert listed(ready) == [refund, unknown, known]
    assert listed(ready, "--outcome", "abstention") == [unknown]
    assert listed(ready, "--asker", "user:ada", "--agent", "support") == [known]
    assert listed(ready, "--tool", "refund.issue") == [refund]
    assert listed(ready, "--document", "help/refunds.md", "--outcome", "answer") == [known]
    assert listed(ready, "--text", "whales sing", "--since", "1h") == [unknown]
    assert listed(ready, "--since", "2100-01-01") == []
    assert listed(ready, "--until", "2020-01-01T10:00+02:00") == []
    first = ready("runs", "list", "--limit", "2").body
    assert first["next"] == unknown
    assert listed(ready, "--limit", "2", "--after", first["next"]) == [known]
    assert "No run fits." in ready("runs", "list", "--agent", "none", json=False).out
    told = ready("runs", "list", "--limit", "1", json=False).out
    assert refund in told
    assert f"--after {refund}" in told


def test_a_run_is_told_from_what_was_said(ready: Run) -> None:
    """One match tells its story, several are listed newest first, none is an error."""
    first = ask(ready)
    by_text = ready("why", "--text", "annual plans are refunded within 30", "--to", "user:ada")
    assert by_text.body == ready("why", first).body
    second = ask(ready, who="user:bea")
    several = ready("why", "--text", "Refunded WITHIN")
    assert (several.code, several.body["matches"]) == (0, 2)
    assert [run["run"] for run in several.body["runs"]] == [second, first]
    assert several.body["runs"][0]["text"] == KNOWN
    told = ready("why", "--text", "refunded within", json=False).out
    assert told.index(second) < told.index(first)
    assert ready("why", "--text", "refunded", "--to", "user:bea").body["run"] == second
    nobody = ready("why", "--text", "refunded", "--to", "user:lead")
    assert (nobody.code, nobody.error["code"]) == (2, "ST-532")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("why",), "ST-601"),
        (("why", "run_1", "--text", "a"), "ST-601"),
        (("why", "run_1", "--to", "user:ada"), "ST-601"),
        (("why", "--text", "?"), "ST-531"),
        (("why", "run_1"), "ST-306"),
        (("runs", "list", "--text", "…"), "ST-531"),
        (("runs", "list", "--since", "yesterday"), "ST-530"),
        (("runs", "list", "--since", "999999w"), "ST-530"),
        (("runs", "list", "--after", "run_1"), "ST-306"),
        (("runs", "list", "--since", "2026-06-01", "--until", "2026-05-01"), "ST-533"),
        (("runs", "list", "--since", "2026-06-01", "--until", "2026-06-01T02:00+02:00"), "ST-533"),
        (("runs", "stats", "--since", "1d", "--until", "2d"), "ST-533"),
        (("impact", "--tool", "a", "--since", "1d", "--until", "2d"), "ST-533"),
        (("runs", "list", "--asker", "ada"), "ST-534"),
        (("why", "--text", "refunded", "--to", "user:"), "ST-534"),
        (("runs", "list", "--limit", "99999999999999999999"), "ST-601"),
        (("impact", "--tool", "a", "--limit", "99999999999999999999"), "ST-601"),
        (("impact",), "ST-601"),
        (("impact", "--tool", "a", "--rule", "b"), "ST-601"),
    ],
)
def test_what_cannot_be_looked_for_is_told(ready: Run, words: tuple[str, ...], code: str) -> None:
    """Every wrong way to ask is a coded usage error."""
    said = ready(*words)
    assert (said.code, said.error["code"]) == (2, code)


def test_a_reason_of_any_length_leaves_the_time_in_sight(ready: Run) -> None:
    """A table of 80 columns shows of each run when it was, how it ended and who asked."""
    run = ask(ready, "Please refund 900 for order A1", agent="desk")
    line = next(x for x in ready("runs", "list", json=False).out.splitlines() if run in x)
    assert len(line) <= 80
    assert [line.split()[place] for place in (0, 3, 4)] == [run, "refusal", "user:ada"]
    assert line.split()[1].count("-") == 2
    assert line.split()[2].count(":") == 1


def test_an_error_does_not_move_the_cursor(ready: Run) -> None:
    """What an error repeats is shown without its control and bidi characters."""
    said = ready("why", "run_\x1b]0;x\x07\u202e", json=False)
    assert said.code == 2
    assert "\x1b" not in said.err
    assert "\u202e" not in said.err
    assert "ST-306: There is no run run_" in said.err


def test_impact_lists_runs_and_principals(ready: Run) -> None:
    """What a document touched is listed with the version each run read, and counted."""
    first, second = ask(ready), ask(ready, who="user:bea")
    ask(ready, "Please refund 900 for order A1", agent="desk")
    body = ready("impact", "--document", "help/refunds.md", "--limit", "3").body
    assert {first, second} <= {run["run"] for run in body["runs"]}
    assert {each["principal"] for each in body["principals"]} == {"user:ada", "user:bea"}
    version = body["runs"][0]["versions"][0]
    again = ready("impact", "--document", f"refunds.md@{version[:8]}").body
    assert again["counts"] == body["counts"]
    told = ready("impact", "--document", "refunds.md", json=False).out
    assert first in told
    assert version[:8] in told
    assert ready("impact", "--tool", "refund.issue").body["counts"]["outcomes"] == {"refusal": 1}
    assert ready("impact", "--prompt", "none").body["counts"]["runs"] == 3
    assert ready("impact", "--model", "quote", "--until", "2020-01-01").body["runs"] == []
    nothing = ready("impact", "--model", "nothing", json=False)
    assert (nothing.code, nothing.out) == (0, "No run used the model nothing.\n")


def test_days_are_counted(ready: Run) -> None:
    """Outcomes, rate of abstentions and cost of each day, and of all together."""
    assert "No run ended" in ready("runs", "stats", json=False).out
    ask(ready)
    ask(ready, UNKNOWN)
    ask(ready, "Please refund 200 for order A1", agent="desk")
    body = ready("runs", "stats").body
    ended = {"answer": 1, "abstention": 1, "refusal": 0, "failed": 0}
    assert body["total"]["outcomes"] == ended
    assert (body["total"]["abstention_rate"], body["total"]["cost"]) == (0.5, "0")
    assert [day["runs"] for day in body["days"]] == [2]
    told = ready("runs", "stats", json=False).out
    assert "1 (50%)" in told
    assert all(len(line) <= 80 for line in told.splitlines())
    assert ready("runs", "stats", "--agent", "desk").body["days"] == []


def test_search_is_made_anew_from_the_journal(ready: Run) -> None:
    """After a rebuild everything is found as before, and the record still verifies."""
    run = ask(ready)
    said = ready("doctor", "--rebuild")
    assert said.code == 0
    assert "1 runs" in said.err
    assert listed(ready, "--text", "annual plans") == [run]
