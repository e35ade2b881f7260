"""Where data sets, manifests and experiments lie: `support.jsonl`, `support.baseline.json`."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from staid.cli import output
from staid.domain.errors import DatasetChanged, UsageInvalid
from staid.evals.dataset import Case, check_manifest, fingerprint, parse_cases
from staid.evals.experiment import Experiment, from_text, to_text

FOLDER = "evals"
MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class Dataset:
    """The cases of one file, and whether its manifest still states them."""

    file: Path
    cases: tuple[Case, ...]
    changed: DatasetChanged | None
    """Why the manifest does not fit; None where it fits or there is none."""

    @property
    def baseline(self) -> Path:
        """Where the baseline lies: beside the data set."""
        return self.file.with_suffix(".baseline.json")

    @property
    def manifest(self) -> Path:
        """Where the manifest lies: beside the data set."""
        return self.file.with_name(MANIFEST)


def dataset(given: Path | None) -> Dataset:
    """Return the data set at a path, by name in `evals/`, or the only one there."""
    file = _found(given)
    cases = parse_cases(_read(file), file.name)
    changed: DatasetChanged | None = None
    manifest = file.with_name(MANIFEST)
    if manifest.is_file():
        try:
            check_manifest(cases, _read(manifest), file.name)
        except DatasetChanged as error:
            changed = error
    return Dataset(file, cases, changed)


def load(file: Path) -> Experiment:
    """Return a stored experiment."""
    return from_text(_read(file), file.name)


def store(experiment: Experiment, file: Path) -> None:
    """Write an experiment whole or not at all: a reader never sees half a baseline."""
    _write(file, to_text(experiment))


def pin(found: Dataset) -> None:
    """State the hash of the cases in the manifest; what else it says stays."""
    try:
        fields = json.loads(_read(found.manifest))
    except ValueError:
        fields = None
    kept = cast("dict[str, Any]", fields) if isinstance(fields, dict) else {}
    kept["file"] = found.file.name
    kept["cases"] = len(found.cases)
    kept["content_hash"] = f"sha256:{fingerprint(found.cases)}"
    _write(found.manifest, json.dumps(kept, ensure_ascii=False, indent=2) + "\n")


def _found(given: Path | None) -> Path:
    if given is not None and given.is_file():
        return given
    folder = output.project().settings.directory_path / FOLDER
    if given is None:
        return _only(folder)
    for candidate in (folder.parent / given, folder / given, folder / f"{given}.jsonl"):
        if candidate.is_file():
            return candidate
    raise UsageInvalid(
        detail=f"there is no data set {given}", hint=f"Name a .jsonl file, or one in {folder}."
    )


def _only(folder: Path) -> Path:
    files = sorted(folder.glob("*.jsonl"))
    if len(files) == 1:
        return files[0]
    names = ", ".join(file.name for file in files) or "none"
    raise UsageInvalid(
        detail=f"it is not clear which data set is meant ({names} in {folder})",
        hint="Name it: staid eval run evals/support.jsonl",
    )


def _read(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageInvalid(detail=f"{file} cannot be read: {error}") from error


def _write(file: Path, text: str) -> None:
    part = file.with_name(f"{file.name}.{os.getpid()}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, "utf-8")
        part.replace(file)
    except OSError as error:
        raise UsageInvalid(detail=f"{file} cannot be written: {error}") from error
    finally:
        part.unlink(missing_ok=True)
