"""Reading a log of conversations into the record: every row is kept or reported, none twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from staid.adapters.conversations import FORMATS, openai_messages
from staid.adapters.conversations.rows import Row, rows
from staid.adapters.system import derived_id
from staid.domain.canonical import Json, digest
from staid.domain.errors.replay import FormatUnknown, NothingImported
from staid.domain.errors.usage import UsageInvalid
from staid.domain.ids import CallId, ConversationId, RunId
from staid.domain.ports import Clock
from staid.domain.recorded import RecordedConversation, RecordedTurn, RowRefused
from staid.runtime.imported import ImportedRun
from staid.store.imports import SqlImports

if TYPE_CHECKING:
    from staid.project.project import Project

STRANGER = "user:imported"
"""The asker where the log names nobody."""
_STEP = timedelta(milliseconds=1)
"""Between turns that the log does not date; the ids of runs sort by milliseconds."""
_EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to read, and what the rows do not say themselves."""

    file: Path
    format: str
    fields: Mapping[str, str] = field(default_factory=dict[str, str])
    """Field -> name in the file."""
    agent: str | None = None
    asker_from: str | None = None
    """Field of the row, dots for fields of fields, that names the asker."""


@dataclass(slots=True)
class Imported:
    """What an import did."""

    conversations: int = 0
    runs: int = 0
    calls: int = 0
    known: int = 0
    """Turns that had been imported before."""
    times: Counter[str] = field(default_factory=Counter[str])
    """Conversations by where their times come from: log, row, synthetic."""
    skipped: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    """Line and reason of every row that was not taken."""


def import_conversations(
    project: Project, wanted: Wanted, advance: Callable[[int], None] = lambda _line: None
) -> Imported:
    """Import every row of a file; a second time the same file adds nothing.

    Raises `FormatUnknown`, `UsageInvalid` and, where no row is a conversation, `NothingImported`.
    """
    parse = FORMATS.get(wanted.format)
    if parse is None:
        raise FormatUnknown(format=wanted.format, known=", ".join(sorted(FORMATS)))
    if not wanted.file.is_file():
        raise UsageInvalid(detail=f"there is no file {wanted.file}")
    for name in sorted(set(wanted.fields) - set(openai_messages.FIELDS)):
        known = ", ".join(openai_messages.FIELDS)
        raise UsageInvalid(detail=f"--map knows no field {name!r}; it knows {known}")
    wiring = project.wiring
    reading = _Reading(
        wanted, SqlImports(wiring.run_store, wiring.journal, wiring.clock), wiring.clock
    )
    for row in rows(wanted.file):
        try:
            if row.problem is not None:
                raise RowRefused(row.problem)  # noqa: TRY301 - one place reports what is skipped
            reading.take(row, parse(row.value, wanted.fields))
        except RowRefused as refused:
            reading.done.skipped.append((row.line, refused.reason))
        advance(row.line)
    if not reading.done.conversations:
        line, reason = (reading.done.skipped or [(1, "the file has no rows")])[0]
        raise NothingImported(file=wanted.file.name, line=line, reason=reason)
    return reading.done


class _Reading:
    """One pass over one file."""

    def __init__(self, wanted: Wanted, imports: SqlImports, clock: Clock) -> None:
        self._wanted = wanted
        self._imports = imports
        self._clock = clock
        self._last = _EPOCH
        self._seen: Counter[str] = Counter()
        self.done = Imported()

    def take(self, row: Row, given: RecordedConversation) -> None:
        """Keep one conversation; raise `RowRefused`."""
        runs = self._runs(row, given)
        added = self._imports.add(runs)
        if added.changed is not None:
            raise RowRefused(f"turn {added.changed} is not what was imported of it before")
        self.done.conversations += 1
        self.done.runs += added.added
        self.done.known += added.known
        self.done.calls += sum(len(run.calls) for run in runs[len(runs) - added.added :])
        self.done.times[given.times] += 1

    def _runs(self, row: Row, given: RecordedConversation) -> list[ImportedRun]:
        seed = self._seed(given)
        conversation = ConversationId(derived_id("cnv", given.at or _EPOCH, seed))
        asker = self._asker(row, given)
        # One conversation after the other, in the order of the log: budgets are counted so.
        began = given.at or max(self._clock.now(), self._last + _STEP)
        self._last = began + len(given.turns) * _STEP
        return [
            self._run(row, given, turn, number, conversation, asker, began + (number - 1) * _STEP)
            for number, turn in enumerate(given.turns, 1)
        ]

    def _seed(self, given: RecordedConversation) -> str:
        """Return what the ids are derived from.

        A conversation with an id may have grown since it was imported, so its first question
        stands for it; one without is its whole content, and how often that came before.
        """
        if given.id is not None:
            return digest([self._wanted.format, given.id, given.turns[0].question])
        content = digest([turn.digest for turn in given.turns])
        self._seen[content] += 1
        return digest([self._wanted.format, content, self._seen[content]])

    def _run(
        self,
        row: Row,
        given: RecordedConversation,
        turn: RecordedTurn,
        number: int,
        conversation: ConversationId,
        asker: str,
        undated: datetime,
    ) -> ImportedRun:
        at = turn.at or undated
        seed = digest([conversation, number, turn.digest])
        last = number == len(given.turns)
        return ImportedRun(
            run=RunId(derived_id("run", at, seed)),
            conversation=conversation,
            agent=self._wanted.agent or given.agent or "imported",
            asker=asker,
            turn=turn,
            number=number,
            at=at,
            times=given.times,
            origin={
                "format": self._wanted.format,
                "file": self._wanted.file.name,
                "line": row.line,
            },
            calls=tuple(
                CallId(derived_id("cal", at, digest([seed, place])))
                for place in range(len(turn.calls))
            ),
            model=given.model or "unknown",
            metadata=given.metadata if number == 1 else {},
            grades=given.grades if last else {},
        )

    def _asker(self, row: Row, given: RecordedConversation) -> str:
        named = given.asker
        if self._wanted.asker_from is not None:
            found = _at(row.value, self._wanted.asker_from)
            if found is None:
                raise RowRefused(f"{self._wanted.asker_from!r} of --asker-from is missing")
            named = found
        return STRANGER if named is None else _token(named)


def _at(value: object, path: str) -> str | None:
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]  # any JSON
    known: Json = value if isinstance(value, str | int) and value != "" else None
    return str(known) if known is not None else None


def _token(name: str) -> str:
    kind, _, rest = name.partition(":")
    token = name if kind in {"user", "service"} and rest else f"user:{name}"
    if not token.isprintable() or len(token) > 200:
        raise RowRefused(f"{name[:50]!r} cannot name an asker")
    return token
