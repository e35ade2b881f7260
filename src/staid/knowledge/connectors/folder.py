"""A folder of files: ids are paths below it, rights come from an acl file."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from staid.domain.document import Document, Source
from staid.domain.errors import DocumentUnreadable, SourceNotFound
from staid.domain.ids import DocumentId
from staid.domain.label import NOBODY, Label
from staid.knowledge.acl_file import AclFile
from staid.knowledge.parse.formats import format_of, parse, unknown
from staid.knowledge.parse.jsonl import id_problem
from staid.knowledge.parse.parsed import MAX_BYTES
from staid.knowledge.skipped import Skipped

MAX_DEPTH = 64
"""Of folders within each other."""


def read(root: Path, source: Source, acl: AclFile | None = None) -> Iterator[Document | Skipped]:
    """Yield every file below a folder, in the order of the ids, read or with the reason why not.

    Hidden files and folders are passed over. A link is followed only to a file that is not walked
    itself and lies within the folder. Raises `SourceNotFound` where there is no such folder.
    """
    if not root.is_dir():
        raise SourceNotFound(source=root)
    top = root.resolve()
    return _documents(top, source, acl)


def _documents(top: Path, source: Source, acl: AclFile | None) -> Iterator[Document | Skipped]:
    own = acl.path.resolve() if acl else None
    for name, refused in _walk(top):
        path = top / name
        if own and path == own:
            continue
        label = acl.label(name) if acl else NOBODY
        if refused:  # whatever it holds is not seen, which does not mean that it is gone
            yield Skipped(_printable(name), refused, known=False)
        elif problem := _link_problem(top, path) or _name_problem(name):
            yield Skipped(_printable(name), problem, label=label)
        else:
            yield _document(path, name, source, label)


def _printable(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode()


def _walk(top: Path) -> Iterator[tuple[str, str | None]]:
    """Yield the path of everything that is no folder, and folders that cannot be entered."""
    found: list[tuple[str, str | None]] = []
    pending = [(top, 0)]
    while pending:
        folder, depth = pending.pop()
        try:
            entries = list(os.scandir(folder))
        except OSError as error:
            found.append((_relative(top, folder), f"the folder cannot be read ({error.strerror})"))
            continue
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if not entry.is_dir(follow_symlinks=False):
                found.append((_relative(top, Path(entry.path)), None))
            elif depth >= MAX_DEPTH:
                found.append(
                    (_relative(top, Path(entry.path)), f"it lies deeper than {MAX_DEPTH} folders")
                )
            else:
                pending.append((Path(entry.path), depth + 1))
    yield from sorted(found, key=lambda item: item[0])


def _relative(top: Path, path: Path) -> str:
    return path.relative_to(top).as_posix()


def _link_problem(top: Path, path: Path) -> str | None:
    """Return why a link is not followed: it could give a document a second, weaker label."""
    if not path.is_symlink():
        return None
    try:
        target = path.resolve(strict=True)
    except (OSError, RuntimeError):
        return "it is a link to nothing"
    if not target.is_relative_to(top):
        return "it is a link to something outside the folder"
    if target.is_dir():
        return "it is a link to a folder; those are not followed"
    inside = target.relative_to(top)
    if any(part.startswith(".") for part in inside.parts):
        return None
    return f"it is a link to {inside.as_posix()}, which is indexed under its own name"


def _name_problem(name: str) -> str | None:
    problem = id_problem(name)
    if problem:
        return f"its name {problem}"
    return None if format_of(name) else unknown(name)


def _document(path: Path, name: str, source: Source, label: Label) -> Document | Skipped:
    try:
        parsed = parse(name, _bytes(path, name))
    except DocumentUnreadable as error:
        return Skipped(name, str(error.values["detail"]), label=label)
    return Document(source, DocumentId(name), parsed.title, parsed.sections, label)


def _bytes(path: Path, name: str) -> bytes:
    """Read a regular file up to one byte more than is accepted."""
    try:
        # Without O_NONBLOCK, opening a named pipe would wait for its writer forever.
        with open(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:  # noqa: PTH123 - takes a descriptor
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise DocumentUnreadable(document=name, detail="it is not a file")
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise DocumentUnreadable(
            document=name, detail=f"it cannot be opened ({error.strerror})"
        ) from error
