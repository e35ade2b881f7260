"""The wire conversion: tool names one to one, arguments whatever a model writes."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staid.adapters.models.wire import ToolNames, arguments
from staid.domain.canonical import canonical
from staid.domain.message import MALFORMED_ARGUMENTS


@given(st.sets(st.text(min_size=1, max_size=90), max_size=8))
def test_tool_names_are_sendable_and_come_back(names: set[str]) -> None:
    """Whatever tools are called, every provider takes the sent name, and it leads back."""
    mapping = ToolNames(names)
    for name in names:
        assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", mapping.sent(name))
        assert mapping.ours(mapping.sent(name)) == name


def test_names_that_look_alike_stay_apart() -> None:
    """`a.b` never takes the place of `a_b`, and a fine name is sent as it is."""
    mapping = ToolNames(["a.b", "a_b", "a-b", "x" * 70])
    assert mapping.sent("a_b") == "a_b"
    assert mapping.sent("a-b") == "a-b"
    assert len({mapping.sent(name) for name in ("a.b", "a_b", "a-b", "x" * 70)}) == 4
    assert mapping.ours("never.sent") == "never.sent"


@pytest.mark.parametrize("raw", [None, "", "{}", {}])
def test_no_arguments_are_no_arguments(raw: str | dict[str, object] | None) -> None:
    """A call without arguments is an empty mapping in every spelling of providers."""
    assert dict(arguments(raw)) == {}


@pytest.mark.parametrize(
    "raw",
    [
        "{",
        "[]",
        "null",
        '{"a": Infinity}',
        '{"a": 1e999}',
        '{"a": "\\ud800"}',
        '{"a": ' + "9" * 5000 + "}",
        "[" * 100_000,
        '{"a": 1} {"a": 2}',
    ],
)
def test_what_cannot_be_hashed_is_malformed(raw: str) -> None:
    """Text that is no canonical JSON object comes back whole, and can be recorded."""
    found = arguments(raw)
    assert dict(found) == {MALFORMED_ARGUMENTS: raw}
    canonical(found).encode()


@given(
    st.text(max_size=60)
    | st.recursive(st.none() | st.floats() | st.text(), st.lists).map(json.dumps)
)
def test_any_text_gives_arguments_with_a_canonical_form(raw: str) -> None:
    """Nothing a model can write as arguments crashes, or stays without a hash."""
    canonical(arguments(raw)).encode()
