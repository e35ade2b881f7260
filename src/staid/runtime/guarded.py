"""A function that somebody else calls, as a tool: its parameters, and what one call gave back.

What a function returns or raises is kept for its caller as it was, before it is made recordable.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeAlias, cast, get_type_hints

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, create_model
from pydantic.errors import PydanticUserError

from staid.domain.canonical import Json
from staid.domain.errors import NotDone, ToolInvalid
from staid.gates.params import dump

Inner: TypeAlias = Callable[[Mapping[str, Json]], Awaitable[object]]
"""Carries out one call in the agent's own framework, with the arguments as they were ruled on."""


@dataclass(slots=True)
class Returned:
    """What the function itself returned or raised; as a context it keeps what is raised inside."""

    value: object = None
    ended: bool = False
    error: BaseException | None = None

    def __enter__(self) -> Self:
        """Begin the call."""
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """Note how the call ended, and let what was raised go on."""
        self.error, self.ended = error, error is None


_inner: ContextVar[Inner | None] = ContextVar("staid_inner", default=None)
_returned: ContextVar[Returned | None] = ContextVar("staid_returned", default=None)


@contextmanager
def returning(inner: Inner | None = None) -> Generator[Returned]:
    """Give what a call inside this context will have returned, carried out through `inner`."""
    returned = Returned()
    tokens = _returned.set(returned), _inner.set(inner or _inner.get())
    try:
        yield returned
    finally:
        _returned.reset(tokens[0])
        _inner.reset(tokens[1])


def inside() -> bool:
    """Whether a call is being carried out here."""
    return _returned.get() is not None


def _kept() -> Returned:
    return _returned.get() or Returned()


def described(function: Callable[..., object]) -> dict[str, str]:
    """Return the description that its docstring gives a tool, where it has one."""
    text = inspect.getdoc(function)
    return {"description": text} if text else {}


def params_of(name: str, function: Callable[..., object]) -> type[BaseModel]:
    """Return the params model of a signature; raise `ToolInvalid` for what cannot be gated."""
    try:
        hints = get_type_hints(function, include_extras=True)
        parameters = inspect.signature(function).parameters.values()
    except (NameError, TypeError, ValueError) as error:
        raise ToolInvalid(tool=name, detail=f"its signature cannot be read: {error}") from error
    fields: dict[str, Any] = {}
    for parameter in parameters:
        if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}:
            raise ToolInvalid(
                tool=name, detail=f"*{parameter.name} has no bounds; name its arguments"
            )
        if parameter.name not in hints:
            detail = (
                f"its parameter {parameter.name!r} is not annotated; methods are guarded inside"
            )
            raise ToolInvalid(tool=name, detail=detail)
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[parameter.name] = (hints[parameter.name], default)
    title = "".join(part.capitalize() for part in name.replace("_", ".").split("."))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a parameter may be called `json` or `model_name`
            return create_model(title, __config__=ConfigDict(protected_namespaces=()), **fields)
    except (PydanticUserError, NameError, TypeError) as error:
        detail = f"its parameters cannot be validated: {str(error).splitlines()[0]}"
        raise ToolInvalid(tool=name, detail=detail) from error


def handler_of(function: Callable[..., object]) -> Callable[..., object]:
    """Return what calls the function with the fields of its params and keeps what it returned."""
    parameters = inspect.signature(function).parameters.values()
    positional = [p.name for p in parameters if p.kind is p.POSITIONAL_ONLY]
    keywords = [p.name for p in parameters if p.kind is not p.POSITIONAL_ONLY]

    def call(params: BaseModel) -> object:
        before = [getattr(params, name) for name in positional]
        return function(*before, **{name: getattr(params, name) for name in keywords})

    def sync(params: BaseModel) -> object:
        with _kept() as returned:
            returned.value = call(params)
        return returned.value

    async def asynchronous(params: BaseModel) -> object:
        with _kept() as returned:
            returned.value = await cast("Coroutine[Any, Any, object]", call(params))
        return returned.value

    return asynchronous if inspect.iscoroutinefunction(function) else sync


async def carry_out(params: BaseModel) -> object:
    """Hand a call that may run to the framework it came from, and keep what it gave back."""
    inner = _inner.get()
    if inner is None:
        message = "the call has to be carried out by the agent that proposed it"
        raise NotDone(message)
    with _kept() as returned:
        returned.value = await inner(dump(params))
    return returned.value


def restorer(function: Callable[..., object]) -> Callable[[Json], object]:
    """Return how a recorded result becomes again what the function is annotated to return."""
    annotation = get_type_hints(function, include_extras=True).get("return")

    def restore(result: Json) -> object:
        if annotation is None:
            return result
        try:
            return TypeAdapter[object](annotation).validate_python(result)
        except (ValidationError, PydanticUserError):
            return result

    return restore
