"""Whose rights one query runs with."""

from __future__ import annotations

from dataclasses import dataclass

from staid.access.evaluate import permits
from staid.domain.label import Label


@dataclass(frozen=True, slots=True)
class Scope:
    """The filter of one query: asker AND agent AND everybody who will read the answer.

    Each part can only narrow; there is no wildcard and no bypass.
    """

    asker: frozenset[str]
    """The asker's tokens; empty permits nothing."""
    agent: frozenset[str] | None = None
    """The agent's `may_read`; None leaves the asker's rights alone, empty permits nothing."""
    audience: tuple[frozenset[str], ...] = ()
    """The tokens of each further reader of the answer."""

    def permits(self, label: Label) -> bool:
        """Return True only when every reader in the scope is permitted by the label."""
        if not permits(label, self.asker):
            return False
        if self.agent is not None and not permits(label, self.agent):
            return False
        return all(permits(label, reader) for reader in self.audience)
