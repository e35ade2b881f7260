"""The scripted model: which step is played, what is filled in, and what a broken file says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from staid.adapters.models.scripted import ScriptedModel
from staid.domain.errors import ScriptInvalid
from staid.domain.message import Message, ModelRequest, ModelResponse

Play = Callable[..., ModelResponse]

REFUND = """
- when: "refund.*?(?P<order>[0-9]{4})"
  steps:
    - text: "One moment."
      calls:
        - tool: refund.issue
          arguments: {order_id: "{order}", amount: "40.00", tags: [a, "{order}"]}
        - {tool: calendar.book}
    - text: "Done: {result} {unknown}"
- contains: ANNUAL plan
  steps:
    - text: Thirty days.
"""


@pytest.fixture
def play(tmp_path: Path) -> Play:
    """Write a script and return a function that plays one request of it."""

    def make(script: str, *messages: Message) -> ModelResponse:
        path = tmp_path / "demo.yaml"
        path.write_text(script, encoding="utf-8")
        asked = [m.text for m in messages if m.role == "user"]
        request = ModelRequest("", messages, (), (), asked[-1])
        return asyncio.run(ScriptedModel(path, name="scripted:demo.yaml").generate(request))

    return make


def user(text: str) -> Message:
    """Return a message of the asker."""
    return Message("user", text)


def after(response: ModelResponse, *results: str) -> list[Message]:
    """Return the messages that carry a response's calls and their results."""
    paired = zip(response.calls, results, strict=True)
    answers = [Message("tool", text, call_id=call.id, tool=call.tool) for call, text in paired]
    return [Message("assistant", response.text, response.calls), *answers]


def test_the_first_step_proposes_its_calls_with_groups_filled_in(play: Play) -> None:
    """A question that matches gets the first step, with the pattern's groups in the arguments."""
    response = play(REFUND, user("Please REFUND my order 1001"))
    assert response.text == "One moment."
    assert [(c.tool, dict(c.arguments)) for c in response.calls] == [
        ("refund.issue", {"order_id": "1001", "amount": "40.00", "tags": ["a", "1001"]}),
        ("calendar.book", {}),
    ]
    assert len({call.id for call in response.calls}) == 2


def test_the_step_after_two_results_is_the_second_and_quotes_the_newest(play: Play) -> None:
    """Two parallel results count as one step, and `{result}` is the newest of them."""
    first = play(REFUND, user("refund 1001"))
    second = play(REFUND, user("refund 1001"), *after(first, "Refunded", "Booked"))
    assert (second.text, second.calls) == ("Done: Booked {unknown}", ())


def test_past_the_last_step_it_says_nothing(play: Play) -> None:
    """A script that is at its end gives an empty text, and never plays a call again."""
    first = play(REFUND, user("refund 1001"))
    history = [user("refund 1001"), *after(first, "a", "b"), Message("assistant", "Done")]
    assert play(REFUND, *history).text == ""
    assert play(REFUND, *history).calls == ()


def test_an_earlier_turn_moves_neither_step_nor_result(play: Play) -> None:
    """Only what came after the last user message counts, so a second refund starts afresh."""
    first = play(REFUND, user("refund 1001"))
    history = [user("refund 1001"), *after(first, "a", "b"), Message("assistant", "Done")]
    again = play(REFUND, *history, user("refund 2002"))
    assert again.calls[0].arguments["order_id"] == "2002"
    assert again.calls[0].id not in {call.id for call in first.calls}
    late = play(REFUND, *history, user("refund 2002"), Message("assistant", "x"))
    assert late.text == "Done:  {unknown}"


def test_the_same_request_gives_the_same_response(play: Play) -> None:
    """Nothing is remembered between requests: a parked run plays on in another process."""
    assert play(REFUND, user("refund 1001")) == play(REFUND, user("refund 1001"))


def test_contains_ignores_case_and_no_match_is_empty(play: Play) -> None:
    """Plain words match whatever their case; a question that nothing matches gets no text."""
    assert play(REFUND, user("Is the annual PLAN refundable")).text == "Thirty days."
    assert play(REFUND, user("What is love?")).text == ""


def test_everything_it_says_is_labelled(play: Play) -> None:
    """Even an empty response says that it is scripted, and which script spoke."""
    for question in ("refund 1001", "What is love?"):
        response = play(REFUND, user(question))
        assert (response.labelled, response.model) == ("scripted", "scripted:demo.yaml")


def test_values_are_those_of_json(play: Play) -> None:
    """YAML's surprises stay text: dates, times, leading zeros and `no`."""
    script = """
- steps:
    - calls:
        - tool: t
          arguments: {a: 2026-05-01, b: 12:30, c: 007, d: no, e: true, f: null, g: -3, h: 1.5}
"""
    given = play(script, user("x")).calls[0].arguments
    assert list(given.values()) == ["2026-05-01", "12:30", "007", "no", True, None, -3, 1.5]


def test_json_is_a_script_too(play: Play) -> None:
    """A script may be written as JSON."""
    assert play('[{"steps": [{"text": "Hi {result}."}]}]', user("x")).text == "Hi ."


@pytest.mark.parametrize(
    ("script", "line", "says"),
    [
        ("steps: []", 1, "a list"),
        ("- steps:\n    - {}", 2, "needs `text`"),
        ("- when: x\n", 1, "needs `steps`"),
        ("- steps:\n    - text: hi\n      say: x", 3, "no key `say`"),
        ("- steps:\n    - text: hi\n      text: ho", 3, "twice"),
        ("- when: '(('\n  steps: []", 1, "regular expression"),
        ("- steps:\n    - text: 12", 2, "quotes"),
        ("- steps:\n    - calls:\n        - {arguments: {}}", 3, "needs `tool`"),
        ("- steps:\n    - calls:\n        - {tool: t, arguments: [1]}", 3, "a mapping"),
        ("- steps: &a []\n- steps: *a", 2, "references"),
        ("- steps:\n  - text: 'open", 2, "end of stream"),
        ("- steps:\n    - calls: [{tool: t, arguments: {a: !!python/name:os.x ''}}]", 2, "JSON"),
        ("- steps:\n    - calls: [{tool: t, arguments: {a: !!float .nan}}]", 2, "JSON"),
    ],
)
def test_a_mistake_is_named_with_its_line(
    tmp_path: Path, script: str, line: int, says: str
) -> None:
    """A broken script is refused when the model is built, with file, line and reason."""
    path = tmp_path / "broken.yaml"
    path.write_text(script, encoding="utf-8")
    with pytest.raises(ScriptInvalid) as caught:
        ScriptedModel(path)
    assert says in caught.value.message
    assert "broken.yaml" in caught.value.message
    assert f"line {line}:" in caught.value.message


def test_a_missing_file_is_a_coded_error(tmp_path: Path) -> None:
    """A script that is not there is ST-314, not a traceback."""
    with pytest.raises(ScriptInvalid, match="ST-314"):
        ScriptedModel(tmp_path / "gone.yaml")


def test_the_documented_example_is_a_script(tmp_path: Path, play: Play) -> None:
    """What docs/reference/scripted.md shows can be played as it stands."""
    page = (Path(__file__).parents[4] / "docs/reference/scripted.md").read_text(encoding="utf-8")
    script = page.split("```yaml\n")[1].split("```")[0]
    assert play(script, user("Refund order 1001")).calls[0].arguments["order_id"] == "1001"
    assert play(script, user("the Annual plan")).text.startswith("Annual plans")
    assert "teammate" in play(script, user("else")).text
