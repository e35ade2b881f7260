"""One rule over the calls of tools, as data, and what it says about one call.

Rules only ever add severity. Shadow rules are told, and decide nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from staid.domain.call import Effect, Ruling, Severity
from staid.gates.budget import Budget
from staid.gates.demand import Terms
from staid.gates.expression.scope import Path, type_at
from staid.gates.expression.syntax import Node
from staid.gates.expression.types import Type
from staid.gates.expression.values import globbed
from staid.gates.structuring import Structuring
from staid.gates.tool import Tool

SHADOW = "shadow:"
PREFIX = "policy:"


@dataclass(frozen=True, slots=True)
class Condition:
    """An expression with its text, for whoever reads what was ruled."""

    text: str
    node: Node


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: when it holds, its severity is that of the call at least."""

    name: str
    severity: Severity
    message: str = ""
    when: Condition | None = None
    """None: always."""
    unless: Condition | None = None
    role: str | None = None
    """Asked about every argument that plays this role, as `value`; none plays it: does not hold."""
    effects: frozenset[Effect] = frozenset(Effect)
    shadow: bool = False
    terms: Terms = field(default_factory=Terms)
    """What it asks of approvers, where it asks."""
    sums: bool | Structuring = True
    """What calls add up to: watched as the condition implies it, as told here, or not."""

    id: str = field(init=False, repr=False, compare=False)
    """Its name among the rulings."""

    def __post_init__(self) -> None:
        """Put its name together once: every ruling carries it."""
        object.__setattr__(self, "id", f"{SHADOW if self.shadow else PREFIX}{self.name}")


@dataclass(frozen=True, slots=True)
class Block:
    """Rules and budgets for every tool whose name fits a pattern of `*` and `?`."""

    pattern: str
    rules: tuple[Rule, ...] = ()
    budgets: tuple[Budget, ...] = ()
    effects: frozenset[Effect] = frozenset(Effect)
    unknown: bool = False
    """Whether no tool of the project need fit the pattern."""

    def covers(self, tool: Tool) -> bool:
        """Return whether the block speaks about a tool."""
        return tool.effect in self.effects and globbed(self.pattern)(tool.name)


@dataclass(frozen=True, slots=True)
class Role:
    """Arguments of some tools that play the same part, such as that of a recipient."""

    name: str
    places: tuple[tuple[str, Path], ...]
    """Pattern of tool names, and the path of the argument."""

    def paths(self, tool: Tool, arguments: Type) -> tuple[Path, ...]:
        """Return the arguments of a tool that play the role."""
        found = [path for pattern, path in self.places if globbed(pattern)(tool.name)]
        return tuple(p for p in dict.fromkeys(found) if type_at(arguments, p) is not None)


@dataclass(frozen=True, slots=True)
class Said:
    """What one rule says about one call."""

    rule: Rule
    holds: bool | None
    """None: it cannot be decided."""
    why: str = ""
    """Why it cannot be decided."""

    severity: Severity = field(init=False, repr=False, compare=False)
    """Its ruling: nothing where it does not hold, `deny` where that cannot be decided."""

    def __post_init__(self) -> None:
        """Find its severity once: every ruling asks for it several times."""
        found = self.rule.severity if self.holds else Severity.ALLOW
        object.__setattr__(self, "severity", Severity.DENY if self.holds is None else found)

    @property
    def ruling(self) -> Ruling:
        """Its ruling with its name and its words."""
        rule = self.rule
        if self.holds is None:
            words = f"The rule {rule.name} of the policy could not be decided: {self.why}."
            return Ruling(Severity.DENY, rule.id, words)
        words = rule.message or f"The rule {rule.name} of the policy applies."
        return Ruling(self.severity, rule.id, words)


def worst(said: Iterable[Said]) -> Said | None:
    """Return what decides among several: the most severe, of those the first by name and words."""
    found = list(said)
    if not found:
        return None
    severity = max([one.severity for one in found])
    severest = [one for one in found if one.severity == severity]
    name = min([one.rule.id for one in severest])
    equals = [one for one in severest if one.rule.id == name]
    return equals[0] if len(equals) == 1 else min(equals, key=lambda one: one.ruling.message)
