"""`policy.yaml`: read, checked and turned into a policy; every mistake with its line and column.

Nothing is guessed: an unknown key, a key that stands twice, a tool that nobody registered or a text
compared with a number is an error, and a project whose policy has one does not act.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from staid.domain.call import Severity
from staid.domain.canonical import Json, digest
from staid.domain.errors import PolicyInvalid, PolicyUnreadable
from staid.gates.budget import Budget
from staid.gates.expression.parse import parse
from staid.gates.expression.scope import Path as Argument
from staid.gates.expression.scope import suggestion
from staid.gates.expression.syntax import Call, Fault, Literal, Name, walk
from staid.gates.rule import Block, Condition, Role, Rule
from staid.gates.rules import Policy
from staid.gates.tool import Tool
from staid.project.policy_tree import Entries, Tree, TreeFault, read_tree
from staid.project.policy_values import decimal, duration_of, effects, sums, terms, words_of, yes

VERSION = "1"
SEVERITIES = {"allow": Severity.ALLOW, "ask": Severity.ASK, "deny": Severity.DENY}

_TOP = ("version", "timezone", "roles", "tools")
BLOCK_KEYS = ("effect", "unknown", "rules", "constraints", "budgets")
RULE_KEYS = (
    "name",
    "when",
    "unless",
    "for",
    "effect",
    "then",
    "message",
    "shadow",
    "sums",
    "approvers",
    "quorum",
    "ceilings",
    "escalate",
    "expires",
)
_ASKS = frozenset({"approvers", "quorum", "ceilings", "escalate", "expires", "sums"})
CONSTRAINT_KEYS = ("name", "require", "for", "effect", "message", "shadow")
BUDGET_KEYS = ("limit", "sum_of", "per", "window", "name")


@dataclass(frozen=True, slots=True)
class PolicyFault:
    """One mistake: where it is, and what it is."""

    line: int
    column: int
    detail: str


@dataclass(slots=True)
class PolicyFile:
    """A policy with the places of its expressions, and every mistake that was found."""

    path: Path
    policy: Policy = field(default_factory=Policy)
    faults: list[PolicyFault] = field(default_factory=list[PolicyFault])

    def required(self) -> Policy:
        """Return the policy; raise `PolicyInvalid` for the first mistake."""
        for fault in self.faults[:1]:
            where = f"{self.path.name}:{fault.line}:{fault.column}"
            raise PolicyInvalid(where=where, detail=fault.detail)
        return self.policy


def read_policy(path: Path, tools: Mapping[str, Tool]) -> PolicyFile:
    """Read a policy for these tools; raise `PolicyUnreadable` where there is no text to read.

    What can be understood is; `required` refuses a policy with any mistake.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PolicyUnreadable(file=path.name, detail=error.strerror or "no such file") from error
    return parse_policy(data, path, tools)


def parse_policy(data: bytes, path: Path, tools: Mapping[str, Tool]) -> PolicyFile:
    """Return the policy in the content of such a file; `path` is for messages."""
    reader = _Reader(path, tools)
    try:
        tree = read_tree(data)
        reader.read(tree)
    except TreeFault as fault:
        reader.fault(fault)
    return PolicyFile(path, reader.policy, sorted(reader.faults, key=_in_order))


def _in_order(fault: PolicyFault) -> tuple[int, int, str]:
    return (fault.line, fault.column, fault.detail)


class _Reader:
    """Collects a policy and its faults."""

    def __init__(self, path: Path, tools: Mapping[str, Tool]) -> None:
        self.path = path
        self.faults: list[PolicyFault] = []
        self.policy = Policy()
        self._tools = tools
        self._places: dict[int, tuple[Condition, Tree]] = {}
        self._unconditional: dict[int, tuple[Rule, Tree]] = {}
        self._rules: dict[str, Tree] = {}
        self._zone: tzinfo = UTC
        self._roles: dict[str, Role] = {}

    def fault(self, fault: TreeFault) -> None:
        """Keep a mistake, once."""
        found = PolicyFault(fault.line, fault.column, fault.detail)
        if found not in self.faults:
            self.faults.append(found)

    def _tried(self, work: Callable[[], None]) -> None:
        try:
            work()
        except TreeFault as fault:
            self.fault(fault)

    def read(self, tree: Tree) -> None:
        """Read a whole file."""
        entries = tree.mapping(_TOP)
        version = entries.required("version", tree)
        if version.plain() not in {1, VERSION}:
            raise version.fault(f"this release reads version {VERSION}")
        self._tried(lambda: self._read_zone(entries))
        self._tried(lambda: self._read_roles(entries))
        blocks: list[Block] = []
        tools = entries.get("tools")
        for key, inner in tools.items() if tools else ():
            self._tried(lambda key=key, inner=inner: blocks.append(self._block(key, inner)))
        version_of = digest(_sorted(tree.plain()))[:16]
        self.policy = Policy(tuple(blocks), self._roles, version_of, self._zone)
        self._check()

    def _read_zone(self, entries: Entries) -> None:
        zone = entries.get("timezone")
        if zone is None:
            return
        try:
            self._zone = ZoneInfo(zone.text())
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise zone.fault(f"there is no time zone {zone.text()!r}; write Europe/Oslo") from error

    # --- roles ------------------------------------------------------------------------------

    def _read_roles(self, entries: Entries) -> None:
        roles = entries.get("roles")
        for key, inner in roles.items() if roles else ():
            if not key.text().isidentifier():
                raise key.fault("a role has a name of letters, digits and _")
            places = tuple(self._place(one) for one in inner.listed())
            self._roles[key.text()] = Role(key.text(), places)

    def _place(self, tree: Tree) -> tuple[str, Argument]:
        text = tree.text()
        pattern, sign, path = text.partition(":")
        if not sign:
            pattern, _, path = text.rpartition(".")
        if not pattern or not path:
            raise tree.fault(f"{text!r} is no argument of a tool; write mail.send.to or *.to")
        argument = tuple(path.replace("[]", "").split("."))
        if "*" not in pattern and "?" not in pattern:
            self._known_argument(tree, pattern, argument)
        return pattern, argument

    def _known_argument(self, tree: Tree, name: str, argument: Argument) -> None:
        tool = self._tools.get(name)
        if tool is None:
            raise tree.fault(f"there is no tool {name!r}{suggestion(name, self._tools)}")
        fields = Policy().scope(tool).arguments.fields
        if fields and argument[0] not in fields:
            hint = suggestion(argument[0], fields)
            raise tree.fault(f"{name} has no argument {argument[0]!r}{hint}")

    # --- tools ------------------------------------------------------------------------------

    def _block(self, key: Tree, tree: Tree) -> Block:
        entries = tree.mapping(BLOCK_KEYS)
        unknown = entries.get("unknown")
        if unknown is not None and unknown.plain() not in {"ok", True}:
            raise unknown.fault("write unknown: ok, or leave it out")
        block = Block(
            key.text(), effects=effects(entries.get("effect")), unknown=unknown is not None
        )
        self._named(key, block)
        rules: list[Rule] = []
        for one in _items(entries.get("rules")):
            self._tried(lambda one=one: rules.append(self._rule(one)))
        for one in _items(entries.get("constraints")):
            self._tried(lambda one=one: rules.append(self._constraint(one)))
        budgets: list[Budget] = []
        for one in _items(entries.get("budgets")):
            self._tried(lambda one=one: budgets.append(self._budget(one)))
        return replace(block, rules=tuple(rules), budgets=tuple(budgets))

    def _named(self, key: Tree, block: Block) -> None:
        """Refuse a name that no tool has: its rules would never be asked."""
        glob = "*" in block.pattern or "?" in block.pattern
        if block.unknown or glob or block.pattern in self._tools:
            return
        hint = suggestion(block.pattern, self._tools)
        raise key.fault(
            f"there is no tool {block.pattern!r}{hint}; of one that is registered later say "
            "unknown: ok"
        )

    def _rule(self, tree: Tree) -> Rule:
        entries = tree.mapping(RULE_KEYS)
        then = entries.required("then", tree)
        if then.text() not in SEVERITIES:
            raise then.fault(f"{then.text()!r} is no ruling{suggestion(then.text(), SEVERITIES)}")
        severity = SEVERITIES[then.text()]
        asks = entries.first(_ASKS)
        if asks is not None and severity is not Severity.ASK:
            raise asks.fault("only a rule whose ruling is ask has approvers, times and sums")
        rule = Rule(
            self._name(entries, tree),
            severity,
            words_of(entries.get("message")),
            self._condition(entries.get("when")),
            self._condition(entries.get("unless")),
            self._role(entries.get("for")),
            effects(entries.get("effect")),
            yes(entries.get("shadow")),
            terms(entries),
            sums(entries.get("sums")),
        )
        self._value(rule, tree)
        if rule.when is None and rule.unless is None:
            self._unconditional[id(rule)] = (rule, tree)
        return rule

    def _constraint(self, tree: Tree) -> Rule:
        entries = tree.mapping(CONSTRAINT_KEYS)
        rule = Rule(
            self._name(entries, tree),
            Severity.DENY,
            words_of(entries.get("message")),
            unless=self._condition(entries.required("require", tree)),
            role=self._role(entries.get("for")),
            effects=effects(entries.get("effect")),
            shadow=yes(entries.get("shadow")),
        )
        self._value(rule, tree)
        return rule

    def _name(self, entries: Entries, tree: Tree) -> str:
        name = entries.required("name", tree)
        text = name.text()
        if (
            not text
            or len(text) > 80
            or not text.replace("-", "_").replace(".", "_").isidentifier()
        ):
            raise name.fault("a rule has a name of letters, digits, - and _, such as small-enough")
        if text in self._rules:
            line = self._rules[text].line
            raise name.fault(f"a rule of the name {text!r} stands in line {line}, too")
        self._rules[text] = name
        return text

    def _condition(self, tree: Tree | None) -> Condition | None:
        if tree is None:
            return None
        text = tree.text(as_written=True)
        try:
            condition = Condition(text, parse(text))
        except Fault as fault:
            raise tree.fault(fault.message, fault.at) from fault
        self._places[id(condition)] = (condition, tree)
        return condition

    def _role(self, tree: Tree | None) -> str | None:
        if tree is None:
            return None
        if tree.text() not in self._roles:
            hint = suggestion(tree.text(), self._roles)
            raise tree.fault(f"there is no role {tree.text()!r}{hint}")
        return tree.text()

    def _value(self, rule: Rule, tree: Tree) -> None:
        """Refuse a role whose value nothing looks at: every call with it would be ruled on."""
        if rule.role is None:
            return
        conditions = [c for c in (rule.when, rule.unless) if c is not None]
        named = any(
            isinstance(node, Name) and node.name == "value"
            for condition in conditions
            for node in walk(condition.node)
        )
        if conditions and not named:
            raise tree.fault(f"the rule is for {rule.role}, and asks nothing about its value")

    def _budget(self, tree: Tree) -> Budget:
        entries = tree.mapping(BUDGET_KEYS)
        sum_of, per, name = entries.get("sum_of"), entries.get("per"), entries.get("name")
        window = entries.get("window")
        limit = decimal(entries.required("limit", tree))
        if limit <= 0:
            raise tree.fault("the limit of a budget is above 0")
        return Budget(
            limit,
            sum_of.text() if sum_of else None,
            [each.text() for each in per.listed(single=True)] if per else "customer",
            duration_of(window) if window else "1d",
            name.text() if name else "",
        )

    # --- against the tools ------------------------------------------------------------------

    def _check(self) -> None:
        """Compile every rule for every tool it is about, and keep what means nothing there."""
        for tool in self._tools.values():
            about = self.policy.about(tool)
            for broken in about.broken:
                condition, rule = id(broken.condition), id(broken.rule)
                found = self._places.get(condition) or self._unconditional.get(rule)
                if found is not None:
                    _, tree = found
                    detail = f"rule {broken.rule.name}, tool {tool.name}: {broken.message}"
                    self.fault(tree.fault(detail, broken.at))
            if about.fault is not None:
                detail = f"the budgets and sums for {tool.name} cannot be used: {about.fault}"
                self.faults.append(PolicyFault(1, 1, detail))
        self._check_records()

    def _check_records(self) -> None:
        known = {name for tool in self._tools.values() for name in tool.lookups}
        for condition, tree in self._places.values():
            for node in walk(condition.node):
                match node:
                    case Call(function="record", arguments=(Literal(value=str() as name),)):
                        if known and name not in known:
                            detail = f"no tool looks up a record {name!r}{suggestion(name, known)}"
                            self.fault(tree.fault(detail, node.at))
                    case _:
                        pass


def _sorted(value: Json) -> Json:
    """Return a tree in which the order of rules, which cannot matter, does not count."""
    if isinstance(value, Mapping):
        return {key: _sorted(item) for key, item in value.items()}
    if isinstance(value, list):
        return sorted((_sorted(item) for item in value), key=digest)
    return value


def _items(tree: Tree | None) -> Iterator[Tree]:
    return iter(tree.listed()) if tree is not None else iter(())


def about(policy: Policy, tools: Iterable[Tool]) -> dict[str, list[str]]:
    """Return the names of the rules about each tool."""
    return {tool.name: [rule.name for rule in policy.about(tool).rules] for tool in tools}
