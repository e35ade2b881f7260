"""One line of JSON to one row, checked to the last field before anything is made of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from staid.domain.canonical import Json, canonical
from staid.domain.errors import LabelInvalid, UsageInvalid
from staid.domain.label import Label
from staid.knowledge.parse.parsed import MAX_CHARACTERS, clean, line

FIELDS = ("id", "title", "text", "acl", "metadata")
"""What a row may have; other fields are left alone."""
MAX_ID = 500
MAX_TITLE = 500
MAX_METADATA = 64 * 1024


class RowRefused(Exception):
    """Guarantees a reason in plain words, and the row's id where it could be read."""

    def __init__(self, reason: str, row_id: str | None = None, label: Label | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.row_id = row_id
        self.label = label


@dataclass(frozen=True, slots=True)
class Row:
    """One row, every value checked and storable."""

    id: str
    title: str | None
    text: str
    label: Label | None
    """The row's own; None where it has no `acl`, the label of nobody where that is null."""
    metadata: Mapping[str, Json]


def renames(pairs: list[str]) -> dict[str, str]:
    """Return field -> name in the file for `--map text=content`; raise `UsageInvalid`."""
    found: dict[str, str] = {}
    for pair in pairs:
        ours, equals, theirs = pair.partition("=")
        if not equals or not theirs or ours not in FIELDS:
            detail = f"--map {pair}: write FIELD=NAME, FIELD one of {', '.join(FIELDS)}"
            raise UsageInvalid(detail=detail)
        if ours in found:
            raise UsageInvalid(detail=f"--map names {ours} twice")
        found[ours] = theirs
    return found


def parse_row(text: str, mapping: Mapping[str, str]) -> Row:
    """Return the row of one line; raise `RowRefused` with all that is known of it."""
    values = _object(text)
    names = {field: mapping.get(field, field) for field in FIELDS}
    row_id = _id(values, names["id"])
    try:
        label = _label(values, names["acl"])
    except LabelInvalid as error:
        # The label was meant to restrict and cannot be read: until it can, nobody.
        raise RowRefused(f'"{names["acl"]}": {error.message}', row_id, Label(())) from error
    try:
        title = _title(values, names["title"])
        body = _text(values, names["text"])
        metadata = _metadata(values, names["metadata"])
    except RowRefused as refused:
        raise RowRefused(refused.reason, row_id, label) from refused
    return Row(row_id, title, body, label, metadata)


def _object(text: str) -> dict[str, Json]:
    try:
        value: object = json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise RowRefused(f"it is not JSON ({error.msg} at character {error.pos + 1})") from error
    except RecursionError as error:
        raise RowRefused("it is nested too deeply") from error
    except ValueError as error:
        raise RowRefused(f"it is not JSON ({error})") from error
    if not isinstance(value, dict):
        raise RowRefused("it is not a JSON object")
    return cast("dict[str, Json]", value)


def _once(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    """Refuse a key that stands twice: which of two labels holds must not be guessed."""
    found: dict[str, Json] = {}
    for key, value in pairs:
        if key in found:
            raise RowRefused(f'the key "{key[:50]}" stands twice')
        found[key] = value
    return found


def _no_constant(name: str) -> Json:
    raise RowRefused(f"{name} is not JSON")


def _named(name: str, field: str) -> str:
    return f'"{name}"' if name == field else f'"{name}" (mapped to {field})'


def _id(values: dict[str, Json], name: str) -> str:
    value = values.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if value is None:
        raise RowRefused(f"{_named(name, 'id')} is missing")
    if not isinstance(value, str) or not value.strip():
        raise RowRefused(f"{_named(name, 'id')} is not a text with something in it")
    problem = id_problem(value)
    if problem:
        raise RowRefused(f"{_named(name, 'id')} {problem}")
    return value


def id_problem(value: str) -> str | None:
    """Return why a document cannot be called this; None where it can."""
    if len(value) > MAX_ID:
        return f"is longer than {MAX_ID} characters"
    if value != value.strip() or not value.isprintable():
        return "has control characters or outer white space"
    return None


def _label(values: dict[str, Json], name: str) -> Label | None:
    if name not in values:
        return None
    label = Label.parse(values[name])
    try:
        # As it was said: the canonical form writes half a character as its escape.
        json.dumps(values[name], ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise LabelInvalid(detail="a token holds half a character (a lone surrogate)") from error
    return label


def _title(values: dict[str, Json], name: str) -> str | None:
    value = values.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise RowRefused(f"{_named(name, 'title')} is not a text")
    if len(value) > MAX_TITLE:
        raise RowRefused(f"{_named(name, 'title')} is longer than {MAX_TITLE} characters")
    return line(clean(_storable(value, _named(name, "title")))) or None


def _text(values: dict[str, Json], name: str) -> str:
    value = values.get(name)
    if value is None:
        raise RowRefused(f"{_named(name, 'text')} is missing")
    if not isinstance(value, str):
        raise RowRefused(f"{_named(name, 'text')} is not a text")
    if not value.strip():
        raise RowRefused(f"{_named(name, 'text')} is empty")
    if len(value) > MAX_CHARACTERS:
        raise RowRefused(f"{_named(name, 'text')} has more than {MAX_CHARACTERS:,} characters")
    return clean(_storable(value, _named(name, "text")))


def _storable(value: str, name: str) -> str:
    if "\x00" in value:
        raise RowRefused(f"{name} holds NUL characters")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise RowRefused(f"{name} holds half a character (a lone surrogate)") from error
    return value


def _metadata(values: dict[str, Json], name: str) -> dict[str, Json]:
    value = values.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise RowRefused(f"{_named(name, 'metadata')} is not an object")
    try:
        _storable(json.dumps(value, ensure_ascii=False), _named(name, "metadata"))
        text = canonical(value)
    except (RecursionError, ValueError) as error:
        detail = (
            f"{_named(name, 'metadata')} is nested too deeply or holds a number that is too large"
        )
        raise RowRefused(detail) from error
    if "\\u0000" in text:
        raise RowRefused(f"{_named(name, 'metadata')} holds NUL characters")
    if len(text) > MAX_METADATA:
        raise RowRefused(f"{_named(name, 'metadata')} has more than {MAX_METADATA:,} characters")
    return value
