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
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias
from uuid import uuid4

from pydantic import BaseModel
from sqlalchemy.engine import make_url

from staid.domain.call import CallRecord
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
from staid.testing.kill import POINTS, EffectFile, Job, settled_truthfully
from staid.testing.lives import Life

Count: TypeAlias = Callable[[BaseModel, Call], object]
"""Returns how often the call took effect in the outside world."""

SHOTS = ("", *POINTS)
"""The first one kills nobody: it says what the tool does when nothing goes wrong."""


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

    def _tool(self) -> Tool:
        # Rules and approvers are another matter: here the call is approved, and then processes die.
        return replace(
            self._target.tool,
            handler=self._handle,
            takes_call=True,
            requires_approval=True,
            terms=Terms(),
            budgets=(),
            preview=None,
            fingerprint=None,
            structuring=(),
            reconcile=None,
        )

    async def _handle(self, params: BaseModel, call: Call) -> object:
        self._at("effect.before")
        value = await invoke(self._target.tool, params, call)
        EffectFile(self._job.effects).add({"key": call.key})
        self._at("effect.after")
        return value

    async def _propose(self) -> None:
        name = self._target.tool.name
        proposal = ProposedCall("chaos", name, dict(self._target.arguments))
        asker = Principal("local", "user", "ada")
        work = self._gate.propose(
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
        record = self._record()
        if record is None:
            return Shot(self._job.crash, 0, "denied", error=", ".join(report.errors))
        effects, said = await self._seen(record)
        error = record.error or ", ".join(report.errors) or record.ruling.message
        return Shot("", effects, record.state.value, said, error)

    async def _seen(self, record: CallRecord) -> tuple[int, bool | None]:
        tool, call = self._target.tool, told(record.call)
        params = tool.params.model_validate(dict(record.call.arguments))
        counted = sum(e["key"] == call.key for e in EffectFile(self._job.effects).all())
        if self._target.count is not None:
            counted = int(str(await called(self._target.count, params, call)))
        if tool.reconcile is None:
            return counted, None
        try:
            answer = await called(tool.reconcile, params, call)
        except Exception:  # noqa: BLE001 - a probe that fails knows nothing
            return counted, None
        return counted, answer if isinstance(answer, bool) else None


def shoot(target: Target, url: str, trials: int, note: Callable[[int], None]) -> Sequence[Shot]:
    """Kill a process at every point, `trials` times, on a scratch store beside the one at `url`."""
    with tempfile.TemporaryDirectory() as folder, scratch(url, Path(folder)) as where:
        shots: list[Shot] = []
        for point in SHOTS * trials:
            run = f"run_chaos{len(shots)}"
            job = Job(where, str(Path(folder) / run), run, "live", point)
            if point:
                _forked(partial(_die, job, target))
                job = replace(job, role="recover", crash="", hours=2)
                shots.append(replace(_forked(partial(_recover, job, target)), point=point))
            else:
                shots.append(_forked(partial(_recover, job, target)))
            note(len(shots))
        return shots


def _die(job: Job, target: Target) -> Shot:
    return asyncio.run(_ToolLife(job, Store(job.url), target).shot())


def _recover(job: Job, target: Target) -> Shot:
    return asyncio.run(_ToolLife(job, Store(job.url), target).shot())


def _forked(work: Callable[[], Shot]) -> Shot:
    """Do it in a process of its own; one that is killed saw nothing."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        os.dup2(2, 1)  # what a handler prints is not part of our answer
        try:
            shot = work()
        except BaseException as error:  # noqa: BLE001 - the parent has to hear of it
            shot = Shot("", 0, "denied", error=repr(error)[:500])
        os.write(writing, json.dumps(asdict(shot)).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        written = file.read()
    os.waitpid(child, 0)
    found: dict[str, Any] = json.loads(written or "{}")
    return Shot(**found) if found else Shot("", 0, "")


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
