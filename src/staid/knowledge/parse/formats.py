"""From a file's name to the parser of its format, inside the child process where it must be."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import PurePosixPath

from staid.domain.errors import DocumentUnreadable
from staid.knowledge.parse.parsed import Parsed

SUFFIXES = {
    ".md": "markdown",
    ".markdown": "markdown",
    ".html": "html",
    ".htm": "html",
    ".txt": "plain",
    ".text": "plain",
    ".pdf": "pdf",
    ".docx": "docx",
}
"""What can be read, by the end of the name in lower case."""
_CONFINED = {"pdf", "docx"}
SMALL_HTML = 64 * 1024
OPEN_TAGS = 50
"""Python's HTML parser takes cubic time in tags that never end (64 kB of `<a `: 100 s)."""
_OPEN_TAG = re.compile(rb"<[^<>]*(?=<|\Z)")


def format_of(name: str) -> str | None:
    """Return the format that a file's name says; None where it cannot be read."""
    return SUFFIXES.get(PurePosixPath(name).suffix.lower())


def parse(document: str, data: bytes) -> Parsed:
    """Return title and sections, the title never empty; raise `DocumentUnreadable`."""
    known = format_of(document)
    if known is None:
        raise DocumentUnreadable(document=document, detail=unknown(document))
    if known in _CONFINED or (known == "html" and not _tame(data)):
        from staid.knowledge.parse.confined import parse_confined

        parsed = parse_confined(known, document, data)
    else:
        parsed = parse_as(known, document, data)
    return parsed if parsed.title else Parsed(PurePosixPath(document).stem, parsed.sections)


def _tame(html: bytes) -> bool:
    """Whether reading this is sure to be quick, so that it needs no process of its own."""
    return len(html) <= SMALL_HTML and len(_OPEN_TAG.findall(html)) <= OPEN_TAGS


def parse_as(known: str, document: str, data: bytes) -> Parsed:
    """Return what the parser of one format makes of the bytes, here and now."""
    return import_module(f"staid.knowledge.parse.{known}").parse(document, data)


def unknown(name: str) -> str:
    """Return why a file of this name is not read."""
    suffix = PurePosixPath(name).suffix.lower()
    if suffix in {".jsonl", ".gz"}:
        return "rows are ingested on their own: staid ingest FILE.jsonl"
    kind = f"files of type {suffix}" if suffix else "files without a type"
    return f"{kind} are not read; {', '.join(sorted(SUFFIXES))} are"
