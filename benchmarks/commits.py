"""Counts the commits that change something, on every SQLite connection of this process."""

from __future__ import annotations

import sqlite3
import sqlite3.dbapi2
from typing import Any

WRITES = ("INSERT", "UPDATE", "DELETE", "REPLACE")


class Commits:
    """Commits that hold a change; one that only read is none."""

    def __init__(self) -> None:
        """Count nothing yet, and watch every connection opened from now on."""
        self.count = 0
        self._connect = sqlite3.connect

    def watch(self) -> None:
        """Follow the statements of every connection that is opened from now on."""

        def connect(*given: Any, **named: Any) -> sqlite3.Connection:
            connection = self._connect(*given, **named)
            connection.set_trace_callback(self._watcher())
            return connection

        sqlite3.connect = connect
        sqlite3.dbapi2.connect = connect

    def _watcher(self) -> Any:
        seen = {"open": False, "wrote": False}

        def statement(text: str) -> None:
            word = text.lstrip().split(None, 1)[0].upper().rstrip(";") if text.strip() else ""
            if word == "BEGIN":
                seen.update(open=True, wrote=False)
            elif word in WRITES:
                seen["wrote"] = True
                if not seen["open"]:  # outside a transaction every statement is one
                    self.count += 1
            elif word in {"COMMIT", "END"}:
                self.count += seen["wrote"]
                seen.update(open=False, wrote=False)
            elif word == "ROLLBACK":
                seen.update(open=False, wrote=False)

        return statement
