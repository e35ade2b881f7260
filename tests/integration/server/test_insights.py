"""Insights show how everybody's runs ended, to those alone whom the project names."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from staid.domain.events import Event, EventKind
from staid.domain.ids import ConversationId, RunId
from staid.domain.principal import Actor
from staid.domain.records import RunStart
from staid.project.settings import ServerSettings
from staid.server.insights import HEIGHT, OUTCOMES, bars

QUESTION = "What is the refund policy on annual plans?"


@pytest.fixture
def open_office(office: Any) -> Any:
    """Give an office whose leads may see the counts."""
    settings = office.project.settings
    seen = ServerSettings(insights=["group:leads"])
    office.project.settings = settings.model_copy(update={"server": seen})
    return office


def test_nobody_else_sees_the_counts(office: Any, open_office: Any) -> None:
    """Whoever is not named is refused on the page and below /api, and is told what to do."""
    ada = open_office.signed_in("user:ada")
    for path in ("/insights", "/api/insights"):
        refused = ada.get(path)
        assert refused.status_code == 403
        assert "[server] insights" in refused.text
        assert open_office.visitor().get(path).status_code == 401
    lead = open_office.signed_in("user:lead")
    assert lead.get("/insights").status_code == 200
    assert 'href="/insights"' in lead.get("/runs").text
    assert 'href="/insights"' not in ada.get("/runs").text
    open_office.project.settings = open_office.project.settings.model_copy(
        update={"server": ServerSettings()}
    )
    assert lead.get("/insights").status_code == 403


def test_chart_table_and_json_have_the_same_numbers(open_office: Any) -> None:
    """Two answers and an abstention are drawn, tabled and told alike; no question is shown."""
    ada, lead = open_office.signed_in("user:ada"), open_office.signed_in("user:lead")
    assert "No run ended" in lead.get("/insights").text
    for text in (QUESTION, f"{QUESTION} again", "Do whales sing at night?"):
        open_office.ask(ada, text)
    body = lead.get("/api/insights").json()
    assert body["total"]["outcomes"] == {"answer": 2, "abstention": 1, "refusal": 0, "failed": 0}
    assert [day["day"] for day in body["days"]] == ["2026-11-23"]
    shown = lead.get("/insights").text
    assert "2026-11-23: 2 answer" in shown
    assert "2026-11-23: 1 abstention" in shown
    assert "33 %" in shown
    assert "whales" not in shown
    assert lead.get("/insights", params={"days": 0}).status_code == 400


def test_a_day_of_failures_is_shown(open_office: Any) -> None:
    """Where every run failed there is no rate and no mean, and the page says how many."""
    project = open_office.project
    records, now = project.wiring.records, open_office.clock.now()
    for run in (RunId("run_1"), RunId("run_2")):
        start = RunStart(run, ConversationId(run), "support", "user:ada", now)
        records.begin(start, [Event(EventKind.RUN_STARTED, now, Actor("human", "user:ada"), {})])
        records.fail(run, now, [], "ST-701")
    lead = open_office.signed_in("user:lead")
    total = lead.get("/api/insights").json()["total"]
    assert (total["runs"], total["outcomes"]["failed"]) == (2, 2)
    assert (total["abstention_rate"], total["confidence"]) == (None, None)
    assert "2026-11-23: 2 failed" in lead.get("/insights").text


def outcomes(**given: int) -> dict[str, int]:
    """Return the counts of one day."""
    return dict.fromkeys(OUTCOMES, 0) | given


def test_bars_are_to_scale() -> None:
    """The highest day fills the chart, parts stack without gaps, an empty day leaves its place."""
    rows = [
        {"day": "2026-05-01", "runs": 4, "outcomes": outcomes(answer=3, abstention=1)},
        {"day": "2026-05-03", "runs": 2, "outcomes": outcomes(refusal=2)},
    ]
    drawn = bars(rows, datetime(2026, 5, 1, tzinfo=UTC), 3)
    answer, abstention, refusal = drawn
    assert answer.height + abstention.height == HEIGHT
    assert abstention.y == 0
    assert answer.y == abstention.height
    assert (refusal.height, refusal.y) == (HEIGHT / 2, HEIGHT / 2)
    assert refusal.x - answer.x == 600
    assert bars([], datetime(2026, 5, 1, tzinfo=UTC), 3) == []
