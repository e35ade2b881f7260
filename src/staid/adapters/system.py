"""Time, identifiers and names as the machine gives them."""

from __future__ import annotations

import getpass
import os
import secrets
import socket
import threading
from datetime import UTC, datetime

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class SystemClock:
    """The machine's clock, in UTC."""

    def now(self) -> datetime:
        """Return the present, aware, in UTC."""
        return datetime.now(UTC)


class TimeSortedIds:
    """Identifiers of 48 bits of time and 80 random bits, as in the ULID specification."""

    def __init__(self) -> None:
        """Start with no identifier given."""
        self._lock = threading.Lock()
        self._last = 0

    def new(self, prefix: str) -> str:
        """Return `prefix_` and 26 characters that sort by time of creation and never repeat."""
        value = int(datetime.now(UTC).timestamp() * 1000) << 80 | secrets.randbits(80)
        with self._lock:
            # Within one process they also sort when the clock stands still or jumps back.
            value = self._last = value if value > self._last else self._last + 1
        return f"{prefix}_{_digits(value)}"


def derived_id(prefix: str, at: datetime, seed: str) -> str:
    """Return the identifier of what was made elsewhere: the same time and seed, the same id.

    `seed` is a hash in hex digits, at least 20 of them; ids sort by time as new ones do.
    """
    return f"{prefix}_{_digits(max(0, int(at.timestamp() * 1000)) << 80 | int(seed[:20], 16))}"


def _digits(value: int) -> str:
    return "".join(_ALPHABET[value >> shift & 31] for shift in range(125, -1, -5))


def operator() -> str:
    """Return the operating-system user behind this process; `unknown` where it has no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def worker_name() -> str:
    """Return a name for this process that no other living process has."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
