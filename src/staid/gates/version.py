"""Which version of a tool an approval is bound to, told from what would run."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import CodeType
from typing import cast

from pydantic import BaseModel

from staid.domain.canonical import Json, digest


@functools.lru_cache(maxsize=512)
def schema_version(model: type[BaseModel]) -> str:
    """Return a digest of the JSON Schema of a tool's parameters, as a model would be shown it."""
    return digest(model.model_json_schema())[:16]


def code_version(handler: Callable[..., object]) -> str:
    """Return a digest of a handler's compiled code, or its name where it has none.

    What the handler calls in turn is not looked at: a tool whose behaviour lives elsewhere is
    given its `version` in words.
    """
    code = _code(handler)
    if code is None:
        kind = type(handler)
        return f"{kind.__module__}.{kind.__qualname__}"
    return digest(_parts(code))[:16]


def _code(handler: object) -> CodeType | None:
    while isinstance(handler, functools.partial):
        handler = cast("functools.partial[object]", handler).func
    instance = getattr(type(handler), "__call__", None)  # noqa: B004 - its code is what is wanted
    for of in (handler, getattr(handler, "__func__", None), instance):
        code = getattr(of, "__code__", None)
        if isinstance(code, CodeType):
            return code
    return None


def _parts(code: CodeType) -> Json:
    """Return what the code does; where it stands in which file does not count."""
    return [code.co_code.hex(), [_constant(each) for each in code.co_consts], list(code.co_names)]


def _constant(value: object) -> Json:
    match value:
        case CodeType():
            return _parts(value)
        case tuple():
            return [_constant(each) for each in cast("tuple[object, ...]", value)]
        case frozenset():  # in an order that differs from process to process
            return sorted(repr(each) for each in cast("frozenset[object]", value))
        case _:
            return repr(value)
