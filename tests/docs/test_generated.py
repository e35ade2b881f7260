"""The generated pages are those that `make docs` would write now."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from staid.domain.errors import StaidError


@pytest.fixture(scope="module")
def writer(root: Path) -> Any:
    """Return `benchmarks/write_docs.py` as a module."""
    spec = importlib.util.spec_from_file_location("write_docs", root / "benchmarks/write_docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_pages_are_fresh(writer: Any) -> None:
    """Neither an error nor a command line option changed without its page."""
    assert [path.name for path in writer.stale(writer.pages())] == [], "run `make docs`"


def test_a_changed_page_is_stale(writer: Any, tmp_path: Path) -> None:
    """The check can fail: a missing and an edited page are both named."""
    edited = tmp_path / "edited.md"
    edited.write_text("old", "utf-8")
    missing = tmp_path / "missing.md"
    assert writer.stale({edited: "new", missing: "new"}) == [edited, missing]


def test_two_errors_never_share_a_code(
    writer: Any, monkeypatch: pytest.MonkeyPatch, root: Path
) -> None:
    """A code that is used twice stops the page from being written."""

    class Doubled(StaidError):
        """The same again."""

        code = "ST-101"

    monkeypatch.setattr(Doubled, "__module__", "staid.somewhere")
    with pytest.raises(ValueError, match="ST-101 is both"):
        writer.errors_page()
    monkeypatch.setattr(Doubled, "__module__", "elsewhere")


def test_every_command_has_an_example(writer: Any, read_blocks: Callable[..., list[Any]]) -> None:
    """Each command's section shows one command line."""
    page = writer.DOCS / "reference/cli.md"
    shown = [block for block in read_blocks(page) if block.language == "sh"]
    assert len(shown) >= len(writer.VERBS)
    assert all(block.text.startswith("staid ") for block in shown)
