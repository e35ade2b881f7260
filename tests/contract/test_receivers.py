"""What each receiver shows of an exported run, by models of its precedence (traces.md, table 1.2).

Every row of the table is asserted where a receiver has such a thing, and every collision trap has a
test that fails when the trap is set again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from staid.domain.exports import Attribute, WireSpan
from staid.domain.label import Label
from staid.testing.receivers import langfuse, langsmith, mlflow, phoenix
from staid.testing.receivers.shown import Shown
from staid.testing.recorded import ANSWER, QUESTION, record, whole_run
from staid.tracing.dialects import destination
from staid.tracing.dialects.destination import DESTINATIONS, wire
from staid.tracing.disclosure import Disclosure
from staid.tracing.projection import project
from staid.tracing.spans import span_uuid

OPEN = Disclosure(level="full", label=Label.of([["group:finance"]]))

Show = Callable[[WireSpan], Shown]
SHOWS: dict[str, Show] = {
    "langfuse": langfuse.show,
    "langsmith": langsmith.show,
    "phoenix": phoenix.show,
    "arize": lambda span: phoenix.show(span, ax=True),
    "mlflow": mlflow.show,
}
TYPES = {
    "langfuse": ("agent", "generation", "tool", "retriever", "guardrail"),
    "langsmith": ("chain", "llm", "tool", "retriever", "chain"),
    "phoenix": ("AGENT", "LLM", "TOOL", "RETRIEVER", "GUARDRAIL"),
    "arize": ("AGENT", "LLM", "TOOL", "RETRIEVER", "GUARDRAIL"),
    "mlflow": ("AGENT", "LLM", "TOOL", "RETRIEVER", "GUARDRAIL"),
}


def exported(kind: str, rules: Disclosure = OPEN) -> dict[str, WireSpan]:
    """Return a run as it goes out to one kind of receiver, the last span of each name."""
    return {span.name: span for span in sent(kind, rules)}


def sent(kind: str, rules: Disclosure = OPEN) -> list[WireSpan]:
    """Return every span of a run as it goes out."""
    return wire(project(record(), whole_run(), rules), kind, {})


@pytest.fixture(params=SHOWS)
def kind(request: pytest.FixtureRequest) -> str:
    """Return each receiver in turn."""
    return request.param


@pytest.fixture
def shown(kind: str) -> dict[str, Shown]:
    """Return what the receiver shows of the run."""
    return {name: SHOWS[kind](span) for name, span in exported(kind).items()}


# --- table 1.2 -------------------------------------------------------------------------------


def test_types(kind: str, shown: dict[str, Shown]) -> None:
    """Run, model call, tool, retrieval and gate each have the receiver's own type for it."""
    names = ("support", "chat openai:gpt-4o", "refund.issue", "retrieval", "ruling")
    assert tuple(shown[name].type for name in names) == TYPES[kind]


def test_run_input_and_output(shown: dict[str, Shown]) -> None:
    """A run shows the question and the answer."""
    assert (shown["support"].input, shown["support"].output) == (QUESTION, ANSWER)


def test_model_messages_and_system_prompt(shown: dict[str, Shown]) -> None:
    """A model call shows what was sent, the instructions first, and what came back."""
    model = shown["chat openai:gpt-4o"]
    assert [message["role"] for message in model.input] == ["system", "user", "assistant", "tool"]
    assert model.input[0]["content"] == "You are the support agent."
    assert model.output[-1]["content"] == ANSWER


def test_tool_calls_that_the_model_asked_for(kind: str) -> None:
    """The model's proposal shows the tool and its arguments."""
    first = next(span for span in sent(kind) if span.name.startswith("chat"))
    call = SHOWS[kind](first).output[0]["tool_calls"][0]
    assert (call["tool"], call["arguments"]) == ("refund.issue", {"order_id": 4711})


def test_tool_parameters_and_result(shown: dict[str, Shown]) -> None:
    """A tool shows the arguments that were executed, and what it returned."""
    tool = shown["refund.issue"]
    assert tool.input == {"order_id": 4711, "amount": "150"}
    assert tool.output == "Refunded 150."


def test_retrieval_query_and_documents_with_scores(shown: dict[str, Shown]) -> None:
    """A retrieval shows the query, and each document by id, score and text."""
    retrieval = shown["retrieval"]
    assert retrieval.input == QUESTION
    assert [(d.id, d.score) for d in retrieval.documents] == [("1" * 32, 0.83), ("2" * 32, 0.6)]
    assert retrieval.documents[0].content == ANSWER


def test_session_and_user_on_every_span(shown: dict[str, Shown]) -> None:
    """Conversation and person are on the run and on everything below it."""
    assert {(span.session, span.user) for span in shown.values()} == {("cnv_1", "user:ada")}


def test_tags(kind: str) -> None:
    """Agent and outcome are tags, in the form each receiver splits them."""
    if kind == "mlflow":
        assert exported(kind)["support"].attributes["tag.tags"] == ("support", "answer")
        return
    assert SHOWS[kind](exported(kind)["support"]).tags == ("support", "answer")


def test_tokens(shown: dict[str, Shown]) -> None:
    """A model call shows its tokens."""
    assert shown["chat openai:gpt-4o"].tokens == (120, 30)


@pytest.mark.parametrize("kind", ["langfuse", "phoenix", "arize"])
def test_cost(shown: dict[str, Shown]) -> None:
    """A model call shows its cost where the receiver takes one."""
    assert shown["chat openai:gpt-4o"].cost == pytest.approx(0.0006)


@pytest.mark.parametrize("kind", ["langsmith", "phoenix", "arize"])
def test_prompt_name_and_version(shown: dict[str, Shown]) -> None:
    """A model call names its prompt and the version of it."""
    assert shown["chat openai:gpt-4o"].prompt == ("prompts/support.md", "a" * 64)


def test_langfuse_links_numbered_prompts_alone() -> None:
    """A version that is a number links a prompt of its registry; a hash is metadata."""
    rows = whole_run()
    numbered = [
        replace(row, fact={"name": "support", "version": "3"})
        if row.kind == "prompt.rendered"
        else row
        for row in rows
    ]
    spans = wire(project(record(), numbered, OPEN), "langfuse", {})
    assert langfuse.show(next(s for s in spans if s.name.startswith("chat"))).prompt == (
        "support",
        "3",
    )
    model = exported("langfuse")["chat openai:gpt-4o"]
    assert langfuse.show(model).prompt is None
    assert model.attributes["langfuse.observation.metadata.prompt_name"] == "prompts/support.md"


def test_metadata(kind: str) -> None:
    """The run's id is on every span, so that a reader there finds the run here."""
    assert all(span.attributes["staid.run"] == record().run for span in sent(kind))


def test_data_source() -> None:
    """A retrieval names the sources of what it kept."""
    retrieval = exported("otlp")["retrieval"]
    assert retrieval.attributes["gen_ai.data_source.id"] == "board,help"


def test_system_instructions_and_messages_of_genai() -> None:
    """An OpenTelemetry backend gets messages in parts, the instructions apart."""
    told = exported("otlp")["chat openai:gpt-4o"].attributes
    assert "support agent" in str(told["gen_ai.system_instructions"])
    assert '"type":"tool_call_response"' in str(told["gen_ai.input.messages"])
    assert told["gen_ai.prompt.name"] == "prompts/support.md"
    assert told["gen_ai.provider.name"] == "openai"


def test_join_by_langsmiths_own_ids() -> None:
    """LangSmith's ids are ours, name every parent, and order the tree from the root down."""
    spans = sent("langsmith")
    tree = langsmith.tree(spans)
    root = str(span_uuid(record().run, 1))
    assert [span for span, parent in tree.items() if parent is None] == [root]
    assert all(parent in tree for parent in tree.values() if parent)
    for span in spans:
        told = span.attributes
        parts = str(told["langsmith.span.dotted_order"]).split(".")
        assert parts[0].endswith(root)
        assert parts[-1].endswith(str(told["langsmith.span.id"]))
        assert len(parts) == 1 or parts[-2].endswith(str(told["langsmith.span.parent_id"]))


# --- traps 1.3 -------------------------------------------------------------------------------


@pytest.mark.parametrize("trapped", ["langfuse", "langsmith"])
def test_trap_1_prompt_prefix_does_not_replace_the_input(
    trapped: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`gen_ai.prompt.name` never reaches a receiver that takes it for the input."""
    assert not any(k.startswith("gen_ai.prompt") for s in sent(trapped) for k in s.attributes)
    ours = SHOWS[trapped](exported(trapped)["chat openai:gpt-4o"]).input
    # The trap is real: set again, it changes what is shown.
    bare = replace(DESTINATIONS[trapped], stripped=())
    monkeypatch.setitem(destination.DESTINATIONS, trapped, bare)  # pyright: ignore[reportArgumentType]  # a Mapping by type, a dict in truth
    told = dict(exported(trapped)["chat openai:gpt-4o"].attributes)
    told.pop("langfuse.observation.input", None)
    caught = SHOWS[trapped](replace(exported(trapped)["support"], attributes=told)).input
    assert caught == {"name": "prompts/support.md", "version": "a" * 64}
    assert ours != caught


def test_trap_2_session_name_is_a_project() -> None:
    """No span says `langsmith.trace.session_name`: runs stay in the configured project."""
    spans = sent("langsmith")
    assert {langsmith.show(s, project="mine").project for s in spans} == {"mine"}
    moved = replace(
        spans[0], attributes={**spans[0].attributes, "langsmith.trace.session_name": "cnv_1"}
    )
    assert langsmith.show(moved, project="mine").project == "cnv_1"


def test_trap_3_phoenix_invents_an_output() -> None:
    """Input and output are on every span, so Phoenix puts nothing in their place."""
    for span in sent("phoenix"):
        assert {"input.value", "output.value"} <= set(span.attributes)
    model = exported("phoenix")["chat openai:gpt-4o"]
    bare = {k: v for k, v in model.attributes.items() if k != "output.value"}
    assert phoenix.show(replace(model, attributes=bare)).output == {"model": "gpt-4o-2024-08-06"}


@pytest.mark.parametrize("every", DESTINATIONS)
def test_trap_4_only_model_spans_carry_usage(every: str) -> None:
    """Tokens are said once: on the model's span, on no other."""
    for span in sent(every):
        usage = [k for k in span.attributes if "usage" in k or "token_count" in k or "cost" in k]
        assert bool(usage) == span.name.startswith("chat")
    assert langfuse.trace_totals(sent("langfuse")) == (240, 60)


@pytest.mark.parametrize("every", DESTINATIONS)
def test_trap_5_gates_are_sent_and_no_span_is_an_orphan(every: str) -> None:
    """Steps of our own kinds go out like every other, so nothing below them vanishes."""
    spans = sent(every)
    assert {"floor", "ruling", "approval", "support check"} <= {span.name for span in spans}
    assert langsmith.kept(spans) == spans
    orphaned = langsmith.kept([s for s in spans if s.name != "refund.issue"])
    assert "ruling" not in {span.name for span in orphaned}


def test_trap_6_trace_fields_are_on_every_span(kind: str) -> None:
    """Thread, person and tags are on the children too."""
    for span in sent(kind):
        shown = SHOWS[kind](span)
        assert (shown.session, shown.user) == ("cnv_1", "user:ada")


def test_trap_7_opened_parameters_are_whole_beside() -> None:
    """Phoenix opens `tool.parameters`; the arguments are whole in the span's input."""
    told = exported("phoenix")["refund.issue"].attributes
    opened = phoenix.expanded(told)
    assert "tool.parameters" not in opened
    assert opened["tool.parameters.order_id"] == 4711
    assert opened["input.value"] == '{"amount":"150","order_id":4711}'


def test_langfuse_gets_a_type_for_retrievals() -> None:
    """`retrieval` is no operation that Langfuse maps; its own type says it."""
    told: dict[str, Attribute] = dict(exported("langfuse")["retrieval"].attributes)
    assert langfuse.show(exported("langfuse")["retrieval"]).type == "retriever"
    told.pop("langfuse.observation.type")
    assert langfuse.show(replace(sent("langfuse")[0], attributes=told)).type == "span"


def test_langsmith_keeps_id_and_score_in_metadata() -> None:
    """A document's id and score survive where only content and metadata are kept."""
    told: Any = exported("langsmith")["retrieval"].attributes
    without = {k: v for k, v in told.items() if not k.endswith(".metadata")}
    caught = langsmith.show(replace(sent("langsmith")[0], attributes=without)).documents
    assert [(d.id, d.score) for d in caught] == [(None, None), (None, None)]


def test_repeats_change_nothing_in_phoenix_and_nothing_anywhere() -> None:
    """The same run exported again is the same spans under the same ids."""
    once, again = sent("phoenix"), sent("phoenix")
    assert once == again
    assert list(phoenix.stored([*once, *again]).values()) == once
    assert not langfuse.refuses(once)
