"""One row: every field checked, every refusal in plain words with what is known of the row."""

from __future__ import annotations

import json

import pytest

from staid.domain.errors import UsageInvalid
from staid.domain.label import NOBODY, Label
from staid.knowledge.parse.jsonl import RowRefused, parse_row, renames


def refused(text: str) -> RowRefused:
    """Return the refusal of a line."""
    with pytest.raises(RowRefused) as caught:
        parse_row(text, {})
    return caught.value


def test_a_whole_row() -> None:
    """All five fields arrive; others are left alone; a number can be an id."""
    row = parse_row(
        '{"id": 7, "title": " A\\nB ", "text": "x\\r\\ny", "acl": [["public"]],'
        ' "metadata": {"k": [1]}, "z": 1}',
        {},
    )
    assert (row.id, row.title, row.text) == ("7", "A B", "x\ny")
    assert (row.label, row.metadata) == (Label.of([["public"]]), {"k": [1]})


def test_renamed_fields() -> None:
    """--map takes a field from another name, and a refusal names both."""
    mapping = renames(["text=content", "id=key"])
    assert parse_row('{"key": "a", "content": "x"}', mapping).text == "x"
    with pytest.raises(RowRefused, match=r'"content" \(mapped to text\) is missing'):
        parse_row('{"key": "a", "text": "x"}', mapping)


@pytest.mark.parametrize("pair", ["body=content", "text", "text="])
def test_wrong_renames(pair: str) -> None:
    """A rename of a field that does not exist, or without a name, is a usage error."""
    with pytest.raises(UsageInvalid, match="FIELD=NAME"):
        renames([pair])
    with pytest.raises(UsageInvalid, match="twice"):
        renames(["text=a", "text=b"])


def test_missing_label_is_not_the_label_of_nobody() -> None:
    """Without `acl` the acl file may speak; with null or [] the row has said: nobody."""
    assert parse_row('{"id": "a", "text": "x"}', {}).label is None
    assert parse_row('{"id": "a", "text": "x", "acl": null}', {}).label == NOBODY
    assert parse_row('{"id": "a", "text": "x", "acl": []}', {}).label == NOBODY


@pytest.mark.parametrize(
    ("line", "reason", "row_id"),
    [
        ("{", "not JSON", None),
        ("[1]", "not a JSON object", None),
        ("[" * 100_000, "nested too deeply", None),
        ('{"id": "a", "id": "b", "text": "x"}', '"id" stands twice', None),
        ('{"text": "x"}', '"id" is missing', None),
        ('{"id": true, "text": "x"}', "not a text", None),
        ('{"id": " a", "text": "x"}', "white space", None),
        ('{"id": "a\\nb", "text": "x"}', "control characters", None),
        ('{"id": "%s", "text": "x"}' % ("a" * 501), "longer than 500", None),
        ('{"id": "a"}', '"text" is missing', "a"),
        ('{"id": "a", "text": 5}', "not a text", "a"),
        ('{"id": "a", "text": " \\n"}', "is empty", "a"),
        ('{"id": "a", "text": "x\\u0000"}', "NUL", "a"),
        ('{"id": "a", "text": "x\\ud800"}', "half a character", "a"),
        ('{"id": "a", "text": "x", "title": 5}', "not a text", "a"),
        ('{"id": "a", "text": "x", "title": "%s"}' % ("a" * 501), "longer than 500", "a"),
        ('{"id": "a", "text": "x", "metadata": []}', "not an object", "a"),
        ('{"id": "a", "text": "x", "metadata": {"n": NaN}}', "NaN is not JSON", None),
        ('{"id": "a", "text": "x", "metadata": {"n": 1e999}}', "too large", "a"),
        ('{"id": "a", "text": "x", "metadata": {"n": "\\u0000"}}', "NUL", "a"),
        ('{"id": "a", "text": "x", "metadata": {"n": "\\ud800"}}', "half a character", "a"),
        ('{"id": "a", "text": "x", "metadata": {"n": "%s"}}' % ("a" * 70_000), "65,536", "a"),
        ('{"id": "a", "text": "x", "n": %s}' % ("9" * 5000), "not JSON", None),
    ],
)
def test_refusals(line: str, reason: str, row_id: str | None) -> None:
    """A bad row says what is wrong with it, and which document it was meant to be."""
    found = refused(line)
    assert reason in found.reason
    assert found.row_id == row_id


@pytest.mark.parametrize(
    "acl",
    [
        {"alow": [["public"]]},
        "public",
        [["everyone"]],
        [["group:"]],
        ["group:a"],
        [["user:\ud800"]],
    ],
)
def test_unreadable_label_is_nobody(acl: object) -> None:
    """A label that was meant to restrict is never guessed: the row is refused, and under nobody."""
    found = refused(json.dumps({"id": "a", "text": "x", "acl": acl}))
    assert (found.row_id, found.label) == ("a", NOBODY)
    assert '"acl"' in found.reason


def test_bad_text_keeps_its_label() -> None:
    """A row whose text is bad still tells who may see the document."""
    found = refused('{"id": "a", "text": "", "acl": [["group:x"]]}')
    assert found.label == Label.of([["group:x"]])
