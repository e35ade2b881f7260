"""The sums that rules of a policy watch: derived from a comparison, or written down beside it.

A rule that asks where an argument is above a number is met by splitting. What it says about one
call, the sum says about several. A condition that is more than one comparison tells no sum; then
`why_not` says so, and nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from staid.domain.canonical import Json
from staid.domain.demand import Terms
from staid.gates.budget import Draw, Step
from staid.gates.expression.scope import CONTEXT
from staid.gates.expression.syntax import (
    Call,
    Compared,
    Each,
    Joined,
    Literal,
    Node,
    Not,
    path_of,
)
from staid.gates.structuring import Structuring

_MIRROR = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_OPPOSITE = {"<": ">=", "<=": ">", ">": "<=", ">=": "<"}


@dataclass(frozen=True, slots=True)
class Above:
    """A condition that is nothing but this: an argument is above a number."""

    argument: str
    number: Decimal
    reached: bool
    """Whether the number itself is enough."""


def above(when: Node | None, unless: Node | None) -> Above | None:
    """Return the one comparison that a rule consists of, or None where it is anything else."""
    if (when is None) is (unless is None):
        return None
    found = [_above(one, negated=negated) for one, negated in _compared(when, unless, alone=True)]
    return found[0] if len(found) == 1 else None


def why_not(when: Node | None, unless: Node | None) -> str | None:
    """Return why no sum can be told from a condition that speaks of one; None: it does not."""
    everything = _compared(when, unless, alone=False)
    numbers = [found for one, negated in everything if (found := _limit(one, negated=negated))]
    if not numbers:
        return None
    return f"its condition is more than one comparison of an argument with {numbers[0]}"


@dataclass(frozen=True, slots=True)
class Watched:
    """A sum that rules of a policy watch, and what each wants of approvers beyond its number."""

    detector: Structuring
    steps: tuple[Step, ...]

    def draw(
        self, tool: str, arguments: Mapping[str, Json], subject: str, agent: str
    ) -> Draw | None:
        """Return what a call adds; None where it is above the number alone, or below zero."""
        if str(arguments.get(self.detector.sum_of)).startswith("-"):
            return None  # the rule itself has looked at it; it takes nothing off the sum
        if arguments.get(self.detector.sum_of) is None:
            return None  # the rule cannot be decided, and denies
        drawn = self.detector.draw(tool, arguments, subject, agent)
        return None if drawn is None else replace(drawn, steps=self.steps)


def together(tool: str, found: Sequence[tuple[Above, Terms]]) -> list[Watched]:
    """Return one sum for each argument: it asks beyond the lowest number that any rule names."""
    sums: list[Watched] = []
    for argument in dict.fromkeys(one.argument for one, _ in found):
        mine = [(one, terms) for one, terms in found if one.argument == argument]
        lowest = min((one for one, _ in mine), key=lambda one: (one.number, not one.reached))
        name = f"policy:{tool}:{argument}"
        detector = Structuring(argument, lowest.number, name=name, reached=lowest.reached)
        steps = tuple(Step(one.number, one.reached, terms) for one, terms in mine)
        sums.append(Watched(detector, steps))
    return sums


def declared(tool: str, rule: str, sums: Structuring, terms: Terms) -> Watched:
    """Return the sum that is written down beside a rule."""
    detector = replace(sums, name=f"policy:{tool}:{rule}")
    return Watched(detector, (Step(Decimal(sums.above), sums.reached, terms),))


def _compared(
    when: Node | None, unless: Node | None, *, alone: bool
) -> Iterator[tuple[Compared, bool]]:
    """Yield the comparisons of a rule, and whether it is the opposite that makes it ask.

    `alone` looks for one that is the whole condition.
    """
    waiting = [(when, False), (unless, True)]
    while waiting:
        match waiting.pop():
            case Compared() as node, negated:
                yield node, negated
            case Not(of=of), negated:
                waiting.append((of, not negated))
            case Joined(parts=parts), negated if not alone:
                waiting += [(part, negated) for part in parts]
            case Each(body=body), negated if not alone:
                waiting.append((body, negated))
            case _:
                pass


def _sides(node: Compared, *, negated: bool) -> tuple[Node, str, Node]:
    """Return a comparison with its literal on the right, as it makes the rule hold."""
    left, sign, right = node.left, node.sign, node.right
    if isinstance(left, Literal):
        left, sign, right = right, _MIRROR.get(sign, ""), left
    return left, _OPPOSITE.get(sign, "") if negated else sign, right


def _above(node: Compared, *, negated: bool) -> Above | None:
    left, sign, right = _sides(node, negated=negated)
    argument = _argument(left)
    match right:
        case Literal(value=Decimal() as number) if argument and number > 0:
            return Above(argument, number, sign == ">=") if sign in {">", ">="} else None
        case _:
            return None


def _limit(node: Compared, *, negated: bool) -> Decimal | None:
    """Return the number that a comparison says something is above, the clock left out."""
    left, sign, right = _sides(node, negated=negated)
    path = path_of(_inside(left))
    match right:
        case Literal(value=Decimal() as number) if sign in {">", ">="} and path:
            return None if path[0] in CONTEXT else number
        case _:
            return None


def _argument(node: Node) -> str | None:
    """Return the argument that a node is, or is the number of."""
    match path_of(_inside(node)):
        case ("args", str() as name):
            return name
        case (str() as name,) if name not in CONTEXT:
            return name
        case _:
            return None


def _inside(node: Node) -> Node:
    match node:
        case Call(function="number", arguments=(of,)):
            return of
        case _:
            return node
