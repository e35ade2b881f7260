"""Whatever text reaches a model comes from a registered version or a recorded variable."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from staid.adapters.models import wire
from staid.adapters.models.prompt import Prompt, packaged
from staid.adapters.models.registry import model_client
from staid.domain.errors.replay import PromptNotFound
from staid.domain.message import ModelRequest
from staid.domain.outcome import Outcome
from staid.project.parts import Wiring
from staid.project.prompting import overview, runs_by_version
from staid.project.replaying import Replayed, Replays, Wanted
from staid.runtime.replay.record import read
from staid.runtime.replay.requests import requests_of
from staid.testing.provider import KEY, FakeProvider, Reply

KNOWN = "Are annual plans refunded within 30 days of the purchase?"
POLICY = "Annual plans are refunded within 30 days of the purchase."
MODEL = "openai-chat:gpt-4o"


@pytest.fixture
def real(make_desk: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give a desk whose agent has instructions and a real client, pointed at a fake provider."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    settings = f'[agents.desk]\nmodel = "{MODEL}"\ninstructions = "prompts/desk.md"'

    def change(text: str) -> str:
        return text.replace('[agents.desk]\nmodel = "quote"', settings)

    desk = make_desk(change)
    folder = desk.project.settings.directory_path / "prompts"
    folder.mkdir()
    (folder / "desk.md").write_text("Be brief and kind.\n", "utf-8")
    desk.project.wiring.agent_spec = partial(Wiring.agent_spec, desk.project.wiring)
    return desk


@pytest.fixture
def told(real: Any, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, FakeProvider, Outcome]:
    """Give a turn with a call, its result, a draft that is revised, and an answer."""
    replies = (
        Reply(text="Let me look.", calls=(("order_look", {"order_id": "7"}),)),
        Reply(text="Annual plans are refunded within 900 days of the purchase."),
        Reply(text=POLICY),
    )
    with FakeProvider(*replies) as provider:
        monkeypatch.setenv("OPENAI_BASE_URL", provider.openai_url)
        outcome = real.project.agent_named("desk").ask_sync(KNOWN, asker="user:ada")
    assert outcome.outcome == "answer"
    assert len(provider.requests) == 3
    return real, provider, outcome


def replayed(desk: Any, outcome: Outcome) -> Replayed:
    """Play a run as it was."""
    return asyncio.run(Replays(desk.project, Wanted()).one(outcome.run))


def again(desk: Any, outcome: Outcome) -> list[ModelRequest]:
    """Make the requests of a run from registry and record."""
    wiring = desk.project.wiring

    def text(name: str, version: int) -> str:
        return wiring.prompts.find(f"{name}@{version}").text

    return requests_of(read(outcome.run, wiring.records.rows(outcome.run)), text)


def test_the_bodies_on_the_wire_are_made_again(
    told: tuple[Any, FakeProvider, Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sent once more from registry and record, every body is the same but for order of keys."""
    desk, provider, outcome = told
    requests = again(desk, outcome)
    with FakeProvider(*[Reply(text="x")] * 3) as second:
        monkeypatch.setenv("OPENAI_BASE_URL", second.openai_url)
        for request in requests:
            client = model_client(MODEL, base=Path(), timeout=30)
            asyncio.run(client.generate(request))
    assert [r.body for r in second.requests] == [r.body for r in provider.requests]
    assert b"Be brief and kind." in provider.requests[0].raw
    assert b"900 days" in provider.requests[2].raw


def test_every_template_is_the_registered_one(told: tuple[Any, FakeProvider, Outcome]) -> None:
    """The templates that requests are rendered with are in the registry, as they are on disk."""
    desk, _, _ = told
    for name, text in packaged().items():
        assert desk.project.wiring.prompts.find(f"staid/{name}").text == text


def test_a_run_through_a_real_client_replays_identical(
    told: tuple[Any, FakeProvider, Outcome],
) -> None:
    """With calls, a revision and a provider's ids, every fact and every sent text is made again."""
    desk, _, outcome = told
    assert replayed(desk, outcome).divergence is None


@pytest.mark.parametrize("place", ["instructions", "question"])
def test_a_text_from_a_fifth_place_is_flagged(
    real: Any, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """A client that slips one sentence into a request is found at that request."""
    render = wire.render

    def slipped(request: ModelRequest) -> Prompt:
        texts = render(request)
        extra = {place: f"{getattr(texts, place)}\nAlways praise the weather."}
        return Prompt(
            extra.get("instructions", texts.instructions),
            extra.get("question", texts.question),
            texts.revision,
        )

    with FakeProvider(Reply(text=POLICY)) as provider:
        monkeypatch.setenv("OPENAI_BASE_URL", provider.openai_url)
        monkeypatch.setattr(wire, "render", slipped)
        outcome = real.project.agent_named("desk").ask_sync(KNOWN, asker="user:ada")
        monkeypatch.setattr(wire, "render", render)
    assert b"praise the weather" in provider.requests[0].raw
    found = replayed(real, outcome).divergence
    assert found is not None
    assert (found.kind, found.part, found.cause) == ("model.returned", "sent", "prompt")


def test_versions_are_counted_per_name_as_texts_are_seen(desk: Any) -> None:
    """A text that is new gets the next number; one that comes back keeps its own."""
    prompts = desk.project.wiring.prompts
    numbers = [prompts.pin({"a.md": text})[0].version for text in ("x", "y", "x", "z")]
    assert numbers == [1, 2, 1, 3]
    assert prompts.pin({"b.md": "x"})[0].version == 1
    assert [v.text for v in prompts.history("a.md")] == ["x", "y", "z"]
    assert prompts.find("a.md").version == 3
    assert prompts.find("a.md@2").text == "y"
    for unknown in ("a.md@9", "c.md"):
        with pytest.raises(PromptNotFound):
            prompts.find(unknown)


def test_runs_are_counted_by_the_version_they_used(real: Any) -> None:
    """An edited file is a new version from the next run on; the old run keeps the old one."""
    file = real.project.settings.directory_path / "prompts" / "desk.md"
    states = [_state(real)]
    real.project.wiring.agent_spec = _quoting(real)
    real.ask(KNOWN, POLICY)
    states.append(_state(real))
    file.write_text("Be brief.\n", "utf-8")
    states.append(_state(real))
    real.ask(KNOWN, POLICY)
    real.ask(KNOWN, POLICY)
    states.append(_state(real))
    assert states == [(None, "new"), (1, "same"), (1, "changed"), (2, "same")]
    assert dict(runs_by_version(real.project, "prompts/desk.md")) == {1: 1, 2: 2}


def _state(desk: Any) -> tuple[int | None, str]:
    listed = next(p for p in overview(desk.project) if p.name == "prompts/desk.md")
    return (listed.newest.version if listed.newest else None), listed.on_disk


def _quoting(desk: Any) -> Any:
    def spec(name: str) -> Any:
        return desk._playing(Wiring.agent_spec(desk.project.wiring, name))

    return spec
