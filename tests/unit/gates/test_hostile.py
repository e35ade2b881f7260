"""A policy or a call that is made to be slow: steps stay in proportion to what was written."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from pydantic import BaseModel

from staid.domain.call import Ruling, Severity
from staid.gates.expression.parse import parse
from staid.gates.expression.values import globbed
from staid.gates.policy import Snapshot, prepare, rule
from staid.gates.rule import Block, Condition, Rule
from staid.gates.rules import Policy
from staid.gates.tool import Tool, define


class Note(BaseModel):
    """Arguments of the tool."""

    to: list[str] = []
    memo: str = ""
    extra: Any = None


def keep(_: Note) -> None:
    """Do nothing."""


def lines(work: Callable[[], object]) -> int:
    """Return how many lines of code ran."""
    found = 0

    def count(_: FrameType, event: str, __: object) -> Any:
        nonlocal found
        found += event == "line"
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        work()
    finally:
        sys.settrace(before)
    return found


def policy_of(text: str) -> Policy:
    """Return a policy of one rule that asks."""
    return Policy((Block("*", (Rule("r", Severity.ASK, when=Condition(text, parse(text))),)),))


def tool() -> Tool:
    """Return a tool that no policy was compiled for yet."""
    return define(keep, "note.keep")


def ruled(text: str, call: dict[str, Any]) -> Ruling:
    """Return the ruling of one rule."""
    snapshot = Snapshot(frozenset({"note.keep"}))
    return rule(prepare("note.keep", tool(), call, "user:ada", "agent", policy_of(text)), snapshot)


def compiled(depth: int) -> int:
    """Return the lines it takes to compile a rule of so many levels."""
    text = "true"
    for _ in range(depth):
        text = f"contains([{text}], true)"
    given, policy = tool(), policy_of(text)
    return lines(lambda: policy.about(given))


def test_compiling_does_not_double_with_every_level() -> None:
    """Four more levels of a function within itself cost what the four before them did, about."""
    compiled(1)  # what is read once for the process
    few, some, more = (compiled(depth) for depth in (4, 8, 12))
    assert more - some < 3 * (some - few)


@pytest.mark.parametrize("pattern", ["*{}b?c*", "*{}?b*", "*?{}b", "{}?*b"])
def test_a_pattern_reads_each_character_of_a_text_once(pattern: str) -> None:
    """Ten times as long a beginning of a pattern that never fits is no more work on the text."""
    text = "a" * 3000
    short, long = (globbed(pattern.format("a" * size)) for size in (30, 300))
    assert not short(text)
    assert lines(lambda: long(text)) <= lines(lambda: short(text)) + 4 * 300


def test_a_long_text_is_not_looked_through_for_every_item_without_end() -> None:
    """A thousand items, each looked for in a long text: it cannot be decided, and denies."""
    call = {"memo": "a" * 200_000, "to": ["b"] * 1000}
    assert ruled("any(to, x => contains(memo, x))", call).severity is Severity.DENY
    shorter = {"memo": "a" * 20_000, "to": ["b"] * 1000}
    assert ruled("any(to, x => contains(memo, x))", shorter).severity is Severity.ALLOW


def test_a_long_list_is_not_looked_through_for_every_item_without_end() -> None:
    """The same of a list that holds more than texts and numbers, so that it is no set."""
    call: dict[str, Any] = {"extra": [*["a"] * 2000, ["b"]], "to": ["b"] * 1000}
    assert ruled("any(to, x => x in extra)", call).severity is Severity.DENY
    assert ruled("any(to, x => x in extra)", {**call, "to": ["b"]}).severity is Severity.ALLOW


@pytest.mark.parametrize("same", ["memo in extra", "extra == extra"])
def test_what_no_item_is_in_is_looked_at_once(same: str) -> None:
    """Under a quantifier, a question that is not about the item is asked once for the call."""
    text = f"any(to, x => len(x) > 1 or {same} and len(x) > 2)"  # no word to be found by

    def work(items: int) -> int:
        call = {"memo": "a" * 100, "extra": [[1]] * 200, "to": ["b"] * items}
        prepared = prepare("note.keep", tool(), call, "user:ada", "agent", policy_of(text))
        snapshot = Snapshot(frozenset({"note.keep"}))
        return lines(lambda: rule(prepared, snapshot))

    assert work(40) - work(20) < 20 * 100
