"""What the project's settings say of each source, for the story of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from staid.tracing.evidence import Origin

if TYPE_CHECKING:
    from staid.project.project import Project


def origins(project: Project) -> Mapping[str, Origin]:
    """Return owner and vetting of every configured source, as of now."""
    return {
        name: Origin(source.owner, source.vetted)
        for name, source in project.settings.sources.items()
    }
