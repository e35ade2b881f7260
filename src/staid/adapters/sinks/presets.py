"""Each kind of sink ready to use: address, headers and resource as its receiver wants them."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from staid.adapters.sinks.file import FileSink
from staid.adapters.sinks.http import Receiver
from staid.adapters.sinks.langfuse import LangfuseSink
from staid.adapters.sinks.langsmith import LangSmithSink
from staid.adapters.sinks.mlflow import MlflowSink
from staid.adapters.sinks.otlp import OtlpSink
from staid.adapters.sinks.phoenix import PhoenixSink
from staid.domain.exports import Sink

CLOUD: Mapping[str, str] = {
    "langfuse": "https://cloud.langfuse.com",
    "langsmith": "https://api.smith.langchain.com",
    "arize": "https://otlp.arize.com",
    "logfire": "https://logfire-us.pydantic.dev",
}
"""Where a kind lives when the settings name no address; other regions are named by `url`."""


@dataclass(frozen=True, slots=True)
class SinkPlan:
    """What a sink is made from: settings with every secret resolved."""

    name: str
    kind: str
    url: str = ""
    path: str | None = None
    project: str = "staid"
    key: str = ""
    space: str = ""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    timeout: float = 10.0
    folder: Path = Path()
    """What a `file` sink's path is relative to."""


def sink_of(plan: SinkPlan) -> Sink:
    """Return the sink; nothing is opened before it is used."""
    return _MAKERS[plan.kind](plan)


def _receiver(plan: SinkPlan, headers: Mapping[str, str]) -> Receiver:
    base = plan.url or CLOUD[plan.kind]
    return Receiver(plan.name, base, {**headers, **plan.headers}, timeout=plan.timeout)


def _resource(plan: SinkPlan) -> dict[str, str]:
    return {"service.name": plan.project}


def _otlp(plan: SinkPlan) -> Sink:
    headers = {"Authorization": f"Bearer {plan.key}"} if plan.key else {}
    path = plan.path or "/v1/traces"
    return OtlpSink(plan.name, _receiver(plan, headers), path=path, resource=_resource(plan))


def _file(plan: SinkPlan) -> Sink:
    return FileSink(plan.name, plan.folder / (plan.path or ""))


def _phoenix(plan: SinkPlan) -> Sink:
    headers = {"x-project-name": plan.project}
    if plan.key:
        headers["Authorization"] = f"Bearer {plan.key}"
    return PhoenixSink(plan.name, _receiver(plan, headers), project=plan.project)


def _arize(plan: SinkPlan) -> Sink:
    headers = {"space_id": plan.space, "arize-space-id": plan.space, "api_key": plan.key}
    resource = {
        **_resource(plan),
        "openinference.project.name": plan.project,
        "model_id": plan.project,
    }
    return OtlpSink(plan.name, _receiver(plan, headers), resource=resource)


def _langfuse(plan: SinkPlan) -> Sink:
    basic = base64.b64encode(plan.key.encode()).decode()
    headers = {"Authorization": f"Basic {basic}", "x-langfuse-ingestion-version": "4"}
    return LangfuseSink(plan.name, _receiver(plan, headers))


def _langsmith(plan: SinkPlan) -> Sink:
    headers = {"x-api-key": plan.key, "Langsmith-Project": plan.project}
    return LangSmithSink(plan.name, _receiver(plan, headers), project=plan.project)


def _mlflow(plan: SinkPlan) -> Sink:
    headers = {"x-mlflow-experiment-id": plan.project}
    if plan.key:
        headers["Authorization"] = f"Bearer {plan.key}"
    return MlflowSink(plan.name, _receiver(plan, headers), experiment=plan.project)


def _logfire(plan: SinkPlan) -> Sink:
    receiver = _receiver(plan, {"Authorization": plan.key})
    return OtlpSink(plan.name, receiver, resource=_resource(plan))


_MAKERS: Mapping[str, Callable[[SinkPlan], Sink]] = {
    "otlp": _otlp,
    "file": _file,
    "phoenix": _phoenix,
    "arize": _arize,
    "langfuse": _langfuse,
    "langsmith": _langsmith,
    "mlflow": _mlflow,
    "logfire": _logfire,
}
