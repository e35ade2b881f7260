"""Runs a parser in a child process with bounded time and memory: no document can hang us."""

from __future__ import annotations

import json
import subprocess
import sys

from staid.domain.document import Section
from staid.domain.errors import DocumentUnreadable
from staid.knowledge.parse.parsed import Parsed, bound

SECONDS = 30
"""A 2,000-page manual takes less."""
MEMORY = 2 * 1024**3
"""Address space of the child, in bytes, where the system can bound it."""
CHILD = "staid.knowledge.parse.child"
"""The module that the child runs."""


def parse_confined(known: str, document: str, data: bytes, *, seconds: float = SECONDS) -> Parsed:
    """Return what the parser made of the bytes; raise `DocumentUnreadable`, in bounded time."""
    bound(document, data)
    # -P: nothing in the working directory can pass for a module of ours.
    command = [sys.executable, "-P", "-m", CHILD, known, document]
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter and module
            command, input=data, capture_output=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired as error:
        detail = f"reading it took longer than {seconds:g} s and was stopped"
        raise DocumentUnreadable(document=document, detail=detail) from error
    return _result(document, done.stdout)


def _result(document: str, output: bytes) -> Parsed:
    try:
        answer = json.loads(output)
    except ValueError as error:
        detail = "reading it needed too much memory or failed, and was stopped"
        raise DocumentUnreadable(document=document, detail=detail) from error
    if "refused" in answer:
        raise DocumentUnreadable(document=document, detail=answer["refused"])
    sections = tuple(Section(tuple(path), text) for path, text in answer["sections"])
    return Parsed(answer["title"], sections)
