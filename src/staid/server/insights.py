"""`/insights`: how runs ended, day by day, for those who may see everybody's counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from staid.domain.canonical import plain
from staid.domain.errors import NotPermitted
from staid.domain.finding import FAILED, Ended
from staid.server.console.pages import page
from staid.server.desk import SignedIn, Visit
from staid.tracing.days import days, summary

router = APIRouter(include_in_schema=False)

OUTCOMES = ("answer", "abstention", "refusal", FAILED)
SPAN = 30
"""Days that are shown unless another number is asked for."""
HEIGHT = 160
WIDTH = 900

Days = Annotated[int, Query(ge=1, le=366)]


@dataclass(frozen=True, slots=True)
class Bar:
    """One outcome of one day, as a rectangle of the chart."""

    outcome: str
    x: float
    y: float
    width: float
    height: float
    told: str


@router.get("/insights")
async def insights(request: Request, visit: SignedIn, days: Days = SPAN) -> Response:
    """Show the days as a chart, with the same numbers as a table."""
    found, first, count = await _ended(visit, days)
    rows = _days(found)
    return page(
        request,
        "insights.html",
        visit=visit,
        bars=bars(rows, first, count),
        most=max((row["runs"] for row in rows), default=0),
        rows=rows[::-1],
        total=summary(found),
        days=count,
        width=WIDTH,
        height=HEIGHT,
    )


@router.get("/api/insights")
async def insights_json(visit: SignedIn, days: Days = SPAN) -> dict[str, Any]:
    """Return the same as `staid runs stats --json`."""
    found, _first, _count = await _ended(visit, days)
    return {"days": [plain(row) for row in _days(found)], "total": plain(summary(found))}


def may_see(visit: Visit) -> bool:
    """Tell whether the project lets this principal see everybody's counts."""
    return not visit.principal.tokens.isdisjoint(visit.desk.project.settings.server.insights)


async def _ended(visit: Visit, count: int) -> tuple[list[Ended], datetime, int]:
    project = visit.desk.project
    if not may_see(visit):
        raise NotPermitted(
            who=visit.principal.token,
            detail="these are the counts of everybody's runs",
            hint='Who may see them is in staid.toml: [server] insights = ["group:leads"]',
        )
    first = project.wiring.clock.now() - timedelta(days=count - 1)
    return await visit.read(project.wiring.search.ended, since=first), first, count


def _days(found: Sequence[Ended]) -> list[dict[str, Any]]:
    return [{"day": day, **summary(each)} for day, each in days(found).items()]


def bars(rows: Sequence[Mapping[str, Any]], first: datetime, count: int) -> list[Bar]:
    """Return the stacked bars of the days; a day without a run leaves its place empty."""
    most = max((row["runs"] for row in rows), default=0) or 1
    slot = WIDTH / count
    places = {f"{first + timedelta(days=n):%Y-%m-%d}": n for n in range(count)}
    drawn: list[Bar] = []
    for row in rows:
        below = 0.0
        for outcome in OUTCOMES:
            runs = row["outcomes"][outcome]
            height = runs / most * HEIGHT
            below += height
            if runs and row["day"] in places:
                drawn.append(
                    Bar(
                        outcome,
                        round(places[row["day"]] * slot + slot * 0.1, 2),
                        round(HEIGHT - below, 2),
                        round(slot * 0.8, 2),
                        round(height, 2),
                        f"{row['day']}: {runs} {outcome}",
                    )
                )
    return drawn
