"""A tool of a project under SIGKILL: what its own handler did, and whether its probe knows.

Everything but handler and probe is ours: a scratch store, one approved call for each shot, and a
process that dies at a named point while another one recovers. A run of the handler counts as an
effect when it returned; `count` asks the outside world instead.
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias
from uuid import uuid4

from pydantic import BaseModel
from sqlalchemy.engine import make_url

from staid.domain.call import CallRecord, UndoState
from staid.domain.canonical import Json
from staid.domain.ids import RunId
from staid.domain.message import ProposedCall
from staid.domain.principal import Principal
from staid.gates.demand import Terms
from staid.gates.tool import Call, Tool
from staid.runtime.gate_execute import told
from staid.runtime.handlers import called, invoke
from staid.store.engine import Store
from staid.store.tables import metadata
from staid.testing.kill import POINTS, UNDO_POINTS, EffectFile, Job, settled_truthfully
from staid.testing.lives import Life

Count: TypeAlias = Callable[[BaseModel, Call], object]
"""Returns how often the call took effect in the outside world."""

SHOTS = ("", *POINTS)
"""The first one kills nobody: it says what the tool does when nothing goes wrong."""
UNDO_SHOTS = ("", *UNDO_POINTS)
"""The same for a tool that has an `undo`: of calls that are done."""


@dataclass(frozen=True, slots=True)
class Shot:
    """What became of one call whose process was killed at one point."""

    point: str
    effects: int
    state: str
    said: bool | None = None
    """What `reconcile` said: it happened, it did not, or None: nobody knows."""
    error: str = ""

    @property
    def lied(self) -> bool:
        """Whether `reconcile` said something else than what happened."""
        return self.said is not None and self.said != (self.effects > 0)

    @property
    def broken(self) -> bool:
        """Whether it happened more than once, or is recorded otherwise than it happened."""
        return self.effects > 1 or not settled_truthfully(self.state, self.effects)


@dataclass(frozen=True, slots=True)
class UndoShot:
    """What became of taking back one call whose process was killed at one point of that."""

    point: str
    times: int
    """How often the tool's `undo` returned."""
    state: str
    """That of the undoing; that of the call where there was nothing to take back."""
    error: str = ""

    @property
    def broken(self) -> bool:
        """Whether it was taken back more than once, or that is recorded otherwise."""
        match self.state:
            case UndoState.UNDONE:
                return self.times != 1
            case UndoState.IN_DOUBT:
                return self.times > 1
            case _:
                return self.times > 0


@dataclass(frozen=True, slots=True)
class Target:
    """The tool, the arguments it is called with, and how its effects are counted."""

    tool: Tool
    arguments: Mapping[str, Json]
    count: Count | None = None


class _ToolLife(Life):
    """One process's view of one call of the tool."""

    def __init__(self, job: Job, store: Store, target: Target) -> None:
        self._target = target
        super().__init__(job, store)

    def _tools(self) -> Mapping[str, Tool]:
        # Rules and approvers are another matter: here the call is approved, and then processes die.
        under_test = self._target.tool
        killed = replace(
            under_test,
            handler=self._handle,
            takes_call=True,
            requires_approval=True,
            terms=Terms(),
            budgets=(),
            preview=None,
            fingerprint=None,
            structuring=(),
            reconcile=None,
            # Deaths are what this is about: a tool that rests after five would hide the others.
            breaker=None,
            undo=self._handle_undo if under_test.undo else None,
        )
        return {killed.name: killed}

    async def _handle(self, params: BaseModel, call: Call) -> object:
        self._at("effect.before")
        value = await invoke(self._target.tool, params, call)
        EffectFile(self._job.effects).add({"key": call.key})
        self._at("effect.after")
        return value

    async def _handle_undo(self, params: BaseModel, call: Call) -> None:
        self._at("undoing.before")
        await self._run_undo(params, call)
        self._undone.add({"key": call.key})
        self._at("undoing.after")

    async def _run_undo(self, params: BaseModel, call: Call) -> None:
        if self._target.tool.undo is not None:
            await called(self._target.tool.name, self._target.tool.undo, params, call)

    @property
    def _undone(self) -> EffectFile:
        return EffectFile(f"{self._job.effects}.undone")

    async def _propose(self) -> None:
        name = self._target.tool.name
        proposal = ProposedCall("chaos", name, dict(self._target.arguments))
        asker = Principal("local", "user", "ada")
        work = self.gate.propose(
            proposal,
            run=RunId(self._job.run),
            agent="chaos",
            allowed=frozenset({name}),
            principal=asker,
        )
        await self._coded(work)

    async def shot(self) -> Shot:
        """Recover, and say what is known of the call afterwards."""
        report = await self.play()
        record = self._found()
        if record is None:
            return Shot(self._job.crash, 0, "denied", error=", ".join(report.errors))
        effects, said = await self._seen(record)
        if effects and self._target.tool.undo is not None:
            await self._clean(record)
        error = record.error or ", ".join(report.errors) or record.ruling.message
        return Shot("", effects, record.state.value, said, error)

    async def undo_shot(self) -> UndoShot:
        """Carry the call out, take it back twice, and say what is known of that afterwards."""
        report = await self.play()
        await self._undo()
        await self._undo()
        record, begun = self._found(), self._begun()
        if record is None:
            return UndoShot("", 0, "denied", ", ".join(report.errors))
        times, state = len(self._undone.all()), begun or record.state
        if not times:
            await self._clean(record)
        return UndoShot("", times, state.value, record.error or "")

    def _found(self) -> CallRecord | None:
        seen = self._record()
        return self._ledger.get(seen.call) if seen else None

    async def _clean(self, record: CallRecord) -> None:
        """Take back what a shot left, so that the next one meets the world as this one did."""
        params = self._target.tool.params.model_validate(dict(record.call.arguments))
        with suppress(Exception):  # one that cannot is not what this shot is about
            await self._run_undo(params, told(record.call, record.result))

    async def _seen(self, record: CallRecord) -> tuple[int, bool | None]:
        tool, call = self._target.tool, told(record.call)
        params = tool.params.model_validate(dict(record.call.arguments))
        counted = sum(e["key"] == call.key for e in EffectFile(self._job.effects).all())
        if self._target.count is not None:
            counted = int(str(await called(tool.name, self._target.count, params, call)))
        if tool.reconcile is None:
            return counted, None
        try:
            answer = await called(tool.name, tool.reconcile, params, call)
        except Exception:  # noqa: BLE001 - a probe that fails knows nothing
            return counted, None
        return counted, answer if isinstance(answer, bool) else None


def shoot(
    target: Target, url: str, trials: int, note: Callable[[int], None]
) -> tuple[Sequence[Shot], Sequence[UndoShot]]:
    """Kill a process at every point, `trials` times, on a scratch store beside the one at `url`."""
    undo = UNDO_SHOTS if target.tool.undo is not None else ()
    with tempfile.TemporaryDirectory() as folder, scratch(url, Path(folder)) as where:

        def each(points: Sequence[str], before: int) -> Iterator[Job]:
            for number, point in enumerate(points, before):
                run = f"run_chaos{number}"
                yield Job(where, str(Path(folder) / run), run, "live", point)
                note(number + 1)

        executed = each(SHOTS * trials, 0)
        taken_back = each(undo * trials, len(SHOTS) * trials)
        shots = [Shot(**_killed(job, target, _shot, {"effects": 0})) for job in executed]
        undone = [UndoShot(**_killed(job, target, _undo_shot, {"times": 0})) for job in taken_back]
    return shots, undone


def _killed(
    job: Job,
    target: Target,
    work: Callable[[Job, Target], Shot | UndoShot],
    nothing: dict[str, Any],
) -> dict[str, Any]:
    """Let a process die at the job's point and another recover; return what that one told."""
    found = _forked(partial(work, job, target))
    if job.crash:
        found = _forked(partial(work, replace(job, role="recover", crash="", hours=2), target))
    return {**nothing, "state": "", **found, "point": job.crash}


def _shot(job: Job, target: Target) -> Shot:
    return asyncio.run(_ToolLife(job, Store(job.url), target).shot())


def _undo_shot(job: Job, target: Target) -> UndoShot:
    return asyncio.run(_ToolLife(job, Store(job.url), target).undo_shot())


def _forked(work: Callable[[], Shot | UndoShot]) -> dict[str, Any]:
    """Do it in a process of its own; one that is killed saw nothing."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        os.dup2(2, 1)  # what a handler prints is not part of our answer
        try:
            told_back: dict[str, Any] = asdict(work())
        except BaseException as error:  # noqa: BLE001 - the parent has to hear of it
            told_back = {"state": "denied", "error": repr(error)[:500]}
        os.write(writing, json.dumps(told_back).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        written = file.read()
    os.waitpid(child, 0)
    return json.loads(written or "{}")


@contextmanager
def scratch(url: str, folder: Path) -> Generator[str]:
    """Give an empty store of the same engine: a file in `folder`, or a schema dropped afterwards.

    Nothing of the store at `url` is read or written.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        where = f"sqlite:///{folder}/staid.db"
        with _tables(where):
            yield where
        return
    schema = f"staid_chaos_{uuid4().hex[:12]}"
    beside = parsed.update_query_dict({"options": f"-csearch_path={schema},public"})
    owner = Store(url)
    try:
        with owner.write() as connection:
            connection.exec_driver_sql(f"CREATE SCHEMA {schema}")
        where = beside.render_as_string(hide_password=False)
        with _tables(where):
            yield where
    finally:
        with owner.write() as connection:
            connection.exec_driver_sql(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
        owner.close()


@contextmanager
def _tables(url: str) -> Generator[None]:
    store = Store(url)
    # Unchecked: tables of the same name further along the search path would do for the check.
    metadata.create_all(store.engine, checkfirst=False)
    store.close()
    yield
