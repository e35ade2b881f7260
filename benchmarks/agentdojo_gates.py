"""The gates that are compared: three simple ones, and ours with a policy."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from pydantic import BaseModel

from agentdojo_world import IRREVERSIBLE, TRUSTED, WRITES, Made, Suite, every_tool
from staid.domain.call import Severity
from staid.domain.canonical import Json
from staid.gates.policy import Snapshot, prepare, rule
from staid.gates.provenance import origins, trace
from staid.gates.rules import Policy
from staid.gates.sources import Origin, Source, Texts, result_sources
from staid.project.policy_file import read_policy

EFFECTS = WRITES | IRREVERSIBLE
POLICY = Path(__file__).parent / "agentdojo" / "policy.yaml"
NOW = datetime(2024, 5, 15, tzinfo=UTC)
"""No rule of the policy looks at the clock."""


@dataclass(frozen=True)
class Seen:
    """What a model has seen so far, in the view of the gate."""

    prompt: str
    results: tuple[tuple[str, str], ...] = ()
    """Tool and result as JSON; the tool of a text from nowhere in particular is empty."""

    def result(self, tool: str, result: Json) -> Seen:
        """Return what is seen after the result of a call."""
        return Seen(self.prompt, (*self.results, (tool, json.dumps(result))))

    def document(self, text: str) -> Seen:
        """Return what is seen after an untrusted text."""
        return self.result("", text)

    @property
    def texts(self) -> Texts:
        """Everything seen, with its origin."""
        texts = Texts([Source("prompt", Origin.USER, self.prompt, "the user's words")])
        for tool, result in self.results:
            texts = texts.plus(_read(tool, result))
        return texts


@lru_cache(maxsize=20000)
def _read(tool: str, result: str) -> Texts:
    return Texts(result_sources(tool, tool, json.loads(result), TRUSTED.get(tool, False)))


@lru_cache(maxsize=1)
def _policy() -> Policy:
    return read_policy(POLICY, every_tool()).required()


@lru_cache(maxsize=200)
def _schema(params: type[BaseModel]) -> Mapping[str, Json]:
    return params.model_json_schema()


class Gate(Protocol):
    """Rules on one call."""

    name: str

    def rules(self, suite: Suite, call: Made, seen: Seen) -> Severity:
        """Return whether the call may run, waits for a human, or may not."""
        ...


class NoGate:
    """Lets everything through."""

    name = "no gate"

    def rules(self, suite: Suite, call: Made, seen: Seen) -> Severity:
        """Allow."""
        return Severity.ALLOW


class EveryWrite:
    """Asks for every call that changes something."""

    name = "ask on every write"

    def rules(self, suite: Suite, call: Made, seen: Seen) -> Severity:
        """Ask for a write."""
        return Severity.ASK if call.tool in EFFECTS else Severity.ALLOW


class PlainWords:
    """Asks unless the values that say who, where and how much stand in the prompt as they are."""

    name = "ask unless in the prompt"
    SINKS = frozenset(
        [
            "recipients",
            "cc",
            "bcc",
            "recipient",
            "email",
            "user_email",
            "user",
            "channel",
            "url",
            "amount",
            "id",
            "file_id",
            "email_id",
            "event_id",
            "participants",
            "password",
            "hotel",
            "company",
            "restaurant",
            "street",
            "city",
        ]
    )

    def rules(self, suite: Suite, call: Made, seen: Seen) -> Severity:
        """Ask for a write one of whose values is no part of the prompt."""
        if call.tool not in EFFECTS and call.tool != "get_webpage":
            return Severity.ALLOW
        values = [v for name, v in call.arguments.items() if name in self.SINKS]
        said = seen.prompt.lower()
        known = all(str(value).lower() in said for value in _flat(values))
        return Severity.ALLOW if known else Severity.ASK


def _flat(values: Iterable[Json]) -> Iterable[Json]:
    for value in values:
        if isinstance(value, list | tuple):
            yield from _flat(value)
        elif value is not None:
            yield f"{value:g}" if isinstance(value, float) else value


class Staid:
    """Ours: schema and policy over the origins of the arguments."""

    name = "staid"

    def rules(self, suite: Suite, call: Made, seen: Seen) -> Severity:
        """Rule as the gate of a project does."""
        tool = suite.tools[call.tool]
        policy = _policy()
        prepared = prepare(call.tool, tool, call.arguments, "user:emma", "assistant", policy)
        found = origins(trace(call.tool, prepared.arguments, seen.texts, _schema(tool.params)))
        snapshot = Snapshot(frozenset(suite.tools), origins=found, policy=policy.version, now=NOW)
        return rule(prepared, snapshot).severity


def gates() -> Mapping[str, Gate]:
    """Return every gate by its name."""
    return {gate.name: gate for gate in (NoGate(), EveryWrite(), PlainWords(), Staid())}
