"""Non-interference of a whole turn: what an asker may not see changes nothing in the outcome."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from staid.access.evaluate import permits
from staid.cli.output import outcome_json
from staid.domain.label import Label
from staid.grounding.calibration import Calibration
from staid.grounding.confidence import NAMES
from staid.project.project import Project
from staid.project.searching import search
from staid.testing.documents import written
from staid.testing.embedder import HashingEmbedder

EXAMPLES = int(os.environ.get("STAID_LEAK_EXAMPLES", "1000"))
EMBEDDER = HashingEmbedder(16)
GROUPS = ("group:a", "group:b", "group:c", "user:ada", "public")
SETTINGS = """
[project]
name = "leaks"
[agents.support]
model = "quote"
[grounding]
floor = 0.2
floor_reason = "so that answers and abstentions both occur"
"""
TEXTS = (
    "Annual plans are refunded within 30 days. Later refunds are prorated.",
    "Monthly plans are not refunded. Cancel any time.",
    "The annual plan costs 120 EUR. The monthly plan costs 12 EUR.",
    "Refunds above 100 EUR need approval. Approval takes two days.",
    "The office is open from 9 to 17. It is closed on Sunday.",
    "Annual plans, annual plans, annual plans: refunded never.",
    "We are buying Crumbly for 3 million EUR in June.",
    "Plans are billed in advance.",
)
QUESTIONS = (
    "Are annual plans refunded?",
    "What does the monthly plan cost?",
    "Who approves refunds above 100 EUR?",
    "What is Crumbly?",
    "When is the office open?",
    "Do whales sing?",
)


@dataclass(frozen=True)
class Worlds:
    """Documents the asker may see, and two sets of others; the asker asks the same in both."""

    tokens: frozenset[str]
    shared: tuple[tuple[str, str, Label], ...]
    hidden: tuple[tuple[tuple[str, str, Label], ...], tuple[tuple[str, str, Label], ...]]
    question: str


labels = st.builds(
    Label.of,
    st.lists(st.sets(st.sampled_from(GROUPS), min_size=1, max_size=2), min_size=1, max_size=2),
    st.sets(st.sampled_from(GROUPS[:3]), max_size=1),
)
asked = st.sampled_from(
    [
        frozenset({"group:a"}),
        frozenset({"group:b", "group:c"}),
        frozenset[str](),
        frozenset({"group:a", "group:b", "group:c"}),
    ]
)


@st.composite
def worlds(draw: st.DrawFn) -> Worlds:
    """Draw two worlds that are one to the asker."""
    groups = draw(asked)
    tokens = groups | {"user:ada", "public"}
    documents = draw(st.lists(st.tuples(st.sampled_from(TEXTS), labels), max_size=9))
    named = [(f"d{number}", text, label) for number, (text, label) in enumerate(documents)]
    shared = tuple(item for item in named if permits(item[2], tokens))
    unseen = [item for item in named if not permits(item[2], tokens)]
    first = tuple(draw(st.permutations(unseen)))
    second = tuple(
        (name, draw(st.sampled_from(TEXTS)), label)
        for name, _, label in unseen
        if draw(st.booleans())
    )
    return Worlds(groups, shared, (first, second), draw(st.sampled_from(QUESTIONS)))


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make one empty project; every world begins as a copy of it."""
    folder = tmp_path_factory.mktemp("leaks") / "template"
    folder.mkdir()
    (folder / "staid.toml").write_text(SETTINGS)
    project = Project(folder)
    project.wiring.journal.verify()  # makes the store and the key
    project.close()
    return folder


def calibration() -> Calibration:
    """Weigh every feature, so that none can leak unnoticed."""
    return Calibration(
        id="test",
        embedder=EMBEDDER.id,
        index_version="test",
        fitted_on="nothing",
        at="2026-01-01",
        intercept=0.0,
        coefficients=dict.fromkeys(NAMES, 0.4),
        means=dict.fromkeys(NAMES, 0.4),
        scales=dict.fromkeys(NAMES, 0.3),
    )


def responses(template: Path, drawn: Worlds, hidden: int, order: int) -> tuple[Any, Any]:
    """Return every key of `ask` and `search` in one world, but ids of run and hand-off."""
    with tempfile.TemporaryDirectory(dir=template.parent) as folder:
        shutil.copytree(template, folder, dirs_exist_ok=True)
        project = Project(folder)
        project.wiring.__dict__["embedder"] = EMBEDDER
        project.wiring.calibration = calibration  # type: ignore[method-assign]
        try:
            documents = [*drawn.shared]
            for place, item in enumerate(drawn.hidden[hidden]):
                documents.insert((place * 7 + order) % (len(documents) + 1), item)
            # Shared documents keep their order among themselves; hidden ones fall anywhere.
            documents.sort(key=lambda d: drawn.shared.index(d) if d in drawn.shared else 0)
            changes = [written(EMBEDDER, name, text, label) for name, text, label in documents]
            for item in changes:
                project.wiring.corpus.apply([item], EMBEDDER.id)
            agent = project.agent_named("support")
            outcome = agent.ask_sync(drawn.question, asker="user:ada", groups=sorted(drawn.tokens))
            found = search(project, drawn.question, "user:ada", sorted(drawn.tokens), 10)
        finally:
            project.close()
    answer = outcome_json(outcome)
    answer.pop("run")
    answer.pop("handoff")
    return answer, found


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    database=None,
)
@given(worlds())
def test_leak_free_turn(template: Path, drawn: Worlds) -> None:
    """Two worlds that differ only in what the asker may not see give equal outcomes, key by key."""
    one = responses(template, drawn, 0, 0)
    other = responses(template, drawn, 1, 3)
    event(one[0]["outcome"])
    event("hidden documents differ" if drawn.hidden[0] != drawn.hidden[1] else "worlds are equal")
    assert one == other
