"""A project whose one tool belongs to another framework."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from staid.project.project import Project


def _large(p: Any) -> bool:
    """Above 100 a person decides."""
    return p.amount > 100


def _possible(p: Any) -> bool:
    return p.amount <= 500


BOUNDS: dict[str, dict[str, Any]] = {
    "refund": {
        "effect": "write",
        "requires_approval": _large,
        "constraints": {"amount": _possible},
    }
}


@pytest.fixture
def project(make_project: Callable[..., Project]) -> Project:
    """Give a fresh project."""
    return make_project()


@pytest.fixture
def effects(tmp_path: Path) -> Path:
    """Give the file that the tool leaves its effects in."""
    file = tmp_path / "effects"
    file.touch()
    return file


@pytest.fixture
def bounds() -> dict[str, dict[str, Any]]:
    """Give the bounds of the tool: above 100 a person, above 500 nobody."""
    return BOUNDS
