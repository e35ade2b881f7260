"""Which version an approval is bound to: another code is another version, another place is not."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel, Field

from staid.gates.version import code_version, schema_version


def made(text: str, name: str = "f", before: str = "") -> Callable[..., Any]:
    """Return a function from its source."""
    known: dict[str, Any] = {}
    exec(compile(before + text, "somewhere.py", "exec"), known)
    return known[name]


PLAIN = "def f(p):\n    return p.amount + 1\n"


@pytest.mark.parametrize(
    "other",
    [
        "def f(p):\n    return p.amount + 2\n",
        "def f(p):\n    return p.amount - 1\n",
        "def f(p):\n    return p.total + 1\n",
        "def f(p):\n    return (lambda: p.amount + 1)()\n",
    ],
)
def test_other_code_is_another_version(other: str) -> None:
    """A constant, an operation, a name or a nested function that differs makes a difference."""
    assert code_version(made(PLAIN)) != code_version(made(other))


def test_what_is_nested_counts() -> None:
    """A function inside a function is part of what runs."""
    text = "def f(p):\n    def g():\n        return {n}\n    return g()\n"
    one, two = (made(text.replace("{n}", n)) for n in ("1", "2"))
    assert code_version(one) != code_version(two)


def test_where_it_stands_does_not_count() -> None:
    """Lines and comments before it, and what it is called, leave the version as it is."""
    moved = made(PLAIN.replace("def f", "def g"), "g", "# a comment\n\n\n")
    assert code_version(made(PLAIN)) == code_version(moved)


def test_around_the_code() -> None:
    """A partial, a method and a callable object are as their code; others as their type."""

    class Handler:
        def __call__(self, p: int) -> int:
            return p + 1

        def handle(self, p: int) -> int:
            return p + 1

    function = made(PLAIN)
    assert code_version(functools.partial(functools.partial(function))) == code_version(function)
    assert code_version(Handler().handle) == code_version(Handler.handle)
    assert code_version(Handler()) == code_version(Handler.__call__)
    assert code_version(print) == "builtins.builtin_function_or_method"


def test_the_same_in_every_process() -> None:
    """A set of constants has another order in every process, and the same version."""
    text = "def f(p):\n    return p in {'a', 'b', 'c', 'd', 'e'}\n"
    program = (
        "import json, sys; from staid.gates.version import code_version; known = {};"
        f"exec(compile({text!r}, 'x', 'exec'), known);"
        "print(json.dumps(code_version(known['f'])))"
    )
    found = {
        json.loads(
            subprocess.run(
                [sys.executable, "-c", program],
                env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
                check=True,
                capture_output=True,
            ).stdout
        )
        for seed in ("1", "2")
    }
    assert found == {code_version(made(text))}


def test_the_schema_is_what_a_model_is_shown() -> None:
    """A bound is part of the version; two models of one shape and name have the same."""

    def model(most: int) -> type[BaseModel]:
        class Refund(BaseModel):
            amount: int = Field(le=most)

        return Refund

    assert schema_version(model(5)) == schema_version(model(5))
    assert schema_version(model(5)) != schema_version(model(6))
    assert len(schema_version(model(5))) == 16
