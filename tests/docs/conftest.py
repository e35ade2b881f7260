"""Pages, their code blocks, and a project in which the runnable ones are run.

A block whose info string says `run` is executed, page by page, top to bottom: `sh run` line by
line, `console run` with its output compared (`…` stands for anything), `python run` as one
program. `file=NAME` writes the block to a file of the project. A page that begins with
`staid init` starts in an empty folder, every other one in a fresh scaffold that is ingested.
"""

from __future__ import annotations

import io
import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from staid import cli
from staid.cli import output
from staid.knowledge.embed.minilm import MiniLM
from staid.project.parts import Wiring
from staid.project.project import Project
from staid.scaffold.write import write

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(
    r"^(?P<indent> *)```(?P<info>[^\n`]*)\n(?P<body>.*?)^(?P=indent)```\s*$",
    re.MULTILINE | re.DOTALL,
)
PLACES = {"RUN": "run_", "APPROVAL": "apr_", "HANDOFF": "hof_"}


class Remembering(MiniLM):
    """The real model, asked once for each text of a test session."""

    def __init__(self) -> None:
        """Know nothing yet."""
        super().__init__()
        self._known: dict[str, bytes] = {}

    def embed(self, text: str) -> bytes:
        """Return the vector of a text."""
        if text not in self._known:
            self._known[text] = super().embed(text)
        return self._known[text]


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    language: str
    words: tuple[str, ...]
    text: str
    line: int

    @property
    def runs(self) -> bool:
        """Whether it is executed."""
        return "run" in self.words

    @property
    def file(self) -> str | None:
        """The file it is written to."""
        return next((w.removeprefix("file=") for w in self.words if w.startswith("file=")), None)


def blocks_of(page: Path) -> list[Block]:
    """Return the fenced blocks of a page in order."""
    text = page.read_text("utf-8")
    found: list[Block] = []
    for match in FENCE.finditer(text):
        language, *words = match["info"].split() or [""]
        body = re.sub(f"^{match['indent']}", "", match["body"], flags=re.MULTILINE)
        found.append(Block(language, tuple(words), body, text.count("\n", 0, match.start()) + 1))
    return found


@dataclass
class Reader:
    """Somebody who follows a page, command by command, in a folder of their own."""

    monkeypatch: pytest.MonkeyPatch
    namespace: dict[str, Any] = field(default_factory=lambda: {"__name__": "__main__"})
    ids: dict[str, str] = field(default_factory=dict[str, str])
    said: str = ""

    def follow(self, block: Block) -> None:
        """Do what the block says; fail where it does not say what happens."""
        if block.file:
            target = Path(block.file)
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("a" if "append" in block.words else "w", encoding="utf-8") as file:
                file.write(block.text)
        elif block.language == "console":
            self._console(block)
        elif block.language == "sh":
            for line in block.text.replace("\\\n", " ").splitlines():
                self._command(line)
        elif block.language == "python":
            with redirect_stdout(io.StringIO()) as told:
                exec(compile(block.text, f"block at line {block.line}", "exec"), self.namespace)
            self._heard(told.getvalue())
        elif block.language == "text":
            self._compare(block.text)
        else:
            pytest.fail(f"nobody can run a block of {block.language!r}")

    def follow_all(self, blocks: list[Block]) -> None:
        """Follow every block in order."""
        for block in blocks:
            self.follow(block)

    def _console(self, block: Block) -> None:
        for part in re.split(r"^\$ ", block.text.replace("\\\n", " "), flags=re.MULTILINE)[1:]:
            command, _, expected = part.partition("\n")
            self._command(command)
            self._compare(expected)

    def _command(self, line: str) -> None:
        stated = re.search(r"#.*\bexits (\d)", line)
        words = shlex.split(line, comments=True)
        for one in _parted(words):
            self._one(one, int(stated[1]) if stated else 0)

    def _one(self, words: list[str], exits: int) -> None:
        if words[0] == "cd":
            self.monkeypatch.chdir(words[1])
            return
        assert words[0] == "staid", f"a page may run staid and cd, not {words[0]}"
        filled = [self.ids[word] if word in PLACES else word for word in words[1:]]
        with redirect_stdout(io.StringIO()) as told, redirect_stderr(told):
            code = _run(filled)
        self._heard(told.getvalue())
        assert code == exits, f"{' '.join(words)} left with {code}:\n{self.said}"

    def _heard(self, text: str) -> None:
        self.said = text
        for place, prefix in PLACES.items():
            found = re.findall(rf"\b{prefix}[0-9A-Z]{{20,}}", text)
            if found:
                self.ids[place] = found[-1]

    def _compare(self, expected: str) -> None:
        at = 0
        said = " ".join(self.said.split())
        for line in filter(str.strip, expected.splitlines()):
            parts = [re.escape(" ".join(part.split())) for part in line.split("…")]
            found = re.compile(".*?".join(parts)).search(said, at)
            assert found, f"{line.strip()!r} is not in, or not in this order:\n{self.said}"
            at = found.end()


def _parted(words: list[str]) -> list[list[str]]:
    commands: list[list[str]] = [[]]
    for word in words:
        if word == "&&":
            commands.append([])
        else:
            commands[-1].append(word)
    return [command for command in commands if command]


def _run(words: list[str]) -> int:
    try:
        return cli.run(words)
    finally:
        if output._settings.loaded is not None:
            output._settings.loaded.close()
            output._settings.loaded = None


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the repository."""
    return ROOT


@pytest.fixture(scope="session")
def pages() -> list[Path]:
    """Return every page."""
    return PAGES


@pytest.fixture
def read_blocks() -> Callable[[Path], list[Block]]:
    """Return the function that reads a page's blocks."""
    return blocks_of


@pytest.fixture(params=[p for p in PAGES if p.exists()], ids=lambda p: str(p.relative_to(ROOT)))
def page(request: pytest.FixtureRequest) -> Path:
    """Return each page in turn."""
    return request.param


@pytest.fixture(
    params=[p for p in PAGES if p.exists() and any(b.runs or b.file for b in blocks_of(p))],
    ids=lambda p: str(p.relative_to(ROOT)),
)
def runnable(request: pytest.FixtureRequest) -> Path:
    """Return each page that has something to run."""
    return request.param


@pytest.fixture(scope="session", autouse=True)
def _one_model() -> Iterator[None]:
    """Load the real embedding model once, not once per command."""
    patch = pytest.MonkeyPatch()
    patch.setattr(Wiring, "embedder", Remembering())
    yield
    patch.undo()


@pytest.fixture(scope="session")
def scaffold(tmp_path_factory: pytest.TempPathFactory, _one_model: None) -> Path:
    """Return a scaffolded project that is ingested, to be copied."""
    made = write(tmp_path_factory.mktemp("scaffold") / "help-desk")
    with redirect_stdout(io.StringIO()):
        assert _run(["ingest", "--project", str(made)]) == 0
    return made


@pytest.fixture
def reader(
    request: pytest.FixtureRequest,
    runnable: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Reader]:
    """Return somebody who starts where the page starts."""
    first = next(b for b in blocks_of(runnable) if b.runs or b.file)
    folder = tmp_path
    if "staid init" not in first.text:
        folder = tmp_path / "help-desk"
        shutil.copytree(request.getfixturevalue("scaffold"), folder)
    monkeypatch.chdir(folder)
    reading = Reader(monkeypatch)
    yield reading
    for value in reading.namespace.values():
        if isinstance(value, Project):
            value.close()


@pytest.fixture
def follower(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Reader:
    """Return somebody in a project that was scaffolded and not ingested."""
    monkeypatch.chdir(write(tmp_path / "help-desk"))
    return Reader(monkeypatch)
