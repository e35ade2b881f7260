"""Importing a log: every row is kept or reported, none twice, and nothing is carried out."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from staid.domain.errors import UsageInvalid
from staid.domain.errors.replay import FormatUnknown, NothingImported, ReplayImpossible
from staid.domain.events import EventKind
from staid.project.importing import Imported, Wanted, import_conversations
from staid.project.project import Project
from staid.project.replaying import Replays
from staid.project.replaying import Wanted as Otherwise
from staid.tracing.story import tell

Make = Callable[..., Project]


def talk(*texts: str) -> list[dict[str, str]]:
    """Return questions and answers in turn."""
    return [
        {"role": role, "content": text}
        for role, text in zip(("user", "assistant") * len(texts), texts, strict=False)
    ]


def log(folder: Path, *rows: Any, name: str = "log.jsonl") -> Path:
    """Write rows, JSON or raw bytes, one a line."""
    lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
    file, data = folder / name, b"\n".join(lines) + b"\n"
    file.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return file


def read(project: Project, file: Path, **wanted: Any) -> Imported:
    """Import a file of messages."""
    return import_conversations(project, Wanted(file, "openai-messages", **wanted))


def test_bad_rows_are_reported_and_good_ones_kept(make_project: Make, tmp_path: Path) -> None:
    """Damage costs its own row alone, and is told with line and reason."""
    rows: tuple[Any, ...] = (
        talk("a", "A"),
        b"{",
        b'["\xff"]',
        b"",
        [],
        b'["\\ud800"]',
        b"[NaN]",
        talk("b", "B"),
    )
    project = make_project()
    done = read(project, log(tmp_path, *rows))
    assert (done.conversations, done.runs) == (2, 2)
    told = dict(done.skipped)
    assert set(told) == {2, 3, 5, 6, 7}
    assert "UTF-8" in told[3]
    assert "surrogate" in told[6]
    assert project.wiring.journal.verify() == []


def test_a_truncated_archive_keeps_what_came_before(make_project: Make, tmp_path: Path) -> None:
    """A file that breaks off is reported where it does; rows before it are imported."""
    file = log(tmp_path, *(talk(f"question {n}", "A" * n) for n in range(500)), name="log.jsonl.gz")
    file.write_bytes(file.read_bytes()[:-300])
    done = read(make_project(), file)
    assert 0 < done.conversations < 500
    assert "cannot be read further" in done.skipped[-1][1]


def test_the_same_conversation_twice_in_a_file_is_two(make_project: Make, tmp_path: Path) -> None:
    """Two people may ask the same: both are kept, and a second import adds neither again."""
    project, file = make_project(), log(tmp_path, talk("hi", "Hi!"), talk("hi", "Hi!"))
    assert read(project, file).runs == 2
    assert read(project, file).runs == 0
    copy = log(tmp_path, talk("hi", "Hi!"), talk("hi", "Hi!"), name="copy.jsonl")
    assert read(project, copy).runs == 0


def test_a_conversation_with_an_id_may_grow(make_project: Make, tmp_path: Path) -> None:
    """Only the turns that are new are added; a turn that changed is reported, not written over."""
    project = make_project()

    def row(*texts: str) -> dict[str, Any]:
        return {"id": "c-1", "messages": talk(*texts)}

    assert read(project, log(tmp_path, row("a", "A"))).runs == 1
    grown = read(project, log(tmp_path, row("a", "A", "b", "B")))
    assert (grown.runs, grown.known) == (1, 1)
    with pytest.raises(NothingImported, match="turn 2 is not what was imported"):
        read(project, log(tmp_path, row("a", "A", "b", "Something else")))
    runs = project.wiring.records.runs()
    assert len(runs) == 2
    assert len({run.conversation for run in runs}) == 1


def test_who_asked_comes_from_the_named_field(make_project: Make, tmp_path: Path) -> None:
    """`--asker-from` names a field, also a deep one; a row without it is reported."""
    rows: tuple[Any, ...] = (
        {"messages": talk("a", "A"), "meta": {"customer": 7}},
        {"messages": talk("b", "B"), "meta": {}},
        {"messages": talk("c", "C"), "meta": {"customer": "service:bot"}},
    )
    project = make_project()
    done = read(project, log(tmp_path, *rows), asker_from="meta.customer", agent="support")
    assert done.skipped == [(2, "'meta.customer' of --asker-from is missing")]
    runs = project.wiring.records.runs()
    assert {run.asker for run in runs} == {"user:7", "service:bot"}
    assert {(run.agent, run.state, run.outcome) for run in runs} == {
        ("support", "imported", "answer")
    }


def test_an_imported_run_is_marked_and_replays(make_project: Make, tmp_path: Path) -> None:
    """Its first fact says that it was imported, from where, and where its time comes from."""
    project = make_project()
    system = {"role": "system", "content": "Be kind."}
    read(project, log(tmp_path, {"messages": [system, *talk("a", "A")], "at": 1777622400}))
    (run,) = project.wiring.records.runs()
    rows = project.wiring.records.rows(run.run)
    assert rows[0].fact["imported"] is True
    told = tell(run.run, rows).text
    assert "Imported from log.jsonl, line 1, turn 1: another system" in told
    assert "wrote what was said" in told
    assert "not used" not in told
    assert rows[0].fact["times"] == "row"
    assert rows[0].fact["origin"] == {
        "format": "openai-messages",
        "file": "log.jsonl",
        "line": 1,
        "turn": 1,
    }
    assert f"{run.started_at:%Y-%m-%d}" == "2026-05-01"
    assert EventKind.MODEL_REQUESTED not in {row.kind for row in rows}
    assert asyncio.run(Replays(project, Otherwise()).one(run.run)).identical
    with pytest.raises(ReplayImpossible, match="another system"):
        asyncio.run(Replays(project, Otherwise(floor=0.9)).one(run.run))


def test_what_cannot_be_read_at_all_is_an_error(make_project: Make, tmp_path: Path) -> None:
    """An unknown format, field or file, and a file without one conversation, change nothing."""
    project, file = make_project(), log(tmp_path, {"text": "a document"})
    with pytest.raises(FormatUnknown):
        import_conversations(project, Wanted(file, "whatsapp"))
    with pytest.raises(UsageInvalid, match="no field 'text'"):
        read(project, file, fields={"text": "x"})
    with pytest.raises(UsageInvalid, match="no file"):
        read(project, tmp_path / "none.jsonl")
    for empty in (file, log(tmp_path, name="empty.jsonl")):
        with pytest.raises(NothingImported):
            read(project, empty)
    assert project.wiring.records.runs() == []
