"""kill -9 under load: whoever was given an outcome finds it recorded whole, on both engines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from staid.project.project import Project
from staid.testing import load
from staid.testing.embedder import HashingEmbedder
from staid.testing.postgres import PostgresServer

pytestmark = pytest.mark.chaos
KILLS = 25
"""For each engine: 50 in all."""


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Give the URL of an empty store, which the project itself brings to its schema."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/staid.db"
    else:
        server: PostgresServer = request.getfixturevalue("postgres")
        with server.database() as fresh:
            yield fresh


def test_kills_under_load(tmp_path: Path, empty: str) -> None:
    """Records are whole, chains and seals valid, interrupted runs listed and closed once."""
    load.prepare(tmp_path, empty)
    seen = load.Seen()
    with load.killer(tmp_path) as play:
        seen.kills = sum(play(seed) for seed in range(KILLS))
    load.check(tmp_path, seen)
    assert seen.violations == []
    assert seen.kills == KILLS
    assert seen.told > KILLS
    assert seen.interrupted > 0
    assert seen.effects > 0


def test_an_answer_without_its_record_is_noticed(tmp_path: Path) -> None:
    """The check can fail: an outcome told for a run that was never recorded is a violation."""
    load.prepare(tmp_path, f"sqlite:///{tmp_path}/staid.db")
    project = Project(tmp_path)
    project.wiring.__dict__["embedder"] = HashingEmbedder()
    outcome = project.agent_named("support").ask_sync("Do whales sing?", asker="user:ada")
    project.close()
    told = tmp_path / "told.txt"
    told.write_text(f'["{outcome.run}", "answer", "They do."]\n')
    (tmp_path / "effects.txt").write_text("A-1\nA-1\n")
    seen = load.Seen()
    load.check(tmp_path, seen)
    assert len(seen.violations) == 2
    assert "2 effects for A-1" in seen.violations
