"""What a compiled expression is made of: parts, and the slots their values stand in.

Every distinct value a policy asks for has one slot, read once for a call; the closures of all rules
of a tool share the slots.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from staid.gates.expression.scope import Facts, Load
from staid.gates.expression.types import Type
from staid.gates.expression.values import Undecided, Value

Env: TypeAlias = list[Value]
"""The slots of one call; the first two are the steps left and the origins."""

Run: TypeAlias = Callable[[Env], Value]

STEPS = 10_000
"""Items that the quantifiers of one rule may look at; beyond, it cannot be decided."""
LEFT, ORIGINS, FIRST = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Part:
    """A compiled node: its type, what gives its value, and what is known beside that."""

    type: Type
    run: Run
    slot: int | None = None
    """Where the value stands, when it needs no reckoning."""
    constant: bool = False
    value: Value = None
    """Of a constant."""
    root: tuple[str, ...] | None = None
    """Where it is read from: `("args", "to")`, `("record", "order", "status")`."""
    place: Callable[[Env], str] | None = None
    """The dotted path of the argument it stands in."""
    pairs: Callable[[Env], list[tuple[Value, str]]] | None = None
    """Of a list out of the arguments: every item with its path."""
    equals: tuple[int, str] | None = None
    """Of yes or no: it is no wherever this slot holds another text."""


@dataclass(slots=True)
class Slots:
    """Where each value of a call stands; filled while rules are compiled."""

    loads: list[Load] = field(default_factory=list[Load])
    known: dict[tuple[str, ...], int] = field(default_factory=dict[tuple[str, ...], int])
    spare: int = 0
    """Slots for the variables of quantifiers."""

    def of(self, key: tuple[str, ...], load: Load) -> int:
        """Return the slot of a value, a new one where it has none yet."""
        if key not in self.known:
            self.known[key] = self.take(load)
        return self.known[key]

    def take(self, load: Load) -> int:
        """Return a new slot."""
        self.loads.append(load)
        return FIRST + len(self.loads) - 1

    def fill(self, facts: Facts) -> Env:
        """Return the values of one call; what cannot be read is kept as the reason why."""
        env: Env = [STEPS, facts.origins]
        for load in self.loads:
            try:
                env.append(load(facts))
            except Undecided as doubt:
                env.append(doubt)
        return env


def no_value(_: Facts) -> Value:
    """Load nothing: the slot is a variable's."""
    return None


def slotted(slot: int) -> Run:
    """Return what reads a slot."""

    def run(env: Env) -> Value:
        value = env[slot]
        if isinstance(value, Undecided):
            raise value
        return value

    return run


def constant(value: Value, kind: Type) -> Part:
    """Return a part whose value is written down."""
    return Part(kind, lambda _: value, constant=True, value=value)
