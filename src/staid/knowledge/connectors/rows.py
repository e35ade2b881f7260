"""JSON lines, plain or gzipped: one document a row, rights in the row or in an acl file."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from staid.domain.document import Document, Source
from staid.domain.errors import DocumentUnreadable, RowMalformed, SourceNotFound
from staid.domain.ids import DocumentId
from staid.domain.label import NOBODY, Label
from staid.knowledge.acl_file import AclFile
from staid.knowledge.parse.jsonl import Row, RowRefused, parse_row
from staid.knowledge.parse.markdown import parse_text
from staid.knowledge.skipped import Skipped

MAX_LINE = 16 * 1024 * 1024
"""Bytes of one row."""
MAX_UNPACKED = 8 * 1024**3
"""Bytes of the whole file, unpacked."""
SUFFIXES = (".jsonl", ".jsonl.gz")


def read(
    path: Path,
    source: Source,
    mapping: Mapping[str, str] | None = None,
    acl: AclFile | None = None,
) -> Iterator[Document | Skipped]:
    """Yield every row in file order, as a document or with the line and the reason why not.

    `mapping` is field -> name in the file. The text of a row is Markdown. A row's own `acl` is its
    label (null: nobody), the acl file gives it where the row has none. Of rows with the same id the
    first is taken, under both labels. Raises `SourceNotFound`, and, at the end of a file without a
    single usable row, `RowMalformed` for its first line.
    """
    if not path.is_file():
        raise SourceNotFound(source=path)
    return _Reader(path, source, mapping or {}, acl).documents()


class _Reader:
    """One pass over one file: remembers ids, and whether any row was usable."""

    def __init__(
        self, path: Path, source: Source, mapping: Mapping[str, str], acl: AclFile | None
    ) -> None:
        self._path = path
        self._source = source
        self._mapping = mapping
        self._acl = acl
        self._seen: dict[str, tuple[int, Label]] = {}
        self._first: tuple[int, str] | None = None

    def documents(self) -> Iterator[Document | Skipped]:
        """Yield what the file holds; raise `RowMalformed` where nothing of it is usable."""
        usable = False
        for number, data in self._lines():
            result = (
                self._row(number, data) if isinstance(data, bytes) else self._damage(number, data)
            )
            usable = usable or isinstance(result, Document)
            yield result
        if not usable:
            number, reason = self._first or (1, "the file has no rows")
            raise RowMalformed(line=number, file=self._path.name, detail=reason)

    def _row(self, number: int, data: bytes) -> Document | Skipped:
        try:
            row = parse_row(_decode(data), self._mapping)
        except RowRefused as refused:
            return self._skip(number, refused)
        first, label = self._claim(number, row.id, row.label)
        if first != number:
            reason = f"its id was used on line {first} already"
            return self._skip(number, RowRefused(reason, row.id, row.label))
        try:
            return self._document(row, label)
        except DocumentUnreadable as error:
            return self._skip(number, RowRefused(str(error.values["detail"]), row.id, row.label))

    def _claim(self, number: int, row_id: str, own: Label | None) -> tuple[int, Label]:
        """Return the first line with this id, and the label that every row with it allows."""
        label = own if own is not None else self._acl.label(row_id) if self._acl else NOBODY
        first, before = self._seen.get(row_id, (number, label))
        self._seen[row_id] = (first, label if before == label else before & label)
        return self._seen[row_id]

    def _document(self, row: Row, label: Label) -> Document:
        parsed = parse_text(row.id, row.text, row.title)
        title = parsed.title or row.id
        return Document(
            self._source, DocumentId(row.id), title, parsed.sections, label, row.metadata
        )

    def _skip(self, number: int, refused: RowRefused) -> Skipped:
        self._first = self._first or (number, refused.reason)
        if refused.row_id is None:
            return Skipped(f"line {number}", refused.reason, known=False)
        _, label = self._claim(number, refused.row_id, refused.label)
        return Skipped(refused.row_id, f"line {number}: {refused.reason}", label=label)

    def _damage(self, number: int, reason: str) -> Skipped:
        self._first = self._first or (number, reason)
        return Skipped(f"line {number}", reason, known=False)

    def _lines(self) -> Iterator[tuple[int, bytes | str]]:
        """Yield numbered lines that are not blank; a text instead of bytes tells of damage."""
        number, total = 0, 0
        try:
            with _opened(self._path) as file:
                while data := file.readline(MAX_LINE + 1):
                    number += 1
                    total += len(data)
                    if len(data) > MAX_LINE:
                        total += _rest_of_line(file)
                    if total > MAX_UNPACKED:
                        yield number, f"the file unpacks to more than {MAX_UNPACKED:,} bytes"
                        return
                    if data.strip():
                        yield number, data.removeprefix(b"\xef\xbb\xbf") if number == 1 else data
        except (EOFError, zlib.error, OSError) as error:
            yield number + 1, f"the file cannot be read further ({error})"


@contextmanager
def _opened(path: Path) -> Generator[BinaryIO]:
    if path.suffix == ".gz":
        with gzip.open(path, "rb") as file:
            yield cast("BinaryIO", file)
    else:
        with path.open("rb") as file:
            yield file


def _rest_of_line(file: BinaryIO) -> int:
    """Pass over the rest of a line that is too long, in bounded memory."""
    passed = 0
    while data := file.readline(MAX_LINE):
        passed += len(data)
        if data.endswith(b"\n"):
            break
    return passed


def _decode(data: bytes) -> str:
    if len(data) > MAX_LINE:
        raise RowRefused(f"it has more than {MAX_LINE:,} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        detail = f"it is not UTF-8 (byte 0x{data[error.start]:02X} at offset {error.start})"
        raise RowRefused(detail) from error
