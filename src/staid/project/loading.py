"""Finding a project and loading the Python object behind it."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from hashlib import sha256
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import NoReturn

from staid.domain.errors import EntryInvalid, StaidError
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


class _Source(SourceFileLoader):
    """Runs the file as it is now: byte code is kept by the second, and an edit may be quicker."""

    def path_stats(self, path: str) -> NoReturn:
        """Say that nothing is known, so that no byte code is read or written."""
        raise OSError(path)


def module_of(folder: Path, name: str) -> ModuleType:
    """Return a module of the project, or an installed one; raises whatever importing raises."""
    file = folder.joinpath(*name.split(".")).with_suffix(".py")
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    if not file.is_file():
        return importlib.import_module(name)
    # Under a name of its own: two projects may both call their module `agent`.
    alias = f"staid_project_{sha256(str(file).encode()).hexdigest()[:12]}_{name.replace('.', '_')}"
    spec = importlib.util.spec_from_file_location(alias, file, loader=_Source(alias, str(file)))
    if spec is None or spec.loader is None:
        raise EntryInvalid(entry=name, detail=f"{file} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    sys.modules[alias] = module
    spec.loader.exec_module(module)
    return module
