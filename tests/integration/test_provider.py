"""Real client libraries over a real socket: what is sent, and what is made of the answer.

The server is a fake that plays a script, but the bytes are those of OpenAI's and Anthropic's APIs,
made and read by the providers' own packages.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import pytest

from staid.adapters.models.fallback import FallbackModel
from staid.adapters.models.prompt import prompt_identity
from staid.adapters.models.registry import model_client
from staid.domain.errors import ModelTooDear, ModelUnavailable
from staid.domain.ids import ChunkId, DocumentId
from staid.domain.label import EVERYONE
from staid.domain.message import (
    MALFORMED_ARGUMENTS,
    Message,
    ModelRequest,
    ModelResponse,
    ToolSpec,
)
from staid.domain.passage import Passage
from staid.testing.provider import KEY, FakeProvider, Reply

MODELS = ["openai-chat:gpt-4o", "openai:gpt-4o", "anthropic:claude-opus-5", "ollama:llama3"]
"""Chat completions, responses, messages, and a local server of the first kind."""
REFUND = ToolSpec(
    "refund.issue",
    "Refund an order",
    {"type": "object", "properties": {"order_id": {"type": "string"}}, "required": ["order_id"]},
)
NOW = {"retry-after-ms": "1"}

Ask = Callable[..., ModelResponse]


def passage(text: str) -> Passage:
    """Return a passage with this text."""
    return Passage(
        source="help",
        document=DocumentId("refunds"),
        version="1",
        chunk=ChunkId("c0ffee"),
        title="Refunds",
        section="Annual plans",
        text=text,
        label=EVERYONE,
        vetted=True,
        rank=1,
        similarity=0.8,
        vector_rank=1,
        lexical_rank=1,
        bm25=4.0,
    )


def request(
    *messages: Message,
    evidence: tuple[Passage, ...] = (),
    tools: tuple[ToolSpec, ...] = (),
    revise: str | None = None,
) -> ModelRequest:
    """Return a request; without messages it asks for the time an annual plan can be refunded."""
    history = messages or (Message("user", "How long can I get a refund?"),)
    return ModelRequest("Be brief.", history, evidence, tools, history[0].text, revise)


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Return a function that asks a model behind a fake provider."""

    def send(
        provider: FakeProvider,
        name: str,
        what: ModelRequest,
        *,
        timeout: float = 30,
        fallback: tuple[str, ...] = (),
        key: str = KEY,
    ) -> ModelResponse:
        point(monkeypatch, provider, key)
        client = model_client(name, base=Path(), timeout=timeout, fallback=fallback)
        return asyncio.run(client.generate(what))

    return send


def point(monkeypatch: pytest.MonkeyPatch, provider: FakeProvider, key: str = KEY) -> None:
    """Point every provider's client at the fake."""
    for family in ("OPENAI", "ANTHROPIC", "OLLAMA"):
        monkeypatch.setenv(f"{family}_API_KEY", key)
        url = provider.url if family == "ANTHROPIC" else provider.openai_url
        monkeypatch.setenv(f"{family}_BASE_URL", url)


@pytest.mark.parametrize("name", MODELS)
def test_a_plain_answer_with_its_evidence_on_the_wire(ask: Ask, name: str) -> None:
    """The passage, its id, the question and the instructions are sent; the text comes back."""
    asked = request(evidence=(passage("Refunds take 30 days."),))
    with FakeProvider(Reply(text="Thirty days.")) as provider:
        response = ask(provider, name, asked)
    sent = provider.requests[0].raw.decode()
    for part in ("[passage 1 id c0ffee]", "| Refunds take 30 days.", "> How long can", "Be brief."):
        assert part in sent
    assert "tools" not in provider.requests[0].body
    assert (response.text, response.calls, response.model) == ("Thirty days.", (), name)
    assert (response.usage.input_tokens, response.usage.output_tokens) == (120, 30)
    assert response.labelled is None
    assert response.prompt == prompt_identity(asked)


@pytest.mark.parametrize("name", MODELS)
def test_without_evidence_no_passage_is_sent(ask: Ask, name: str) -> None:
    """Below the floor not a byte of a passage goes out, and the model is told that it has none."""
    with FakeProvider(Reply(text="x")) as provider:
        ask(provider, name, request(tools=(REFUND,)))
    sent = provider.requests[0].raw.decode()
    assert "passage" not in sent.lower()
    assert "You have no documents" in sent


@pytest.mark.parametrize("name", MODELS)
def test_a_tool_call_and_its_result_make_the_round_trip(ask: Ask, name: str) -> None:
    """Two parallel calls come back under our tool's name; their results go out paired with them."""
    calls = (("refund.issue", {"order_id": "1001"}), ("refund.issue", {"order_id": "1002"}))
    question = Message("user", "Refund 1001 and 1002")
    with FakeProvider(Reply(text="On it.", calls=calls), Reply(text="Done.")) as provider:
        first = ask(provider, name, request(question, tools=(REFUND,)))
        assert [(c.tool, dict(c.arguments)) for c in first.calls] == list(calls)
        assert len({call.id for call in first.calls}) == 2
        results = [
            Message("tool", f"result {n}", call_id=call.id, tool=call.tool)
            for n, call in enumerate(first.calls)
        ]
        said = Message("assistant", first.text, first.calls)
        second = ask(provider, name, request(question, said, *results, tools=(REFUND,)))
    assert second.text == "Done."
    sent = provider.requests[1].raw.decode()
    assert sent.index("1001") < sent.index("result 0") < sent.index("result 1")
    assert "refund_issue" in sent
    assert "Refund an order" in sent


@pytest.mark.parametrize("name", ["openai-chat:gpt-4o", "openai:gpt-4o"])
@pytest.mark.parametrize("raw", ['{"order_id": "10', "[1]", '"x"', '{"order_id": NaN}', "1e999"])
def test_malformed_arguments_are_a_proposal_with_the_raw_text(
    ask: Ask, name: str, raw: str
) -> None:
    """Broken JSON neither crashes nor vanishes: it is proposed as it came, under a telling name."""
    question = Message("user", "Refund")
    with FakeProvider(Reply(calls=(("refund.issue", raw),)), Reply(text="Sorry.")) as provider:
        first = ask(provider, name, request(question, tools=(REFUND,)))
        assert first.calls[0].tool == "refund.issue"
        assert dict(first.calls[0].arguments) == {MALFORMED_ARGUMENTS: raw}
        denied = Message("tool", "denied", call_id=first.calls[0].id, tool="refund.issue")
        said = Message("assistant", "", first.calls)
        assert ask(provider, name, request(question, said, denied)).text == "Sorry."


def test_a_tool_nobody_has_comes_back_under_its_own_name(ask: Ask) -> None:
    """A tool the model invented is proposed as it was named, for the allowlist to deny."""
    with FakeProvider(Reply(calls=(("drop_database", {}),))) as provider:
        response = ask(provider, MODELS[0], request(tools=(REFUND,)))
    assert [call.tool for call in response.calls] == ["drop_database"]


@pytest.mark.parametrize("name", MODELS)
def test_a_revision_tells_what_was_wrong(ask: Ask, name: str) -> None:
    """After a draft that failed, the check's findings stand behind it in the conversation."""
    history = (Message("user", "How long?"), Message("assistant", "Ninety days."))
    asked = request(*history, evidence=(passage("30 days."),), revise="90 is in no passage")
    with FakeProvider(Reply(text="30 days.")) as provider:
        ask(provider, name, asked)
    sent = provider.requests[0].raw.decode()
    assert sent.index("| 30 days.") < sent.index("Ninety") < sent.index("> 90 is in no passage")


@pytest.mark.parametrize("name", ["openai:gpt-4o", "anthropic:claude-opus-5", MODELS[0]])
def test_reasoning_is_kept_apart_from_the_text(ask: Ask, name: str) -> None:
    """What a provider tells of its thinking is `reasoning`, never part of the draft."""
    with FakeProvider(Reply(text="Yes.", reasoning="The asker wants...")) as provider:
        response = ask(provider, name, request())
    assert (response.text, response.reasoning) == ("Yes.", "The asker wants...")


def test_cost_is_priced_where_the_price_is_known(ask: Ask) -> None:
    """A known model's tokens have a price; an unknown one costs 0 and still answers."""
    with FakeProvider(Reply(text="a", tokens=(1_000_000, 0)), Reply(text="b")) as provider:
        assert ask(provider, "openai:gpt-4o", request()).usage.cost == Decimal("2.5")
        assert ask(provider, "ollama:llama3", request()).usage.cost == 0


def test_openai_is_told_not_to_keep_the_request(ask: Ask) -> None:
    """OpenAI's responses API stores what it gets unless told otherwise, and it is told."""
    with FakeProvider(Reply(text="a")) as provider:
        ask(provider, "openai:gpt-4o", request())
    assert provider.requests[0].body["store"] is False


@pytest.mark.parametrize("name", MODELS)
def test_a_rate_limit_is_waited_out(ask: Ask, name: str) -> None:
    """A 429 is asked again after the time the provider names, and the answer is the second one."""
    busy = Reply(status=429, error_code="rate_limit_exceeded", headers=NOW)
    with FakeProvider(busy, Reply(text="ok")) as provider:
        assert ask(provider, name, request()).text == "ok"
    assert len(provider.requests) == 2


@pytest.mark.parametrize("name", MODELS)
def test_retries_are_bounded_and_the_next_model_answers(ask: Ask, name: str) -> None:
    """Three failures in a row are enough: the fallback answers, and the response names it."""
    fails = [Reply(status=500, headers=NOW)] * 3
    with FakeProvider(*fails, Reply(text="ok")) as provider:
        response = ask(provider, name, request(), fallback=("openai-chat:gpt-4o-mini",))
    assert (response.text, response.model) == ("ok", "openai-chat:gpt-4o-mini")
    assert len(provider.requests) == 4


@pytest.mark.parametrize("name", ["openai-chat:gpt-4o", "anthropic:claude-opus-5"])
def test_a_slow_model_is_left_for_the_next_one(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A model that does not answer within the time-out is given up for the fallback."""
    with FakeProvider(Reply(text="late", wait=30), Reply(text="ok")) as provider:
        point(monkeypatch, provider)
        slow = model_client(name, base=Path(), timeout=1)
        spare = model_client("openai-chat:gpt-4o-mini", base=Path(), timeout=30)
        response = asyncio.run(FallbackModel([slow, spare], timeout=30).generate(request()))
    assert (response.text, response.model) == ("ok", "openai-chat:gpt-4o-mini")


def test_a_slow_model_alone_is_unavailable(ask: Ask) -> None:
    """Without a fallback the time-out is an error that says how long was waited."""
    with (
        FakeProvider(Reply(text="late", wait=30)) as provider,
        pytest.raises(ModelUnavailable, match=r"did not answer within 0\.5 s"),
    ):
        ask(provider, MODELS[0], request(), timeout=0.5)


@pytest.mark.parametrize("name", MODELS)
def test_a_rejected_key_is_not_repeated(ask: Ask, name: str) -> None:
    """The provider's error holds the key; ours holds neither the key nor a link to that error."""
    with FakeProvider() as provider, pytest.raises(ModelUnavailable) as caught:
        ask(provider, name, request(), key="sk-secret-4711")
    assert "it rejected the key (HTTP 401" in caught.value.message
    links = (caught.value.__cause__, caught.value.__context__)
    assert links == (None, None)
    assert "4711" not in f"{caught.value!r}{caught.value.hint_text}{caught.value.values}"
    assert len(provider.requests) == 1


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (Reply(status=400, error_code="context_length_exceeded"), "too long for it (HTTP 400"),
        (Reply(status=404, error_code="model_not_found"), "does not know the model (HTTP 404"),
        (Reply(status=429, error_code="insufficient_quota", headers=NOW), "quota is exhausted"),
        (Reply(status=400, error_code="sk-secret-4711"), "it rejected the request (HTTP 400"),
        (Reply(raw=b"<html>proxy says sk-secret-4711</html>"), MODELS[0]),
        (Reply(raw=b'{"choices": []}'), MODELS[0]),
        (Reply(raw=b"null"), MODELS[0]),
    ],
)
def test_whatever_a_provider_does_the_port_has_one_error(ask: Ask, reply: Reply, says: str) -> None:
    """Rejections and nonsense alike are ST-312 with a reason in our words, not the provider's."""
    with FakeProvider(reply, reply, reply) as provider, pytest.raises(ModelUnavailable) as caught:
        ask(provider, MODELS[0], request())
    assert says in caught.value.message
    assert "4711" not in caught.value.message


def test_a_provider_that_is_not_there_is_unavailable(ask: Ask) -> None:
    """A refused connection is ST-312 and says that the provider could not be reached."""
    gone = FakeProvider()
    with gone:
        pass
    with pytest.raises(ModelUnavailable, match="could not be reached"):
        ask(gone, MODELS[0], request())


def test_the_cap_counts_real_prices(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a cap below the first request's price the second is never sent."""
    with FakeProvider(Reply(text="a", tokens=(1_000_000, 0)), Reply(text="b")) as provider:
        point(monkeypatch, provider)
        client = model_client("openai:gpt-4o", base=Path(), timeout=30, max_cost=Decimal(1))
        asyncio.run(client.generate(request()))
        with pytest.raises(ModelTooDear):
            asyncio.run(client.generate(request()))
    assert len(provider.requests) == 1


def test_one_client_serves_many_loops_and_many_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client works in loop after loop, for requests side by side, and leaves nothing open."""
    with FakeProvider(*[Reply(text="a")] * 12) as provider:
        point(monkeypatch, provider)
        client = model_client(MODELS[0], base=Path(), timeout=30)

        async def many() -> list[ModelResponse]:
            return await asyncio.gather(*(client.generate(request()) for _ in range(4)))

        for _ in range(3):
            assert [response.text for response in asyncio.run(many())] == ["a"] * 4
            # A connection that its loop left open would warn now, and warnings are errors here.
            gc.collect()


def test_a_client_serves_two_loops_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request under way in one thread's loop survives another loop's beginning and end."""
    with FakeProvider(Reply(text="slow", wait=0.5), Reply(text="quick")) as provider:
        point(monkeypatch, provider)
        client = model_client(MODELS[0], base=Path(), timeout=30)
        with ThreadPoolExecutor(1) as pool:
            slow = pool.submit(asyncio.run, client.generate(request()))
            assert provider.await_requests(1)
            assert asyncio.run(client.generate(request())).text == "quick"
            assert slow.result(timeout=10).text == "slow"


def test_the_fake_refuses_what_the_real_ones_refuse(ask: Ask) -> None:
    """The fake is strict: a result without its call is an error 400, as it is for OpenAI."""
    stray = Message("tool", "ok", call_id="call_9", tool="refund.issue")
    with FakeProvider(Reply(text="a")) as provider, pytest.raises(ModelUnavailable, match="400"):
        ask(provider, MODELS[0], request(Message("user", "q"), stray))
