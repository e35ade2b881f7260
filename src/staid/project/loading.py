"""Finding a project and loading the Python object behind it."""

from __future__ import annotations

from pathlib import Path

from staid.domain.errors import EntryInvalid, StaidError
from staid.project.modules import module_of
from staid.project.project import Project
from staid.project.settings import Settings, load


def load_project(directory: Path) -> Project:
    """Return the project at `directory` or above it, its tools and agents registered.

    Raises `ProjectNotFound`, `SettingsInvalid`, and `EntryInvalid` when its module cannot be run.
    """
    settings = load(directory)
    if settings.project.entry is None:
        return Project(settings.directory_path)
    token = Project.loading.set(settings.directory_path)
    try:
        return _entry(settings, settings.project.entry)
    finally:
        Project.loading.reset(token)


def _entry(settings: Settings, entry: str) -> Project:
    name, colon, attribute = entry.partition(":")
    if not colon:
        raise EntryInvalid(entry=entry, detail="it is not module:object")
    try:
        found = getattr(module_of(settings.directory_path, name), attribute, None)
    except StaidError:
        raise
    except Exception as error:
        detail = f"{type(error).__name__}: {error}"
        raise EntryInvalid(entry=entry, detail=detail) from error
    if not isinstance(found, Project):
        raise EntryInvalid(entry=entry, detail=f"{attribute} is not a staid.Project")
    return found
