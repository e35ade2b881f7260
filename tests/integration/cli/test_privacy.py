"""Erasure, holds and readings from the command line, on a real file."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from staid.domain.errors import StoreFull
from staid.store.readings import SqlReadings

Run = Callable[..., Any]
WORDS = "annual plans for Wilhelmina Zuckerkandl"
KNOWN = f"Are {WORDS} refunded within 30 days of the purchase?"
UNKNOWN = "Do whales sing at Wilhelmina Zuckerkandl?"


def lived_in(ready: Run) -> list[str]:
    """Let ada leave something of every kind; return her runs."""
    asked = [
        ready("ask", KNOWN, "--as", "user:ada", "--agent", "support", "--key", "zucker-key"),
        ready("ask", UNKNOWN, "--as", "user:ada", "--agent", "support"),
        ready("ask", "Please refund 200 for order Z9ZUCKER", "--as", "user:ada", "--agent", "desk"),
        ready("ask", "Please refund 40 for order Z8ZUCKER", "--as", "user:ada", "--agent", "desk"),
        ready("ask", "Please refund 210 for order Z7ZUCKER", "--as", "user:ada", "--agent", "desk"),
    ]
    outcomes = [said.body for said in asked]
    assert [o["outcome"] for o in outcomes] == [
        "answer", "abstention", "pending", "answer", "pending",
    ]  # fmt: skip
    handoff = outcomes[1]["handoff"]
    assert ready("handoffs", "answer", handoff, "Zuckerkandl again", "--as", "user:lead").code == 0
    run = outcomes[0]["run"]
    assert ready("feedback", run, "down", "--comment", "Zuckerkandl is angry").code == 0
    approval = outcomes[4]["approvals"][0]
    denied = ready("approvals", "deny", approval, "--as", "user:lead", "--reason", "Zuckerkandl")
    assert denied.body["outcome"]["outcome"] == "refusal"
    return [outcome["run"] for outcome in outcomes]


def bytes_of(folder: Path) -> bytes:
    """Return every byte that the store has on the disk."""
    found = sorted((folder / ".staid").glob("staid.db*"))
    return b"".join(path.read_bytes() for path in found)


def test_no_byte_is_left_in_the_files(ready: Run, folder: Path) -> None:
    """After an erasure neither database nor log holds question, answer, argument, key or name."""
    runs = lived_in(ready)
    before = bytes_of(folder)
    for word in (b"uckerkandl", b"ZUCKER", b"zucker-key", b"user:ada", b"Z9ZUCKER"):
        assert word in before
    said = ready("erase", "user:ada", "--reason", "request 4711", "--yes")
    assert said.code == 0
    assert (said.body["runs"], said.body["compacted"]) == (sorted(runs), True)
    assert (said.body["calls"], said.body["handoffs"], len(said.body["revoked"])) == (3, 1, 1)
    after = bytes_of(folder)
    for word in (b"uckerkandl", b"ZUCKER", b"zucker-key", b"user:ada"):
        assert word not in after
    assert b"30 days of the purchase" in after  # the passage is about no one
    doctor = ready("doctor")
    assert [c["state"] for c in doctor.body["checks"] if c["name"] == "journal"] == ["ok"]
    story = ready("why", runs[0])
    assert story.code == 0
    assert "(erased) asked the agent support" in story.body["story"]
    assert "request 4711" in story.body["story"]


def test_what_earlier_writes_left_behind_goes_too(ready: Run, folder: Path) -> None:
    """Pages that were freed long before still hold words; an erasure writes the file anew."""
    ready("ask", KNOWN, "--as", "user:ada", "--agent", "support")
    store = sqlite3.connect(folder / ".staid" / "staid.db", isolation_level=None)
    store.execute("PRAGMA secure_delete = OFF")
    store.execute("INSERT INTO parked VALUES ('run_x', 1, ?, NULL, NULL)", ["LEFTOVER " * 5000])
    store.execute("DELETE FROM parked WHERE run = 'run_x'")
    store.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    store.close()
    assert b"LEFTOVER" in bytes_of(folder)
    assert ready("erase", "user:ada", "--yes", "--no-vacuum").body["compacted"] is False
    assert b"LEFTOVER" in bytes_of(folder)
    assert ready("erase", "user:ada", "--yes").body["compacted"] is True
    assert b"LEFTOVER" not in bytes_of(folder)


def test_erasing_takes_a_confirmation(ready: Run) -> None:
    """Without --yes nothing is erased, and the error says how to look first."""
    ready("ask", KNOWN, "--as", "user:ada", "--agent", "support")
    said = ready("erase", "user:ada")
    assert (said.code, said.error["code"]) == (2, "ST-536")
    assert ready("runs", "list").body["runs"][0]["asker"] == "user:ada"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["erase", "user:ada", "--reason", "Ada asked", "--yes"], "ST-539"),
        (["erase", "user:ada", "--reason", "for user:ada", "--yes"], "ST-539"),
        (["erase", "ada", "--yes"], "ST-540"),
        (["erase", "--yes"], "ST-601"),
        (["hold", "add", "everybody", "--reason", "x"], "ST-540"),
        (["hold", "add", "run_1", "--reason", "x"], "ST-306"),
        (["hold", "release", "hld_1"], "ST-537"),
    ],
)
def test_misuse_is_told(ready: Run, words: list[str], code: str) -> None:
    """A reason that names, a subject that is none, a hold that is not there: coded, exit 2."""
    said = ready(*words)
    assert (said.code, said.error["code"]) == (2, code)


def test_a_hold_is_exit_4(ready: Run) -> None:
    """A held subject is not erased; released, it is."""
    ready("ask", KNOWN, "--as", "user:ada", "--agent", "support")
    hold = ready("hold", "add", "user:ada", "--reason", "court order").body
    assert ready("hold", "list").body["holds"] == [hold]
    said = ready("erase", "user:ada", "--yes")
    assert (said.code, said.error["code"]) == (4, "ST-535")
    assert ready("hold", "release", hold["id"]).body["released_at"] is not None
    assert ready("hold", "list").body["holds"] == []
    assert ready("erase", "user:ada", "--yes").code == 0
    shown = ready("hold", "list", "--all").body["holds"][0]["target"]
    assert shown.startswith("sub_")


def test_an_open_reader_is_told_and_the_bytes_go_later(ready: Run, folder: Path) -> None:
    """While another process reads, the words are gone from the tables and the command says more."""
    ready("ask", KNOWN, "--as", "user:ada", "--agent", "support")
    toml = (folder / "staid.toml").read_text()
    (folder / "staid.toml").write_text(toml.replace("[agents.support]", BUSY, 1))
    other = sqlite3.connect(folder / ".staid" / "staid.db", isolation_level=None)
    other.execute("BEGIN")
    other.execute("SELECT count(*) FROM journal").fetchone()
    said = ready("erase", "user:ada", "--yes")
    assert (said.code, said.body["compacted"]) == (0, False)
    assert "again" in ready("erase", "user:ada", "--yes", json=False).out
    other.close()
    assert ready("erase", "user:ada", "--yes").body["compacted"] is True
    assert b"uckerkandl" not in bytes_of(folder)


BUSY = 'busy_timeout = "100ms"\n[agents.support]'


# --- readings ------------------------------------------------------------------------------


def test_every_reading_at_the_terminal_is_recorded(ready: Run) -> None:
    """`why`, `runs show` and `runs compare` each leave who read which run, and verify."""
    run = ready("ask", KNOWN, "--as", "user:ada", "--agent", "support").body["run"]
    other = ready("ask", UNKNOWN, "--as", "user:ada", "--agent", "support").body["run"]
    assert ready("runs", "readers", run).body == {"run": run, "readings": []}
    for words in (["why", run], ["runs", "show", run], ["runs", "compare", run, other]):
        assert ready(*words).code == 0
    found = ready("runs", "readers", run).body["readings"]
    assert [each["surface"] for each in found] == ["cli why", "cli runs show", "cli runs compare"]
    assert {each["reader"] for each in found} == {f"user:{found[0]['via']}"}
    assert len(ready("runs", "readers", other).body["readings"]) == 1
    assert ready("doctor").code == 0
    assert ready("why", "run_1").code == 2
    assert ready("runs", "readers", "run_1").error["code"] == "ST-306"


def test_a_full_store_warns_and_tells(ready: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the reading cannot be recorded the operator is told so, and gets the story."""
    run = ready("ask", KNOWN, "--as", "user:ada", "--agent", "support").body["run"]

    def full(*_given: object, **_more: object) -> None:
        raise StoreFull

    monkeypatch.setattr(SqlReadings, "record", full)
    said = ready("why", run)
    assert (said.code, said.body["outcome"]) == (0, "answer")
    assert "could not be recorded" in said.err
    assert json.loads(said.out)["run"] == run


# --- export --------------------------------------------------------------------------------


def test_a_subject_gets_everything_about_it_and_nothing_about_others(
    ready: Run, folder: Path
) -> None:
    """Questions, answers, calls, requests, hand-offs, feedback and readings are in one document."""
    runs = lived_in(ready)
    other = ready("ask", f"{KNOWN} says Beatrix", "--as", "user:bea", "--agent", "support").body
    ready("why", runs[0])
    said = ready("export", "subject", "user:ada", "--out", "ada.json")
    assert (said.code, said.body["runs"], said.body["calls"]) == (0, 5, 3)
    path = folder / "ada.json"
    assert path.stat().st_mode & 0o777 == 0o600
    text = path.read_text("utf-8")
    found = json.loads(text)
    assert [run["id"] for run in found["runs"]] == runs
    bodies = [fact["content"] for run in found["runs"] for fact in run["facts"] if fact["content"]]
    told = json.dumps(bodies, ensure_ascii=False)
    for word in (KNOWN, UNKNOWN, "Zuckerkandl is angry", "Zuckerkandl again", "within 30 days"):
        assert word in told
    passages = [f for run in found["runs"] for f in run["facts"] if f["kind"] == "passage.kept"]
    assert passages
    assert [f["content"] for f in passages if f["content"]] == []  # about no one
    assert {call["arguments"]["order_id"] for call in found["calls"]} == {
        "Z9ZUCKER", "Z8ZUCKER", "Z7ZUCKER",
    }  # fmt: skip
    assert (len(found["approvals"]), len(found["handoffs"])) == (2, 1)
    surfaces = [each["surface"] for each in found["runs"][0]["read_by"]]
    assert surfaces == ["cli why", "cli export subject"]
    assert "Beatrix" not in text
    assert other["run"] not in text


def test_a_teammate_gets_what_they_did_and_not_what_was_asked(ready: Run) -> None:
    """The approver's document has decisions and answers, and no word of the asker."""
    lived_in(ready)
    found = ready("export", "subject", "user:lead").body
    assert (found["runs"], found["calls"]) == ([], [])
    assert [each["decision"] for each in found["decided"]] == ["deny"]
    assert len(found["answered"]) == 1
    kinds = {each["kind"] for each in found["acted"]}
    assert kinds == {"approval.decided", "handoff.answered"}
    assert "30 days" not in json.dumps(found)
    assert "user:ada" not in json.dumps(found)


def test_an_export_that_cannot_be_written_leaves_nothing(
    ready: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A place below a file, and a disk that is full, are told; no half document stays."""
    (folder / "file").write_text("mine")
    for place in ("file/ada.json", "/dev/full/ada.json"):
        said = ready("export", "subject", "user:ada", "--out", place)
        assert (said.code, said.error["code"]) == (5, "ST-542")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr("staid.cli.export_subject.os.fdopen", full)
        said = ready("export", "subject", "user:ada", "--out", "ada.json")
    assert (said.code, said.error["code"]) == (5, "ST-542")
    assert "No space left" in said.error["message"]
    assert not (folder / "ada.json").exists()


def test_an_export_overwrites_nothing(ready: Run, folder: Path) -> None:
    """An existing file is left alone, a folder gets a file of its own, once."""
    (folder / "there.json").write_text("mine")
    said = ready("export", "subject", "user:ada", "--out", "there.json")
    assert (said.code, said.error["code"]) == (2, "ST-541")
    assert (folder / "there.json").read_text() == "mine"
    (folder / "out").mkdir()
    assert ready("export", "subject", "user:ada", "--out", "out").code == 0
    assert (folder / "out" / "subject.json").is_file()
    assert ready("export", "subject", "user:ada", "--out", "out").code == 2
    assert ready("export", "subject", "ada").error["code"] == "ST-540"


# --- retention -----------------------------------------------------------------------------


def test_expired_content_goes_by_command_and_by_worker(ready: Run, folder: Path) -> None:
    """`erase --expired` prints its counts; the worker does the same, once an hour."""
    lived_in(ready)
    assert ready("erase", "--expired").body["expired"] == {}
    toml = (folder / "staid.toml").read_text()
    (folder / "staid.toml").write_text(f'{toml}\n[retention]\nfeedback = "1ms"\n')
    assert ready("erase", "--expired", "user:ada").code == 2
    assert ready("worker", "--once").body["erased"] == 1
    assert ready("erase", "--expired").body["expired"] == {"feedback": 0}
    (folder / "staid.toml").write_text(f'{toml}\n[retention]\ncalls = "1ms"\nmodel = "1ms"\n')
    said = ready("erase", "--expired").body
    assert said["expired"]["calls"] > 0
    assert said["compacted"] is True
    assert b"Z8ZUCKER" not in bytes_of(folder).replace(b"order Z8ZUCKER", b"")
    assert b"Z9ZUCKER" in bytes_of(folder)  # nobody has decided it yet
    assert ready("doctor").code == 0
