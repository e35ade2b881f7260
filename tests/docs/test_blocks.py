"""Whatever a page shows as runnable runs, and prints what the page says it prints."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any


def test_runnable_blocks(
    runnable: Path, reader: Any, read_blocks: Callable[..., list[Any]]
) -> None:
    """Following the page from top to bottom works, and each shown output is what came."""
    for block in read_blocks(runnable):
        if block.runs or block.file:
            try:
                reader.follow(block)
            except Exception as error:
                error.add_note(f"{runnable.name}, block at line {block.line}")
                raise


def test_other_python_compiles(page: Path, read_blocks: Callable[..., list[Any]]) -> None:
    """A Python block that is only to be read is Python at least."""
    for block in read_blocks(page):
        if block.language == "python":
            compile(block.text, f"{page.name}:{block.line}", "exec")


def test_json_is_json(page: Path, read_blocks: Callable[..., list[Any]]) -> None:
    """A block that calls itself JSON can be parsed, so that a reader can paste it."""
    for block in read_blocks(page):
        if block.language == "json":
            json.loads(block.text)
