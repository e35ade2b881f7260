"""What a compiled expression is made of: parts, and the slots their values stand in.

Every distinct value a policy asks for has one slot, read at most once for a call, when a rule first
looks at it; the closures of all rules of a tool share the slots.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias, cast

from staid.gates.expression.scope import Facts, Load
from staid.gates.expression.types import Type
from staid.gates.expression.values import Undecided, Value

STEPS = 10_000
"""Items that the quantifiers of one rule may look at; beyond, it cannot be decided."""
ITEMS, CHARACTERS = 100, 10_000
"""Of a list or a text that is looked through anew for every item of a quantifier: one step more."""
LEFT, ORIGINS, FIRST = 0, 1, 2


class Env(dict[int, Value]):
    """The slots of one call; the first two are the steps left and the origins.

    A slot that was not looked at yet is read from the facts; what cannot be read stands there as
    the `Undecided` that says why.
    """

    __slots__ = ("_reads", "facts")

    def __init__(self, facts: Facts, reads: Sequence[Read]) -> None:
        """Read nothing yet."""
        super().__init__({LEFT: STEPS, ORIGINS: facts.origins})
        self.facts = facts
        self._reads = reads

    def __missing__(self, slot: int) -> Value:
        """Return the value of a slot that is looked at for the first time; keep it."""
        try:
            value = self._reads[slot - FIRST](self)
        except Undecided as doubt:
            value = doubt
        self[slot] = value
        return value


Run: TypeAlias = Callable[[Env], Value]
"""Gives a value from the slots of a call; raises `Undecided`, nothing else."""
Read: TypeAlias = Run
"""Gives the value that is to stand in a slot."""
Holds: TypeAlias = Callable[[str], bool]
"""Says yes or no of any text that is not too long to be matched."""


@dataclass(frozen=True, slots=True)
class Part:
    """A compiled node: its type, what gives its value, and what is known beside that."""

    type: Type
    run: Run
    slot: int | None = None
    """Where the value stands, when it needs no reckoning, or none again."""
    varies: bool = False
    """Whether another value stands there for every item of a quantifier."""
    shared: bool = False
    """Whether it stands there because several rules reckon the same."""
    constant: bool = False
    value: Value = None
    """Of a constant."""
    root: tuple[str, ...] | None = None
    """Where it is read from: `("args", "to")`, `("record", "order", "status")`."""
    place: Callable[[Env], str] | None = None
    """The dotted path of the argument it stands in."""
    pairs: Run | None = None
    """Of a list out of the arguments: every item with its path."""
    needs: Needs | None = None
    """Of yes or no: it is no wherever no text is as this needs it."""
    lowers: int | None = None
    """Of a text: it is that of this slot in small letters."""
    asks: Asks | None = None
    """Of yes or no: all that it asks, where it asks something of one text alone."""


@dataclass(frozen=True, slots=True)
class Asks:
    """A question about the text in one slot, or about that text in small letters."""

    slot: int
    lowered: bool
    holds: Holds
    split: Split | None = None
    """Where it is made of several, one of which other rules ask, too."""


@dataclass(frozen=True, slots=True)
class Split:
    """A question in two: what rules have in common, and what is left to ask where that is open."""

    deciding: bool
    """The answer to either that decides the whole."""
    key: object
    common: Holds
    rest: Holds


class Way(StrEnum):
    """How a text is as a rule needs it."""

    IS = "is"
    STARTS = "starts_with"
    ENDS = "ends_with"


@dataclass(frozen=True, slots=True)
class Needs:
    """Words of which a text in one slot, or one item of its list, has to be, or begin, or end.

    It tells nothing of a slot that holds anything but texts.
    """

    slot: int
    lowered: bool
    """Whether the text is put into small letters first."""
    way: Way
    words: frozenset[str]
    listed: bool = False
    """Whether the slot holds a list, one text of which is enough."""


@dataclass(slots=True)
class Slots:
    """Where each value of a call stands; filled while rules are compiled."""

    reads: list[Read] = field(default_factory=list[Read])
    known: dict[object, int] = field(default_factory=dict[object, int])

    def of(self, key: object, load: Load) -> int:
        """Return the slot of a value out of the facts, a new one where it has none yet."""
        return self.derived(key, lambda env: load(env.facts))

    def derived(self, key: object, read: Read) -> int:
        """Return the slot of a value made of others, a new one where it has none yet."""
        if key not in self.known:
            self.known[key] = self.take(read)
        return self.known[key]

    def take(self, read: Read) -> int:
        """Return a new slot."""
        self.reads.append(read)
        return FIRST + len(self.reads) - 1

    def of_call(self, facts: Facts) -> Env:
        """Return the slots of one call."""
        return Env(facts, self.reads)


def no_value(_: Env) -> Value:
    """Read nothing: the slot is a variable's."""
    return None


def slotted(slot: int) -> Run:
    """Return what reads a slot."""

    def run(env: Env) -> Value:
        value = env[slot]
        if isinstance(value, Undecided):
            # Raised again by every rule that looks: without the frames of the one before.
            raise value.with_traceback(None)
        return value

    return run


def constant(value: Value, kind: Type) -> Part:
    """Return a part whose value is written down."""
    return Part(kind, lambda _: value, constant=True, value=value)


def pay(env: Env, steps: int) -> None:
    """Take steps off those that are left to a rule; raise where there are too few."""
    left = cast("int", env[LEFT])
    if left < steps:
        message = "the lists are too long to be looked at"
        raise Undecided(message)
    env[LEFT] = left - steps


def remembered(slots: Slots, key: object, run: Run) -> Run:
    """Return what looks at a quantifier once for a call, and gives its answer to all that ask.

    The answer may depend on the steps that are left, so it is kept with them, and they are used up
    as if it had been looked at again.
    """
    slot = slots.derived(key, lambda _: dict[int, tuple[Value, Value]]())

    def read(env: Env) -> Value:
        known, left = cast("dict[int, tuple[Value, Value]]", env[slot]), cast("int", env[LEFT])
        if left not in known:
            try:
                value = run(env)
            except Undecided as doubt:
                value = doubt
            known[left] = (value, env[LEFT])
        value, env[LEFT] = known[left]
        if isinstance(value, Undecided):
            raise value.with_traceback(None)
        return value

    return read
