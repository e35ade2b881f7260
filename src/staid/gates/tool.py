"""What a tool is: its effect, its bounds, who may approve it, and how its result is told."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import timedelta
from decimal import Decimal
from math import isfinite
from string import Formatter
from typing import Any, TypeAlias, cast, get_type_hints

from pydantic import BaseModel
from pydantic.errors import PydanticUserError
from pydantic_core import to_jsonable_python

from staid.domain.call import Effect
from staid.domain.canonical import Json, decimal_text
from staid.domain.demand import WEEK, Demand, Terms
from staid.domain.errors import ToolInvalid
from staid.domain.ids import CallId, RunId
from staid.domain.message import ToolSpec
from staid.gates.breaker import Breaker
from staid.gates.budget import Budget, duration
from staid.gates.structuring import Structuring, Threshold, derived
from staid.gates.terms import Asked, amount_of, terms_of
from staid.gates.version import code_version, schema_version

Predicate: TypeAlias = Callable[[Any], bool]
"""Over the params model; anything but a plain True or False, an exception included, is `deny`."""

_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9_]*(\.[a-zA-Z][a-zA-Z0-9_]*)*")


@dataclass(frozen=True, slots=True)
class Call:
    """What a handler learns about the call it carries out."""

    id: CallId
    key: str
    """Stable over every retry: give it to the system behind as idempotency key."""
    run: RunId
    principal: str
    """Token of the principal the run acts for, such as `user:ada`."""
    agent: str
    result: Json = None
    """What its handler returned, as recorded: what `undo` may need."""


@dataclass(frozen=True, slots=True)
class Constraint:
    """A named hard bound on the arguments, which nobody can approve past."""

    name: str
    holds: Predicate
    message: str = ""


@dataclass(frozen=True, slots=True)
class Tool:
    """A capability with its bounds. Build it with `define`, which refuses what cannot work."""

    name: str
    effect: Effect
    params: type[BaseModel]
    handler: Callable[..., object]
    """Sync or async; takes the params model and, where `takes_call`, a `Call`."""
    takes_call: bool
    description: str
    result: str | None
    requires_approval: bool | Predicate
    budgets: tuple[Budget, ...]
    constraints: tuple[Constraint, ...]
    terms: Terms
    """Who approves, how many of them, up to which amount and until when."""
    amount: str | None
    """The argument that is at stake, for the ceilings."""
    timeout: timedelta
    evidence: bool
    """Whether results count as evidence an answer may rest on."""
    preview: Callable[..., object] | None
    """Takes the params; returns the text an approver sees. Sync or async, without effect."""
    reconcile: Callable[..., object] | None
    """Takes params and `Call`; returns True (it happened), False (it did not) or None (unknown)."""
    version: str = ""
    """Version of the handler; an approval is bound to it."""
    structuring: tuple[Structuring, ...] = ()
    """Sums of calls that are each below a threshold, beyond which a human is asked."""
    fingerprint: Callable[..., object] | None = None
    """Takes the params; returns the state of the world that an approval rests on; no effect."""
    trusted: bool | frozenset[str] = False
    """Whether results are records: all of them, or these fields. All else others may have written.
    """
    lookups: Mapping[str, Callable[..., object]] = field(
        default_factory=dict[str, Callable[..., object]]
    )
    """Name of a record -> what reads it: takes the params, sync or async, without effect."""
    undo: Callable[..., object] | None = None
    """Takes params and `Call`; takes back what the call did. Raise `NotDone` where it did not."""
    breaker: Breaker | None = None
    """When it rests after failures in a row; None: it never does."""
    in_agent: bool = False
    """Whether only the process of the agent that proposed a call can carry it out."""

    @property
    def approvers(self) -> frozenset[str]:
        """An approver holds one of these tokens; empty: any user who is not upstream."""
        return self.terms.approvers

    @property
    def expires_after(self) -> timedelta:
        """How long a request waits before it is a no."""
        return self.terms.expires_after or WEEK

    @property
    def schema(self) -> str:
        """Digest of the JSON Schema of the parameters; an approval is bound to it."""
        return schema_version(self.params)

    def demand(self, arguments: Mapping[str, Json], approvers: frozenset[str]) -> Demand:
        """Return what a call asks of those who decide; `approvers` where the tool names none."""
        terms = self.terms
        return Demand(
            terms.approvers or approvers,
            terms.quorum,
            amount_of(arguments, self.amount),
            terms.ceilings,
            self.expires_after,
            terms.escalate_after,
            terms.escalate_to,
        )

    @property
    def spec(self) -> ToolSpec:
        """The tool as a model sees it."""
        return ToolSpec(self.name, self.description, self.params.model_json_schema())

    def invoke(self, params: BaseModel, call: Call) -> object:
        """Start the handler: its value, or its awaitable."""
        return self.handler(params, call) if self.takes_call else self.handler(params)

    def tell(self, arguments: Mapping[str, Json], result: Json) -> str | None:
        """Return the completed action in words, from arguments and result; None without a template.

        Arguments win over fields of the result: they are what was approved.
        """
        if self.result is None:
            return None
        known = {**result, **arguments} if isinstance(result, dict) else dict(arguments)
        try:
            return self.result.format_map(known)
        except (KeyError, ValueError, TypeError):
            # The effect took place; a missing field must not hide that.
            return f"{self.name} was carried out."


def define(  # noqa: PLR0913 - one keyword per property of a tool is the interface
    handler: Callable[..., object],
    name: str,
    *,
    effect: Effect | str = Effect.WRITE,
    params: type[BaseModel] | None = None,
    description: str | None = None,
    result: str | None = None,
    requires_approval: bool | Predicate | None = None,
    budget: Budget | Sequence[Budget] = (),
    structuring: Structuring | Sequence[Structuring] | bool = True,
    constraints: Mapping[str, Predicate] | Sequence[Constraint] = (),
    approvers: str | Sequence[str] = (),
    timeout: str | timedelta = "30s",
    expires_after: str | timedelta = "7d",
    evidence: bool | None = None,
    preview: Callable[..., object] | None = None,
    reconcile: Callable[..., object] | None = None,
    trusted: bool | Iterable[str] = False,
    lookups: Mapping[str, Callable[..., object]] | None = None,
    version: str | None = None,
    fingerprint: Callable[..., object] | None = None,
    quorum: int = 1,
    amount: str | None = None,
    ceilings: Mapping[str, Decimal | int | str] | None = None,
    escalate_after: str | timedelta | None = None,
    escalate_to: str | Sequence[str] = (),
    undo: Callable[..., object] | None = None,
    breaker: Breaker | None = None,
    in_agent: bool = False,
) -> Tool:
    """Return a tool that can work, or raise `ToolInvalid` saying what is wrong.

    `requires_approval` unset means: only for irreversible effects. `evidence` unset means: only for
    reads. `trusted`: results are records that no outsider writes, whole or by these fields.
    `lookups` are the records that rules of the policy may look into. `version` unset means: a
    digest of the handler's code. `structuring` unset means: as `requires_approval` implies it where
    that is a `Threshold`, per asker and day. The params model is the annotation of the handler's
    first parameter unless given.
    """
    kind = _effect(name, effect)
    model, takes_call = _shape(name, handler, params)
    asked = Asked(approvers, quorum, ceilings or {}, expires_after, escalate_after, escalate_to)
    return Tool(
        name=name,
        effect=kind,
        params=model,
        handler=handler,
        takes_call=takes_call,
        description=description or inspect.getdoc(handler) or name,
        result=_template(name, result),
        requires_approval=_approval(name, kind, requires_approval),
        budgets=_budgets(name, budget, model),
        structuring=_structuring(name, structuring, requires_approval, model),
        constraints=_constraints(name, constraints),
        terms=terms_of(name, model, amount, asked),
        amount=amount,
        timeout=_duration(name, timeout),
        evidence=kind is Effect.READ if evidence is None else evidence,
        preview=preview,
        reconcile=reconcile,
        trusted=_trusted(name, trusted),
        lookups=dict(lookups or {}),
        version=code_version(handler) if version is None else version,
        fingerprint=fingerprint,
        undo=_undo(name, kind, undo),
        breaker=_breaker(name, breaker),
        in_agent=in_agent,
    )


def recorded(value: object) -> Json:
    """Return what is kept of a handler's result; never raises, since the effect took place."""
    try:
        return cast("Json", to_jsonable_python(_decimals(value), fallback=repr))
    except Exception:  # noqa: BLE001 - a result that cannot be kept must not undo that it happened
        return repr(type(value))


def _decimals(value: object) -> object:
    if isinstance(value, BaseModel):
        value = value.model_dump()
    elif is_dataclass(value) and not isinstance(value, type):
        value = {f.name: getattr(value, f.name) for f in fields(value)}
    match value:
        case Decimal() if value.is_finite():
            return decimal_text(value)
        case float() if not isfinite(value):
            return str(value)
        case Mapping():
            items = cast("Mapping[object, object]", value).items()
            return {str(key): _decimals(item) for key, item in items}
        case list() | tuple():
            return [_decimals(item) for item in cast("Sequence[object]", value)]
        case _:
            return value


def _undo(
    tool: str, effect: Effect, undo: Callable[..., object] | None
) -> Callable[..., object] | None:
    if undo is not None and effect is Effect.READ:
        raise ToolInvalid(tool=tool, detail="it only looks, so there is nothing to undo")
    return undo


def _breaker(tool: str, breaker: Breaker | None) -> Breaker | None:
    if breaker is not None:
        breaker.check(tool)
    return breaker


def _effect(tool: str, effect: Effect | str) -> Effect:
    if not _NAME.fullmatch(tool):
        raise ToolInvalid(tool=tool, detail="a name looks like refund.issue")
    try:
        return Effect(effect)
    except ValueError as error:
        raise ToolInvalid(tool=tool, detail="its effect is read, write or irreversible") from error


def _duration(tool: str, value: str | timedelta) -> timedelta:
    try:
        return duration(value)
    except ValueError as error:
        raise ToolInvalid(tool=tool, detail=str(error)) from error


def _approval(tool: str, effect: Effect, value: object) -> bool | Predicate:
    if value is None:
        return effect is Effect.IRREVERSIBLE
    if not isinstance(value, bool) and not callable(value):
        raise ToolInvalid(tool=tool, detail="requires_approval is True, False or a predicate")
    return cast("bool | Predicate", value)


def _shape(
    tool: str, handler: Callable[..., object], params: type[BaseModel] | None
) -> tuple[type[BaseModel], bool]:
    try:
        parameters = list(inspect.signature(handler).parameters.values())
        needed = params is None and inspect.isroutine(handler)
        hints = get_type_hints(handler) if needed else {}
    except (NameError, TypeError, ValueError) as error:
        raise ToolInvalid(tool=tool, detail=f"its handler cannot be read: {error}") from error
    if not 1 <= len(parameters) <= 2:
        raise ToolInvalid(tool=tool, detail="its handler takes the params and, if it wants, a Call")
    model = params or hints.get(parameters[0].name)
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        raise ToolInvalid(
            tool=tool, detail="its first parameter is annotated with no pydantic model"
        )
    try:
        model.model_json_schema()
    except PydanticUserError as error:
        raise ToolInvalid(tool=tool, detail=f"its params have no JSON Schema: {error}") from error
    return model, len(parameters) == 2


def _template(tool: str, text: str | None) -> str | None:
    if text is None:
        return None
    try:
        names = [name for _, name, _, _ in Formatter().parse(text) if name is not None]
    except ValueError as error:
        raise ToolInvalid(tool=tool, detail=f"its result template is broken: {error}") from error
    wrong = [name for name in names if not name.isidentifier()]
    if wrong:
        raise ToolInvalid(
            tool=tool, detail=f"its result template may name fields only, not {wrong[0]!r}"
        )
    return text


def _budgets(
    tool: str, budget: Budget | Sequence[Budget], model: type[BaseModel]
) -> tuple[Budget, ...]:
    budgets = (budget,) if isinstance(budget, Budget) else tuple(budget)
    for one in budgets:
        one.check(tool, frozenset(model.model_fields))
    totals = [(b.name, b.sum_of, b.per, duration(b.window)) for b in budgets]
    if len(set(totals)) != len(totals):
        raise ToolInvalid(tool=tool, detail="two of its budgets count the same total")
    return budgets


def _structuring(
    tool: str,
    given: Structuring | Sequence[Structuring] | bool,  # noqa: FBT001 - the tool's own property
    requires: object,
    model: type[BaseModel],
) -> tuple[Structuring, ...]:
    if isinstance(given, bool):
        found = (derived(requires),) if given and isinstance(requires, Threshold) else ()
    else:
        found = (given,) if isinstance(given, Structuring) else tuple(given)
    for one in found:
        one.check(tool, frozenset(model.model_fields))
    if len({(s.name, s.sum_of, s.per, duration(s.window)) for s in found}) != len(found):
        raise ToolInvalid(tool=tool, detail="two of its structuring thresholds count the same sum")
    return found


def _constraints(
    tool: str, constraints: Mapping[str, Predicate] | Sequence[Constraint]
) -> tuple[Constraint, ...]:
    found = (
        tuple(Constraint(name, holds) for name, holds in constraints.items())
        if isinstance(constraints, Mapping)
        else tuple(constraints)
    )
    if len({c.name for c in found}) != len(found):
        raise ToolInvalid(tool=tool, detail="two of its constraints have the same name")
    return found


def _trusted(tool: str, trusted: bool | Iterable[str]) -> bool | frozenset[str]:  # noqa: FBT001 - the tool's own property
    if isinstance(trusted, bool):
        return trusted
    fields = frozenset([trusted] if isinstance(trusted, str) else trusted)
    if not all(fields):
        raise ToolInvalid(tool=tool, detail="`trusted` names fields of the result, none of them ''")
    return fields
