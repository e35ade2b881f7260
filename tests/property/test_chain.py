"""The journal: whatever is altered, inserted, removed or reordered is located."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from staid.domain.label import EVERYONE
from staid.project.project import Project
from staid.testing.documents import written

COLUMNS = ("run", "seq", "kind", "at", "actor", "fact", "content", "prev", "hash")


@pytest.fixture
def recorded(make_project: Callable[..., Project]) -> Project:
    """Give a project with one answer and one abstention on record."""
    project = make_project()
    wiring = project.wiring
    document = written(
        wiring.embedder, "refunds", "Annual plans are refunded within 30 days.", EVERYONE
    )
    wiring.corpus.apply([document], wiring.embedder.id)
    agent = project.agent_named("support")
    agent.ask_sync("Are annual plans refunded within 30 days?", asker="user:ada")
    agent.ask_sync("Do whales sing?", asker="user:ada")
    assert wiring.journal.verify() == []
    return project


def rows(project: Project) -> list[tuple[str, int]]:
    """Return the place of every journal row."""
    with project.wiring.store.read() as connection:
        return [tuple(r) for r in connection.execute(text("SELECT run, seq FROM journal"))]  # type: ignore[misc]


@pytest.fixture
def undo(recorded: Project) -> Callable[[], None]:
    """Give a way back to the untouched record after each tampering."""
    path = recorded.wiring.store.path
    assert path is not None
    with recorded.wiring.store.read() as connection:
        tables = {
            name: [dict(r._mapping) for r in connection.execute(text(f"SELECT * FROM {name}"))]
            for name in ("journal", "content", "seal")
        }

    def restore() -> None:
        with recorded.wiring.store.write() as connection:
            for name, kept in tables.items():
                connection.execute(text(f"DELETE FROM {name}"))
                for row in kept:
                    columns = ", ".join(row)
                    values = ", ".join(f":{column}" for column in row)
                    connection.execute(
                        text(f"INSERT INTO {name} ({columns}) VALUES ({values})"), row
                    )

    return restore


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_any_altered_cell_is_found(
    recorded: Project, undo: Callable[[], None], data: st.DataObject
) -> None:
    """Changing any one cell of any journal row is detected."""
    run, seq = data.draw(st.sampled_from(rows(recorded)))
    column = data.draw(st.sampled_from(COLUMNS))
    value: object = 99 if column == "seq" else "tampered"
    with recorded.wiring.store.write() as connection:
        connection.execute(
            text(f"UPDATE journal SET {column} = :v WHERE run = :r AND seq = :s"),
            {"v": value, "r": run, "s": seq},
        )
    assert recorded.wiring.journal.verify() != []
    undo()
    assert recorded.wiring.journal.verify() == []


@pytest.mark.parametrize(
    "tampering",
    [
        "DELETE FROM journal WHERE seq = 3",
        "DELETE FROM journal WHERE seq = (SELECT max(seq) FROM journal)",
        "DELETE FROM journal WHERE run = (SELECT min(run) FROM journal)",
        "UPDATE content SET body = replace(body, 'whales', 'dolphins')",
        'UPDATE content SET label = \'{"allow":[["public"]],"deny":[]}\' WHERE subject != \'\'',
        "DELETE FROM content WHERE subject = 'user:ada'",
        "UPDATE seal SET run = 'run_other' WHERE seq = 1",
        "DELETE FROM seal WHERE seq = 1",
        (
            "INSERT INTO journal SELECT run, max(seq) + 1, kind, at, actor, fact, content, "
            "max(hash), hash FROM journal WHERE run = (SELECT max(run) FROM journal)"
        ),
    ],
)
def test_other_tampering_is_found(recorded: Project, tampering: str) -> None:
    """Removing, inserting and editing rows, contents and seals are detected."""
    with recorded.wiring.store.write() as connection:
        connection.execute(text(tampering))
    assert recorded.wiring.journal.verify() != []


def test_another_key_verifies_nothing(recorded: Project, tmp_path: Path) -> None:
    """Without the key nobody can recompute a chain that verifies."""
    from staid.store.journal import Journal

    other = Journal(recorded.wiring.store, b"another key")
    assert other.verify() != []
