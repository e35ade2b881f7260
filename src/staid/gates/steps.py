"""What was asked about a call on the way to its ruling, check by check."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from staid.domain.call import Severity
from staid.gates.budget import Draw
from staid.gates.tool import Tool

_WORDS = {severity: severity.word for severity in Severity}


def steps(
    tool: Tool | None,
    draws: Iterable[Draw],
    found: Iterable[tuple[str, Severity]],
    *,
    read: bool,
    policy: bool = False,
) -> tuple[tuple[str, str], ...]:
    """Return every check that was asked with its own word; what no check objected to is `allow`.

    `found`: what every check that objects ruled, by its name.
    `read`: the arguments could be read, so constraints, budgets and approval were asked, too.
    `policy`: so were its rules; only those that say something have a step of their own.
    """
    said: dict[str, Severity] = {}
    for name, severity in found:
        known = said.get(name)
        if known is None or severity > known:
            said[name] = severity
    words = dict.fromkeys(_asked(tool, draws, read=read, policy=policy), Severity.ALLOW.word)
    for name, severity in said.items():
        words[name] = _WORDS[severity]
    return tuple(words.items())


def _asked(tool: Tool | None, draws: Iterable[Draw], *, read: bool, policy: bool) -> Sequence[str]:
    first = ["kill_switch", "allowlist"]
    if tool is None:
        return first
    if tool.breaker is not None:
        first.append(f"breaker:{tool.name}")
    if not read:
        return [*first, "schema"]
    constraints = [f"constraint:{constraint.name}" for constraint in tool.constraints]
    budgets = [f"budget:{draw.budget}" for draw in draws if draw.beyond is Severity.DENY]
    sums = [draw.budget for draw in draws if draw.beyond is Severity.ASK]
    rules = ["policy"] if policy else []
    return [*first, "schema", *constraints, *budgets, *rules, "approval", *sums]
