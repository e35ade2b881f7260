"""Rows of a log: JSON lines, plain or gzipped, each with its line number, damage included."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LONGEST = 64 * 1024 * 1024
"""Bytes of one row; a longer one is reported, and the rest of the file is still read."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line that is not blank: its value, or why there is none."""

    line: int
    value: object = None
    problem: str | None = None


def rows(path: Path) -> Iterator[Row]:
    """Yield every row in file order; what cannot be read is a row with a problem, never dropped."""
    number = 0
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            while data := file.readline(LONGEST + 1):
                number += 1
                if len(data) > LONGEST:
                    while data and not data.endswith(b"\n"):
                        data = file.readline(LONGEST)
                    yield Row(number, problem=f"it has more than {LONGEST:,} bytes")
                elif data.strip():
                    yield _row(number, data)
    except (EOFError, zlib.error, OSError) as error:
        yield Row(number + 1, problem=f"the file cannot be read further ({error})")


def _row(number: int, data: bytes) -> Row:
    try:
        # `utf-8-sig` only matters on the first line, where some tools write a mark.
        value: object = json.loads(data.decode("utf-8-sig"), parse_constant=_refuse)
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeDecodeError as error:
        where = f"byte 0x{data[error.start]:02X} at offset {error.start}"
        return Row(number, problem=f"it is not UTF-8 ({where})")
    except UnicodeEncodeError:
        return Row(number, problem="it holds half of a surrogate pair, which is no text")
    except (ValueError, RecursionError) as error:
        return Row(number, problem=f"it is not JSON ({error})")
    return Row(number, value)


def _refuse(constant: str) -> None:
    message = f"{constant} is not a JSON number"
    raise ValueError(message)
