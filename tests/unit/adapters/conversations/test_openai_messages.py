"""Logs of messages become neutral turns: nothing is lost, and what is none is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from staid.adapters.conversations import openai_messages, tau
from staid.domain.message import MALFORMED_ARGUMENTS
from staid.domain.recorded import RecordedConversation, RowRefused


def user(text: Any, **more: Any) -> dict[str, Any]:
    """Return a user's message."""
    return {"role": "user", "content": text, **more}


def agent(text: str | None, *calls: tuple[str, str, Any], **more: Any) -> dict[str, Any]:
    """Return an agent's message with calls."""
    made = [
        {"id": given, "type": "function", "function": {"name": name, "arguments": arguments}}
        for given, name, arguments in calls
    ]
    return {"role": "assistant", "content": text, **({"tool_calls": made} if made else {}), **more}


def result(given: str, text: str, name: str = "look") -> dict[str, Any]:
    """Return a tool's message."""
    return {"role": "tool", "tool_call_id": given, "name": name, "content": text}


def read(*messages: Any) -> RecordedConversation:
    """Parse a bare list of messages."""
    return openai_messages.parse(list(messages), {})


def test_a_turn_begins_with_every_user_message() -> None:
    """Each question is a turn with all that follows; one without a last word has no answer."""
    turns = read(user("a"), agent("A"), user("b"), user("c"), agent("C")).turns
    assert [(t.question, t.answer) for t in turns] == [("a", "A"), ("b", None), ("c", "C")]


def test_what_stands_before_the_first_question_opens_the_first_turn() -> None:
    """Instructions and a greeting are kept, in their place."""
    system = {"role": "developer", "content": "Be kind."}
    turn = read(system, agent("Hello!"), user("a"), agent("A")).turns[0]
    assert [m.role for m in turn.messages] == ["system", "assistant", "user", "assistant"]
    assert (turn.question, turn.answer) == ("a", "A")


def test_calls_and_results_are_paired_even_when_an_id_is_used_twice() -> None:
    """Some systems repeat an id: the first call that still waits for a result is meant."""
    turn = read(
        user("a"),
        agent(None, ("x", "look", '{"n": 1}'), ("y", "look", '{"n": 2}')),
        result("y", "two"),
        result("x", "one"),
        agent(None, ("x", "find", "{}")),
        result("x", "three", "find"),
        agent("done"),
    ).turns[0]
    assert [dict(c.arguments) for c in turn.calls] == [{"n": 1}, {"n": 2}, {}]
    assert turn.results == {0: "one", 1: "two", 2: "three"}


def test_a_call_without_a_result_stays_without_one() -> None:
    """What a crash cut off is not made up."""
    turn = read(user("a"), agent("Wait.", ("x", "look", "{}"))).turns[0]
    assert (len(turn.calls), turn.results, turn.answer) == (1, {}, None)


def test_the_old_form_of_function_calls_is_read() -> None:
    """`function_call` and the role `function` are a call without an id, and its result."""
    old = {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}}
    turn = read(user("a"), old, {"role": "function", "name": "f", "content": "r"}).turns[0]
    assert (turn.calls[0].tool, turn.results) == ("f", {0: "r"})


def test_arguments_that_are_no_object_stay_whole() -> None:
    """Broken JSON is kept as the model wrote it, under the name that every gate denies."""
    for raw in ('{"n": ', "[1]", '{"n": NaN}'):
        turn = read(user("a"), agent(None, ("x", "look", raw))).turns[0]
        assert dict(turn.calls[0].arguments) == {MALFORMED_ARGUMENTS: raw}


def test_parts_and_unknown_fields_are_kept() -> None:
    """The texts of parts are the text; pictures and fields we do not know stay beside it."""
    picture = {"type": "image_url", "image_url": {"url": "data:x"}}
    parts = [{"type": "text", "text": "one"}, picture, {"type": "text", "text": "two"}]
    turn = read(user(parts, name="ada"), agent("A", refusal="no")).turns[0]
    assert turn.question == "one\ntwo"
    assert turn.messages[0].extra == {"name": "ada", "content": parts}
    assert turn.messages[1].extra == {"refusal": "no"}
    plain = read(user([{"type": "text", "text": "one"}])).turns[0]
    assert plain.messages[0].extra == {}


def test_fields_may_have_other_names_and_the_rest_is_metadata() -> None:
    """`--map` says where a row has what; whatever else it holds is kept."""
    row = {"uuid": 7, "log": [user("a", created_at="2026-05-01T10:00:00+02:00")], "plan": "pro"}
    found = openai_messages.parse(row, {"messages": "log", "id": "uuid"})
    assert (found.id, found.metadata, found.times) == ("7", {"plan": "pro"}, "log")
    assert found.turns[0].at == datetime(2026, 5, 1, 8, tzinfo=UTC)


def test_times_come_from_the_log_the_row_or_nowhere() -> None:
    """Each way is told apart, so that nobody takes a synthetic time for a measured one."""
    row: dict[str, Any] = {"messages": [user("a")]}
    assert openai_messages.parse(row, {}).times == "synthetic"
    assert openai_messages.parse({**row, "at": 1777622400}, {}).times == "row"
    assert openai_messages.parse({"messages": [user("a", timestamp=0)]}, {}).times == "log"


BROKEN: list[tuple[Any, str]] = [
    ({"messages": "hello"}, "not a list"),
    ({}, "not a list"),
    ([agent("A")], "no user message"),
    ([], "no user message"),
    (["hello"], "message 1 is not an object"),
    ([user("a"), {"role": "robot", "content": "x"}], "'robot'"),
    ([user(7)], "no text"),
    ([user(["a"])], "not a list of parts"),
    ([user("a"), result("x", "r")], "answers no call"),
    ([user("a"), agent(None, ("x", "f", "{}")), user("b"), result("x", "r")], "no call"),
    ([user("a"), {"role": "assistant", "tool_calls": {}}], "not a list"),
    ([user("a"), {"role": "assistant", "tool_calls": [{"id": "x"}]}], "names no function"),
    ({"messages": [user("a")], "at": "yesterday"}, "not a time"),
    ({"messages": [user("a")], "at": True}, "not a time"),
    ({"messages": [user("a")], "id": ["x"]}, "not a name"),
]


@pytest.mark.parametrize(("row", "reason"), BROKEN)
def test_what_is_no_conversation_is_refused_with_the_reason(row: Any, reason: str) -> None:
    """Every refusal says what is wrong, in words that name the place."""
    with pytest.raises(RowRefused, match=reason):
        openai_messages.parse(row, {})


def test_tau_rows_carry_reward_and_customer() -> None:
    """The reward is a grade, the customer of the instruction asks, task and trial are the id."""
    row = {
        "task_id": 3,
        "trial": 1,
        "reward": 1.0,
        "instruction": "You are mia_li_3668. You want to fly.",
        "messages": [user("a"), agent("A")],
    }
    found = tau.parse(row, {})
    assert (found.id, found.asker, found.grades) == ("3/1", "mia_li_3668", {"reward": 1.0})
    assert found.metadata == {k: v for k, v in row.items() if k != "messages"}
    for wrong in ([row], {**row, "reward": "good"}, {**row, "reward": True}):
        with pytest.raises(RowRefused):
            tau.parse(wrong, {})
