"""`staid ask --batch`: whole, resumable, and no effect twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from staid.cli import batch
from staid.store.runs import SqlRecords

KNOWN = "Are annual plans refunded within 30 days of the purchase?"
UNKNOWN = "Do whales sing at night?"
OUTCOME = {
    "outcome", "reason", "text", "confidence", "similarity", "floor", "evidence", "citations",
    "run", "approvals", "handoff",
}  # fmt: skip

Run = Callable[..., Any]


def test_batch_prints_rows_and_resumes(ready: Run, tmp_path: Path) -> None:
    """A batch answers every row in order, a bad asker included; a rerun asks only the rest."""
    rows = [
        {"id": "one", "text": KNOWN, "as": "user:ada"},
        {"id": "two", "text": UNKNOWN, "as": "user:nobody"},
        {
            "id": "three",
            "text": "a b\u2028c Poolish Crumbly project?",
            "as": "user:x",
            "groups": ["group:board"],
        },
    ]
    file, out = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    said = ready("ask", "--batch", str(file), "--agent", "support")
    lines = [json.loads(line) for line in said.out.split("\n")[:-1]]
    assert (said.code, [line["id"] for line in lines]) == (0, ["one", "two", "three"])
    assert lines[0].keys() == OUTCOME | {"id"}
    assert lines[1]["error"]["code"] == "ST-210"
    assert ready("ask", "--batch", str(file), "--agent", "support", "--out", str(out)).code == 0
    first, _, rest = out.read_text("utf-8").partition("\n")
    out.write_text(f"{first}\n{rest[:20]}", "utf-8")  # as a kill in the middle of a line leaves it
    again = ready("ask", "--batch", str(file), "--agent", "support", "--out", str(out))
    assert again.body == {"rows": 3, "answered_before": 1, "out": str(out)}
    kept = out.read_text("utf-8").split("\n")
    assert kept[0] == first
    assert [json.loads(line)["id"] for line in kept[:-1]] == ["one", "two", "three"]


def _killed_after(lines: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the batch die after it wrote so many lines, between an effect and its line."""
    written = batch._write

    def write(target: Any, value: dict[str, Any]) -> None:
        nonlocal lines
        if not lines:
            raise KeyboardInterrupt
        lines -= 1
        written(target, value)

    monkeypatch.setattr(batch, "_write", write)


def test_a_killed_batch_acts_once(
    ready: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch cut off between an effect and its line gives that line on rerun, acting once."""
    rows = [{"id": n, "text": f"refund 40 for order A{n}", "as": "user:ada"} for n in (1, 2)]
    file, out = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    words = ("ask", "--batch", str(file), "--agent", "desk", "--out", str(out))
    with monkeypatch.context() as patched:
        _killed_after(1, patched)
        assert ready(*words).code == 130
    effects = folder / "effects.txt"
    assert effects.read_text() == "refund A1\nrefund A2\n"
    assert ready(*words).body["answered_before"] == 1
    assert effects.read_text() == "refund A1\nrefund A2\n"
    kept = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    assert [line["text"].split("] ")[-1] for line in kept] == [
        "Refunded 40 for order A1.",
        "Refunded 40 for order A2.",
    ]
    assert not list(tmp_path.glob("*.batch"))
    out.unlink()
    assert ready(*words).code == 0
    assert effects.read_text().count("refund A1") == 2


def test_a_batch_killed_in_mid_turn(
    ready: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row that was killed before it acted is asked again; one that had begun to act is not."""
    rows = [{"id": 1, "text": "refund 40 for order A1", "as": "user:ada"}]
    file, out = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    file.write_text(json.dumps(rows[0]) + "\n", "utf-8")
    words = ("ask", "--batch", str(file), "--agent", "desk", "--out", str(out))

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    for method, effects in (("append", 0), ("release", 1)):
        with monkeypatch.context() as patched:
            patched.setattr(SqlRecords, method, die)
            assert ready(*words).code == 130
        seen = folder / "effects.txt"
        assert (seen.read_text().count("A1") if seen.exists() else 0) == effects
    assert ready(*words).code == 0
    told = json.loads(out.read_text("utf-8"))
    assert told["error"]["code"] == "ST-315"
    assert (folder / "effects.txt").read_text() == "refund A1\n"


def test_two_batches_do_not_share_a_file(ready: Run, tmp_path: Path) -> None:
    """While one process writes a batch, a second one into the same file is refused."""
    file, out = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    file.write_text('{"text": "hello", "as": "user:ada"}\n', "utf-8")
    with batch._batch_name(out):
        said = ready("ask", "--batch", str(file), "--agent", "support", "--out", str(out))
    assert (said.code, said.error["code"]) == (2, "ST-601")
    assert not out.exists()
