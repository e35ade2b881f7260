"""`/metrics`: counts for Prometheus, from roll-ups and one look at the store."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime

from fastapi import APIRouter, Request
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from starlette.exceptions import HTTPException
from starlette.responses import Response

from staid.domain.finding import FAILED, Ended
from staid.server.desk import desk_of
from staid.store.gauges import Gauges, gauges

router = APIRouter(include_in_schema=False)

TEXT = "text/plain; version=0.0.4; charset=utf-8"


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """Return the counts, without signing in, where `[server] metrics` allows it."""
    desk = desk_of(request)
    if not desk.project.settings.server.metrics:
        raise HTTPException(404)
    wiring = desk.project.wiring
    ended = await desk.off_loop(wiring.search.ended)
    now = await desk.off_loop(gauges, wiring.run_store)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Counts(ended, now, wiring.clock.now()))
    return Response(generate_latest(registry), media_type=TEXT)


class Counts(Collector):
    """Everything that is counted, in the form of Prometheus; no name of a person, no text."""

    def __init__(self, ended: Sequence[Ended], now: Gauges, at: datetime) -> None:
        """Show these roll-ups and this look at the store."""
        self._ended = ended
        self._now = now
        self._at = at

    def collect(self) -> Iterator[Metric]:
        """Yield the families in a fixed order."""
        yield self._sum(
            "staid_runs",
            "Runs that ended, or failed.",
            ("agent", "outcome", "reason"),
            lambda e: e.runs,
        )
        yield self._confidence()
        yield self._sum("staid_model_requests", "Requests to models.", ("agent",), _requests)
        yield self._sum("staid_input_tokens", "Tokens sent.", ("agent",), lambda e: e.input_tokens)
        yield self._sum(
            "staid_output_tokens", "Tokens returned.", ("agent",), lambda e: e.output_tokens
        )
        yield self._sum(
            "staid_cost", "Cost as told by models.", ("agent",), lambda e: float(e.cost)
        )
        yield self._sum(
            "staid_wait_seconds", "Until the asker was told anything.", ("agent",), _latency
        )
        yield _by_state("staid_runs_now", "Runs by state.", self._now.runs)
        yield _by_state("staid_calls", "Tool calls by state.", self._now.calls)
        yield _by_state("staid_outbox", "Exports by state.", self._now.outbox)
        waiting, since = self._now.calls.get("pending", 0), self._now.waiting_since
        age = max((self._at - since).total_seconds(), 0.0) if since else 0.0
        yield GaugeMetricFamily("staid_approvals_waiting", "Calls that wait.", value=waiting)
        yield GaugeMetricFamily("staid_approvals_oldest_seconds", "Age of the oldest.", value=age)
        yield GaugeMetricFamily(
            "staid_handoffs_open", "Questions that wait.", value=self._now.handoffs_open
        )
        yield GaugeMetricFamily(
            "staid_journal_seals", "Number of the newest seal.", value=self._now.seals
        )

    def _sum(
        self, name: str, told: str, labels: tuple[str, ...], value: Callable[[Ended], float]
    ) -> Metric:
        family = CounterMetricFamily(name, told, labels=labels)
        sums: dict[tuple[str, ...], float] = defaultdict(float)
        for each in self._ended:
            sums[tuple(str(getattr(each, label)) for label in labels)] += value(each)
        for key, total in sorted(sums.items()):
            family.add_metric(key, total)
        return family

    def _confidence(self) -> Metric:
        family = HistogramMetricFamily(
            "staid_confidence", "Confidence of runs that ended.", labels=("agent",)
        )
        ended = [each for each in self._ended if each.outcome != FAILED]
        for agent in sorted({each.agent for each in ended}):
            mine = [each for each in ended if each.agent == agent]
            buckets = [
                (
                    f"{(band + 1) / 10:.1f}" if band < 9 else "+Inf",
                    float(sum(each.runs for each in mine if each.band <= band)),
                )
                for band in range(10)
            ]
            family.add_metric([agent], buckets, sum_value=sum(each.confidence for each in mine))
        return family


def _requests(each: Ended) -> float:
    return each.requests


def _latency(each: Ended) -> float:
    return each.latency


def _by_state(name: str, told: str, states: Mapping[str, int]) -> Metric:
    family = GaugeMetricFamily(name, told, labels=("state",))
    for state, number in sorted(states.items()):
        family.add_metric([state], number)
    return family
