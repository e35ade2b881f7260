"""What a page names exists: pages, headings, files, functions, commands, options, codes."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import typer

from staid.cli.main import VERBS, _application
from staid.domain import errors
from staid.domain.errors import StaidError

LINK = re.compile(r"(?<!!)\[[^\]\n]+\]\(([^)\s]+)\)")
CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
FILE = re.compile(r"(?:src|tests|docs|benchmarks|\.ci)/[\w./-]*")
MACHINE = re.compile(r"(?<![\w.])/(?:work|root|home|Users|var|private)/\w|/tmp/\w")
GLOBAL = {"--json", "--project", "--help"}


@cache
def _text(page: Path) -> str:
    return page.read_text("utf-8")


@cache
def _prose(page: Path) -> str:
    return re.sub(r"^ *```.*?^ *```\s*$", "", _text(page), flags=re.MULTILINE | re.DOTALL)


@cache
def _anchors(page: Path) -> frozenset[str]:
    headings = re.findall(r"^#{1,6} (.+)$", _prose(page), flags=re.MULTILINE)
    return frozenset(
        re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower()).strip().replace(" ", "-")
        for heading in headings
    )


def test_links_resolve(page: Path) -> None:
    """Every relative link leads to a file, and to a heading in it where it names one."""
    broken: list[str] = []
    for target in LINK.findall(_prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        if not file.exists() or (anchor and file.suffix == ".md" and anchor not in _anchors(file)):
            broken.append(target)
    assert broken == []


def test_files_and_names_exist(page: Path, root: Path) -> None:
    """A file named in `code` is there, and so is the function behind `file.py::Name.method`."""
    missing: list[str] = []
    for code in CODE.findall(_prose(page)):
        name, _, inside = code.partition("::")
        path = _file(root, name)
        if path is None:
            continue
        if not _holds(path) or (inside and inside not in _names(path)):
            missing.append(code)
    assert missing == []


def _holds(path: Path) -> bool:
    """Tell whether a file is there, or a folder with something in it that git would keep."""
    return path.is_file() or any(
        p.is_file() and "__pycache__" not in p.parts for p in path.rglob("*")
    )


def _file(root: Path, name: str) -> Path | None:
    if FILE.fullmatch(name):
        return root / name
    if re.fullmatch(r"[a-z_]+(?:/[a-z_]+)*/[a-z_]+\.py", name):
        return root / "src/staid" / name
    return None


@cache
def _names(path: Path) -> frozenset[str]:
    return frozenset(_defined(ast.parse(path.read_text("utf-8")).body, ""))


def _defined(body: list[ast.stmt], prefix: str) -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield prefix + node.name
            if isinstance(node, ast.ClassDef):
                yield from _defined(node.body, f"{prefix}{node.name}.")
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (prefix + t.id for t in targets if isinstance(t, ast.Name))


def test_commands_exist(page: Path, read_blocks: Callable[..., list[Any]]) -> None:
    """Every `staid …` that a page shows is a verb that exists, with options that it takes."""
    wrong: list[str] = []
    for line in _commands(page, read_blocks):
        complaint = _complaint(line)
        if complaint:
            wrong.append(f"{line}: {complaint}")
    assert wrong == []


def _commands(page: Path, read_blocks: Callable[..., list[Any]]) -> Iterator[str]:
    for code in CODE.findall(_prose(page)):
        if code.startswith("staid ") and not re.search(r"\||…$", code):
            yield code
    for block in read_blocks(page):
        if block.language in {"sh", "console", "yaml"}:
            for line in block.text.replace("\\\n", " ").splitlines():
                found = re.match(r"(?:\$ |- run: |.*&& )?(staid .+)", line.strip())
                if found:
                    yield found[1]


@cache
def _command(verb: str) -> Any:
    application: Any = typer.main.get_command(_application(verb))
    return application.commands[verb]


def _complaint(line: str) -> str:
    words = [w for w in shlex.split(line, comments=True)[1:] if w != "…"]
    if "&&" in words:
        words = words[: words.index("&&")]
    plain = [w for w in words if not w.startswith("-")]
    if not plain or not re.fullmatch(r"[a-z-]+", plain[0]):
        return ""  # `staid --help`, `staid VERB`
    if plain[0] not in VERBS:
        return f"there is no verb {plain[0]}"
    command = _command(plain[0])
    subcommands = getattr(command, "commands", None)
    if subcommands is not None:
        if len(plain) < 2 or not re.fullmatch(r"[a-z-]+", plain[1]):
            return ""
        if plain[1] not in subcommands:
            return f"there is no {plain[0]} {plain[1]}"
        command = subcommands[plain[1]]
    known = {name for p in command.params for name in (*p.opts, *p.secondary_opts)} | GLOBAL
    asked = {w.partition("=")[0] for w in words if re.match(r"--?[a-z]", w)}
    return ", ".join(f"it has no {option}" for option in sorted(asked - known))


def test_codes_exist(page: Path) -> None:
    """Every error code that a page names is one of Staid's."""
    known = {kind.code for kind in _every(StaidError)}
    assert errors.StaidError.code in known
    assert set(re.findall(r"\bST-\d{3}\b", _text(page))) <= known


def _every(kind: type[StaidError]) -> Iterator[type[StaidError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _every(below)


def test_no_machine_paths(page: Path) -> None:
    """No page names a folder of the machine on which it was written."""
    assert MACHINE.findall(_text(page)) == []


def test_make_targets_exist(page: Path, root: Path) -> None:
    """Every `make TARGET` that a page shows is in the Makefile."""
    targets = set(re.findall(r"(?m)^([a-z0-9-]+):", (root / "Makefile").read_text("utf-8")))
    named = set(re.findall(r"(?:`|^|\$ )make ([a-z0-9-]+)", _text(page), flags=re.MULTILINE))
    assert named <= targets


def test_the_checks_can_fail(root: Path) -> None:
    """Each check names what does not exist: verbs, options, files, functions, machine folders."""
    assert _complaint("staid nonsense") == "there is no verb nonsense"
    assert _complaint("staid acl nonsense x") == "there is no acl nonsense"
    assert _complaint('staid ask "x" --as user:ada --nonsense') == "it has no --nonsense"
    assert _complaint('staid ask "x" --as user:ada --json # as one document') == ""
    assert not _holds(root / "src/staid/nonsense.py")
    assert "Turn.ask" in _names(root / "src/staid/runtime/turn.py")
    assert "Turn.nonsense" not in _names(root / "src/staid/runtime/turn.py")
    assert MACHINE.search("see " + "/ho" + "me/ada/staid")
    assert not MACHINE.search("tests/home/x and docs/work/y")
