"""Anchors: copies of the newest seal, kept where the store's administrator cannot reach.

From inside a store nobody can tell that its newest runs were cut off together with their seals, or
that whoever has the key wrote everything anew. An anchor outside can: it names a seal that the
store then lacks, or has with another hash.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, cast


@dataclass(frozen=True, slots=True)
class Anchor:
    """One seal as it was told to the outside."""

    project: str
    seq: int
    run: str
    hash: str
    at: str
    """When it was told, RFC 3339 in UTC."""


_BEGIN = '{"at": "'
"""What every line of an anchor begins with."""


def to_line(anchor: Anchor) -> str:
    """Return an anchor as one line of JSON."""
    return json.dumps(asdict(anchor), sort_keys=True)


def is_unfinished(line: str) -> bool:
    """Tell whether a line is the beginning of an anchor whose writer was killed."""
    begun = line.rstrip("\n")
    if not (begun.startswith(_BEGIN) or _BEGIN.startswith(begun)):
        return False
    try:
        json.loads(begun)
    except ValueError:
        return True
    return False


def from_line(line: str) -> Anchor:
    """Read an anchor from a line of JSON; raise `ValueError` where it is none."""
    value: object = json.loads(line)
    fields = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    named = {name: fields.get(name) for name in Anchor.__slots__}
    texts = (named["project"], named["run"], named["hash"], named["at"])
    if not all(isinstance(text, str) for text in texts) or type(named["seq"]) is not int:
        message = "an anchor has project, seq, run, hash and at"
        raise ValueError(message)
    return Anchor(**cast("dict[str, Any]", named))
