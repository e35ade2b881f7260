"""Own runs are found in the console and by the API, and nothing that may not be read is."""

from __future__ import annotations

from typing import Any

import pytest

from staid.domain.label import Label

QUESTION = "What is the refund policy on annual plans?"


def found(client: Any, **wanted: Any) -> list[str]:
    """Return the ids that the API lists."""
    answer = client.get("/api/runs", params=wanted)
    assert answer.status_code == 200, answer.text
    return [run["run"] for run in answer.json()["runs"]]


def test_own_runs_are_found(office: Any) -> None:
    """Filters narrow one's own runs on the page and below /api alike; others' are never there."""
    ada, bob = office.signed_in("user:ada"), office.signed_in("user:bob")
    first = office.ask(ada, QUESTION)
    office.clock.forward(hours=2)
    second = office.ask(ada, "Do whales sing at night?")
    other = office.ask(bob, QUESTION)
    assert found(ada) == [second, first]
    assert found(ada, text="annual plans are ref") == [first]
    assert found(ada, outcome="abstention") == [second]
    assert found(ada, since="1h") == [second]
    assert found(ada, document="policy", outcome="answer", text="", agent="") == [first]
    assert found(bob, text="annual") == [other]
    shown = ada.get("/runs", params={"text": "whales"}).text
    assert second in shown
    assert first not in shown
    assert 'value="whales"' in shown
    assert "No run fits" in ada.get("/runs", params={"text": "dolphins"}).text


def test_pages_join(office: Any) -> None:
    """The next page begins behind the last run, and one's own runs alone mark a place."""
    ada, bob = office.signed_in("user:ada"), office.signed_in("user:bob")
    runs = [office.ask(ada, f"{QUESTION} {n}") for n in range(3)][::-1]
    other = office.ask(bob, QUESTION)
    first = ada.get("/api/runs", params={"limit": 2}).json()
    assert (first["runs"][-1]["run"], first["next"]) == (runs[1], runs[1])
    rest = ada.get("/api/runs", params={"limit": 2, "after": runs[1]}).json()
    assert ([run["run"] for run in rest["runs"]], rest["next"]) == ([runs[2]], None)
    assert f"after={runs[1]}" in ada.get("/runs", params={"limit": 2}).text
    assert ada.get("/api/runs", params={"after": other}).status_code == 404
    assert ada.get("/api/runs", params={"after": "run_none"}).status_code == 404


def test_what_was_revoked_cannot_be_searched_out(office: Any) -> None:
    """After a revoke neither the answer's words nor the document lead to the run any more."""
    ada = office.signed_in("user:ada")
    run = office.ask(ada, QUESTION)
    readable: list[dict[str, Any]] = [
        {"text": "refunded in full"},
        {"document": "policy"},
        {"confidence_below": 1},
    ]
    assert all(found(ada, **wanted) == [run] for wanted in readable)
    office.project.wiring.corpus.relabel("help", "policy", Label.of([["user:lead"]]))
    assert all(found(ada, **wanted) == [] for wanted in readable)
    assert found(ada, text="refund policy on annual") == [run]
    assert found(ada, outcome="answer") == [run]


@pytest.mark.parametrize(
    "wanted",
    [
        {"limit": 0},
        {"limit": 51},
        {"outcome": "x"},
        {"since": "soon"},
        {"text": "?!"},
        {"asker": "a"},
    ],
)
def test_a_wrong_search_is_told(office: Any, wanted: dict[str, Any]) -> None:
    """A parameter that cannot be meant is a coded error; nobody searches in another's name."""
    answer = office.signed_in("user:ada").get("/api/runs", params=wanted)
    assert answer.status_code == 400
    assert answer.json()["error"]["hint"]
