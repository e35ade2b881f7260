"""The child process that parses one document, bounded before it reads a byte of it."""

from __future__ import annotations

import json
import sys

from staid.domain.errors import DocumentUnreadable
from staid.knowledge.parse.confined import MEMORY, SECONDS
from staid.knowledge.parse.formats import parse_as


def _bound_memory() -> None:
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))  # outlives a killed parent


def main(known: str, document: str) -> None:
    """Read bytes from standard input, write the parsed document or the reason as JSON."""
    _bound_memory()
    try:
        parsed = parse_as(known, document, sys.stdin.buffer.read())
        answer = {"title": parsed.title, "sections": [[s.path, s.text] for s in parsed.sections]}
    except DocumentUnreadable as error:
        answer = {"refused": error.values["detail"]}
    except MemoryError:
        answer = {"refused": "reading it needed too much memory"}
    except Exception as error:  # noqa: BLE001 - a hostile document makes a library raise anything
        answer = {"refused": f"it cannot be read as {known} ({type(error).__name__})"}
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
