"""The file that gives documents their labels: patterns of ids, in order, the first match wins."""

from __future__ import annotations

import difflib
import re
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import yaml

from staid.domain.errors import LabelInvalid
from staid.domain.label import NOBODY, Label

DEFAULT = "default"
"""The key whose label holds where no pattern matches; without it: nobody."""
MAX_BYTES = 5 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class AclFile:
    """Label of every id: that of the first pattern in file order that matches the whole id.

    `*` stands for anything but `/`, `**` for anything, `?` for one character. Matching heeds case.
    """

    path: Path
    rules: tuple[tuple[str, Label], ...]
    default: Label = NOBODY

    @classmethod
    def read(cls, path: Path) -> AclFile:
        """Read the file; raise `LabelInvalid` naming the pattern or the line for any mistake."""
        try:
            data = path.read_bytes()
        except OSError as error:
            raise LabelInvalid(detail=f"{path} cannot be read ({error.strerror})") from error
        if len(data) > MAX_BYTES:
            raise LabelInvalid(detail=f"{path} has more than {MAX_BYTES:,} bytes")
        return cls.parse(data, path)

    @classmethod
    def parse(cls, data: bytes | str, path: Path) -> AclFile:
        """Read the content of such a file; `path` is for messages."""
        rules: list[tuple[str, Label]] = []
        default = NOBODY
        for pattern, value in _mapping(data, path).items():
            label = _label(pattern, value, path)
            if pattern == DEFAULT:
                default = label
            else:
                rules.append((_checked(pattern, path), label))
        return cls(path, tuple(rules), default)

    def label(self, document: str) -> Label:
        """Return the label of a document; where nothing matches, the default, else nobody."""
        return next(
            (label for pattern, label in self.rules if _matches(pattern, document)), self.default
        )

    def pattern(self, document: str) -> str | None:
        """Return the pattern that decides for a document; None where none does."""
        return next((pattern for pattern, _ in self.rules if _matches(pattern, document)), None)

    def unused(self, documents: Iterable[str]) -> tuple[str, ...]:
        """Return the patterns that decide for none of the documents: a typo may hide there."""
        deciding = {self.pattern(document) for document in documents}
        return tuple(pattern for pattern, _ in self.rules if pattern not in deciding)


class _Strict(yaml.SafeLoader):
    """Refuses a key that stands twice: which of two labels holds must not be guessed."""


def _mapping_once(loader: _Strict, node: yaml.MappingNode) -> dict[Hashable, object]:
    seen: set[object] = set()
    for key, _ in node.value:
        if key.value in seen or key.tag == "tag:yaml.org,2002:merge":
            word = "stands twice" if key.value in seen else "is not supported"
            problem = f"the key {key.value!r} {word}"
            raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
        seen.add(key.value)
    return loader.construct_mapping(node, deep=True)


_Strict.add_constructor("tag:yaml.org,2002:map", _mapping_once)


def _mapping(data: bytes | str, path: Path) -> dict[str, object]:
    try:
        text = data.decode("utf-8-sig") if isinstance(data, bytes) else data
        value: object = yaml.load(text, _Strict)  # noqa: S506 - a SafeLoader
    except UnicodeDecodeError as error:
        raise LabelInvalid(detail=f"{path.name} is not UTF-8 text") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f" line {mark.line + 1}" if mark else ""
        raise LabelInvalid(detail=f"{path.name}{place}: {error.problem}") from error
    except (yaml.YAMLError, RecursionError, ValueError, TypeError) as error:
        raise LabelInvalid(detail=f"{path.name} is not YAML ({type(error).__name__})") from error
    if not isinstance(value, dict):
        raise LabelInvalid(detail=f"{path.name} is not a mapping of patterns to labels")
    for key in value:  # pyright: ignore[reportUnknownVariableType]  # untrusted YAML
        if not isinstance(key, str):
            raise LabelInvalid(
                detail=f"{path.name}: the pattern {key!r} is not a text; put it in quotes"
            )
    return value  # pyright: ignore[reportUnknownVariableType]  # every key checked above


def _label(pattern: str, value: object, path: Path) -> Label:
    try:
        return Label.parse(value)
    except LabelInvalid as error:
        raise LabelInvalid(
            detail=f"{path.name}, pattern {pattern!r}: {error.values['detail']}"
        ) from error


def _checked(pattern: str, path: Path) -> str:
    reason = None
    if pattern in {"allow", "deny"}:
        reason = "a pattern belongs here and the label below it"
    elif difflib.get_close_matches(pattern, [DEFAULT], cutoff=0.8):
        reason = f"did you mean {DEFAULT!r}?"
    elif not pattern or pattern.startswith("/") or "***" in pattern:
        reason = "a pattern is a document's id with *, ** and ?, without a leading /"
    if reason:
        raise LabelInvalid(detail=f"{path.name}, pattern {pattern!r}: {reason}")
    return pattern


def _matches(pattern: str, document: str) -> bool:
    return _compiled(pattern).fullmatch(document) is not None


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    """Translate: `**/` may be no folder at all, so that `**/a.md` matches `a.md` too."""
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", pattern)
    known = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(known.get(part, re.escape(part)) for part in parts), re.DOTALL)
