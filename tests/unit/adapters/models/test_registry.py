"""Model names: which client they give, what is refused, and what is not imported."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from staid.adapters.models.fallback import CappedModel, FallbackModel
from staid.adapters.models.registry import model_client, model_source
from staid.domain.errors import ModelKeyMissing, ModelTooDear, ModelUnknown, ScriptInvalid
from staid.domain.message import Message, ModelRequest

REQUEST = ModelRequest("", (Message("user", "q"),), (), (), "q")


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take every provider setting of the developer's machine away."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "ANTHROPIC_API_KEY", "OLLAMA_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """Write a script that says one word."""
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts/hi.yaml").write_text("- steps: [{text: hi}]", encoding="utf-8")
    return tmp_path


def test_quote_and_scripted_need_no_key(script: Path) -> None:
    """The two models of our own are there by name, a script relative to the project's folder."""
    assert model_client("quote", base=script, timeout=1).name == "quote"
    client = model_client("scripted:scripts/hi.yaml", base=script, timeout=1)
    assert client.name == "scripted:scripts/hi.yaml"
    assert asyncio.run(client.generate(REQUEST)).text == "hi"


@pytest.mark.parametrize(
    "name", ["", "gpt-5", "test", "openai:", ":gpt-5", "nosuch:gpt-5", "scripted:", "quote:x"]
)
def test_an_unknown_name_is_refused(tmp_path: Path, name: str) -> None:
    """A name nobody knows is ST-310; Pydantic AI's own `test` model is no exception."""
    with pytest.raises(ModelUnknown, match="ST-310"):
        model_client(name, base=tmp_path, timeout=1)


def test_a_provider_that_is_not_installed_says_what_to_install(tmp_path: Path) -> None:
    """A provider whose package is missing names the command that installs it."""
    with pytest.raises(ModelUnknown) as caught:
        model_client("mistral:mistral-large", base=tmp_path, timeout=1)
    assert 'pip install "pydantic-ai-slim[mistral]"' in caught.value.hint_text


@pytest.mark.parametrize(
    ("name", "variable"),
    [
        ("openai:gpt-4o", "OPENAI_API_KEY"),
        ("openai-chat:gpt-4o", "OPENAI_API_KEY"),
        ("anthropic:claude-opus-5", "ANTHROPIC_API_KEY"),
        ("deepseek:deepseek-chat", "DEEPSEEK_API_KEY"),
        ("ollama:llama3", "OLLAMA_BASE_URL"),
    ],
)
def test_a_missing_key_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, variable: str
) -> None:
    """Without its key a provider is ST-311 before any request, naming the variable to set."""
    monkeypatch.delenv(variable, raising=False)
    with pytest.raises(ModelKeyMissing) as caught:
        model_client(name, base=tmp_path, timeout=1)
    assert variable in caught.value.message
    assert variable in caught.value.hint_text


def test_an_empty_key_is_a_missing_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret that CI left empty is as good as none."""
    monkeypatch.setenv("OPENAI_API_KEY", "")
    with pytest.raises(ModelKeyMissing):
        model_client("openai:gpt-4o", base=tmp_path, timeout=1)


def test_a_fallback_is_checked_before_it_is_needed(script: Path) -> None:
    """A fallback without its key or script shows at once, not when the first model is down."""
    with pytest.raises(ModelKeyMissing):
        model_client("quote", base=script, timeout=1, fallback=["openai:gpt-4o"])
    with pytest.raises(ScriptInvalid):
        model_client("quote", base=script, timeout=1, fallback=["scripted:gone.yaml"])


def test_cap_and_fallback_are_wired(script: Path) -> None:
    """Fallback and cap are there exactly where they are asked for."""
    both = model_client(
        "quote", base=script, timeout=1, fallback=["scripted:scripts/hi.yaml"], max_cost=Decimal(1)
    )
    assert isinstance(both, CappedModel)
    assert isinstance(both.client, FallbackModel)
    assert not isinstance(model_client("quote", base=script, timeout=1), CappedModel)


def test_a_source_reads_once_and_meters_each_run(script: Path) -> None:
    """A source does nothing until it is called, then builds once; a run's meter is its own."""
    path = script / "scripts/hi.yaml"
    source = model_source("scripted:late.yaml", base=script, timeout=1, max_cost=Decimal(1))
    path.rename(script / "late.yaml")
    first = source()
    (script / "late.yaml").unlink()
    second = source()
    assert isinstance(first, CappedModel)
    assert isinstance(second, CappedModel)
    first.meter.spent = Decimal(2)
    assert asyncio.run(second.generate(REQUEST)).text == "hi"
    with pytest.raises(ModelTooDear):
        asyncio.run(first.generate(REQUEST))


def test_nothing_of_a_provider_is_imported_before_it_is_named() -> None:
    """The registry, `quote` and `scripted` cost no provider's import: it takes seconds of CPU."""
    code = (
        "import sys, pathlib;"
        "from staid.adapters.models.registry import model_client as m;"
        "m('quote', base=pathlib.Path('.'), timeout=1);"
        "import staid.adapters.models.scripted;"
        "print([n for n in ('pydantic_ai', 'openai', 'anthropic', 'httpx') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"
