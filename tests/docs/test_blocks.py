"""Whatever a page shows as runnable runs, and prints what the page says it prints."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


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


WRONG = {
    "an output that does not come": "```console run\n$ staid doctor\nBROKEN store\n```\n",
    "outputs in another order": "```console run\n$ staid doctor\nok journal\nok store\n```\n",
    "another exit code": "```sh run\nstaid doctor   # exits 1\n```\n",
    "another command": "```sh run\nrm -r somewhere\n```\n",
    "Python that raises": "```python run\nraise ValueError\n```\n",
    "Python that says something else": "```python run\nprint(1)\n```\n```text run\n2\n```\n",
}


@pytest.mark.parametrize("text", WRONG.values(), ids=WRONG.keys())
def test_a_wrong_page_is_caught(
    text: str, tmp_path: Path, follower: Any, read_blocks: Callable[..., list[Any]]
) -> None:
    """A page that promises what does not happen fails."""
    page = tmp_path / "page.md"
    page.write_text(text, "utf-8")
    blocks = read_blocks(page)
    with pytest.raises((AssertionError, ValueError)):
        follower.follow_all(blocks)
