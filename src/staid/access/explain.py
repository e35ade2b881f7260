"""Why a principal may or may not see what a label guards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from staid.domain.label import Label
from staid.domain.principal import Principal

Reason: TypeAlias = Literal["permitted", "denied", "clause failed", "nobody"]


@dataclass(frozen=True, slots=True)
class ClauseFinding:
    """What one clause of the label asked for, and what answered it."""

    clause: tuple[str, ...]
    """The tokens of which one is needed, sorted."""
    token: str | None
    """The token that matched; None where the clause failed."""
    path: tuple[str, ...]
    """From the principal through nested groups to the token; empty where the clause failed."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """The verdict of a label on a principal with the facts that decided it."""

    allowed: bool
    reason: Reason
    clauses: tuple[ClauseFinding, ...]
    denied_by: tuple[str, ...]
    """The path from the principal to the denied token; empty where no deny was hit."""

    @property
    def path(self) -> tuple[str, ...]:
        """The explanation in lines, the deciding one first."""
        lines: list[str] = []
        if self.denied_by:
            lines.append(f"denied: {' -> '.join(self.denied_by)} is in the deny set")
        if self.reason == "nobody":
            lines.append("the label names nobody: a missing or empty list of rights is not public")
        failed = [c for c in self.clauses if c.token is None]
        lines.extend(f"none of {', '.join(c.clause)} is held" for c in failed)
        lines.extend(
            f"{' -> '.join(c.path)} is in {', '.join(c.clause)}" for c in self.clauses if c.token
        )
        return tuple(lines)


def explain(
    label: Label, principal: Principal, paths: Mapping[str, tuple[str, ...]]
) -> Explanation:
    """Return the same verdict as `permits`, with every clause and deny that decided it.

    `paths` (see `membership.paths`) says how a token is held; a token without a path is shown as
    held directly. The verdict rests on the principal's own tokens, never on `paths`.
    """
    tokens = principal.tokens

    def path(token: str) -> tuple[str, ...]:
        known = paths.get(token)
        return known or ((token,) if token == principal.token else (principal.token, token))

    def shortest(held: frozenset[str]) -> tuple[str, ...] | None:
        return min((path(token) for token in held), key=lambda p: (len(p), p), default=None)

    findings: list[ClauseFinding] = []
    for clause in label.allow:
        way = shortest(clause & tokens)
        findings.append(ClauseFinding(tuple(sorted(clause)), way[-1] if way else None, way or ()))
    denied = shortest(label.deny & tokens) or ()
    return Explanation(
        allowed=_reason(findings, denied) == "permitted",
        reason=_reason(findings, denied),
        clauses=tuple(findings),
        denied_by=denied,
    )


def _reason(findings: list[ClauseFinding], denied: tuple[str, ...]) -> Reason:
    if not findings:
        return "nobody"
    if denied:
        return "denied"
    return "permitted" if all(f.token for f in findings) else "clause failed"
