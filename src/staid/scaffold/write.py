"""Writing the scaffold: into a new or empty folder, whole or not at all."""

from __future__ import annotations

import re
import shutil
import tempfile
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from staid.domain.errors import UsageInvalid

NAME = "ryeline-support"
"""The template's own name, replaced by the project's."""
SETTINGS = "staid.toml"
"""What makes a folder a project: moved into place last."""

_NAMED = frozenset({SETTINGS, "README.md"})
_SKIPPED = frozenset({"__pycache__", "__init__.py"})
_DOT = "dot-"


def write(directory: Path) -> Path:
    """Write the project and return its absolute folder; on any failure nothing is left behind.

    Only a new or an empty folder is written to. Raises `UsageInvalid` where `directory` holds
    anything, is a file, or cannot be written.
    """
    target = directory.expanduser().resolve()
    try:
        _refuse_occupied(target)
        if target.exists():
            _fill(target)
        else:
            _create(target)
    except OSError as error:
        raise UsageInvalid(
            detail=f"{target} cannot be written: {error.strerror or error}",
            hint="Name a folder that you may write to, on a disk with room: staid init my-agent",
        ) from error
    return target


def project_name(directory: Path) -> str:
    """Return the name for a project in this folder: lower-case letters, digits, single dashes."""
    slug = re.sub(r"[^a-z0-9]+", "-", directory.name.lower()).strip("-")
    return slug[:60].rstrip("-") or "staid-project"


def _refuse_occupied(target: Path) -> None:
    if not target.exists():
        return
    if not target.is_dir():
        raise UsageInvalid(
            detail=f"{target} is a file", hint="Name a new folder: staid init my-agent"
        )
    if any(target.iterdir()):
        raise UsageInvalid(
            detail=f"{target} is not empty; nothing was written",
            hint="Name a new or an empty folder: staid init my-agent",
        )


def _create(target: Path) -> None:
    """Write beside the new folder, then give it its name in one step."""
    home = next(folder for folder in target.parents if folder.exists())
    stage = Path(tempfile.mkdtemp(prefix=".staid-init-", dir=home))
    try:
        _copy_all(stage, project_name(target))
        stage.chmod(0o777 & ~_umask(stage))
        target.parent.mkdir(parents=True, exist_ok=True)
        stage.rename(target)
    except BaseException:
        shutil.rmtree(stage, ignore_errors=True)
        raise


def _fill(target: Path) -> None:
    """Write inside the empty folder, which may be somebody's working directory or a mount.

    `staid.toml` moves last: until then the folder is no project, whatever happens.
    """
    stage = Path(tempfile.mkdtemp(prefix=".staid-init-", dir=target))
    moved: list[Path] = []
    try:
        _copy_all(stage, project_name(target))
        _refuse_company(target, stage)
        for entry in sorted(stage.iterdir(), key=lambda path: path.name == SETTINGS):
            moved.append(entry.rename(target / entry.name))  # noqa: PERF401 - what was moved so far must be known when a move fails
        stage.rmdir()
    except BaseException:
        for path in (*reversed(moved), stage):
            _remove(path)
        raise


def _refuse_company(target: Path, stage: Path) -> None:
    """Look again before anything is moved: somebody else may have begun to write here too."""
    if any(entry != stage for entry in target.iterdir()):
        raise UsageInvalid(
            detail=f"something else is being written to {target}; nothing was written",
            hint="Look what it holds, then name a new folder: staid init my-agent",
        )


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _copy_all(stage: Path, name: str) -> None:
    _copy(files("staid.scaffold") / "project", stage)
    for file in _NAMED:
        path = stage / file
        path.write_text(path.read_text("utf-8").replace(NAME, name), "utf-8", newline="\n")


def _copy(origin: Traversable, target: Path) -> None:
    for entry in origin.iterdir():
        if entry.name in _SKIPPED:
            continue
        name = f".{entry.name.removeprefix(_DOT)}" if entry.name.startswith(_DOT) else entry.name
        if entry.is_dir():
            (target / name).mkdir()
            _copy(entry, target / name)
        else:
            (target / name).write_bytes(entry.read_bytes())


def _umask(stage: Path) -> int:
    """Return the process's mask as a new file shows it; `os.umask` would change it for a moment."""
    probe = stage / SETTINGS
    return 0o666 & ~probe.stat().st_mode
