"""From what an operator names (a folder, a file, a configured source) to documents taken in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from staid.domain.document import Document, Source
from staid.domain.errors import SourceNotFound
from staid.knowledge.acl_file import AclFile
from staid.knowledge.connectors import folder, rows
from staid.knowledge.ingest import Ingestor, IngestReport, Progress
from staid.knowledge.skipped import Skipped
from staid.project.settings import SourceSettings

if TYPE_CHECKING:
    from staid.project.project import Project


@dataclass(frozen=True, slots=True)
class Wanted:
    """One source to read, and how."""

    source: Source
    path: Path
    acl: Path | None
    mapping: Mapping[str, str]

    @property
    def is_rows(self) -> bool:
        """Whether it is a file of rows rather than a folder."""
        return self.path.name.endswith(rows.SUFFIXES)


def wanted(
    project: Project, named: str, acl: Path | None, mapping: Mapping[str, str], *, vetted: bool
) -> Wanted:
    """Return what `named` means: a configured source's name or path, else a path on its own.

    A path that is not configured is a source called after itself, so that two folders of the same
    name never replace each other. Raises `SourceNotFound`.
    """
    sources = project.settings.sources
    if named in sources:
        return _configured(project, named, sources[named], acl, mapping)
    path = Path(named).resolve()
    if not path.exists():
        raise SourceNotFound(source=named)
    for name, settings in sources.items():
        if project.settings.path(settings.path) == path:
            return _configured(project, name, settings, acl, mapping)
    base = project.settings.directory_path
    shown = path.relative_to(base) if path.is_relative_to(base) else path
    name = shown.as_posix().removesuffix(".gz").removesuffix(".jsonl")
    return Wanted(Source(name, vetted), path, acl, mapping)


def _configured(
    project: Project,
    name: str,
    settings: SourceSettings,
    acl: Path | None,
    mapping: Mapping[str, str],
) -> Wanted:
    rights = acl or (project.settings.path(settings.acl) if settings.acl else None)
    source = Source(name, settings.vetted, settings.owner)
    path = project.settings.path(settings.path)
    return Wanted(source, path, rights, {**settings.map, **mapping})


def ingest(
    project: Project,
    want: Wanted,
    *,
    progress: Callable[[Progress], None] | None = None,
    rebuild: bool = False,
) -> IngestReport:
    """Take a whole source in: idempotent, whole documents only, labels always applied."""
    wiring = project.wiring
    rights = AclFile.read(want.acl) if want.acl else None
    return Ingestor(wiring.corpus, wiring.embedder).ingest(
        want.source,
        _read(want, rights),
        full=True,
        progress=progress,
        rebuild=rebuild,
        # Files have no rights of their own: without an acl file the stored labels are the truth.
        keep_labels=rights is None and not want.is_rows,
    )


def _read(want: Wanted, rights: AclFile | None) -> Iterator[Document | Skipped]:
    if want.is_rows:
        return rows.read(want.path, want.source, want.mapping, rights)
    return folder.read(want.path, want.source, rights)
