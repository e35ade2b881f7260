"""From a proposed call to a ruling: pure, total, and never weaker than any single rule.

The stages are those of product.md, step 4: kill switch, allowlist, schema, constraints, budgets,
rules of the policy, approval. Each yields its ruling; the most severe wins, so their order decides
only which of two equally severe rules is named.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from pydantic import BaseModel

from staid.domain.call import CallRecord, CallState, Ruling, Severity
from staid.domain.canonical import Json, canonical, decimal_text, timestamp
from staid.domain.demand import Terms
from staid.gates.breaker import Standing
from staid.gates.budget import Draw, Slot, Totals
from staid.gates.expression.scope import Facts
from staid.gates.hung import hung_rule
from staid.gates.params import MOST, Invalid, canonical_arguments
from staid.gates.rule import Said, worst
from staid.gates.rules import NO_POLICY, Policy
from staid.gates.steps import steps
from staid.gates.structuring import Threshold, ruled, span
from staid.gates.tool import Constraint, Predicate, Tool
from staid.gates.tool_rules import ToolRules

OUTDATED = "The policy changed after this was allowed. Nothing was done; propose it again."
EVERY_TOOL = "*"
"""In the kill switch: all of them."""

_STAGES = (
    "kill_switch",
    "allowlist",
    "breaker",
    "hung",
    "schema",
    "constraint",
    "budget",
    "policy",
    "preview",
    "fingerprint",
    "approval",
    "structuring",
    "bounds",
)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything outside the call that a ruling depends on."""

    allowed: frozenset[str]
    """Names of the tools this agent may use."""
    stopped: frozenset[str] = frozenset()
    """Names of stopped tools, or `EVERY_TOOL`."""
    totals: Totals = field(default_factory=dict[Slot, Decimal])
    """Running totals without this call; a slot that is missing denies."""
    circuit: Standing | None = None
    """What the tool's circuit breaker says; None where it was not asked."""
    hung: int = 0
    """How many handlers of the tool still run here although their time was up."""
    policy: str = ""
    """Version of the policy that rules; an approval is bound to it."""
    groups: frozenset[str] = frozenset()
    """Groups of whoever the call acts for."""
    now: datetime | None = None
    """When it was proposed."""
    origins: Mapping[str, str] = field(default_factory=dict[str, str])
    """Path of an argument -> where its value comes from; one that is missing is `unknown`."""
    records: Mapping[str, Json] = field(default_factory=dict[str, "Json"])
    """What the tool's look-ups returned; one that is missing could not be looked up."""
    said: str | None = None
    """What the asker wrote last, where a rule about the tool looks at it; None: not known."""

    def as_json(self) -> dict[str, Json]:
        """Return the snapshot as plain values, as the journal keeps it."""
        return {
            "allowed": sorted(self.allowed),
            "stopped": sorted(self.stopped),
            "totals": [[*slot, decimal_text(total)] for slot, total in sorted(self.totals.items())],
            "circuit": self.circuit.as_json() if self.circuit else None,
            "policy": self.policy,
            **({"hung": self.hung} if self.hung else {}),
            **({"groups": sorted(self.groups)} if self.groups else {}),
            **({"now": timestamp(self.now)} if self.now is not None else {}),
            **({"origins": dict(self.origins)} if self.origins else {}),
            **({"records": dict(self.records)} if self.records else {}),
            **({"said": self.said} if self.said is not None else {}),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Snapshot:
        """Read what `as_json` returned."""
        return cls(
            allowed=frozenset(value["allowed"]),
            stopped=frozenset(value["stopped"]),
            totals={(budget, key): Decimal(total) for budget, key, total in value["totals"]},
            circuit=Standing.from_json(value["circuit"]) if value.get("circuit") else None,
            hung=value.get("hung", 0),
            policy=value.get("policy", ""),
            groups=frozenset(value.get("groups", ())),
            now=datetime.fromisoformat(value["now"]) if value.get("now") else None,
            origins=value.get("origins", {}),
            records=value.get("records", {}),
            said=value.get("said"),
        )


@dataclass(frozen=True, slots=True)
class Prepared:
    """A proposal read against its tool: what would run, and what it would draw."""

    name: str
    """The tool's name as proposed."""
    tool: Tool | None
    arguments: Mapping[str, Json]
    """Canonical where valid; as proposed where not, for the record alone."""
    params: BaseModel | None = None
    draws: tuple[Draw, ...] = ()
    """Also what it adds to sums of calls below a threshold."""
    of_approver: tuple[Draw, ...] = ()
    """What whoever approves it would draw, from a key that is not known yet."""
    fault: Ruling | None = None
    """Why it cannot run at all."""
    subject: str = ""
    agent: str = ""
    bounds: ToolRules | None = None
    """What the policy says about the tool; None: the tool is not known."""
    policy: str = ""
    """Version of that policy."""


def prepare(
    name: str,
    tool: Tool | None,
    arguments: Mapping[str, Json],
    subject: str,
    agent: str,
    policy: Policy = NO_POLICY,
) -> Prepared:
    """Read a proposal against its tool and what the policy says about it; never raises."""
    found = _prepare(name, tool, arguments, subject, agent, policy)
    return replace(found, subject=subject, agent=agent, policy=policy.version)


def _prepare(  # noqa: PLR0911 - one return for each thing that may be wrong
    name: str,
    tool: Tool | None,
    arguments: Mapping[str, Json],
    subject: str,
    agent: str,
    policy: Policy,
) -> Prepared:
    if tool is None:
        return Prepared(name, None, _readable(arguments))
    try:
        params, dumped = canonical_arguments(tool.params, arguments)
    except Invalid as invalid:
        fault = Ruling(Severity.DENY, invalid.rule, invalid.message)
        return Prepared(name, tool, _readable(arguments), fault=fault)
    except Exception as error:  # noqa: BLE001 - a validator of the tool's author may raise anything
        fault = _broken("schema", error)
        return Prepared(name, tool, _readable(arguments), fault=fault)
    try:
        bounds = policy.about(tool)
    except Exception as error:  # noqa: BLE001 - a policy that cannot be asked allows nothing
        return Prepared(name, tool, dumped, params, fault=_broken("policy", error))
    if bounds.fault is not None:
        fault = Ruling(Severity.DENY, "budget", f"The policy cannot bound this: {bounds.fault}.")
        return Prepared(name, tool, dumped, params, fault=fault)
    try:
        budgets = (*tool.budgets, *bounds.budgets)
        drawn = [(b.of_approver, b.draw(name, dumped, subject, agent)) for b in budgets]
        watched = (*tool.structuring, *bounds.sums)
        sums = [s.draw(name, dumped, subject, agent) for s in watched]
    except Exception as error:  # noqa: BLE001 - missing data denies, whatever is missing
        return Prepared(name, tool, dumped, params, fault=_broken("budget", error))
    own = (draw for later, draw in drawn if not later)
    draws = (*own, *(draw for draw in sums if draw is not None))
    of_approver = tuple(draw for later, draw in drawn if later)
    return Prepared(name, tool, dumped, params, draws, of_approver, bounds=bounds)


def rule(prepared: Prepared, snapshot: Snapshot) -> Ruling:
    """Return the one ruling on a proposal; never raises."""
    said = policy_says(prepared, snapshot)
    told = [one for one in said if not one.rule.shadow]
    deciding = worst(told)
    found = _rulings(prepared, snapshot, ())
    walked = steps(
        prepared.tool,
        prepared.draws,
        [*((one.rule, one.severity) for one in found), *((o.rule.id, o.severity) for o in told)],
        read=prepared.params is not None,
        policy=prepared.bounds is not None and bool(prepared.bounds.rules),
    )
    shadows = tuple((one.rule.id, one.severity.word) for one in said if one.rule.shadow)
    if deciding is not None:
        found.append(deciding.ruling)
    return replace(most_severe(found), steps=(*walked, *shadows))


def rulings(prepared: Prepared, snapshot: Snapshot) -> list[Ruling]:
    """Return what every stage rules, in the order of the stages."""
    return _rulings(prepared, snapshot, policy_says(prepared, snapshot))


def policy_says(prepared: Prepared, snapshot: Snapshot) -> list[Said]:
    """Return what the rules of the policy say that hold or cannot be decided, shadows too."""
    if prepared.bounds is None or not prepared.bounds.rules:
        return []
    return prepared.bounds.objecting(facts_of(prepared, snapshot))


def facts_of(prepared: Prepared, snapshot: Snapshot) -> Facts:
    """Return what the rules of the policy look at."""
    return Facts(
        prepared.arguments,
        prepared.name,
        prepared.tool.effect.value if prepared.tool is not None else "",
        prepared.subject,
        snapshot.groups,
        prepared.agent,
        snapshot.now,
        snapshot.origins,
        snapshot.records,
        snapshot.said or "",
    )


def terms(prepared: Prepared, snapshot: Snapshot) -> tuple[Terms, ...]:
    """Return what the rules of the policy that ask want of approvers, each with its own terms."""
    said = policy_says(prepared, snapshot)
    asking = (one for one in said if one.severity is Severity.ASK and not one.rule.shadow)
    return tuple(one.rule.terms for one in asking)


def _rulings(prepared: Prepared, snapshot: Snapshot, said: Iterable[Said]) -> list[Ruling]:
    tool, params = prepared.tool, prepared.params
    found = [_kill_switch(prepared.name, snapshot), _allowlist(prepared, snapshot)]
    if prepared.fault is not None:
        found.append(prepared.fault)
    if tool is not None:
        found += [_breaker(tool, snapshot.circuit), hung_rule(tool.name, snapshot.hung)]
    if tool is not None and params is not None:
        found += [_constraint(one, params) for one in tool.constraints]
        found += [_budget(draw, snapshot.totals) for draw in prepared.draws]
        found.append(_same_policy(prepared, snapshot))
        found += [one.ruling for one in said if not one.rule.shadow]
        found.append(_approval(tool.requires_approval, params))
    return [ruling for ruling in found if ruling is not None]


def _same_policy(prepared: Prepared, snapshot: Snapshot) -> Ruling | None:
    """Deny where the call was read against another policy than the one that is to rule."""
    if prepared.policy == snapshot.policy:
        return None
    return Ruling(Severity.DENY, "policy", "The policy that has to rule on this is not at hand.")


def still_permits(prepared: Prepared, stopped: frozenset[str], hung: int = 0) -> Ruling:
    """Return the ruling of the hard bounds alone, asked again right before execution.

    Budgets were reserved and the approval was given; a bound tightened meanwhile still holds.
    """
    tool, params = prepared.tool, prepared.params
    found = [_kill_switch(prepared.name, Snapshot(frozenset(), stopped)), prepared.fault]
    found.append(hung_rule(prepared.name, hung))
    if tool is not None and params is not None:
        found += [_constraint(one, params) for one in tool.constraints]
    return most_severe(ruling for ruling in found if ruling is not None)


def outdated(record: CallRecord) -> bool:
    """Return whether a call ended only because another policy holds now than the one it had."""
    return record.state is CallState.REVOKED and record.error == OUTDATED


def most_severe(found: Iterable[Ruling]) -> Ruling:
    """Return the most severe ruling; of equals the one of the earliest stage, then by name.

    No ruling at all means that no rule objects: `allow`.
    """
    return min(found, key=_rank, default=Ruling(Severity.ALLOW, "bounds", "Within all bounds."))


def _rank(ruling: Ruling) -> tuple[int, int, str, str]:
    stage = ruling.rule.partition(":")[0]
    place = _STAGES.index(stage) if stage in _STAGES else len(_STAGES)
    return (-ruling.severity, place, ruling.rule, ruling.message)


def _kill_switch(name: str, snapshot: Snapshot) -> Ruling | None:
    if snapshot.stopped & {name, EVERY_TOOL}:
        return Ruling(Severity.DENY, "kill_switch", f"{name} is stopped by an operator.")
    return None


def _allowlist(prepared: Prepared, snapshot: Snapshot) -> Ruling | None:
    if prepared.tool is None or prepared.name not in snapshot.allowed:
        # One message for both: what other agents may use is nobody's business here.
        message = f"{prepared.name} is not a tool this agent may use."
        return Ruling(Severity.DENY, "allowlist", message)
    return None


def _breaker(tool: Tool, circuit: Standing | None) -> Ruling | None:
    if tool.breaker is None or circuit is None or circuit.until is None:
        return None
    return Ruling(Severity.DENY, f"breaker:{tool.name}", circuit.told(tool.name))


def _constraint(constraint: Constraint, params: BaseModel) -> Ruling | None:
    rule_name = f"constraint:{constraint.name}"
    holds = _ask(constraint.holds, params, rule_name)
    if isinstance(holds, Ruling):
        return holds
    if holds:
        return None
    message = constraint.message or f"The arguments do not satisfy {constraint.name}."
    return Ruling(Severity.DENY, rule_name, message)


def _budget(draw: Draw, totals: Totals) -> Ruling | None:
    asks = draw.beyond is Severity.ASK
    rule_name = draw.budget if asks else f"budget:{draw.budget}"
    if draw.slot not in totals:
        return Ruling(Severity.DENY, rule_name, "The running total of this budget is not known.")
    if asks:
        return ruled(draw, totals[draw.slot])
    if totals[draw.slot] + draw.amount > draw.limit:
        limit, window = decimal_text(draw.limit), span(draw.window)
        message = f"This would exceed the limit of {limit} within {window}."
        return Ruling(Severity.DENY, rule_name, message)
    return None


def _approval(requires: bool | Predicate, params: BaseModel) -> Ruling | None:  # noqa: FBT001 - the tool's own property
    asked = _ask(
        (lambda _: requires) if isinstance(requires, bool) else requires, params, "approval"
    )
    if isinstance(asked, Ruling):
        return asked
    return Ruling(Severity.ASK, "approval", _why(requires)) if asked else None


def _why(requires: bool | Predicate) -> str:  # noqa: FBT001 - the tool's own property
    """Return the rule in its author's words, where the predicate has a docstring."""
    if isinstance(requires, Threshold):
        return requires.words
    told = None if isinstance(requires, bool) else inspect.getdoc(requires)
    return told.splitlines()[0] if told else "A human has to approve this call."


def _ask(predicate: Callable[[BaseModel], object], params: BaseModel, name: str) -> bool | Ruling:
    try:
        # A copy: a predicate that changes what it looks at must not change what runs.
        answer = predicate(params.model_copy(deep=True))
    except Exception as error:  # noqa: BLE001 - whatever a predicate raises is `deny`
        return _broken(name, error)
    if not isinstance(answer, bool):
        return Ruling(Severity.DENY, name, f"The rule {name} answered neither yes nor no.")
    return answer


def _broken(name: str, error: Exception) -> Ruling:
    return Ruling(
        Severity.DENY, name, f"The rule {name} could not be decided: {type(error).__name__}."
    )


def _readable(arguments: Mapping[str, Json]) -> dict[str, Json]:
    try:
        kept = len(canonical(arguments)) <= MOST
        return dict(arguments) if kept else {"unreadable": "too long to be kept"}
    except Exception:  # noqa: BLE001 - only for the record of a denied call
        return {"unreadable": repr(arguments)[:2000]}
