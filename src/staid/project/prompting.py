"""The prompts of a project: what was sent to models, and what lies in its folder."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Literal

from sqlalchemy import select

from staid.domain.events import EventKind
from staid.domain.prompt import PromptVersion
from staid.runtime.pinning import TEMPLATE, TOOL
from staid.store import tables

if TYPE_CHECKING:
    from staid.project.project import Project

FOLDER = "prompts"
"""Where a project keeps its instructions."""

OnDisk = Literal["same", "changed", "new", "gone", "none"]
"""The file holds this version or another text, was never used, is gone; `none`: it is no file."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One prompt as it stands."""

    name: str
    newest: PromptVersion | None
    """None for a file that no model was sent yet."""
    on_disk: OnDisk


def overview(project: Project) -> list[Listed]:
    """Return every prompt that was used or lies in the project's folder, by name."""
    root = project.settings.directory_path
    known = {version.name: version for version in project.wiring.prompts.newest()}
    files = {path.relative_to(root).as_posix() for path in sorted((root / FOLDER).rglob("*.md"))}
    configured = {project.agent_settings(name).instructions for name in project.agent_names}
    names = sorted({*known, *files, *(name for name in configured if name)})
    return [
        Listed(name, known.get(name), _on_disk(project, name, known.get(name))) for name in names
    ]


def _on_disk(project: Project, name: str, version: PromptVersion | None) -> OnDisk:
    path = project.settings.path(name)
    if name.startswith((TEMPLATE, TOOL)):
        return "none"
    if not path.is_file():
        return "gone" if path.suffix else "none"
    if version is None:
        return "new"
    return "same" if sha256(path.read_bytes()).hexdigest() == version.sha256 else "changed"


def runs_by_version(project: Project, name: str) -> Counter[int]:
    """Return how many runs were made with each version of a prompt; reads every such fact."""
    journal = tables.journal.c
    query = select(journal.run, journal.fact).where(journal.kind == EventKind.PROMPT_RENDERED.value)
    used: set[tuple[str, int]] = set()
    with project.wiring.run_store.read() as connection:
        for row in connection.execute(query):
            fact = json.loads(row.fact)
            used |= {
                (row.run, pin["version"])
                for pin in (fact, *fact.get("pins", ()))
                if pin["name"] == name and pin.get("version") is not None
            }
    return Counter(version for _, version in used)
