"""Prometheus reads counts, where the project allows it, and never a word or a name."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from staid.project.settings import ServerSettings

QUESTION = "What is the refund policy on annual plans?"


@pytest.fixture
def measured(office: Any) -> Any:
    """Give an office whose metrics are on."""
    settings = office.project.settings
    on = settings.model_copy(update={"server": ServerSettings(metrics=True)})
    office.project.settings = on
    return office


def scrape(office: Any) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Return every sample that a scrape without any sign-in reads."""
    answer = office.visitor().get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_metrics_are_off_unless_the_project_says_so(office: Any) -> None:
    """By default nobody is told anything without signing in."""
    assert office.visitor().get("/metrics").status_code == 404


def test_everything_is_counted(measured: Any) -> None:
    """Outcomes, confidences, calls by state, what waits for how long, hand-offs and seals."""
    client = measured.signed_in("user:ada")
    measured.ask(client, QUESTION)
    measured.ask(client, "Do whales sing at night?")
    measured.pending()
    measured.clock.forward(minutes=5)
    samples = scrape(measured)

    def value(name: str, **labels: str) -> float:
        return samples[(name, tuple(sorted(labels.items())))]

    assert value("staid_runs_total", agent="support", outcome="answer", reason="") == 1
    reasons = [dict(labels)["reason"] for name, labels in samples if name == "staid_runs_total"]
    assert sorted(reasons) == ["", "weak"]
    assert value("staid_confidence_bucket", agent="support", le="+Inf") == 2
    assert value("staid_confidence_count", agent="support") == 2
    assert value("staid_model_requests_total", agent="support") == 1
    assert value("staid_calls", state="pending") == 1
    assert value("staid_runs_now", state="parked") == 1
    assert value("staid_approvals_waiting") == 1
    assert value("staid_approvals_oldest_seconds") == 300
    assert value("staid_handoffs_open") == 1
    assert value("staid_journal_seals") == 3


def test_no_name_and_no_word_is_told(measured: Any) -> None:
    """What people asked, who they are and what they asked for is in no label."""
    measured.ask(measured.signed_in("user:ada"), QUESTION)
    measured.pending()
    told = measured.visitor().get("/metrics").text
    for secret in ("ada", "annual", "R-1002", "240"):
        assert secret not in told
