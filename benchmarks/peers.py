"""Export real runs to a real Phoenix and a real MLflow, and read them back through their own APIs.

`make peers` installs both from PyPI into `.venv-peers`, starts them on loopback ports with empty
databases, runs turns in a fresh scaffold (the model behind one of them is a fake provider, so that
tokens are counted and a refund is proposed), exports, and compares what each receiver shows with
the journal. Prints a table and one JSON object as its last line; exits 1 when anything differs.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from staid.domain.events import Event, EventKind
from staid.domain.outcome import Outcome
from staid.domain.principal import Actor
from staid.project.deciding import decide
from staid.project.exporting import export_once
from staid.project.ingesting import ingest, wanted
from staid.project.loading import load_project
from staid.project.project import Project
from staid.scaffold.write import write
from staid.testing.provider import KEY, FakeProvider, Reply
from staid.tracing.spans import ROOT, span_id, trace_id

PEERS = Path(__file__).parent.parent / ".venv-peers" / "bin"
PATIENCE = 300.0
"""Seconds that a peer gets to start: the first start migrates its database."""
ASKED = "What is your refund policy on annual plans?"
REFUND = f"{ASKED} Please refund 240.00 EUR for order R-1002."
CALL = ("refund.issue", {"order_id": "R-1002", "amount": "240.00"})
EXECUTED = {"order_id": "R-1002", "amount": "240"}

SINKS = """
[agents.counted]
model = "openai-chat:gpt-4o"
instructions = "prompts/support.md"
allow_tools = ["refund.issue"]

[sinks.phoenix]
kind = "phoenix"
url = "http://127.0.0.1:{phoenix}"
project = "staid-peers"
content = "full"
passages = true
passages_reason = "the receiver runs on this machine and is thrown away"

[sinks.mlflow]
kind = "mlflow"
url = "http://127.0.0.1:{mlflow}"
project = "0"
content = "full"
passages = true
passages_reason = "the receiver runs on this machine and is thrown away"
timeout = 60
"""


@dataclass(slots=True)
class Findings:
    """What was compared, receiver by receiver."""

    rows: list[tuple[str, str, str, bool]] = field(default_factory=list[tuple[str, str, str, bool]])

    def compare(self, peer: str, what: str, seen: object, wanted: object) -> None:
        """Note one comparison."""
        self.rows.append((peer, what, str(seen)[:60], seen == wanted))

    def table(self) -> str:
        """Return what was seen, a line each."""
        lines = [f"{'receiver':9} {'what it shows':34} {'same':5} seen"]
        for peer, what, seen, same in self.rows:
            lines.append(f"{peer:9} {what:34} {'yes' if same else 'NO':5} {seen}")
        return "\n".join(lines)


def free_port() -> int:
    """Return a loopback port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(slots=True)
class Peer:
    """A receiver in a process of its own."""

    command: list[str]
    ready: str
    """The address that answers when it is up."""
    more: Mapping[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and do not wait."""
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | dict(self.more)
        with self.log.open("wb") as told:
            self.process = subprocess.Popen(
                self.command, stdout=told, stderr=told, env=environment, start_new_session=True
            )

    def wait(self, began: float) -> float:
        """Wait until it answers, and return the seconds since `began`."""
        while not _answers(self.ready):
            dead = self.process is None or self.process.poll() is not None
            if dead or time.monotonic() - began > PATIENCE:
                log = self.log.read_text("utf-8")[-2000:]
                sys.exit(f"{self.command[0]} did not start:\n{log}")
            time.sleep(0.5)
        return round(time.monotonic() - began, 1)

    def stop(self) -> None:
        """End it with everything it started."""
        if self.process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).is_success
    except httpx.HTTPError:
        return False


def live(project: Project) -> dict[str, Outcome]:
    """Run the turns that are exported: an answer, an abstention, an approved refund; a vote."""
    for name in sorted(project.settings.sources):
        ingest(project, wanted(project, name, None, {}, vetted=True))
    told = {
        "answer": _ask(project, "support", ASKED, "cnv_peers"),
        "abstention": _ask(project, "support", "Do you rent out dough mixers?", None),
    }
    with FakeProvider(Reply(calls=(CALL,)), Reply(text="It is done.")) as provider:
        os.environ |= {"OPENAI_BASE_URL": provider.openai_url, "OPENAI_API_KEY": KEY}
        waiting = _ask(project, "counted", REFUND, None)
        asyncio.run(decide(project, waiting.approvals[0], "approve", approver="user:lead"))
    told["refund"] = waiting
    now = project.wiring.clock.now()
    vote = Event(EventKind.FEEDBACK_GIVEN, now, Actor("human", "user:ada"), {"vote": "up"})
    project.wiring.records.note(told["answer"].run, [vote])
    return told


def _ask(project: Project, agent: str, question: str, conversation: str | None) -> Outcome:
    asked = project.agent_named(agent)
    return asked.ask_sync(question, asker="user:ada", conversation=conversation)


def deliver(project: Project) -> dict[str, Any]:
    """Export until every row is confirmed or settled, and return how the outbox stands."""
    began = time.monotonic()
    errors: list[str] = []
    while time.monotonic() - began < PATIENCE:
        errors += [f"{r.sink}: {r.error}" for r in export_once(project) if r.error]
        rows = project.wiring.outbox.rows(limit=1000)
        if all(r.state == "confirmed" for r in rows if r.kind == "run") and not any(
            r.state == "waiting" for r in rows
        ):
            break
        time.sleep(1)
    standing = project.wiring.outbox.standing()
    return {
        "seconds": round(time.monotonic() - began, 1),
        "errors_on_the_way": errors,
        **{name: dict(found.counts) for name, found in standing.items()},
    }


# --- Phoenix -----------------------------------------------------------------------------------


def look_at_phoenix(url: str, runs: Mapping[str, Outcome], found: Findings) -> None:
    """Compare what Phoenix's REST interface gives back."""
    answer, refund = runs["answer"], runs["refund"]
    by_name = {s["name"]: s for s in _phoenix_spans(url, answer.run)}
    root, retrieval = by_name["support"]["attributes"], by_name["retrieval"]["attributes"]
    check = partial(found.compare, "phoenix")
    check("input of the run", root["input.value"], ASKED)
    check("output of the run", root["output.value"], answer.text)
    check("conversation", root["session.id"], answer.conversation)
    check("person", root["user.id"], "user:ada")
    kinds = {s["name"]: s["span_kind"] for s in by_name.values()}
    check("kind of the run", kinds["support"], "AGENT")
    check("kind of the retrieval", kinds["retrieval"], "RETRIEVER")
    check("kind of the floor", kinds["floor"], "GUARDRAIL")
    documents = [
        (_flat(retrieval, n, "id"), _flat(retrieval, n, "score"), _flat(retrieval, n, "content"))
        for n in range(10)
        if _flat(retrieval, n, "id")
    ]
    check("documents", [d[0] for d in documents], [e.chunk for e in answer.evidence])
    check("documents have scores", all(isinstance(d[1], float) for d in documents), True)
    check("documents have text", all(d[2] for d in documents), True)
    parent = {s["context"]["span_id"]: s["parent_id"] for s in by_name.values()}
    check("every parent is there", all(p in parent for p in parent.values() if p), True)

    acted = {s["name"]: s for s in _phoenix_spans(url, refund.run)}
    tool = acted["refund.issue"]["attributes"]
    check("tool's name", tool["tool.name"], "refund.issue")
    check("tool's parameters", json.loads(tool["input.value"]), EXECUTED)
    model = acted["chat openai-chat:gpt-4o"]["attributes"]
    tokens = (model["llm.token_count.prompt"], model["llm.token_count.completion"])
    check("tokens of a model call", tokens, (120, 30))
    check("approval below the tool", acted["approval"]["parent_id"], _of(acted["refund.issue"]))
    votes = httpx.get(
        f"{url}/v1/projects/staid-peers/span_annotations",
        params={"span_ids": span_id(answer.run, ROOT)},
    ).json()["data"]
    check("feedback", [(v["name"], v["result"]["score"]) for v in votes], [("feedback", 1.0)])


def _phoenix_spans(url: str, run: str) -> list[dict[str, Any]]:
    query = {"trace_id": trace_id(run), "limit": "1000"}
    return httpx.get(f"{url}/v1/projects/staid-peers/spans", params=query).json()["data"]


def _flat(attributes: Mapping[str, Any], number: int, name: str) -> Any:  # noqa: ANN401 - JSON
    return attributes.get(f"retrieval.documents.{number}.document.{name}")


def _of(span: Mapping[str, Any]) -> str:
    return span["context"]["span_id"]


# --- MLflow ------------------------------------------------------------------------------------


def look_at_mlflow(url: str, runs: Mapping[str, Outcome], found: Findings) -> None:
    """Compare what MLflow's REST interface gives back."""
    answer, refund = runs["answer"], runs["refund"]
    check = partial(found.compare, "mlflow")
    trace = _mlflow_trace(url, answer.run)
    spans = {s["name"]: _attributes(s) for s in trace["spans"]}
    check("input of the run", spans["support"]["mlflow.spanInputs"], ASKED)
    check("output of the run", spans["support"]["mlflow.spanOutputs"], answer.text)
    check("kind of the run", spans["support"]["mlflow.spanType"], "AGENT")
    check("kind of the retrieval", spans["retrieval"]["mlflow.spanType"], "RETRIEVER")
    documents = spans["retrieval"]["mlflow.spanOutputs"]
    check("documents", [d["id"] for d in documents], [e.chunk for e in answer.evidence])
    check("documents have scores", all(isinstance(d["score"], float) for d in documents), True)
    told = trace["trace_info"].get("trace_metadata", {})
    check("conversation", told.get("mlflow.trace.session"), answer.conversation)
    check("person", told.get("mlflow.trace.user"), "user:ada")
    votes: list[dict[str, Any]] = trace["trace_info"].get("assessments") or []
    seen = [(v["assessment_name"], v["feedback"]["value"]) for v in votes]
    check("feedback", seen, [("feedback", 1.0)])

    acted = _mlflow_trace(url, refund.run)
    spans = {s["name"]: _attributes(s) for s in acted["spans"]}
    check("tool's parameters", spans["refund.issue"]["mlflow.spanInputs"], EXECUTED)
    usage = spans["chat openai-chat:gpt-4o"].get("mlflow.chat.tokenUsage", {})
    tokens = (usage.get("input_tokens"), usage.get("output_tokens"))
    check("tokens of a model call", tokens, (120, 30))
    whole = json.loads(acted["trace_info"]["trace_metadata"].get("mlflow.trace.tokenUsage", "{}"))
    calls = sum(name.startswith("chat") for name in (s["name"] for s in acted["spans"]))
    check("tokens of the run, counted once", whole.get("input_tokens"), 120 * calls)


def _mlflow_trace(url: str, run: str) -> dict[str, Any]:
    query = {"trace_id": f"tr-{trace_id(run)}", "allow_partial": "true"}
    return httpx.get(f"{url}/api/3.0/mlflow/traces/get", params=query, timeout=60).json()["trace"]


def _attributes(span: Mapping[str, Any]) -> dict[str, Any]:
    return {pair["key"]: _plain(pair["value"]) for pair in span["attributes"]}


def _plain(value: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON
    """Return what stands behind a value in OTLP's JSON form."""
    [(kind, inner)] = value.items()
    if kind == "array_value":
        return [_plain(item) for item in inner.get("values", [])]
    if kind == "kvlist_value":
        return {pair["key"]: _plain(pair["value"]) for pair in inner.get("values", [])}
    if kind == "int_value":
        return int(inner)
    is_json = isinstance(inner, str) and inner[:1] in {"{", "[", '"'}
    return json.loads(inner) if is_json else inner  # it keeps JSON in JSON


# --- forgetting --------------------------------------------------------------------------------


def forget(project: Project, run: str, found: Findings) -> None:
    """Ask both receivers to delete a run, and look whether it is gone."""
    for name in project.wiring.sink_names:
        sink = project.wiring.sink(name)
        sink.forget(run)
        seen = sink.seen(run).spans
        sink.close()
        found.compare(name, "a forgotten run is gone", seen, ())


def main() -> int:
    """Run everything; return 1 when a receiver shows something else than the journal."""
    if not (PEERS / "phoenix").is_file():
        sys.exit("the peers are not installed: make peers-setup")
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="staid-peers-"))
    ports = {"phoenix": free_port(), "mlflow": free_port()}
    urls = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    peers = {"phoenix": _phoenix(folder, ports), "mlflow": _mlflow(folder, ports)}
    try:
        for peer in peers.values():
            peer.start()
        started = {name: peer.wait(began) for name, peer in peers.items()}
        project_folder = write(folder / "help-desk")
        with (project_folder / "staid.toml").open("a", encoding="utf-8") as file:
            file.write(SINKS.format(**ports))
        report = _compare(load_project(project_folder), urls)
    finally:
        for peer in peers.values():
            peer.stop()
        shutil.rmtree(folder, ignore_errors=True)
    report["started_s"] = started
    report["seconds"] = round(time.monotonic() - began, 1)
    report["peers"] = {name: _version(name) for name in ("arize-phoenix", "mlflow")}
    print(json.dumps(report))
    return 0 if report["differing"] == 0 else 1


def _compare(project: Project, urls: Mapping[str, str]) -> dict[str, Any]:
    found = Findings()
    runs = live(project)
    delivered = deliver(project)
    looks: dict[str, Callable[..., None]] = {"phoenix": look_at_phoenix, "mlflow": look_at_mlflow}
    for name, look in looks.items():
        try:
            look(urls[name], runs, found)
        except (LookupError, TypeError, ValueError, httpx.HTTPError) as error:
            found.compare(name, f"{type(error).__name__}: {error}", "not shown", "shown")
    forget(project, runs["abstention"].run, found)
    project.close()
    print(found.table())
    print(f"delivered: {delivered}")
    differing = sum(not same for *_, same in found.rows)
    return {"compared": len(found.rows), "differing": differing, "delivered": delivered}


def _phoenix(folder: Path, ports: Mapping[str, int]) -> Peer:
    more = {
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": str(ports["phoenix"]),
        "PHOENIX_GRPC_PORT": str(free_port()),
        "PHOENIX_WORKING_DIR": str(folder / "phoenix"),
        "PHOENIX_TELEMETRY_ENABLED": "false",
    }
    ready = f"http://127.0.0.1:{ports['phoenix']}/healthz"
    return Peer([str(PEERS / "phoenix"), "serve"], ready, more, folder / "phoenix.log")


def _mlflow(folder: Path, ports: Mapping[str, int]) -> Peer:
    port = str(ports["mlflow"])
    command = [str(PEERS / "mlflow"), "server", "--host", "127.0.0.1", "--port", port]
    command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"]
    command += ["--default-artifact-root", str(folder / "artifacts")]
    ready = f"http://127.0.0.1:{port}/health"
    return Peer(command, ready, {"MLFLOW_DISABLE_TELEMETRY": "true"}, folder / "mlflow.log")


def _version(name: str) -> str:
    ask = f"import importlib.metadata as m; print(m.version('{name}'))"
    done = subprocess.run([str(PEERS / "python"), "-c", ask], capture_output=True, check=True)
    return done.stdout.decode().strip()


if __name__ == "__main__":
    sys.exit(main())
