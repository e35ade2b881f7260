"""What may leave: by label, by level, within bounds; and no passage text in any byte otherwise."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staid.access.evaluate import permits
from staid.adapters.sinks.encoding import encode
from staid.domain.canonical import Json
from staid.domain.label import EVERYONE, NOBODY, Label
from staid.testing.recorded import ANSWER, FINANCE, QUESTION, SECRET, record, whole_run
from staid.tracing.dialects.destination import DESTINATIONS, wire
from staid.tracing.disclosure import (
    ERASED,
    LONGEST_TEXT,
    LONGEST_VALUE,
    NOT_EXPORTED,
    WITHHELD,
    Disclosure,
    implies,
    shorten,
)
from staid.tracing.projection import project
from staid.tracing.spans import Trace

TOKENS = [f"group:{letter}" for letter in "abcd"] + ["public"]
clauses = st.lists(st.sets(st.sampled_from(TOKENS), min_size=1), min_size=1, max_size=3)
labels = st.builds(Label.of, clauses, st.sets(st.sampled_from(TOKENS[:4]), max_size=1))


def told(rules: Disclosure, second: Label = FINANCE, **more: str) -> Trace:
    """Return the projection of a run whose second passage bears a label."""
    return project(record(), whole_run(second=second, **more), rules)


def output(trace: Trace) -> Json:
    """Return what a reader of the sink sees as the run's outcome."""
    return trace.root.output


def texts(trace: Trace) -> list[Json]:
    """Return the passages' texts."""
    return [d.text for span in trace.spans for d in span.documents]


# --- labels ----------------------------------------------------------------------------------


@given(readers=labels, label=labels, tokens=st.sets(st.sampled_from(TOKENS)))
def test_who_reads_the_sink_may_read_what_leaves(
    readers: Label, label: Label, tokens: set[str]
) -> None:
    """When a label is implied, nobody whom the sink's label permits is refused by it."""
    reader = tokens | {"public"}
    if implies(readers, label) and permits(readers, reader):
        assert permits(label, reader)


@pytest.mark.parametrize(
    ("readers", "label", "held"),
    [
        ([["group:a"]], Label.of([["group:a", "group:b"]]), True),
        ([["group:a", "group:b"]], Label.of([["group:a"]]), False),
        ([["group:a"], ["group:b"]], Label.of([["group:b"]]), True),
        ([["group:a"]], Label.of([["group:a"], ["group:b"]]), False),
        ([["group:a"]], EVERYONE, True),
        ([["group:a"]], NOBODY, False),
        ([["group:a"]], Label.of([["group:a"]], ["user:x"]), False),
    ],
)
def test_implication(readers: list[list[str]], label: Label, held: bool) -> None:  # noqa: FBT001 - a table's column
    """A clause holds only where every reader satisfies it; a denial only where it is shared."""
    assert implies(Label.of(readers), label) is held


def test_passages_go_without_text_unless_their_label_is_held() -> None:
    """By id and score always; the text only to a sink that is declared to hold the label."""
    assert texts(told(Disclosure("full"))) == [None, None]
    assert texts(told(Disclosure("full", Label.of([["group:staff"]])))) == [ANSWER, None]
    assert texts(told(Disclosure("full", FINANCE))) == [ANSWER, SECRET]
    assert texts(told(Disclosure("full", passages=True))) == [ANSWER, SECRET]


def test_what_was_written_with_a_passage_in_view_follows_it() -> None:
    """An answer can quote: it leaves only where every passage of its run may be read."""
    assert output(told(Disclosure("full"))) == WITHHELD
    assert output(told(Disclosure("full", Label.of([["group:staff"]])))) == WITHHELD
    assert output(told(Disclosure("full", FINANCE))) == ANSWER
    assert output(told(Disclosure("full", passages=True))) == ANSWER
    assert output(told(Disclosure("full"), second=EVERYONE)) == ANSWER
    assert told(Disclosure("full")).root.input == QUESTION


def test_an_askers_own_clause_does_not_hide_a_passages() -> None:
    """A passage that the asker alone may read taints too, though its clause is the asker's own."""
    hers = Label.of([["user:ada", "group:finance"]])
    assert output(told(Disclosure("full"), second=hers)) == WITHHELD


def test_earlier_turns_taint() -> None:
    """A passage of an earlier turn, told to the model again, keeps this turn's answer back."""
    rows, rules = whole_run(second=EVERYONE), Disclosure("full")
    assert project(record(), rows, rules, whole_run()).root.output == WITHHELD
    assert project(record(), rows, rules, rows).root.output == ANSWER


@pytest.mark.parametrize("kind", DESTINATIONS)
@pytest.mark.parametrize("level", ["full", "masked"])
def test_no_byte_of_a_passage_leaves(kind: str, level: str) -> None:
    """A secret that passage, answer, tool and model repeat is in no exported byte."""
    rules = Disclosure(level, Label.of([["group:staff"]]))  # pyright: ignore[reportArgumentType]  # a level by parameter
    rows = [
        replace(row, body=json.loads(json.dumps(row.body).replace(ANSWER, SECRET)))
        if row.body is not None and row.kind != "passage.kept"
        else row
        for row in whole_run(result=SECRET)
    ]
    payload = encode(wire(project(record(), rows, rules), kind, {}), {})
    assert SECRET.encode() not in payload
    everything = encode(wire(project(record(), rows, Disclosure("full", FINANCE)), kind, {}), {})
    assert SECRET.encode() in everything


# --- levels ----------------------------------------------------------------------------------


def test_nothing_is_said_at_level_none() -> None:
    """Structure, numbers and ids leave, words do not, and the person goes under an alias."""
    rules = Disclosure("none", passages=True, alias=lambda token: f"alias of {len(token)}")
    trace = told(rules)
    assert trace.person == "alias of 8"
    said = encode(wire(trace, "otlp", {}), {})
    for word in (QUESTION, ANSWER, "4711", "user:ada", "user:lead", "support agent"):
        assert word.encode() not in said
    assert trace.root.input == NOT_EXPORTED
    assert trace.root.metadata["confidence"] == 0.91


def test_the_default_lets_no_word_out() -> None:
    """Rules that nobody filled in are those of level none, without any passage."""
    assert told(Disclosure()).root.input == NOT_EXPORTED
    assert texts(told(Disclosure())) == [None, None]


def test_masking_touches_every_word() -> None:
    """At level masked every text passes through the redactor, names through the alias."""

    def redact(value: Json) -> Json:
        return value.replace("refund", "█") if isinstance(value, str) else value

    trace = told(Disclosure("masked", FINANCE, redact=redact, alias=lambda _: "sub_1"))
    assert trace.root.input == "What is the █ policy on annual plans?"
    assert trace.person == "sub_1"


def test_erased_content_is_told_as_erased() -> None:
    """Where the content is gone, the span says so, and what rested on an erased passage stays."""
    rows = [replace(row, body=None) for row in whole_run()]
    trace = project(record(), rows, Disclosure("full", FINANCE))
    assert (trace.root.input, trace.root.output) == (ERASED, ERASED)
    kept = [replace(r, body=None) if r.kind == "passage.kept" else r for r in whole_run()]
    assert project(record(), kept, Disclosure("full", FINANCE)).root.output == WITHHELD


# --- length ----------------------------------------------------------------------------------


def test_a_tool_result_of_16_mb_leaves_short() -> None:
    """It is cut, with its length and hash; nothing else of the run is."""
    huge = "x" * 16_000_000
    trace = told(Disclosure("full", FINANCE), result=huge)
    tool = next(span for span in trace.spans if span.tool is not None)
    assert isinstance(tool.output, str)
    assert len(tool.output) < LONGEST_TEXT + 200
    assert "truncated: 16000000 characters, sha256 " in tool.output
    assert tool.input == {"amount": "150", "order_id": 4711}
    for kind in DESTINATIONS:
        assert len(encode(wire(trace, kind, {}), {})) < 400_000


@given(st.recursive(st.text(max_size=9) | st.integers() | st.none(), st.lists))
def test_short_values_stay_as_they_are(value: Json) -> None:
    """What is within bounds is not touched."""
    assert shorten(value) == value


def test_many_small_texts_are_bounded_as_a_whole() -> None:
    """A long list becomes one object that says how long it was, valid JSON still."""
    short = shorten([["x" * 100] for _ in range(100_000)])
    assert isinstance(short, dict)
    assert short["truncated"] is True
    assert len(json.dumps(short)) < LONGEST_VALUE


def test_no_half_of_a_number_escapes_the_redactor() -> None:
    """A text is cut after redaction, so that what a pattern needs whole is seen whole."""

    def redact(value: Json) -> Json:
        return value.replace("4111111111111111", "█" * 16) if isinstance(value, str) else value

    text = "x" * (LONGEST_TEXT - 8) + "4111111111111111" + "y" * 5_000
    short = shorten(text, redact)
    assert isinstance(short, str)
    assert "4111" not in short
