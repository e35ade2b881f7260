"""Who asks, and who acts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

PUBLIC = "public"
"""The token that every asker holds; a label says it only by the explicit clause `["public"]`."""

PrincipalKind: TypeAlias = Literal["user", "service", "agent"]


@dataclass(frozen=True, slots=True)
class Principal:
    """Whom we act for: issuer, kind and stable id, with the closure of its groups."""

    issuer: str
    """Who vouches for the id; `local` is the operator's own directory."""
    kind: PrincipalKind
    id: str
    """Stable within its issuer; never an e-mail address that can pass to somebody else."""
    groups: frozenset[str] = field(default_factory=frozenset[str])
    """Every group token (`group:…`) the principal belongs to, nested ones resolved."""

    @property
    def token(self) -> str:
        """The principal's own token in labels: `user:ada`, or `user:issuer/id` when not local."""
        return (
            f"{self.kind}:{self.id}"
            if self.issuer == "local"
            else f"{self.kind}:{self.issuer}/{self.id}"
        )

    @property
    def tokens(self) -> frozenset[str]:
        """Every token that a label clause can match for this principal, `public` included."""
        return self.groups | {self.token, PUBLIC}


@dataclass(frozen=True, slots=True)
class Actor:
    """Who performs a step."""

    kind: Literal["human", "agent", "service"]
    name: str
    via: str | None = None
    """The operating-system user behind `--as`, where there is one."""
