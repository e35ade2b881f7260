"""The key under which the journal is hashed: kept outside the database, made once."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from staid.domain.errors import JournalKeyMissing, StoreFull, StoreReadOnly


def journal_key(path: Path, may_make: Callable[[], bool]) -> bytes:
    """Return the key of `STAID_JOURNAL_KEY`, else that of the file, which is made on first use.

    `may_make` says whether a new key does no harm, because nothing was written under another.
    Raises `JournalKeyMissing`, `StoreFull`, `StoreReadOnly`.
    """
    given = os.environ.get("STAID_JOURNAL_KEY")
    if given:
        return given.encode()
    if not path.is_file():
        if not may_make():
            raise JournalKeyMissing(path=path)
        _new_key(path)
    key = path.read_bytes().strip()
    if not key:  # anybody could recompute what is hashed under no key
        raise JournalKeyMissing(path=path)
    return key


def _new_key(path: Path) -> None:
    """Make the key, whole or not at all, unless another process does in this moment."""
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_hex(32).encode())
            file.flush()
            os.fsync(handle)
        with suppress(FileExistsError):
            os.link(fresh, path)
    except OSError as error:
        raise StoreFull if error.errno == errno.ENOSPC else StoreReadOnly from error
    finally:
        fresh.unlink(missing_ok=True)
