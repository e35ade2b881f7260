"""The gate as a plain decorator: bounds, approval and at most one effect for existing functions.

For agents that run on another framework, or none. A guarded function keeps its name and signature
and does nothing unless somebody acts:

    guard = Guard(project.add_tool, lambda: gate, begin_run, end_run)

    @guard("refund.issue", effect="write", requires_approval=lambda p: p.amount > 100)
    def refund(order_id: str, amount: Decimal) -> dict: ...

    with guard.acting(ada, agent="crew", key="ticket-4711"):
        refund("1001", Decimal(50))

The same call with the same arguments inside one `acting` context is one call: repeated, it returns
the result of its one execution. `key` makes that hold across processes and restarts.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

from pydantic_core import PydanticSerializationError, to_jsonable_python

from staid.domain.call import CallRecord, CallState, Effect, call_digest
from staid.domain.canonical import Json, digest
from staid.domain.errors import (
    ApprovalExpired,
    CallDenied,
    CallInDoubt,
    CallMoved,
    CallPending,
    NotDone,
)
from staid.domain.ids import RunId
from staid.domain.message import ProposedCall
from staid.domain.principal import Principal
from staid.gates.params import Invalid, canonical_arguments
from staid.gates.policy import outdated
from staid.gates.sources import Texts
from staid.gates.tool import Tool, define
from staid.gates.version import code_version
from staid.runtime.blocking import blocking
from staid.runtime.gate import Gate, Proposer
from staid.runtime.guarded import (
    Inner,
    carry_out,
    described,
    handler_of,
    inside,
    params_of,
    restorer,
    returning,
)
from staid.runtime.seen import Results

P = ParamSpec("P")
R = TypeVar("R")

_OVER = frozenset({CallState.FAILED, CallState.EXPIRED, CallState.REVOKED})
"""Ended without an effect: the same call may be proposed again."""


@dataclass(frozen=True, slots=True)
class _Acting:
    proposer: Proposer
    key: str
    everything: bool
    """Whether every function guarded by now is allowed, one registered later too."""
    results: Results = field(default_factory=Results)


@dataclass(frozen=True, slots=True)
class Passed:
    """What became of one call of a framework's tool."""

    record: CallRecord
    value: object = None
    """What the tool itself returned, where this call carried it out; else the recorded result."""
    error: BaseException | None = None
    """What the tool raised, where this call carried it out."""


_acting: ContextVar[_Acting | None] = ContextVar("staid_acting", default=None)


class Guard:
    """Puts the gate before functions that somebody else calls."""

    def __init__(
        self,
        register: Callable[[Tool], None],
        gate: Callable[[], Gate],
        begin_run: Callable[[Principal, str], RunId],
        end_run: Callable[[RunId], None] | None = None,
    ) -> None:
        """Register tools with `register`, so that an approval elsewhere can execute them.

        `gate` is opened on the first call. `begin_run` records a run for a principal and an agent;
        `end_run` closes it when the `acting` context ends.
        """
        self._register = register
        self._gate = gate
        self._begin_run = begin_run
        self._end_run = end_run
        self._guarded: dict[str, Tool] = {}

    def __call__(self, name: str, **options: Any) -> Callable[[Callable[P, R]], Callable[P, R]]:  # noqa: ANN401 - those of gates.tool.define
        """Guard a function, sync or async; options are those of `staid.gates.tool.define`."""

        def guard(function: Callable[P, R]) -> Callable[P, R]:
            model = params_of(name, function)
            known: dict[str, Any] = {"params": model, "version": code_version(function)}
            known |= {**described(function), **options}
            tool = define(handler_of(function), name, **known)
            self._register(tool)
            self._guarded[name] = tool
            return self._wrap(tool, function)

        return guard

    @contextmanager
    def acting(
        self,
        principal: Principal,
        agent: str,
        *,
        key: str | None = None,
        allowed: frozenset[str] | None = None,
        upstream: frozenset[str] = frozenset(),
    ) -> Generator[RunId]:
        """Let guarded functions act for a principal, as an agent, inside this context.

        `allowed` is the agent's allowlist; None allows every function guarded here.
        """
        run = self._begin_run(principal, agent)
        proposer = Proposer(run, agent, allowed or frozenset(), principal, upstream)
        token = _acting.set(_Acting(proposer, key or run, everything=allowed is None))
        try:
            yield run
        finally:
            _acting.reset(token)
            if self._end_run is not None:
                self._end_run(run)

    def register(self, name: str, **options: Any) -> Tool:  # noqa: ANN401 - those of gates.tool.define
        """Register a tool that a framework carries out; `params` is among the options.

        Its calls go through `carry`, and only the agent's own process can execute them.
        """
        tool = define(carry_out, name, in_agent=True, **options)
        self._register(tool)
        self._guarded[name] = tool
        return tool

    def trusts(self, name: str) -> bool | frozenset[str]:
        """Return whether the results of a guarded tool are records, or which of their fields."""
        known = self._guarded.get(name)
        return known.trusted if known is not None else False

    async def carry(
        self,
        tool: Tool,
        arguments: Mapping[str, Json],
        inner: Inner,
        seen: Texts | None = None,
    ) -> Passed:
        """Rule on one call and, where it may run, carry it out through `inner`, at most once.

        Inside `acting`, as for a guarded function: the same call under the same key is carried out
        once, and a call that waits is found again. Raises `CallDenied` where nobody acts. `seen` is
        what the model has seen, beside the results of calls in this context.
        """
        acting = self._acts(tool)
        seen = _seen(acting, seen)
        with returning(inner) as returned:
            record = await self._record(tool, dict(arguments), acting, seen)
        return Passed(record, returned.value if returned.ended else record.result, returned.error)

    def _acts(self, tool: Tool) -> _Acting:
        acting = _acting.get()
        if acting is None:
            detail = "nobody acts here; call it inside `with project.acting(as_=…, agent=…)`"
            raise CallDenied(tool=tool.name, rule="acting", detail=detail)
        if not acting.everything:
            return acting
        names = frozenset(self._guarded)
        return replace(acting, proposer=replace(acting.proposer, allowed=names))

    def _wrap(self, tool: Tool, function: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(function)
        restore = restorer(function)

        async def perform(*args: P.args, **kwargs: P.kwargs) -> object:
            bound = signature.bind(*args, **kwargs)
            return await self._perform(tool, bound.arguments, restore)

        if inspect.iscoroutinefunction(function):
            return wraps(function)(cast("Callable[P, R]", perform))

        @wraps(function)
        def waiting(*args: P.args, **kwargs: P.kwargs) -> R:
            return cast("R", blocking(lambda: perform(*args, **kwargs)))

        return waiting

    async def _perform(
        self, tool: Tool, bound: Mapping[str, object], restore: Callable[[Json], object]
    ) -> object:
        acting = self._acts(tool)
        arguments = _arguments(tool, bound)
        seen = _seen(acting)
        with returning() as returned:
            record = await self._record(tool, arguments, acting, seen)
        if record.state is CallState.DONE:
            return returned.value if returned.ended else restore(record.result)
        _refuse(record, returned.error)
        return None

    async def _record(
        self, tool: Tool, arguments: dict[str, Json], acting: _Acting, seen: Texts
    ) -> CallRecord:
        """Find the call this one repeats, or propose it; execute it where it may run."""
        record = await self._passed(tool, arguments, acting, seen)
        acting.results.note(record, tool.trusted)
        return record

    async def _passed(
        self, tool: Tool, arguments: dict[str, Json], acting: _Acting, seen: Texts
    ) -> CallRecord:
        gate, proposer = self._gate(), replace(acting.proposer, seen=seen)
        subject, agent = proposer.principal.token, proposer.agent
        proposal = ProposedCall("", tool.name, arguments)
        try:
            _, canonical = canonical_arguments(tool.params, arguments)
        except Invalid:
            return await gate.act(proposal, proposer)  # recorded as denied
        asked = call_digest(tool.name, canonical)
        base = digest([acting.key, subject, agent, asked])
        key, known = await asyncio.to_thread(_attempt, gate, base)
        if known is None and tool.effect is not Effect.READ:
            known = await asyncio.to_thread(gate.open_like, subject, agent, asked)
        if known is None:
            return await gate.act(proposal, proposer, key=key)
        record = await gate.execute(known.call.id)
        if outdated(record):
            key, _ = await asyncio.to_thread(_attempt, gate, base)
            return await gate.act(proposal, proposer, key=key)
        return record


def _seen(acting: _Acting, told: Texts | None = None) -> Texts:
    """Return what is known of what a model has seen: what it was told, and what came back here.

    Inside a call that is being carried out the task was written by whoever made that call.
    """
    if told is None:
        return acting.results.texts
    if inside():
        told = told.second_hand()
    return told if told.whole else acting.results.texts.plus(told)


def _attempt(gate: Gate, base: str) -> tuple[str, CallRecord | None]:
    """Return the key of this attempt, with the call that was recorded under it.

    A call that ended without an effect makes way for another attempt; a human's deny does not.
    """
    number = 1
    while True:
        key = f"grd_{base}_{number}"
        known = gate.find(key)
        if known is None:
            return key, None
        by_rule = known.state is CallState.DENIED and known.approval is None
        if known.state not in _OVER and not by_rule:
            return key, known
        number += 1


def _refuse(record: CallRecord, error: BaseException | None) -> None:
    """Raise what the caller of a guarded function has to know about a call that is not done."""
    name, call = record.call.tool, record.call.id
    match record.state:
        case CallState.PENDING:
            raise CallPending(tool=name, approval=record.request)
        case CallState.IN_DOUBT:
            raise CallInDoubt(call=call, tool=name) from error
        case CallState.FAILED:
            raise error or NotDone(record.error or "the call failed")
        case CallState.EXPIRED:
            raise ApprovalExpired(approval=record.approval, at="the end of its time")
        case CallState.DENIED | CallState.REVOKED:
            detail = record.error or record.ruling.message
            if record.approval is not None and record.state is CallState.DENIED:
                detail = "a human said no"
            raise CallDenied(tool=name, rule=record.ruling.rule, detail=detail)
        case _:
            raise CallMoved(call=call, found=record.state.value, expected="done")


def _arguments(tool: Tool, bound: Mapping[str, object]) -> dict[str, Json]:
    try:
        return cast("dict[str, Json]", to_jsonable_python(dict(bound)))
    except (PydanticSerializationError, ValueError) as error:
        detail = f"the arguments cannot be written down: {error}"
        raise CallDenied(tool=tool.name, rule="schema", detail=detail) from error
