"""Every rule about one tool, compiled together, and what they say about one call.

A rule whose condition cannot be decided denies; one that means nothing for a tool denies every call
of it, with the reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from staid.domain.call import Effect, Severity
from staid.domain.errors import ToolInvalid
from staid.gates.budget import Budget, duration, slot_name
from staid.gates.demand import Terms
from staid.gates.expression.compile import SHARED, Compiler
from staid.gates.expression.parts import LEFT, STEPS, Env, Needs, Part, Run, Slots
from staid.gates.expression.scope import Facts, Scope
from staid.gates.expression.syntax import (
    Call,
    Each,
    Fault,
    Joined,
    Literal,
    Name,
    Node,
    Not,
    Shape,
    shape,
    walk,
)
from staid.gates.expression.values import Undecided
from staid.gates.narrowing import Narrowed
from staid.gates.rule import PREFIX, Condition, Rule, Said
from staid.gates.structuring import Structuring
from staid.gates.tool import Tool
from staid.gates.watching import Above, Watched, above, declared, together, why_not

VALUE = "value"
"""In a rule for a role: the value that plays it."""
SAID = "said"
"""In any rule: what the asker wrote last."""
DOUBTS = 8
"""Reasons of one rule that are kept: a reason that speaks of the call could be anything."""


@dataclass(frozen=True, slots=True)
class Broken:
    """A rule that means nothing for one tool."""

    rule: Rule
    condition: Condition
    at: int
    message: str


@dataclass(frozen=True, slots=True)
class _Compiled:
    rule: Rule
    run: Run
    holding: Said
    needs: Needs | None = None
    _doubts: dict[str, Said] = field(default_factory=dict[str, Said])

    def doubted(self, why: str) -> Said:
        """Return what it says where it cannot be decided: made once for each of its reasons."""
        known = self._doubts.get(why)
        if known is None:
            known = Said(self.rule, None, why)
            if len(self._doubts) < DOUBTS:
                self._doubts[why] = known
        return known


_NO_AMOUNT = (
    "it has ceilings, and the tool does not say which argument they are about:"
    ' amount="…" at @project.tool'
)


class ToolRules:
    """Every rule about one tool, compiled together; asked once for each call."""

    def __init__(
        self, tool: Tool, rules: Sequence[Rule], budgets: tuple[Budget, ...], scope: Scope
    ) -> None:
        """Compile; a rule that means nothing for the tool is kept as `broken`."""
        self.rules = tuple(rules)
        self.budgets = tuple(_own(tool, budget) for budget in budgets)
        self.broken: list[Broken] = []
        self.unwatched: list[tuple[Rule, str]] = []
        """Rules with a number that splitting would meet, and why no sum can be told from them."""
        self._roles = scope.roles
        self._amount = tool.amount
        self.records = frozenset(_records(rule for rule in rules if self._concerned(rule)))
        """Names of the records that the rules look into."""
        self.hears = any(_hears(rule) for rule in rules)
        """Whether a rule looks at what the asker wrote."""
        self._slots = Slots()
        self._compiled_rules: list[_Compiled] = []
        self._narrowed = Narrowed[_Compiled](self._slots)
        compiler = Compiler(scope, self._slots, _common(rules))
        for rule in rules:
            one = self._compiled(rule, compiler)
            self._compiled_rules.append(one)
            self._narrowed.add(one, one.needs)
        self.sums = self._watched(tool)
        """Sums of calls that are each below the number of a rule."""
        self.fault = _unusable(tool, self.budgets, self.sums)
        """Why budgets or sums cannot be drawn from, or None."""

    def _watched(self, tool: Tool) -> tuple[Watched, ...]:
        """Return the sums to be watched; a read changes nothing that could add up."""
        found: list[Watched] = []
        derived: list[tuple[Above, Terms]] = []
        broken = [one.rule for one in self.broken]
        able = (r for r in self.rules if r not in broken and self._concerned(r))
        asking = (r for r in able if r.severity is Severity.ASK and not r.shadow)
        for rule in asking:
            when, unless = (c.node if c else None for c in (rule.when, rule.unless))
            if isinstance(rule.sums, Structuring):
                found.append(declared(tool.name, rule.name, rule.sums, rule.terms))
            elif not rule.sums or tool.effect is Effect.READ:
                continue
            elif rule.role is None and (bound := above(when, unless)):
                derived.append((bound, rule.terms))
            elif reason := why_not(when, unless):
                self.unwatched.append((rule, reason))
        return (*together(tool.name, derived), *found)

    def facts(self, facts: Facts) -> Env:
        """Return the values that the rules look at."""
        return self._slots.of_call(facts)

    def all(self, facts: Facts) -> list[Said]:
        """Return what every rule says, also where it says nothing."""
        env = self.facts(facts)
        return [_said(one, env) for one in self._compiled_rules]

    def objecting(self, facts: Facts) -> list[Said]:
        """Return what the rules say that hold, or that cannot be decided."""
        env = self.facts(facts)
        found: list[Said] = []
        for some in self._narrowed.candidates(env):
            found += _objecting(some, env)
        return found

    def _concerned(self, rule: Rule) -> bool:
        """Whether the tool has what the rule is about; else it never holds, whatever it says."""
        return rule.role is None or bool(self._roles.get(rule.role))

    def _compiled(self, rule: Rule, compiler: Compiler) -> _Compiled:
        if not self._concerned(rule):
            return _Compiled(rule, lambda _: False, Said(rule, holds=True))
        condition = rule.when
        try:
            if rule.terms.ceilings and self._amount is None:  # else nobody could ever approve
                raise Fault(0, _NO_AMOUNT)  # noqa: TRY301 - told like any other fault of a rule
            node, part = _whole(rule, compiler)
            return _Compiled(rule, part.run, Said(rule, holds=True), _alone(node, part.needs))
        except _In as wrong:
            condition, fault = wrong.condition, wrong.fault
        except Fault as found:
            fault = found
        condition = condition or rule.unless or Condition("", Literal(value=True, at=0))
        self.broken.append(Broken(rule, condition, fault.at, fault.message))
        return _Compiled(rule, _undecided(fault.message), Said(rule, holds=True))


class _In(Exception):
    """A fault, with the condition it is in."""

    def __init__(self, condition: Condition, fault: Fault) -> None:
        super().__init__(fault.message)
        self.condition = condition
        self.fault = fault


def _whole(rule: Rule, compiler: Compiler) -> tuple[Node, Part]:
    """Return one condition out of `when`, `unless` and the role; raise for what is wrong in one."""
    parts: list[Node] = []
    node, part = None, None
    for condition, holds in ((rule.when, True), (rule.unless, False)):
        if condition is not None:
            node = _for_role(rule, condition.node)
            try:
                part = compiler.condition(node)
            except Fault as fault:
                raise _In(condition, fault) from fault
            parts.append(condition.node if holds else Not(condition.node, condition.node.at))
    if node is not None and part is not None and rule.unless is None:
        return node, part
    if not parts:
        parts = [Literal(value=True, at=0)]
    whole = parts[0] if len(parts) == 1 else Joined("and", tuple(parts), parts[0].at)
    node = _for_role(rule, whole)
    return node, compiler.condition(node)


def _for_role(rule: Rule, node: Node) -> Node:
    if rule.role is None:
        return node
    return Each("any", Call("role", (Name(rule.role, 0),), 0), VALUE, node, node.at)


def _common(rules: Iterable[Rule]) -> frozenset[Shape]:
    """Return what is written more than once among the rules, apart from single names."""
    found: Counter[Shape] = Counter()
    for rule in rules:
        for condition in (rule.when, rule.unless):
            nodes = walk(_for_role(rule, condition.node)) if condition else ()
            found.update(shape(one) for one in nodes if isinstance(one, SHARED))
    return frozenset(one for one, times in found.items() if times > 1)


def _undecided(message: str) -> Run:
    def run(_: Env) -> object:
        raise Undecided(message)

    return run


def _alone(node: Node, needs: Needs | None) -> Needs | None:
    """Return what a rule needs, unless another quantifier may have used up the steps before."""
    if needs is None or not needs.listed:
        return needs
    return needs if sum(isinstance(one, Each) for one in walk(node)) == 1 else None


def _objecting(rules: Iterable[_Compiled], env: Env) -> list[Said]:
    found: list[Said] = []
    last, why = None, ""
    for one in rules:
        # The steps of its own, so that no other rule uses them up.
        env[LEFT] = STEPS
        try:
            holds = one.run(env)
        except Exception as doubt:  # noqa: BLE001 - whatever goes wrong, it is not decided
            # Rules that miss the same value have one doubt in common, told once.
            if doubt is not last:
                last, why = doubt, _reason(doubt)
            found.append(one.doubted(why))
            continue
        if holds:
            found.append(one.holding)
    return found


def _reason(doubt: Exception) -> str:
    return str(doubt) if isinstance(doubt, Undecided) else type(doubt).__name__


def _said(one: _Compiled, env: Env) -> Said:
    return next(iter(_objecting((one,), env)), Said(one.rule, holds=False))


def _own(tool: Tool, budget: Budget) -> Budget:
    """Return a budget of the policy under a name that no budget in code has."""
    if budget.name:
        return replace(budget, name=f"{PREFIX}{budget.name}")
    shape = slot_name(tool.name, budget.sum_of, budget.per, duration(budget.window))
    return replace(budget, name=f"{PREFIX}{shape}")


def _unusable(tool: Tool, budgets: Sequence[Budget], sums: Sequence[Watched]) -> str | None:
    """Return why the budgets and sums of a policy cannot be drawn from by a tool, or None."""
    try:
        for one in (*budgets, *(watched.detector for watched in sums)):
            one.check(tool.name, frozenset(tool.params.model_fields))
    except ToolInvalid as error:
        return str(error.values["detail"])
    totals = [(b.name, b.sum_of, b.per, duration(b.window)) for b in (*tool.budgets, *budgets)]
    return None if len(set(totals)) == len(totals) else "two of its budgets count the same total"


def _records(rules: Iterable[Rule]) -> Iterator[str]:
    for node in (node for rule in rules for node in _nodes(rule)):
        match node:
            case Call(function="record", arguments=(Literal(value=str() as name),)):
                yield name
            case _:
                pass


def _hears(rule: Rule) -> bool:
    return any(isinstance(node, Name) and node.name == SAID for node in _nodes(rule))


def _nodes(rule: Rule) -> Iterator[Node]:
    for condition in (rule.when, rule.unless):
        if condition is not None:
            yield from walk(condition.node)
