"""Appending lines to a file so that a writer that was killed spoils no line but its own."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path


def append_lines(path: Path, lines: bytes) -> None:
    """Append whole lines; on the disk when this returns. Raises `OSError`.

    Where the last writer was killed in the middle of a line, that line ends first: what is
    appended is never glued to it, and nothing that others wrote is changed. Writers take turns.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    new = not path.exists()
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        with suppress(OSError):  # a file system without locks: lines still arrive, if not in turn
            fcntl.flock(file, fcntl.LOCK_EX)
        size = os.fstat(file).st_size
        cut_off = size > 0 and os.pread(file, 1, size - 1) != b"\n"
        _write(file, b"\n" + lines if cut_off else lines)
        os.fsync(file)
    finally:
        os.close(file)
    if new:
        _sync_folder(path.parent)


def _write(file: int, data: bytes) -> None:
    """Write all of it: a disk that fills up takes a part first and raises only then."""
    left = memoryview(data)
    while left:
        left = left[os.write(file, left) :]


def _sync_folder(folder: Path) -> None:
    """Make the name of a new file as durable as its bytes."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
