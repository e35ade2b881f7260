"""The Python modules of a project, each as its file is now and under a name of its own."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from hashlib import sha256
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import NoReturn

from staid.domain.errors import EntryInvalid


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
