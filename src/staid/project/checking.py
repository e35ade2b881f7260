"""What `staid doctor` looks at: each part tried for real, each finding with its next step."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from staid.domain.errors import StaidError
from staid.project.anchoring import against_anchors
from staid.project.interrupting import interrupted

if TYPE_CHECKING:
    from staid.project.project import Project
    from staid.store.outbox import Standing


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    state: Literal["ok", "note", "broken"]
    detail: str
    hint: str = ""


def examine(project: Project) -> list[Check]:
    """Return every check, in the order in which a person would mend them."""
    checks: list[Check] = []
    for name, look in _LOOKS:
        try:
            checks += look(project)
        except StaidError as error:
            checks.append(Check(name, "broken", f"{error.code} {error.message}", error.hint_text))
    return checks


def _environment(project: Project) -> list[Check]:
    version = ".".join(map(str, sys.version_info[:3]))
    return [Check("environment", "ok", f"Python {version}, {project.settings.directory_path}")]


def _settings(project: Project) -> list[Check]:
    grounding = project.settings.grounding
    detail = f"floor {grounding.floor} on {grounding.signal}"
    if grounding.floor_reason:
        return [Check("floor", "note", f"{detail}, because: {grounding.floor_reason}")]
    return [Check("floor", "ok", detail)]


def _policy(project: Project) -> list[Check]:
    file = project.settings.gates.policy
    if file is None:
        return []
    version = project.wiring.policy.version
    return [Check("policy", "ok", f"{file}, version {version}")]


def _store(project: Project) -> list[Check]:
    wiring = project.wiring
    wiring.records.runs(limit=1)
    return [Check("store", "ok", f"{wiring.store.dialect}, schema up to date")]


def _knowledge(project: Project) -> list[Check]:
    documents = project.wiring.corpus.documents()
    if not documents:
        return [Check("knowledge", "note", "nothing is ingested yet", "staid ingest")]
    unseen = sum(1 for document in documents if not document.label.allow)
    found = [Check("knowledge", "ok", f"{len(documents)} documents")]
    if unseen:
        hint = "Give them labels: staid acl list, staid acl set."
        found.append(Check("labels", "note", f"{unseen} documents are visible to nobody", hint))
    return found


def _embedder(project: Project) -> list[Check]:
    wiring = project.wiring
    stored, wanted = wiring.corpus.embedder(), wiring.embedder.id
    if stored not in {None, wanted}:
        hint = "staid ingest --rebuild"
        return [Check("embedder", "broken", f"the corpus has {stored}, this is {wanted}", hint)]
    calibration = wiring.calibration()
    pinned = f", calibration {calibration.id}" if calibration else ", no calibration"
    return [Check("embedder", "ok", f"{wanted}{pinned}")]


def _directory(project: Project) -> list[Check]:
    if project.settings.directory.file is None:
        hint = "Name one below [directory], or assert groups with --groups."
        return [Check("directory", "note", "the project has none", hint)]
    return [Check("directory", "ok", f"{len(project.wiring.directory.principals())} principals")]


def _agents(project: Project) -> list[Check]:
    found: list[Check] = []
    for name in project.agent_names:
        try:
            project.wiring.agent_spec(name).model()
            tools = len(project.resolve_tools(name))
            model = project.agent_settings(name).model
            found.append(Check(f"agent {name}", "ok", f"model {model}, {tools} tools"))
        except StaidError as error:
            found.append(
                Check(f"agent {name}", "note", f"{error.code} {error.message}", error.hint_text)
            )
    return found or [Check("agents", "note", "the project has none", "project.agent(name, …)")]


def _journal(project: Project) -> list[Check]:
    findings = project.wiring.journal.verify()
    if not findings:
        return [Check("journal", "ok", "every fact, content and seal verifies")]
    hint = "Somebody changed recorded facts, or the key is another one. Compare with a backup."
    return [
        Check("journal", "broken", f"{f.run} fact {f.seq}: {f.problem}", hint)
        for f in findings[:20]
    ]


def _anchors(project: Project) -> list[Check]:
    if not project.settings.journal.anchor:
        return []  # docs/guides/tampering.md says what goes unseen without one
    read, findings = against_anchors(project)
    if not findings:
        detail = f"{read} seals told to the outside are here, unchanged"
        return [Check("anchors", "ok", detail)]
    hint = "Runs were removed or rewritten after they were anchored. Compare with a backup."
    return [Check("anchors", "broken", f"{f.run}: {f.problem}", hint) for f in findings[:20]]


def _waiting(project: Project) -> list[Check]:
    cut_off = interrupted(project)
    if not cut_off:
        return []
    detail = f"{len(cut_off)} runs were cut off before they had an outcome"
    return [Check("runs", "note", detail, "staid runs list --state interrupted; staid worker")]


def _sinks(project: Project) -> list[Check]:
    standing = project.wiring.outbox.standing()
    return [_sink(project, name, standing.get(name)) for name in project.wiring.sink_names]


def _sink(project: Project, name: str, standing: Standing | None) -> Check:
    sink = project.settings.sinks[name]
    project.wiring.sink(name).close()
    counts = dict(standing.counts) if standing else {}
    told = ", ".join(f"{number} {state}" for state, number in sorted(counts.items())) or "empty"
    if standing and standing.error:
        hint = "staid export status"
        return Check(f"sink {name}", "note", f"{sink.kind}, {told}: {standing.error}", hint)
    if sink.passages:
        why = f"every passage goes out, because: {sink.passages_reason}"
        return Check(f"sink {name}", "note", f"{sink.kind}, {told}; {why}")
    return Check(f"sink {name}", "ok", f"{sink.kind}, {told}")


_LOOKS: list[tuple[str, Callable[[Project], list[Check]]]] = [
    ("environment", _environment),
    ("floor", _settings),
    ("policy", _policy),
    ("store", _store),
    ("knowledge", _knowledge),
    ("embedder", _embedder),
    ("directory", _directory),
    ("agents", _agents),
    ("journal", _journal),
    ("anchors", _anchors),
    ("runs", _waiting),
    ("sinks", _sinks),
]
