"""Bad input and a failing store: a coded error with the next step, nothing lost, no traceback."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from staid.store.engine import Store

KNOWN = "Are annual plans refunded within 30 days of the purchase?"
UNKNOWN = "Do whales sing at night?"
ASK = ("--as", "user:ada", "--agent", "support")
Run = Callable[..., Any]


def edit(folder: Path, name: str, old: str, new: str) -> None:
    """Replace text in a file of the project."""
    text = folder.joinpath(name).read_text("utf-8")
    assert old in text
    folder.joinpath(name).write_text(text.replace(old, new), "utf-8")


def rows_in(folder: Path, table: str) -> int:
    """Count the rows of a table."""
    with sqlite3.connect(folder / ".staid/staid.db") as connection:
        count = int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
    connection.close()
    return count


@pytest.mark.parametrize(
    ("words", "exit_code", "code"),
    [
        (("ask", "", *ASK), 2, "ST-301"),
        (("ask", " \n\t ", *ASK), 2, "ST-301"),
        (("ask", "x" * 100_000, *ASK), 2, "ST-302"),
        (("search", "x" * 100_000, "--as", "user:ada"), 2, "ST-302"),
        (("ask", "hello", "--as", "user:nobody"), 2, "ST-210"),
        (("ask", "hello", "--as", "user:old"), 4, "ST-211"),
        (("ask", "hello", "--as", "user:old", "--groups", "group:a"), 4, "ST-211"),
        (("ask", "hello", "--as", "ada", "--agent", "support"), 2, "ST-212"),
        (("ask", "hello", *ASK, "--key", ""), 2, "ST-601"),
        (("ask", "hello", *ASK, "--key", "a\nb"), 2, "ST-601"),
        (("ask", "hello", *ASK, "--conversation", "c" * 300), 2, "ST-601"),
        (("approvals", "approve", "apr_1", "--as", "user:nobody"), 2, "ST-210"),
    ],
)  # fmt: skip
def test_question_and_asker(
    ready: Run, folder: Path, words: tuple[str, ...], exit_code: int, code: str
) -> None:
    """What cannot be asked, or by nobody, is refused with its code before a run begins."""
    said = ready(*words)
    assert (said.code, said.error["code"]) == (exit_code, code)
    assert rows_in(folder, "run") == 0


@pytest.mark.parametrize("token", ["user:cfo", "public", "group:", "group: a", "cfo", "service:x"])
@pytest.mark.parametrize("verb", ["ask", "search", "approve", "batch"])
def test_asserted_groups_are_groups_alone(ready: Run, folder: Path, verb: str, token: str) -> None:
    """Asserting a person or `public` as a group would lend somebody else's rights: refused."""
    groups = ("--groups", f"group:customers,{token}")
    if verb == "batch":
        row = {"id": "1", "text": KNOWN, "as": "user:ada", "groups": [token]}
        (folder / "rows.jsonl").write_text(json.dumps(row))
        said = ready("ask", "--batch", "rows.jsonl", "--agent", "support")
        assert (said.code, said.body["error"]["code"]) == (0, "ST-212")
        return
    words = {
        "ask": ("ask", KNOWN, *ASK, *groups),
        "search": ("search", KNOWN, "--as", "user:ada", *groups),
        "approve": ("approvals", "approve", "apr_1", "--as", "user:lead", *groups),
    }
    said = ready(*words[verb])
    assert (said.code, said.error["code"]) == (2, "ST-212")


def test_an_unknown_asker_with_asserted_groups_is_answered(ready: Run) -> None:
    """Asserted groups stand for themselves: the asker need not exist in the directory."""
    said = ready(
        "ask", KNOWN, "--as", "user:new", "--groups", "group:customers", "--agent", "support"
    )
    assert (said.code, said.body["outcome"]) == (0, "answer")
    none = ready("ask", KNOWN, "--as", "user:new", "--groups", "", "--agent", "support")
    assert (none.body["outcome"], none.body["reason"]) == ("abstention", "empty")


def test_bytes_that_are_no_text(ready: Run) -> None:
    """A question with a byte that is no UTF-8 is asked with a mark in its place, and recorded."""
    said = ready("ask", "Are annual plans refunded\udcff within 30 days of the purchase?", *ASK)
    assert (said.code, said.body["outcome"]) == (0, "answer")
    assert "refunded?" in ready("why", said.body["run"]).body["steps"][0]["text"]
    assert ready("doctor").code == 0


def test_control_characters_do_not_reach_the_terminal(ready: Run) -> None:
    """What moves a cursor or changes colours is replaced before it is shown."""
    run = ready("ask", "Is \x1b[31mred\x1b[0m a colour?", *ASK).body["run"]
    assert "\x1b" not in ready("why", run, json=False).out
    assert "\x1b" not in ready("handoffs", "list", json=False).out


def test_unreadable_documents_are_skipped_whole(ready: Run, folder: Path) -> None:
    """A binary file is skipped with its reason, beside a document that is taken in."""
    (folder / "help/picture.md").write_bytes(bytes(range(256)) * 40)
    said = ready("ingest")
    assert said.code == 0
    assert [skipped["id"] for skipped in said.body["skipped"]] == ["picture.md"]
    assert said.body["skipped"][0]["reason"]
    assert said.body["documents"] == 2
    assert "picture.md" in ready("ingest", json=False).out


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('{"id": "a", "text": "one"}\n{"id": "b", "text": \n', 2),
        ('{"id": "a", "text": "one"}\n\n["no object"]\n', 3),
        ('{"id": "a"}\n', 1),
        ('{"id": "a", "text": "two \u2028 lines"}\nnot json\n', 2),
    ],
)
def test_malformed_rows_name_their_line(ready: Run, folder: Path, text: str, line: int) -> None:
    """A bad row is named by its line: a batch stops before it asks, an ingest skips it."""
    file = folder / "rows.jsonl"
    file.write_text(text, "utf-8")
    before = rows_in(folder, "document")
    said = ready("ask", "--batch", "rows.jsonl", *ASK)
    assert (said.code, said.error["code"]) == (2, "ST-202")
    assert f"Line {line} of" in said.error["message"]
    assert rows_in(folder, "run") == 0
    taken = ready("ingest", "rows.jsonl")
    assert f"ine {line}" in taken.out
    assert rows_in(folder, "document") == before + text.count('"text": "')


@pytest.mark.parametrize("row", ['{"id": 1, "text": 5}', '{"text": "x", "groups": "group:a"}'])
def test_batch_rows_of_other_types(ready: Run, folder: Path, row: str) -> None:
    """A text that is none and groups that are no list are refused, not guessed."""
    (folder / "rows.jsonl").write_text(row)
    said = ready("ask", "--batch", "rows.jsonl", *ASK)
    assert (said.code, said.error["code"]) == (2, "ST-202")


def test_batch_never_overwrites_another_file(ready: Run, folder: Path) -> None:
    """`--out` with a file that holds no answers is refused, and the file stays as it was."""
    (folder / "rows.jsonl").write_text(json.dumps({"id": "1", "text": KNOWN}))
    for text in ("precious\n", "precious, without an end", '{"other": 1}\n'):
        (folder / "notes.txt").write_text(text)
        said = ready("ask", "--batch", "rows.jsonl", "--out", "notes.txt", *ASK)
        assert (said.code, said.error["code"]) == (2, "ST-601")
        assert (folder / "notes.txt").read_text() == text


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ('"parcel.send"]', '"parcel.lose"]', "ST-402"),
        ('model = "quote"', 'model = "quoth"', "ST-310"),
        ("[project]", "[projekt]", "ST-102"),
        ("[project]", "[project", "ST-102"),
        ('signal = "similarity"', 'signal = "similarity"\ncolour = 1', "ST-102"),
        ('floor_reason = "the', 'reason = "the', "ST-102"),
        ('entry = "agent:project"', 'entry = "agent:nothing"', "ST-103"),
        ('entry = "agent:project"', 'entry = "missing:project"', "ST-103"),
        ("script.yaml", "none.yaml", "ST-314"),
    ],
)
def test_settings_that_cannot_be(ready: Run, folder: Path, old: str, new: str, code: str) -> None:
    """A wrong setting exits 2 with the code of what is wrong with it."""
    edit(folder, "staid.toml", old, new)
    agent = "support" if "quote" in old else "desk"
    said = ready("ask", "refund 40 for order A1", "--as", "user:ada", "--agent", agent)
    if code == "ST-310":  # the model is only looked for where there is something to answer from
        said = ready("ask", KNOWN, *ASK)
    assert (said.code, said.error["code"]) == (2, code)
    assert not (folder / "effects.txt").exists()


@pytest.mark.parametrize(
    "url", ["mysql://root@localhost/x", "nonsense", "postgresql://127.0.0.1:1/x"]
)
def test_store_urls_that_lead_nowhere(ready: Run, folder: Path, url: str) -> None:
    """A store that cannot be reached is a system error with its code."""
    edit(folder, "staid.toml", 'entry = "agent', f'store = "{url}"\nentry = "agent')
    said = ready("ask", KNOWN, *ASK)
    assert (said.code, said.error["code"]) == (5, "ST-110")


def test_a_missing_model_key_says_which(
    ready: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A provider without its key is a usage error naming the variable; the run failed."""
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    edit(folder, "staid.toml", 'model = "quote"', 'model = "anthropic:claude-sonnet-4-5"')
    said = ready("ask", KNOWN, *ASK, "--key", "k")
    assert (said.code, said.error["code"]) == (2, "ST-311")
    assert "ANTHROPIC_API_KEY" in said.error["hint"]
    assert [run["state"] for run in ready("runs", "list").body["runs"]] == ["failed"]
    assert ready("doctor").code == 0
    edit(folder, "staid.toml", 'model = "anthropic:claude-sonnet-4-5"', 'model = "quote"')
    assert ready("ask", KNOWN, *ASK, "--key", "k").body["outcome"] == "answer"


def test_a_broken_directory_answers_nobody(ready: Run, folder: Path) -> None:
    """Half a directory is none: every verb that needs rights stops with its code."""
    (folder / "directory.yaml").write_text("principals:\n  user:ada: {groups: [customers]}\n")
    assert ready("ask", KNOWN, *ASK).error["code"] == "ST-213"
    assert ready("search", KNOWN, "--as", "user:ada").error["code"] == "ST-213"
    assert ready("doctor").code == 1


def test_a_locked_store_is_told_soon(ready: Run, folder: Path) -> None:
    """While another process holds the store ask says so soon; then it works again."""
    edit(folder, "staid.toml", 'entry = "agent', 'busy_timeout = "200ms"\nentry = "agent')
    ready("ask", KNOWN, *ASK)
    holder = sqlite3.connect(folder / ".staid/staid.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    try:
        said = ready("ask", KNOWN, *ASK)
        assert (said.code, said.error["code"]) == (5, "ST-111")
        assert "0.2 s" in said.error["message"]
        assert ready("ingest").error["code"] == "ST-111"
    finally:
        holder.close()
    assert ready("ask", KNOWN, *ASK).body["outcome"] == "answer"
    assert len(ready("runs", "list").body["runs"]) == 2
    assert ready("doctor").code == 0


def test_a_newer_schema_is_not_touched(ready: Run, folder: Path) -> None:
    """A store of a later release is refused whole, and not a byte of it changes."""
    with sqlite3.connect(folder / ".staid/staid.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    before = (folder / ".staid/staid.db").read_bytes()
    for words in (("ask", KNOWN, *ASK), ("ingest",), ("runs", "list"), ("worker", "--once")):
        said = ready(*words)
        assert (said.code, said.error["code"]) == (5, "ST-114")
    assert ready("doctor").code == 1
    assert (folder / ".staid/staid.db").read_bytes() == before


@pytest.mark.parametrize("left", [None, b"", b" \n"])
def test_a_lost_journal_key_is_never_replaced(ready: Run, folder: Path, left: bytes | None) -> None:
    """Without its key nothing is recorded, so nothing is answered; an empty file is no key."""
    ready("ask", KNOWN, *ASK)
    key = folder / ".staid/journal.key"
    kept = key.read_bytes()
    key.unlink()
    if left is not None:
        key.write_bytes(left)
    said = ready("ask", KNOWN, *ASK)
    assert (said.code, said.error["code"]) == (5, "ST-115")
    assert ready("doctor").code == 1
    assert not key.exists() or key.read_bytes() == left
    key.write_bytes(kept)
    assert ready("doctor").code == 0


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    """Make every store of this process full after some pages more than it has."""
    opened: list[Store] = []
    room: list[int] = []
    make = Store.__init__

    def init(self: Store, *given: Any, **options: Any) -> None:
        make(self, *given, **options)
        opened.append(self)
        if room:

            def limit(raw: Any, _record: object) -> None:
                pages = raw.execute("PRAGMA page_count").fetchone()[0]
                raw.execute(f"PRAGMA max_page_count = {pages + room[0]}")

            event.listen(self.engine, "connect", limit)

    monkeypatch.setattr(Store, "__init__", init)

    def fill(pages: int) -> None:
        room[:] = [pages]

    yield fill
    for store in opened:
        store.close()


@pytest.mark.parametrize("pages", [0, 2, 4, 6, 8, 12, 16])
def test_a_full_disk_in_the_middle_of_a_run(
    ready: Run, folder: Path, full: Callable[[int], None], pages: int
) -> None:
    """Wherever the disk gets full: the whole record and an answer, or a coded error."""
    kept = ready("ask", KNOWN, *ASK).body["run"]
    big = "Please refund 40 for order " + "A" * 15_000
    full(pages)
    said = ready("ask", big, "--as", "user:ada", "--agent", "desk", "--key", "k")
    if said.code == 0:
        run = said.body["run"]
        assert ready("runs", "show", run).body["text"] == said.body["text"]
    else:
        assert (said.code, said.error["code"]) == (5, "ST-113"), said.err
    effects = folder / "effects.txt"
    if said.code == 0 and said.body["outcome"] == "answer":
        assert effects.read_text().count("refund") == 1
    full(10_000)
    assert ready("doctor").code == 0
    assert ready("why", kept).body["outcome"] == "answer"
    assert ready("ask", KNOWN, *ASK).body["outcome"] == "answer"
    ready("ask", big, "--as", "user:ada", "--agent", "desk", "--key", "k")
    assert not effects.exists() or effects.read_text().count("refund") == 1


def staid_process(folder: Path, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own, with the fast embedder."""
    script = (
        "import sys\n"
        "from functools import cached_property\n"
        "from staid.project.parts import Wiring\n"
        "from staid.testing.embedder import HashingEmbedder\n"
        "fast = cached_property(lambda self: HashingEmbedder())\n"
        "fast.__set_name__(Wiring, 'embedder')\n"
        "Wiring.embedder = fast\n"
        "from staid.cli import main\n"
        "main()\n"
    )
    before = options.pop("before", ())
    return subprocess.run(
        [*before, sys.executable, "-B", "-c", script, *words, "--json"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        **options,
    )


def test_a_limit_on_file_size_is_a_coded_error(ready: Run, folder: Path) -> None:
    """Writes that the system cuts off (a quota) end in a coded error, and the store stays whole."""
    import resource

    size = (folder / ".staid/staid.db").stat().st_size

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size // 4, size // 4))

    done = staid_process(folder, "ask", KNOWN * 100, *ASK, preexec_fn=limit)
    assert done.returncode == 5, done.stdout + done.stderr
    assert json.loads(done.stdout)["error"]["code"] in {"ST-110", "ST-113"}
    assert "Traceback" not in done.stderr
    assert ready("doctor").code == 0
    assert ready("ask", KNOWN, *ASK).body["outcome"] == "answer"


def unprivileged() -> list[str] | None:
    """Return what stands before a command so that permission bits bind it; None if nothing can."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        return None
    caps = "-dac_override,-dac_read_search,-fowner"
    return ["setpriv", "--bounding-set", caps, "--inh-caps", caps]


@pytest.mark.skipif(unprivileged() is None, reason="root, and no setpriv to bind it")
@pytest.mark.parametrize("what", ["folder and file", "never made"])
def test_a_read_only_store_gives_no_answer(ready: Run, folder: Path, what: str) -> None:
    """Where nothing can be recorded nothing is answered; afterwards it works again."""
    ready("ask", KNOWN, *ASK)
    state = folder / ".staid"
    if what == "never made":
        shutil.rmtree(state)
        locked = [folder]
    else:
        locked = [*(p for p in state.rglob("*") if p.is_file()), state]
    modes = {path: path.stat().st_mode for path in locked}
    for path in locked:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        done = staid_process(folder, "ask", KNOWN, *ASK, before=unprivileged())
    finally:
        for path, mode in modes.items():
            path.chmod(mode)
    assert done.returncode == 5, done.stdout + done.stderr
    error = json.loads(done.stdout)["error"]
    assert error["code"] in {"ST-112", "ST-110"}
    assert "writable" in error["hint"]
    assert "Traceback" not in done.stderr
    if what != "never made":
        assert ready("ask", KNOWN, *ASK).body["outcome"] == "answer"
        assert ready("doctor").code == 0
